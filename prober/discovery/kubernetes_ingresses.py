"""Objects of a cluster -> the addresses at which its ingresses are reached from outside, with the hostnames of each. Pure.

An address is a load balancer's (a Service of type LoadBalancer, a Gateway, an Ingress) or a router's (an OpenShift Route). Left out, because
the API does not say at which address of the outside they are reached: NodePort, ClusterIP and ExternalName Services, Routes of a router
without canonical name.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from prober.addresses import parse_server_name
from prober.discovery.kubernetes_claims import TLS_PROTOCOLS, apigee_claims, istio_claims, labels_by_namespace, selected
from prober.discovery.kubernetes_objects import META, cluster_ips, identity, items, load_balancers, mapping
from prober.model import Address
from prober.sources import ADDRESS, NAME, SERVER_NAMES, LabelSet, LabelSets

__all__ = ["Cluster", "Ingresses", "ingresses"]

MOST_NAMES = 32
"""Hostnames asked of one address: each is a handshake in every round."""
_TLS_PORTS = frozenset({443, 8443})
_ADDRESS_TYPES = frozenset({None, "IPAddress", "Hostname"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """What is known of a cluster: objects as the API has them. What is unknown is empty."""

    services: Sequence[Mapping[str, Any]] = ()
    pods: Sequence[Mapping[str, Any]] = ()
    ingresses: Sequence[Mapping[str, Any]] = ()
    gateways: Sequence[Mapping[str, Any]] = ()
    """Gateway API."""
    http_routes: Sequence[Mapping[str, Any]] = ()
    tls_routes: Sequence[Mapping[str, Any]] = ()
    istio_gateways: Sequence[Mapping[str, Any]] = ()
    openshift_routes: Sequence[Mapping[str, Any]] = ()
    apigee_routes: Sequence[Mapping[str, Any]] = ()


class Ingresses(NamedTuple):
    """What a cluster comes to."""

    label_sets: LabelSets
    """One an address, in a stable order."""
    notes: tuple[str, ...]
    """What is left out, and could be looked for in vain: ingresses without an address as yet, hostnames beyond the limit."""


@dataclass(slots=True)
class _Entry:
    owner: str
    meta: LabelSet
    names: dict[str, None] = field(default_factory=dict)


class _Found(NamedTuple):
    owner: str
    meta: LabelSet
    hosts: Sequence[str]
    """Addresses; empty: it has none yet."""
    port: int
    names: Iterable[str]
    source: str
    """The object that says so, where the owner stands for many."""


def ingresses(cluster: Cluster) -> Ingresses:
    """The addresses of a cluster's ingresses, and what is missing among them."""
    internal = {ip for service in cluster.services for ip in cluster_ips(service)}
    entries: dict[Address, _Entry] = {}
    pending: dict[str, dict[str, None]] = {}
    for found in (*_gateways(cluster), *_services(cluster), *_ingresses(cluster), *_routes(cluster)):
        if not found.hosts:
            pending.setdefault(found.owner, {})[found.source] = None
        for host in found.hosts:
            if host in internal or host.endswith((".svc", ".svc.cluster.local")):
                continue
            entry = entries.setdefault(Address(host, found.port), _Entry(found.owner, found.meta))
            entry.names.update(dict.fromkeys(found.names))
    asked = {address: _names(entry.names) for address, entry in entries.items()}
    said: dict[str, set[tuple[str, ...]]] = {}
    for address, entry in entries.items():
        said.setdefault(entry.owner, set()).add(asked[address][:MOST_NAMES])
    in_order = sorted(entries.items(), key=lambda item: (item[1].owner, item[0].host, item[0].port))
    label_sets = tuple(
        {
            **entry.meta,
            # The addresses of one target are asked for the same names.
            NAME: entry.owner if len(said[entry.owner]) == 1 else f"{entry.owner} {address}",
            ADDRESS: str(address),
            SERVER_NAMES: ",".join(asked[address][:MOST_NAMES]),
        }
        for address, entry in in_order
    )
    return Ingresses(label_sets, (*_waiting(pending), *_cut(in_order, asked)))


def _waiting(pending: Mapping[str, Mapping[str, None]]) -> Iterator[str]:
    for owner, sources in sorted(pending.items()):
        first, more = min(sources), len(sources) - 1
        which = "" if first == owner else f" by {first}" + (f" and {more} more" if more else "")
        yield f"{owner}: has no address yet{which}"


def _cut(entries: Iterable[tuple[Address, _Entry]], asked: Mapping[Address, Sequence[str]]) -> Iterator[str]:
    for address, entry in entries:
        if len(asked[address]) > MOST_NAMES:
            left = asked[address][MOST_NAMES:]
            yield f"{entry.owner} {address}: {len(asked[address])} hostnames; those after the first {MOST_NAMES} are not asked for: {left[0]} ..."


def _names(names: Iterable[str]) -> tuple[str, ...]:
    """Names that can be asked for. Of a pattern, one name that it covers, where there is no other."""
    exact: list[str] = []
    covered: list[str] = []
    for name in sorted(set(names)):
        try:
            if name.startswith("*."):
                covered.append(parse_server_name(f"prober{name[1:]}"))
            elif name != "*":
                exact.append(parse_server_name(name))
        except ValueError:
            continue  # the API server validates hostnames of most kinds; of the others, nobody can be asked for it
    return tuple(exact or covered)


def _services(cluster: Cluster) -> Iterator[_Found]:
    claims = [*istio_claims(cluster.istio_gateways), *apigee_claims(cluster.apigee_routes)]
    pods = labels_by_namespace(cluster.pods)
    for service in cluster.services:
        spec = mapping(service, "spec")
        if spec.get("type") != "LoadBalancer":
            continue
        hosts = [*load_balancers(service), *map(str, spec.get("externalIPs") or ())]
        owner, meta = identity("service", service)
        annotated = str(mapping(service, "metadata", "annotations").get("external-dns.alpha.kubernetes.io/hostname", ""))
        of_service = [name.strip() for name in annotated.split(",") if name.strip()]
        mine = selected(claims, service, pods)
        for port in items(spec, "ports"):
            numbers = {port.get("port"), port.get("targetPort")}
            here = [claim for claim in mine if claim.port in numbers]
            if isinstance(port.get("port"), int) and (here or _looks_like_tls(port)):
                names = [*of_service, *(name for claim in here for name in claim.hosts)]
                yield _Found(owner, meta, hosts, port["port"], names, owner)


def _looks_like_tls(port: Mapping[str, Any]) -> bool:
    name, application = str(port.get("name") or ""), str(port.get("appProtocol") or "").lower()
    named = name.startswith(("https", "tls")) or application in {"https", "tls", "kubernetes.io/https"}
    return port.get("protocol", "TCP") == "TCP" and (named or port.get("port") in _TLS_PORTS)


def _gateways(cluster: Cluster) -> Iterator[_Found]:
    for gateway in cluster.gateways:
        owner, meta = identity("gateway", gateway)
        hosts = [
            str(each.get("value"))
            for each in items(mapping(gateway, "status"), "addresses")
            if each.get("value") and each.get("type") in _ADDRESS_TYPES
        ]
        for listener in items(mapping(gateway, "spec"), "listeners"):
            if listener.get("protocol") not in TLS_PROTOCOLS or not isinstance(listener.get("port"), int):
                continue
            pattern = str(listener.get("hostname") or "*")
            routes = cluster.tls_routes if listener["protocol"] == "TLS" else cluster.http_routes
            routed = [
                name
                for route in routes
                if _attached(route, mapping(gateway, "metadata"), listener)
                for name in map(str, mapping(route, "spec").get("hostnames") or ())
                if _covers(pattern, name)
            ]
            yield _Found(owner, meta, hosts, listener["port"], [*routed, pattern], owner)


def _attached(route: Mapping[str, Any], gateway: Mapping[str, Any], listener: Mapping[str, Any]) -> bool:
    own = mapping(route, "metadata").get("namespace")
    # Same is the default; of a Selector it is not known which namespaces it selects.
    if own != gateway.get("namespace") and mapping(listener, "allowedRoutes", "namespaces").get("from", "Same") == "Same":
        return False
    return any(
        parent.get("kind", "Gateway") == "Gateway"
        and parent.get("name") == gateway.get("name")
        and parent.get("namespace", own) == gateway.get("namespace")
        and parent.get("sectionName", listener.get("name")) == listener.get("name")
        and parent.get("port", listener.get("port")) == listener.get("port")
        for parent in items(mapping(route, "spec"), "parentRefs")
    )


def _covers(pattern: str, name: str) -> bool:
    return pattern in {"*", name} or (pattern.startswith("*.") and name.endswith(pattern[1:]))


def _ingresses(cluster: Cluster) -> Iterator[_Found]:
    for ingress in cluster.ingresses:
        spec = mapping(ingress, "spec")
        entries = items(spec, "tls")
        if not entries:
            continue  # serves plain HTTP
        by_rule = [str(rule["host"]) for rule in items(spec, "rules") if rule.get("host")]
        names = [str(host) for entry in entries for host in entry.get("hosts") or by_rule]
        annotations = mapping(ingress, "metadata", "annotations")
        kind = str(spec.get("ingressClassName") or annotations.get("kubernetes.io/ingress.class") or "default")
        # Many Ingresses share the addresses of their class: no single one of them gives the target its name.
        meta = {f"{META}kind": "ingress", f"{META}name": kind}
        yield _Found(f"ingress/{kind}", meta, load_balancers(ingress), 443, names, identity("ingress", ingress)[0])


def _routes(cluster: Cluster) -> Iterator[_Found]:
    """OpenShift's: each router that took a Route in says by which name it is reached itself."""
    for route in cluster.openshift_routes:
        if not mapping(route, "spec", "tls"):
            continue  # serves plain HTTP
        for point in items(mapping(route, "status"), "ingress"):
            refused = any(each.get("type") == "Admitted" and each.get("status") != "True" for each in items(point, "conditions"))
            if refused or not point.get("host"):
                continue
            router = str(point.get("routerName") or "default")
            name = point.get("routerCanonicalHostname")
            meta = {f"{META}kind": "route", f"{META}name": router}
            hosts = [str(name)] if name else []
            yield _Found(f"route/{router}", meta, hosts, 443, [str(point["host"])], identity("route", route)[0])
