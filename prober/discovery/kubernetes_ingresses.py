"""Objects of a cluster -> the addresses at which its ingresses are reached from outside, with the hostnames of each. Pure.

An address is a load balancer's (a Service of type LoadBalancer, a Gateway, an Ingress). Which hostnames belong to a Service is found
by what its ``spec.selector`` selects: an Istio Gateway and an ApigeeRoute name the labels of ingress *pods*, and a Service that
somebody made by hand need not carry them as labels of its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from prober.addresses import is_ip, parse_server_name
from prober.model import Address
from prober.sources import ADDRESS, NAME, SERVER_NAMES, LabelSet

__all__ = ["Cluster", "ingresses"]

MOST_NAMES = 32
"""Hostnames asked of one address: each is a handshake in every round."""
_TLS_PORTS = frozenset({443, 8443})
_TLS_PROTOCOLS = frozenset({"HTTPS", "TLS"})
_META = "__meta_kubernetes_"
_DEFAULT_SELECTOR = {"app": "apigee-ingressgateway"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """What is known of a cluster: objects as the API has them. What is unknown is empty."""

    services: Sequence[Mapping[str, Any]] = ()
    pods: Sequence[Mapping[str, Any]] = ()
    ingresses: Sequence[Mapping[str, Any]] = ()
    gateways: Sequence[Mapping[str, Any]] = ()
    """Gateway API."""
    http_routes: Sequence[Mapping[str, Any]] = ()
    istio_gateways: Sequence[Mapping[str, Any]] = ()
    apigee_routes: Sequence[Mapping[str, Any]] = ()


@dataclass(slots=True)
class _Entry:
    owner: str
    meta: LabelSet
    names: dict[str, None] = field(default_factory=dict)


def ingresses(cluster: Cluster) -> tuple[LabelSet, ...]:
    """One label set an address, in a stable order."""
    internal = {ip for service in cluster.services for ip in _cluster_ips(service)}
    entries: dict[Address, _Entry] = {}
    found = (*_gateways(cluster), *_services(cluster), *_ingresses(cluster))
    for owner, meta, hosts, port, names in found:
        for host in hosts:
            if host in internal or host.endswith((".svc", ".svc.cluster.local")):
                continue
            entry = entries.setdefault(Address(host, port), _Entry(owner, meta))
            entry.names.update(dict.fromkeys(names))
    said: dict[str, set[tuple[str, ...]]] = {}
    for entry in entries.values():
        said.setdefault(entry.owner, set()).add(_asked(entry.names))
    return tuple(
        {
            **entry.meta,
            # The addresses of one target are asked for the same names.
            NAME: entry.owner if len(said[entry.owner]) == 1 else f"{entry.owner} {address}",
            ADDRESS: str(address),
            SERVER_NAMES: ",".join(_asked(entry.names)),
        }
        for address, entry in sorted(entries.items(), key=lambda item: (item[1].owner, item[0].host, item[0].port))
    )


def _asked(names: Iterable[str]) -> tuple[str, ...]:
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
    return tuple((exact or covered)[:MOST_NAMES])


_Found = tuple[str, LabelSet, list[str], int, list[str]]
"""Owner, meta labels, addresses, port, hostnames."""


def _services(cluster: Cluster) -> Iterator[_Found]:
    claims = [*_istio_claims(cluster.istio_gateways), *_apigee_claims(cluster.apigee_routes)]
    for service in cluster.services:
        spec = _mapping(service, "spec")
        if spec.get("type") != "LoadBalancer":
            continue
        hosts = [*_load_balancers(service), *map(str, spec.get("externalIPs") or ())]
        owner, meta = _identity("service", service)
        annotated = str(_mapping(service, "metadata", "annotations").get("external-dns.alpha.kubernetes.io/hostname", ""))
        of_service = [name.strip() for name in annotated.split(",") if name.strip()]
        mine = [claim for claim in claims if _selects(claim.selector, service, cluster.pods)]
        for port in _list(spec, "ports"):
            numbers = {port.get("port"), port.get("targetPort")}
            here = [claim for claim in mine if claim.port in numbers]
            if isinstance(port.get("port"), int) and (here or _looks_like_tls(port)):
                yield owner, meta, hosts, port["port"], [*of_service, *(name for claim in here for name in claim.hosts)]


@dataclass(frozen=True, slots=True)
class _Claim:
    """Pods with these labels serve these hosts at this port by TLS."""

    selector: Mapping[str, str]
    port: int
    hosts: tuple[str, ...]


def _istio_claims(gateways: Iterable[Mapping[str, Any]]) -> Iterator[_Claim]:
    for gateway in gateways:
        spec = _mapping(gateway, "spec")
        for server in _list(spec, "servers"):
            port = _mapping(server, "port")
            # Hosts are NAMESPACE/HOST, where the namespace limits who may bind to them.
            hosts = tuple(str(host).rpartition("/")[2] for host in server.get("hosts") or ())
            if str(port.get("protocol")).upper() in _TLS_PROTOCOLS and isinstance(port.get("number"), int):
                yield _Claim(_mapping(spec, "selector"), port["number"], hosts)


def _apigee_claims(routes: Iterable[Mapping[str, Any]]) -> Iterator[_Claim]:
    for route in routes:
        spec = _mapping(route, "spec")
        hosts = tuple(map(str, spec.get("hostnames") or ()))
        for port in _list(spec, "ports"):
            if str(port.get("protocol")).upper() in _TLS_PROTOCOLS and isinstance(port.get("number"), int):
                number = port["number"]
                # The ingress pods listen on 8443 for what is 443 outside, and a Service may name that port alone.
                for each in {number, 8443} if number == 443 else {number}:
                    yield _Claim(_mapping(spec, "selector") or _DEFAULT_SELECTOR, each, hosts)


def _selects(wanted: Mapping[str, str], service: Mapping[str, Any], pods: Sequence[Mapping[str, Any]]) -> bool:
    """Whether some pods of the Service have the wanted labels; without pods to look at, whether the selectors go together."""
    selector = _mapping(service, "spec", "selector")
    if not selector or not wanted:
        return False
    namespace = _mapping(service, "metadata").get("namespace")
    labels = [
        labels
        for pod in pods
        if _mapping(pod, "metadata").get("namespace") == namespace
        and selector.items() <= (labels := _mapping(pod, "metadata", "labels")).items()
    ]
    if labels:
        return any(wanted.items() <= each.items() for each in labels)
    shared = wanted.keys() & selector.keys()
    return bool(shared) and all(wanted[key] == selector[key] for key in shared)


def _gateways(cluster: Cluster) -> Iterator[_Found]:
    for gateway in cluster.gateways:
        spec, metadata = _mapping(gateway, "spec"), _mapping(gateway, "metadata")
        owner, meta = _identity("gateway", gateway)
        hosts = [str(each.get("value")) for each in _list(_mapping(gateway, "status"), "addresses") if each.get("value")]
        for listener in _list(spec, "listeners"):
            if listener.get("protocol") not in _TLS_PROTOCOLS or not isinstance(listener.get("port"), int):
                continue
            pattern = str(listener.get("hostname") or "*")
            routed = [
                name
                for route in cluster.http_routes
                if _attached(route, metadata, listener.get("name"))
                for name in map(str, _mapping(route, "spec").get("hostnames") or ())
                if _covers(pattern, name)
            ]
            yield owner, meta, hosts, listener["port"], [*routed, pattern]


def _attached(route: Mapping[str, Any], gateway: Mapping[str, Any], listener: object) -> bool:
    own = _mapping(route, "metadata").get("namespace")
    return any(
        parent.get("kind", "Gateway") == "Gateway"
        and parent.get("name") == gateway.get("name")
        and parent.get("namespace", own) == gateway.get("namespace")
        and parent.get("sectionName", listener) == listener
        for parent in _list(_mapping(route, "spec"), "parentRefs")
    )


def _covers(pattern: str, name: str) -> bool:
    return pattern in {"*", name} or (pattern.startswith("*.") and name.endswith(pattern[1:]))


def _ingresses(cluster: Cluster) -> Iterator[_Found]:
    for ingress in cluster.ingresses:
        spec = _mapping(ingress, "spec")
        entries = _list(spec, "tls")
        if not entries:
            continue  # serves plain HTTP
        by_rule = [str(rule["host"]) for rule in _list(spec, "rules") if rule.get("host")]
        names = [str(host) for entry in entries for host in entry.get("hosts") or by_rule]
        annotations = _mapping(ingress, "metadata", "annotations")
        kind = spec.get("ingressClassName") or annotations.get("kubernetes.io/ingress.class") or "default"
        # Many Ingresses share the addresses of their class: no single one of them gives the target its name.
        yield f"ingress/{kind}", {f"{_META}kind": "ingress", f"{_META}name": str(kind)}, _load_balancers(ingress), 443, names


def _identity(kind: str, item: Mapping[str, Any]) -> tuple[str, LabelSet]:
    metadata = _mapping(item, "metadata")
    namespace, name = str(metadata.get("namespace", "")), str(metadata.get("name", ""))
    labels = {
        f"{_META}label_{re.sub(r'[^A-Za-z0-9_]', '_', str(key))}": str(value)
        for key, value in _mapping(metadata, "labels").items()
    }
    return f"{kind}/{namespace}/{name}", {
        **labels,
        f"{_META}kind": kind,
        f"{_META}namespace": namespace,
        f"{_META}name": name,
    }


def _load_balancers(item: Mapping[str, Any]) -> list[str]:
    points = _list(_mapping(item, "status", "loadBalancer"), "ingress")
    return [str(point.get("ip") or point.get("hostname")) for point in points if point.get("ip") or point.get("hostname")]


def _cluster_ips(service: Mapping[str, Any]) -> Iterator[str]:
    spec = _mapping(service, "spec")
    yield from (str(ip) for ip in (spec.get("clusterIP"), *(spec.get("clusterIPs") or ())) if ip and is_ip(str(ip)))


def _looks_like_tls(port: Mapping[str, Any]) -> bool:
    name, application = str(port.get("name") or ""), str(port.get("appProtocol") or "").lower()
    named = name.startswith(("https", "tls")) or application in {"https", "tls", "kubernetes.io/https"}
    return port.get("protocol", "TCP") == "TCP" and (named or port.get("port") in _TLS_PORTS)


def _mapping(item: Mapping[str, Any], *keys: str) -> Mapping[str, Any]:
    """A mapping within mappings; empty where there is none. CRDs of old versions allow anything anywhere."""
    for key in keys:
        inner = item.get(key)
        item = inner if isinstance(inner, dict) else {}
    return item


def _list(item: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    """The mappings of a list; empty where there is none."""
    inner = item.get(key)
    return [each for each in inner if isinstance(each, dict)] if isinstance(inner, list) else []
