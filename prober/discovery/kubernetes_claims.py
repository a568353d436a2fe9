"""Which hostnames belong to a Service: found by what its ``spec.selector`` selects. Pure.

An Istio Gateway and an ApigeeRoute name the labels of ingress *pods*, and a Service that somebody made by hand need not carry them as
labels of its own.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from prober.discovery.kubernetes_objects import items, mapping

__all__ = ["TLS_PROTOCOLS", "Claim", "PodLabels", "apigee_claims", "istio_claims", "labels_by_namespace", "selected"]

TLS_PROTOCOLS = frozenset({"HTTPS", "TLS"})
PodLabels: TypeAlias = Mapping[object, Collection[frozenset[tuple[str, str]]]]
"""By namespace."""
_DEFAULT_SELECTOR = {"app": "apigee-ingressgateway"}


@dataclass(frozen=True, slots=True)
class Claim:
    """Pods with these labels serve these hosts at this port by TLS."""

    selector: Mapping[str, str]
    port: int
    hosts: tuple[str, ...]


def istio_claims(gateways: Iterable[Mapping[str, Any]]) -> Iterator[Claim]:
    """Of Istio's Gateways."""
    for gateway in gateways:
        spec = mapping(gateway, "spec")
        for server in items(spec, "servers"):
            port = mapping(server, "port")
            # Hosts are NAMESPACE/HOST, where the namespace limits who may bind to them.
            hosts = tuple(str(host).rpartition("/")[2] for host in server.get("hosts") or ())
            if str(port.get("protocol")).upper() in TLS_PROTOCOLS and isinstance(port.get("number"), int):
                yield Claim(mapping(spec, "selector"), port["number"], hosts)


def apigee_claims(routes: Iterable[Mapping[str, Any]]) -> Iterator[Claim]:
    """Of ApigeeRoutes."""
    for route in routes:
        spec = mapping(route, "spec")
        hosts = tuple(map(str, spec.get("hostnames") or ()))
        for port in items(spec, "ports"):
            if str(port.get("protocol")).upper() in TLS_PROTOCOLS and isinstance(port.get("number"), int):
                number = port["number"]
                # The ingress pods listen on 8443 for what is 443 outside, and a Service may name that port alone.
                for each in {number, 8443} if number == 443 else {number}:
                    yield Claim(mapping(spec, "selector") or _DEFAULT_SELECTOR, each, hosts)


def labels_by_namespace(pods: Iterable[Mapping[str, Any]]) -> PodLabels:
    """The different sets of labels that there are; replicas have the same."""
    found: dict[object, set[frozenset[tuple[str, str]]]] = {}
    for pod in pods:
        labels = frozenset(mapping(pod, "metadata", "labels").items())
        found.setdefault(mapping(pod, "metadata").get("namespace"), set()).add(labels)
    return found


def selected(claims: Iterable[Claim], service: Mapping[str, Any], pods: PodLabels) -> list[Claim]:
    """Those with whose labels some pods of the Service are; without pods to look at, those whose selector goes with the Service's."""
    selector = mapping(service, "spec", "selector")
    if not selector:
        return []
    seen = {labels for labels in pods.get(mapping(service, "metadata").get("namespace"), ()) if selector.items() <= labels}
    return [claim for claim in claims if claim.selector and _matches(claim.selector, selector, seen)]


def _matches(wanted: Mapping[str, str], selector: Mapping[str, str], seen: set[frozenset[tuple[str, str]]]) -> bool:
    if seen:
        return any(wanted.items() <= labels for labels in seen)
    shared = wanted.keys() & selector.keys()
    return bool(shared) and all(wanted[key] == selector[key] for key in shared)
