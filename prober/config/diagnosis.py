"""``diagnosis``: which clusters are asked for the cause when a target fails, and how often."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from prober.config.discovery import kubernetes
from prober.config.nodes import Value
from prober.config.problems import Wrong
from prober.config.readers import duration
from prober.sources import KubernetesSource, Source

__all__ = ["DEFAULT_DIAGNOSIS", "Diagnosing", "diagnosis", "with_discovered"]

SHORTEST_REFRESH = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosing:
    """The section's meaning."""

    clusters: tuple[KubernetesSource, ...] = ()
    """Empty: no diagnosis. Their labels mean nothing here."""
    refresh: float = 60.0
    """Seconds after which a cluster is asked again about a target that still fails."""
    written: bool = False
    """``kubernetes`` was written; else the clusters are those of ``discovery``."""


DEFAULT_DIAGNOSIS = Diagnosing()


def diagnosis(value: Value) -> Diagnosing:
    """Reader of the section."""
    fields = value.fields(("kubernetes", "refresh"))
    clusters: tuple[KubernetesSource, ...] = ()
    if "kubernetes" in fields:
        read = fields.read("kubernetes", _cluster, None)
        clusters = () if read is None else (read,)
    refresh = fields.read("refresh", duration(at_least=SHORTEST_REFRESH), DEFAULT_DIAGNOSIS.refresh)
    return Diagnosing(clusters=clusters, refresh=refresh, written="kubernetes" in fields)


def with_discovered(read: Diagnosing, discovery: Iterable[Source]) -> Diagnosing:
    """The section with the clusters of ``discovery`` where it names none itself."""
    if read.written:
        return read
    clusters: list[KubernetesSource] = []
    for source in discovery:
        if isinstance(source.how, KubernetesSource) and (cluster := replace(source.how, labels={})) not in clusters:
            clusters.append(cluster)
    return replace(read, clusters=tuple(clusters))


def _cluster(value: Value) -> KubernetesSource | None:
    if value.kind == "a boolean" and value.raw.lower() in {"false", "off", "no"}:
        return None
    cluster = kubernetes(value)
    if cluster.labels:
        raise Wrong("has labels, which mean nothing here; remove them")
    return cluster
