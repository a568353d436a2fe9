"""ApigeeRoute and ApigeeRouteConfig objects, from manifests or from ``kubectl get -o json|yaml``.

Source: the CustomResourceDefinitions ``apigeeroutes.apigee.cloud.google.com`` and ``apigeerouteconfigs`` (v1alpha1) and "Enable
non-SNI clients" of the Apigee hybrid documentation. No field is required there and more may come, so unknown ones are left alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from prober.diagnose.manifest import Manifest, Node, is_unresolved
from prober.diagnose.route import NO_NAME, ROUTE, ROUTE_CONFIG, Port, Route
from prober.findings import Lint

__all__ = ["RouteFacts", "has_routes", "read_routes"]


_SHOWN = 4
"""Names of others that a lint gives."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteFacts:
    """The objects of one or more sources, and their lints."""

    routes: tuple[Route, ...]
    lints: tuple[Lint, ...]
    complete: bool = False
    """Whether these are all routes of the cluster: only then does a missing one mean that there is none."""
    damaged: bool = False
    """Whether a part could not be read: what is missing may stand there."""
    differing: tuple[tuple[Route, Route], ...] = ()
    """Objects that were given twice and differ: the one among ``routes``, and the other."""

    @property
    def wildcards(self) -> tuple[Route, ...]:
        """The ApigeeRoutes with ``*`` among their hostnames."""
        return tuple(route for route in self.routes if route.is_wildcard)

    def named(self, name: str) -> tuple[Route, ...]:
        """The ApigeeRoutes of that name, of any namespace."""
        return tuple(route for route in self.routes if route.kind == ROUTE and route.name == name)


def has_routes(manifest: Manifest) -> bool:
    """Whether a file holds an ApigeeRoute or ApigeeRouteConfig, on its own or in a list.

    An empty list counts: it is what ``kubectl get apigeeroutes -o json`` prints where there is none.
    """
    return any(
        _is_empty_list(document)
        or (document.text("kind") or "") in {ROUTE, ROUTE_CONFIG, ROUTE + "List", ROUTE_CONFIG + "List"}
        or any(node.text("kind") in {ROUTE, ROUTE_CONFIG} for node in document.items("items"))
        for document in manifest.documents
    )


def read_routes(manifests: Iterable[Manifest]) -> RouteFacts:
    """The facts and lints of all files together: a route in one may link to a wildcard route in another."""
    routes: list[Route] = []
    lints: list[Lint] = []
    complete = damaged = False
    for manifest in manifests:
        lints += (Lint(flaw.kind, manifest.name, flaw.line, flaw.text) for flaw in manifest.flaws)
        broken = any(flaw.kind == "yaml-error" for flaw in manifest.flaws)
        # Of an object whose spec could not be read nothing is known.
        objects = [node for node in _objects(manifest) if not (broken and node.get("spec") is None)]
        routes += (_route(node, manifest.name) for node in objects)
        lints += (Lint("yaml-error", manifest.name, line, text) for node in objects for line, text in _no_lists(node))
        complete = complete or any(map(_lists_all_routes, manifest.documents))
        damaged = damaged or broken
    facts = RouteFacts(routes=tuple(routes), lints=(), complete=complete and not damaged, damaged=damaged)
    lints += _lints(facts)
    lints.sort(key=lambda lint: (lint.file, lint.line))
    kept, differing = _once(routes)
    return replace(facts, routes=kept, lints=tuple(lints), differing=differing)


def _once(routes: Iterable[Route]) -> tuple[tuple[Route, ...], tuple[tuple[Route, Route], ...]]:
    """Each object once, however many files have it: a manifest and what the cluster printed are no two routes.

    What the cluster says goes before a manifest, the newer generation before the older one, and of manifests the last is applied.
    """
    kept: list[Route] = []
    differing: list[tuple[Route, Route]] = []
    places: dict[tuple[str, str], list[int]] = {}
    for route in routes:
        alike = [] if route.name == NO_NAME or is_unresolved(route.name) else places.setdefault((route.kind, route.name), [])
        place = next((number for number in alike if _one_place(kept[number].namespace, route.namespace)), None)
        if place is None:
            alike.append(len(kept))
            kept.append(route)
            continue
        before = kept[place]
        newer = route if _standing(route) >= _standing(before) else before
        kept[place] = newer
        if _content(route) != _content(before):
            differing.append((newer, before if newer is route else route))
    return tuple(kept), tuple(differing)


def _one_place(one: str, other: str) -> bool:
    """A manifest without a namespace is applied to the one that its neighbours are in."""
    return one == other or not one or not other


def _standing(route: Route) -> tuple[bool, bool, int]:
    return route.file.startswith("kubernetes:"), route.state is not None, route.generation or 0


def _content(route: Route) -> tuple[object, ...]:
    ports = {(port.number, port.protocol, port.tls_mode, port.credential_name) for port in route.ports}
    return (
        set(route.hostnames), ports, set(route.selector), bool(route.enable_non_sni_client), set(route.additional_gateways),
    )  # fmt: skip


def _is_empty_list(document: Node) -> bool:
    found = document.get("items")
    return document.text("kind") == "List" and found is not None and found.value == ()


def _lists_all_routes(document: Node) -> bool:
    """Whether its items are all ApigeeRoutes that there are in a namespace: the API's list, or what ``kubectl get -o json`` prints.

    A list of something else says nothing about them.
    """
    kind, items = document.text("kind"), document.items("items")
    return kind == ROUTE + "List" or (kind == "List" and (not items or any(item.text("kind") == ROUTE for item in items)))


def _objects(manifest: Manifest) -> Iterator[Node]:
    for document in manifest.documents:
        if document.text("kind") in {ROUTE, ROUTE_CONFIG}:
            yield document
        for item in document.items("items"):
            if item.text("kind") in {ROUTE, ROUTE_CONFIG} or (document.text("kind") or "") in {
                ROUTE + "List",
                ROUTE_CONFIG + "List",
            }:
                yield item


def _route(node: Node, file: str) -> Route:
    kind = node.text("kind") or ROUTE
    flag = node.get("spec", "enableNonSniClient")
    gateways = node.get("spec", "additionalGateways")
    fields = ("hostnames", "ports", "selector")
    selector = node.mapping("spec", "selector")
    open_parts = (
        node.text("spec", "selector") or "",
        *(part for key, value in selector.items() for part in (key, value.text() or "")),
    )
    return Route(
        kind=kind,
        name=node.text("metadata", "name") or NO_NAME,
        namespace=node.text("metadata", "namespace") or "",
        file=file,
        line=node.line,
        hostnames=_listed(node, "hostnames"),
        ports=tuple(_port(each) for each in node.items("spec", "ports")) or _config_port(node),
        # What a placeholder will become is unknown, and so it is in nobody's way.
        selector=tuple(
            (key, text)
            for key, value in selector.items()
            if not is_unresolved(text := value.text() or "") and not is_unresolved(key)
        ),
        open_selector=any(map(is_unresolved, open_parts)),
        enable_non_sni_client=None if flag is None else str(flag.value).lower() == "true" or is_unresolved(str(flag.value)),
        flag_line=flag.line if flag is not None else None,
        additional_gateways=tuple(filter(None, _listed(node, "additionalGateways"))),
        additional_gateways_line=gateways.line if gateways is not None else None,
        state=node.text("status", "state"),
        generation=_integer(node.get("metadata", "generation")),
        applied_generation=_integer(node.get("status", "lastAppliedGeneration")),
        errors=tuple(_errors(node)),
        lines=(
            *((field, found.line) for field in fields if (found := node.get("spec", field)) is not None),
            *(("status", found.line) for found in (node.get("status"),) if found is not None),
        ),
    )


_LISTS = ("hostnames", "additionalGateways")


def _listed(node: Node, field: str) -> tuple[str, ...]:
    """A list of the spec; one name where a list should be is read as it was meant, and told by `_no_lists`."""
    single = node.text("spec", field)
    return node.texts("spec", field) if single is None else (single,)


def _no_lists(node: Node) -> Iterator[tuple[int, str]]:
    for field in _LISTS:
        found, single = node.get("spec", field), node.text("spec", field)
        if found is not None and single is not None and not is_unresolved(single):
            name = node.text("metadata", "name") or NO_NAME
            text = f"spec.{field} of {node.text('kind') or ROUTE} {name} is no list, and the API server refuses it; write {json.dumps([single])}"
            yield found.line, text


def _errors(node: Node) -> Iterator[str]:
    """What the status complains of; not of a generation that a later one, which was applied, has done away with."""
    settled = _integer(node.get("status", "lastAppliedGeneration"))
    for each in node.items("status", "errors"):
        generation = _integer(each.get("generation"))
        if generation is None or settled is None or generation >= settled:
            yield each.text("message") or "an error without a message"


_MODES = frozenset({"PASSTHROUGH", "SIMPLE", "MUTUAL", "AUTO_PASSTHROUGH"})


def _port(node: Node) -> Port:
    """A placeholder stands for what would be right there: it is not judged."""
    number, protocol, mode = node.get("number"), (node.text("protocol") or "").upper(), (node.text("tls", "mode") or "").upper()
    return Port(
        number=443 if number is not None and is_unresolved(str(number.value)) else _integer(number),
        protocol="HTTPS" if is_unresolved(node.text("protocol") or "") else protocol,
        tls_mode="SIMPLE" if mode not in _MODES and is_unresolved(node.text("tls", "mode") or "") else mode or None,
        credential_name=node.text("tls", "credentialName"),
        line=node.line,
        written=json.dumps(node.plain(), ensure_ascii=False),
    )


def _config_port(node: Node) -> tuple[Port, ...]:
    secret = node.text("spec", "tls", "secretNameRef")
    if secret is None:
        return ()
    mode = (node.text("spec", "tls", "mode") or "SIMPLE").upper()
    return (Port(number=443, protocol="HTTPS", tls_mode=mode, credential_name=secret, line=node.line),)


def _integer(node: Node | None) -> int | None:
    return node.value if node is not None and isinstance(node.value, int) else None


def _lints(facts: RouteFacts) -> Iterator[Lint]:
    names = {route.name for route in facts.routes if route.kind == ROUTE}
    links = {(route.namespace, name) for route in facts.routes for name in route.additional_gateways}
    for route in facts.routes:
        linked = {name for place, name in links if _one_place(place, route.namespace)}
        place = route.additional_gateways_line or route.line
        for name in route.additional_gateways:
            if name not in names and facts.complete and not is_unresolved(name):
                text = f"{route.kind} {route.name} lists {name} as additional gateway, and no ApigeeRoute has that name; create it or correct the name"
                yield Lint("dangling", route.file, place, text)
        for name in route.additional_gateways if route.namespace else ():
            elsewhere = {other.namespace for other in facts.named(name)}
            if elsewhere and elsewhere.isdisjoint({route.namespace, ""}):
                where = ", ".join(sorted(elsewhere))
                text = f"{route.kind} {route.name} lists {name}, which is in namespace {where}; it must be in {route.namespace}"
                yield Lint("dangling", route.file, place, text)
        if route.is_mutual and not route.is_wildcard:
            yield from _mtls_lints(route, facts)
        if route.is_wildcard:
            yield from _wildcard_lints(route, facts)
            yield from _certificate_lints(route, facts)
        group = route.kind == ROUTE and route.name not in linked
        if group and not (route.is_wildcard or route.is_mutual or route.additional_gateways) and linked:
            text = f"ApigeeRoute {route.name} lists no additionalGateways, others do ({', '.join(sorted(linked))}); without SNI its hosts answer 404"
            yield Lint("partial-vhosts", route.file, place, text)


def _wildcard_lints(route: Route, facts: RouteFacts) -> Iterator[Lint]:
    if not any(port.terminates_tls for port in route.ports):
        yield Lint("port", route.file, route.line_of("ports"), f"the wildcard route {route.name} {_port_problem(route)}")
    selector = dict(route.selector)
    app = selector.get("app")
    # Up to hybrid 1.8 it was right, and then the environment groups' routes have it, too.
    old = any(dict(each.selector).get("app") == app for each in facts.routes if not each.is_wildcard)
    if app == "istio-ingressgateway" and not old:
        text = f"the wildcard route {route.name} selects app istio-ingressgateway, which hybrid 1.9 and later do not have; select app apigee-ingressgateway"
        yield Lint("selector", route.file, route.line_of("selector"), text)
    if not selector and not route.open_selector:
        text = f"the wildcard route {route.name} has no selector; select app apigee-ingressgateway"
        yield Lint("selector", route.file, route.line, text)


def _mtls_lints(route: Route, facts: RouteFacts) -> Iterator[Lint]:
    """A route that demands client certificates, reachable without one: through a wildcard route that demands none."""
    open_routes = [
        each.name
        for name in route.additional_gateways
        for each in facts.named(name)
        if each.is_wildcard and any(port.terminates_tls and port.tls_mode == "SIMPLE" for port in each.ports)
    ]
    if open_routes:
        text = (
            f"{route.kind} {route.name} demands client certificates and is linked to {', '.join(open_routes)}, which demands none: a "
            "client that sends no SNI reaches its APIs without a certificate; do not link it"
        )
        yield Lint("mtls-bypass", route.file, route.additional_gateways_line or route.line, text)


def _certificate_lints(route: Route, facts: RouteFacts) -> Iterator[Lint]:
    """Clients without SNI get one certificate for all hosts, so it must be one that the environment groups use."""
    groups = {port.credential_name for each in facts.routes if each.kind == ROUTE and not each.is_wildcard for port in each.ports}
    used = sorted(name for name in groups if name and not is_unresolved(name))
    own = next((port.credential_name for port in route.ports if port.terminates_tls), None)
    if own is not None and used and own not in used and not is_unresolved(own) and len(used) == len(groups - {None}):
        text = (
            f"the wildcard route {route.name} presents {own}, which no environment group uses "
            f"({', '.join(used[:_SHOWN])}{f' and {len(used) - _SHOWN} more' if len(used) > _SHOWN else ''}); "
            f"present the pair that all hosts share"
        )
        yield Lint("different-certificates", route.file, route.line_of("ports"), text)


def _port_problem(route: Route) -> str:
    port = next((each for each in route.ports if each.number == 443), None)
    if port is None:
        numbers = ", ".join(str(each.number or "one without a number") for each in route.ports) or "none"
        return f"has no port 443 (it has {numbers}), so it serves no TLS; add 443 with protocol HTTPS and tls mode SIMPLE"
    if port.protocol != "HTTPS":
        return f"has protocol {port.protocol or '(none)'} on port 443; write HTTPS"
    if port.tls_mode not in {"SIMPLE", "MUTUAL"}:
        return f"has tls mode {port.tls_mode or '(none)'} on port 443; write SIMPLE"
    return "has no tls.credentialName on port 443; name the Secret that the other routes use"
