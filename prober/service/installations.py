"""What a cluster says about Apigee, by installation: one namespace with its routes, pods and Secrets, and the addresses that lead there.

Asked through discovery's client, only by reading verbs, and of a Secret only whether it is there. What the cluster refuses (403) stays
unknown, and is named as such.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import trio

from prober.diagnose.cluster import ClusterError, read_cluster
from prober.diagnose.evidence import ClusterFacts
from prober.diagnose.hostnames import covers
from prober.diagnose.overrides import INGRESS_APP
from prober.diagnose.routes import RouteFacts, read_routes
from prober.discovery.kubernetes_client import Client, Object, Unknown, list_objects
from prober.discovery.kubernetes_objects import items, mapping
from prober.findings import SourceReport
from prober.snapshot import EndpointState
from prober.sources import KubernetesSource, SourceError

__all__ = ["Installation", "read_installations", "that_serves"]

_APIGEE = "apigee.cloud.google.com/v1alpha1"
_KINDS: Mapping[str, str] = {
    "services": "v1",
    "pods": "v1",
    "apigeeroutes": _APIGEE,
    "apigeerouteconfigs": _APIGEE,
    "apigeeissues": _APIGEE,
}
_UNKNOWN = "unknown: forbidden (403)"
DEFAULT_NAMESPACE = "apigee"
"""Where Apigee's own charts install; meant where the cluster refuses to say where it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """One installation of Apigee, as far as its cluster shows it."""

    facts: ClusterFacts
    reports: tuple[SourceReport, ...]
    """What was asked for, and what the cluster said."""
    routes: RouteFacts | None
    """None: the cluster does not show its routes."""
    addresses: frozenset[str]
    """IP addresses and names at which its Services are reached from outside."""
    hostnames: tuple[str, ...]
    """Of its routes, but ``*``."""
    guessed: bool
    """The cluster refuses to show its routes, so that whose names it serves is unknown."""


_Answers = Mapping[tuple[str, str | None], "tuple[Object, ...] | Unknown"]
"""By kind and namespace that was asked for; None: all of them."""


async def read_installations(client: Client, source: KubernetesSource) -> tuple[Installation, ...]:
    """All installations that the cluster shows. `SourceError` when it cannot be asked."""
    answers: dict[tuple[str, str | None], tuple[Object, ...] | Unknown] = {}
    for namespace in source.namespaces or (None,):
        for kind, group_version in _KINDS.items():
            answers[kind, namespace] = await list_objects(client, group_version, kind, namespace)
    # In a thread, since a large cluster's routes take a while to go through.
    return await trio.to_thread.run_sync(partial(_installations, client, source, answers))


def that_serves(installations: Iterable[Installation], states: Sequence[EndpointState]) -> Installation | None:
    """The installation behind these endpoints of one target: by address, else by server name, else the one that may be it."""
    hosts = {state.address.host for state in states} | {state.endpoint.ip for state in states if state.endpoint is not None}
    names = {handshake.server_name for state in states for handshake in state.differential.handshakes if handshake.server_name}
    names |= {name for state in states for name in state.target.server_names}
    known = list(installations)
    for holds in (
        lambda one: bool(hosts & one.addresses),
        lambda one: any(covers(one.hostnames, name) for name in names),
        lambda one: one.guessed,
    ):
        found = next(filter(holds, known), None)
        if found is not None:
            return found
    return None


def _installations(client: Client, source: KubernetesSource, answers: _Answers) -> tuple[Installation, ...]:
    refused = any(
        isinstance(answer, Unknown) and answer.forbidden for (kind, _), answer in answers.items() if kind != "apigeeissues"
    )
    there = {space for kind in ("apigeeroutes", "apigeerouteconfigs", "pods", "services") for space in _spaces(kind, answers)}
    namespaces = sorted(there) or ([(source.namespaces or (DEFAULT_NAMESPACE,))[0]] if refused else [])
    return tuple(_installation(_Fetched(client, source, answers, namespace)) for namespace in namespaces)


def _installation(cluster: _Fetched) -> Installation:
    reading = read_cluster(cluster)
    routes = read_routes(reading.manifests) if reading.manifests else None
    groups = () if routes is None else tuple(route for route in routes.routes if not route.is_wildcard)
    hidden = [SourceReport(kind="kubernetes", name="services", error=_UNKNOWN)] if cluster.refuses("services") else []
    hidden += [
        SourceReport(kind="kubernetes", name=f"secret {secret.name}", error=_UNKNOWN)
        for secret in reading.facts.secrets
        if secret.present is None
    ]
    return Installation(
        facts=reading.facts,
        reports=(*reading.reports, *hidden),
        routes=routes,
        addresses=frozenset(address for service in cluster.found("services") for address in _outside(service)),
        hostnames=tuple(dict.fromkeys(name for route in groups for name in route.hostnames if name != "*")),
        guessed=cluster.refuses("apigeeroutes"),
    )


class _Fetched:
    """One namespace of what was listed. Implements `prober.diagnose.cluster.Cluster`; lives in a worker thread."""

    def __init__(self, client: Client, source: KubernetesSource, answers: _Answers, namespace: str) -> None:
        self._client = client
        self._source = source
        self._answers = answers
        self._namespace = namespace

    @property
    def namespace(self) -> str:
        """The namespace of the installation."""
        return self._namespace

    @property
    def context(self) -> str | None:
        """The kubeconfig's context; None: the current one, or the pod's own cluster."""
        return self._source.context

    def objects(self, kind: str) -> Sequence[Mapping[str, Any]]:
        """All objects of a kind in the namespace, pods those of the ingress gateway. Raises `ClusterError`."""
        answer = self._answer(kind)
        if isinstance(answer, Unknown):
            raise ClusterError(f"unknown: {answer.reason}", absent=not answer.forbidden)
        return self.found(kind)

    def find_secret(self, name: str) -> None:
        """Return if the Secret is there; only its metadata is asked for. Raises `ClusterError`."""
        try:
            answer = trio.from_thread.run(self._client.metadata, "v1", "secrets", self._namespace, name)
        except SourceError as error:
            raise ClusterError(str(error), unreachable=True) from None
        if isinstance(answer, Unknown):
            raise ClusterError(f"unknown: {answer.reason}", absent=not answer.forbidden)

    def refuses(self, kind: str) -> bool:
        """Whether the cluster answered 403."""
        answer = self._answer(kind)
        return isinstance(answer, Unknown) and answer.forbidden

    def found(self, kind: str) -> list[Mapping[str, Any]]:
        """The objects that it shows."""
        answer = self._answer(kind)
        return (
            []
            if isinstance(answer, Unknown)
            else [one for one in answer if _space(one) == self._namespace and _concerns(kind, one)]
        )

    def _answer(self, kind: str) -> tuple[Object, ...] | Unknown:
        everywhere = self._answers.get((kind, None))
        return self._answers[kind, self._namespace] if everywhere is None else everywhere


def _spaces(kind: str, answers: _Answers) -> Iterator[str]:
    for (of, _), answer in answers.items():
        if of == kind and not isinstance(answer, Unknown):
            yield from (_space(one) for one in answer if _concerns(kind, one))


def _space(item: Object) -> str:
    return str(mapping(item, "metadata").get("namespace", ""))


def _concerns(kind: str, item: Object) -> bool:
    """Whether it is Apigee's: of pods those of its gateway, of Services those that say that they lead to them."""
    match kind:
        case "pods":
            return mapping(item, "metadata", "labels").get("app") == INGRESS_APP
        case "services":
            return mapping(item, "spec", "selector").get("app") == INGRESS_APP
        case _:
            return True


def _outside(service: Object) -> Iterator[str]:
    points = items(mapping(service, "status", "loadBalancer"), "ingress")
    yield from (str(point[key]) for point in points for key in ("ip", "hostname") if point.get(key))
    yield from map(str, mapping(service, "spec").get("externalIPs") or ())
