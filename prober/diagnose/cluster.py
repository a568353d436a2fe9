"""The cluster as evidence, whichever way it is asked: routes, pods, Secrets' existence, ApigeeIssues.

What the cluster refuses (403) is unknown and is named as such; it is never taken for absent.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from prober.diagnose.evidence import ClusterFacts, Pod, Secret
from prober.diagnose.manifest import Manifest, read_manifests
from prober.findings import SourceReport

__all__ = ["Cluster", "ClusterError", "ClusterReading", "read_cluster"]

# An extra gateway of hybrid 1.14 and later, for traffic inside the cluster: it has the same label and is none of the clients' business.
_INTERNAL = "internal-chaining"


class ClusterError(Exception):
    """No answer. ``absent``: the cluster does not know the thing (404); ``unreachable``: it could not be asked; else it refused (403)."""

    def __init__(self, text: str, *, absent: bool = False, unreachable: bool = False) -> None:
        super().__init__(text)
        self.absent = absent
        self.unreachable = unreachable


class Cluster(Protocol):
    """A way to a cluster. All methods raise `ClusterError`."""

    @property
    def namespace(self) -> str:
        """The namespace of the installation."""

    @property
    def context(self) -> str | None:
        """The kubeconfig's context; None: the current one."""

    def objects(self, kind: str) -> Sequence[Mapping[str, Any]]:
        """All ``apigeeroutes``, ``apigeerouteconfigs``, ``apigeeissues``, or ``pods`` of the ingress gateway, in the namespace."""

    def find_secret(self, name: str) -> None:
        """Return if the Secret is there. Its contents are never asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterReading:
    """What was read: manifests for the routes' reader, facts, and a report for each kind of object."""

    manifests: tuple[Manifest, ...]
    facts: ClusterFacts
    reports: tuple[SourceReport, ...]


def read_cluster(cluster: Cluster) -> ClusterReading:
    """Read what a diagnosis needs; of Secrets those that the routes name."""
    manifests: list[Manifest] = []
    reports: list[SourceReport] = []
    denied: list[str] = []
    unreachable: list[ClusterError] = []

    def objects(kind: str) -> list[Mapping[str, Any]] | None:
        """The objects of a kind; None where the cluster does not say."""
        if unreachable:
            return None
        try:
            items = cluster.objects(kind)
        except ClusterError as error:
            if error.absent:
                reports.append(SourceReport(kind="kubernetes", name=kind, summary="the cluster has no such resource"))
                return None
            denied.append(f"everything ({error})" if error.unreachable else f"{kind} ({error})")
            reports.append(SourceReport(kind="kubernetes", name="cluster" if error.unreachable else kind, error=str(error)))
            if error.unreachable:
                unreachable.append(error)
            return None
        if kind.startswith("apigeeroute"):
            text = json.dumps({"kind": "ApigeeRouteList" if kind == "apigeeroutes" else "ApigeeRouteConfigList", "items": items})
            manifests.append(read_manifests(f"kubernetes:{kind}", text))
        reports.append(SourceReport(kind="kubernetes", name=kind, summary=f"{len(items)} in namespace {cluster.namespace}"))
        return list(items)

    routes = objects("apigeeroutes") or []
    configs = objects("apigeerouteconfigs") or []
    pods = [pod for each in objects("pods") or [] if (pod := _pod(each)) is not None]
    issues = [text for each in objects("apigeeissues") or [] if (text := _issue(each))]
    names = dict.fromkeys(name for each in (*routes, *configs) for name in _credentials(each))
    secrets = _secrets(cluster, names, denied)
    if secrets:
        reports.append(SourceReport(kind="kubernetes", name="secrets", summary=_told(secrets)))
    facts = ClusterFacts(
        context=cluster.context or "current context",
        namespace=cluster.namespace,
        pods=tuple(pods),
        secrets=tuple(secrets),
        issues=tuple(issues),
        denied=tuple(denied),
    )
    return ClusterReading(manifests=tuple(manifests), facts=facts, reports=tuple(reports))


def _pod(item: Mapping[str, Any]) -> Pod | None:
    metadata = _mapping(item.get("metadata"))
    labels = _mapping(metadata.get("labels"))
    if _INTERNAL in str(labels.get("ingress_name", "")) or _INTERNAL in str(metadata.get("name", "")):
        return None
    conditions = _mappings(_mapping(item.get("status")).get("conditions"))
    ready = any(each.get("type") == "Ready" and each.get("status") == "True" for each in conditions)
    return Pod(str(metadata.get("name")), tuple((str(key), str(value)) for key, value in labels.items()), ready)


def _issue(item: Mapping[str, Any]) -> str:
    spec = _mapping(item.get("spec"))
    words = [_mapping(item.get("metadata")).get("name"), spec.get("severity"), spec.get("reason"), spec.get("details")]
    return ", ".join(str(word) for word in words if word)


def _credentials(item: Mapping[str, Any]) -> Iterator[str]:
    for port in _mappings(_mapping(item.get("spec")).get("ports")):
        name = _mapping(port.get("tls")).get("credentialName")
        if isinstance(name, str):
            yield name


def _mapping(value: Any) -> Mapping[str, Any]:
    """Itself, or an empty one: what a CRD without a strict schema lets through is the routes' reader's matter, and no crash."""
    return value if isinstance(value, dict) else {}


def _mappings(value: Any) -> Iterator[Mapping[str, Any]]:
    return (each for each in (value if isinstance(value, list) else ()) if isinstance(each, dict))


def _told(secrets: Sequence[Secret]) -> str:
    """The right to ask for them is optional, so that what is not known is no error; it is said all the same."""
    there, unknown = sum(each.present is True for each in secrets), sum(each.present is None for each in secrets)
    return f"{there} of {len(secrets)} are there" + (f", {unknown} unknown: the cluster does not say" if unknown else "")


def _secrets(cluster: Cluster, names: Iterable[str], denied: list[str]) -> list[Secret]:
    """Which are there; behind one for which nobody answered, no other is asked for: each would be waited for as long."""
    found: list[Secret] = []
    left = list(names)
    while left:
        name = left.pop(0)
        try:
            cluster.find_secret(name)
        except ClusterError as error:
            found.append(Secret(name, cluster.namespace, False if error.absent else None))
            if not error.absent:
                denied.append(f"secret {name} ({error})")
            if error.unreachable and left:
                denied.append(f"{len(left)} more secrets (not asked for after that)")
                break
        else:
            found.append(Secret(name, cluster.namespace, True))
    return [*found, *(Secret(name, cluster.namespace, None) for name in left)]
