"""``discovery`` and ``diagnosis`` as they are shown. Secrets are in files, of which the paths are shown."""

from __future__ import annotations

from typing import Any, assert_never

from prober.config.diagnosis import Diagnosing
from prober.config.durations import format_duration
from prober.config.http_access import show_access
from prober.notices import masked
from prober.sources import DnsNames, HttpSource, KubernetesSource, RelabelRule, Source, TargetFiles

__all__ = ["show_diagnosis", "show_source"]


def show_source(source: Source) -> dict[str, Any]:
    """One entry of the section."""
    kind, how = _how(source)
    shown: dict[str, Any] = {kind: how, "name": source.name}
    if source.relabelling:
        shown["relabel_configs"] = [_rule(rule) for rule in source.relabelling]
    return shown


def _how(source: Source) -> tuple[str, Any]:
    how = source.how
    match how:
        case TargetFiles():
            return "files", list(how.patterns)
        case DnsNames():
            return "dns", {
                "names": list(how.names),
                **({"type": "SRV"} if how.srv else {"port": how.port}),
                "server_names": list(how.server_names),
                "servers": [str(server) for server in how.servers],
                "labels": dict(how.labels),
            }
        case HttpSource():
            return "http", {
                "url": masked(how.url),
                "refresh_interval": format_duration(how.refresh),
                "timeout": format_duration(how.timeout),
                **show_access(how.access),
            }
        case KubernetesSource():
            return "kubernetes", {**_cluster(how), "labels": dict(how.labels)}
        case _:
            assert_never(how)


def show_diagnosis(diagnosis: Diagnosing) -> dict[str, Any]:
    """The section."""
    shown: dict[str, Any] = {"refresh": format_duration(diagnosis.refresh)}
    if diagnosis.written:
        shown["kubernetes"] = _cluster(diagnosis.clusters[0]) if diagnosis.clusters else False
    return shown


def _cluster(how: KubernetesSource) -> dict[str, Any]:
    return {
        "namespaces": list(how.namespaces),
        **({"kubeconfig": how.kubeconfig} if how.kubeconfig else {}),
        **({"context": how.context} if how.context else {}),
    }


def _rule(rule: RelabelRule) -> dict[str, Any]:
    default = RelabelRule()
    shown: dict[str, Any] = {"action": str(rule.action)}
    if rule.source_labels:
        shown["source_labels"] = list(rule.source_labels)
    for key in ("separator", "modulus", "target_label", "replacement"):
        if getattr(rule, key) != getattr(default, key):
            shown[key] = getattr(rule, key)
    if rule.regex.pattern != default.regex.pattern:
        shown["regex"] = rule.regex.pattern
    return shown
