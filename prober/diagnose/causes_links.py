"""Causes that lie between the wildcard route and the environment groups: not linked, linked to nothing, linked in part. Pure.

ApigeeRoute ``*`` gives clients without SNI a certificate; ``additionalGateways`` of a virtual host binds its hosts to that gateway.
Without the link the handshake succeeds and every request gets 404 ``route_not_found`` (measured on a real Envoy). The link goes
through three places: overrides.yaml, ApigeeRouteConfig (applied by the virtualhost chart), ApigeeRoute (made by the watcher).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator

from prober.diagnose.case import Case, found
from prober.diagnose.findings import Evidence, Finding, Severity
from prober.diagnose.fixes import Remedy, may_be_named
from prober.diagnose.hostnames import covers
from prober.diagnose.manifest import is_unresolved
from prober.diagnose.overrides import VirtualHost
from prober.diagnose.routes import ROUTE, ROUTE_CONFIG, Route
from prober.diagnose.wording import listed, route_evidence
from prober.model import Sni

__all__ = ["dangling", "not_applied", "not_linked", "partial_vhosts"]


def not_linked(case: Case) -> Iterator[Finding]:
    """A wildcard route works, and nothing is bound to it: TLS stands, and every Host is 404.

    Confirmed by a 404 of Envoy's over a connection without SNI, where the same request with SNI is answered otherwise, and a
    configuration that lists the route nowhere.
    """
    config = _nothing_linked(case)
    log = _unlinked_lines(case)
    active = case.not_found
    if not active and not config and not log:
        return
    if not active and not log and not case.working_wildcards:
        return  # the route itself is wrong; that comes first
    # Where it is linked in part, `partial-vhosts` and `not-applied` say where not; this is then about the Hosts that were seen.
    against = (*_answered(case), *_linked(case), *(() if active else case.resets))
    proof = (
        ""
        if active
        else " The request that was tried tells nothing, since it fails with SNI, too: try --http-path or --http-agent."
        if case.requests.telling_nothing
        else ""
        if _answered(case)
        else " Whether requests get 404 was not tried: probe with --http."
        if config
        else " A Host that no environment group has is logged the same way: compare with the routes, or probe with --http."
    )
    where = "no environment group lists it in additionalGateways" if config else "the Hosts asked for are not bound to it"
    yield found(
        "not-linked",
        f"Clients without SNI {'get' if active or log else 'would get'} a certificate and then 404 route_not_found: "
        f"the wildcard route serves TLS, and {where}.{proof}",
        active=active,
        config=config,
        log=log,
        against=against,
        fix=Remedy(case).link(),
    )


def _links(case: Case) -> set[str]:
    return set(case.links)


def _nothing_linked(case: Case) -> tuple[Evidence, ...]:
    """That a wildcard route is there and listed nowhere."""
    names = {route.name for route in case.wildcards}
    if not names or names & _links(case) or any(map(is_unresolved, _links(case))):
        return ()
    said = [
        route_evidence(route, f"lists no wildcard route in additionalGateways ({listed(route.additional_gateways) or 'none'})",
                       route.additional_gateways_line)
        for route in (*case.group_routes, *case.route_configs)
        if not route.is_mutual  # who demands client certificates is better not linked
    ]  # fmt: skip
    said += [
        Evidence(
            source="overrides", file=file, line=host.line, text=f"virtualhost {host.name} does not list {listed(sorted(names))}"
        )
        for file, host in case.virtual_hosts
        if host.tls_mode != "MUTUAL"
    ]
    return tuple(said)


def _linked(case: Case) -> tuple[Evidence, ...]:
    names = {route.name for route in case.wildcards}
    return tuple(
        route_evidence(route, f"lists {listed(sorted(names & set(route.additional_gateways)))}", route.additional_gateways_line)
        for route in case.group_routes
        if names & set(route.additional_gateways)
    )


def _unlinked_lines(case: Case) -> tuple[Evidence, ...]:
    if case.logs is None:
        return ()
    rows = sorted(
        ((host, tally) for host, tally in case.logs.unlinked.items() if _may_be_linked(case, host)), key=lambda row: -row[1].count
    )
    return tuple(
        Evidence(
            source="logs",
            text=f"{tally.count:,} request{'s' * (tally.count != 1)} without SNI for Host {host}: 404 route_not_found",
        )
        for host, tally in rows
    )


def _may_be_linked(case: Case, host: str) -> bool:
    """Whether a Host is one that an environment group has; without the routes, whether it may be: an IP address, as scanners send it, is none."""
    name = host.lower() if host.startswith("[") else host.lower().partition(":")[0]
    if case.hostnames:
        return covers(case.hostnames, name)
    try:
        ipaddress.ip_address(name.partition("]")[0].strip("["))
    except ValueError:
        return "." in name
    return False


def _answered(case: Case) -> tuple[Evidence, ...]:
    """Requests over connections without SNI that were answered by more than a 404."""
    return tuple(
        Evidence(source="probe", text=f"{probe.where}: without SNI, Host {answer.host} -> {answer.status}")
        for probe in case.probes
        for answer in probe.http
        if answer.sni is Sni.NONE and answer.status is not None and answer.status != 404
    )


def dangling(case: Case) -> Iterator[Finding]:
    """A name in additionalGateways that no ApigeeRoute has: the link leads nowhere.

    Where the files may not hold all routes it is suspected only; and where no wildcard route is among them, the one that is named may
    well be what is missing there, so that it is no more than a remark.
    """
    facts = case.evidence.routes
    if facts is None or facts.damaged:
        return
    unsure = not facts.complete
    if unsure and case.accepts:
        return  # the route is in a file that was not given
    absent = "none of the routes given has that name" if unsure else "no ApigeeRoute has that name"
    names = {(route.namespace, route.name) for route in case.routes if route.kind == ROUTE}
    missing: dict[str, list[Evidence]] = {}
    elsewhere: dict[str, str] = {}  # by name: the namespace in which it is listed, and is not
    for route in case.routes:
        for name in route.additional_gateways:
            if is_unresolved(name):
                continue
            if name not in {each for _, each in names}:
                text = f"lists {name}; {absent}"
                missing.setdefault(name, []).append(route_evidence(route, text, route.additional_gateways_line))
            elif route.namespace and not {("", name), (route.namespace, name)} & names:
                text = f"in namespace {route.namespace} lists {name}, which is in another namespace"
                elsewhere[name] = route.namespace
                missing.setdefault(name, []).append(route_evidence(route, text, route.additional_gateways_line))
    for file, host in case.virtual_hosts:
        for name in host.additional_gateways:
            if name not in {each for _, each in names} and not is_unresolved(name):
                text = f"virtualhost {host.name} lists {name}; {absent}"
                line = host.additional_gateways_line or host.line
                missing.setdefault(name, []).append(Evidence(source="overrides", file=file, line=line, text=text))
    for name, evidence in missing.items():
        near = listed(route.name for route in case.wildcards)
        guessed = unsure and name not in elsewhere
        remedy = Remedy(case)
        there = [each for each in case.wildcards if name not in elsewhere or each.namespace == elsewhere[name]]
        remedy.namespace = elsewhere.get(name, remedy.namespace)
        remedy.route = there[0].name if there else name if may_be_named(name) else remedy.route
        whole = " The files may not hold all routes: kubectl get apigeeroutes -o json prints them." if guessed else ""
        yield found(
            "dangling",
            f"additionalGateways names {name}, and {absent if guessed else 'there is no such ApigeeRoute in its namespace'}"
            + (f"; the wildcard route there is called {near}." if near else ".")
            + whole,
            # Where there is a wildcard route of another name, a reset is not for want of this one.
            active=() if guessed else (*(() if case.wildcards else case.resets), *case.not_found),
            config=() if guessed else evidence,
            log=evidence if guessed else (),
            against=() if case.resets or case.not_found else case.accepts,
            severity=Severity.INFO if guessed and not case.wildcards else None,
            # A second route with host '*' is what must never be: where one is, its name is what the link should say.
            fix=remedy.rename_link(name) if there else remedy.enable(instead_of=None if may_be_named(name) else name),
        )


def partial_vhosts(case: Case) -> Iterator[Finding]:
    """Some environment groups are linked to the wildcard route, and others are not: their Hosts get 404 without SNI."""
    links = {route.name for route in case.wildcards} & _links(case) or _links(case)
    if not links:
        return
    without = [
        host
        for _, host in case.virtual_hosts
        if not links & set(host.additional_gateways) and not any(map(is_unresolved, host.additional_gateways))
    ]
    mutual = [host for host in without if host.tls_mode == "MUTUAL"]
    without = [host for host in without if host.tls_mode != "MUTUAL"]
    if len(without) + len(mutual) == len(case.virtual_hosts):
        without = []  # none is linked here: that is drift between the overrides and the cluster
    # What is linked is no environment group, also where its host is not '*' as it should be.
    groups = [route for route in case.group_routes if route.name not in links]
    unlinked = [route for route in groups if not links & set(route.additional_gateways)]
    routes = [] if len(unlinked) == len(groups) else [route for route in unlinked if not route.is_mutual]
    if not without and not routes:
        return
    files = {host.name: file for file, host in case.virtual_hosts}
    evidence = [
        Evidence(source="overrides", file=files[host.name], line=host.line, text=f"virtualhost {host.name} lists no {listed(sorted(links))}")
        for host in without
    ]  # fmt: skip
    evidence += [
        route_evidence(route, f"does not list {listed(sorted(links))}", route.additional_gateways_line) for route in routes
    ]
    names = listed([host.name for host in without] or [route.name for route in routes])
    yield found(
        "partial-vhosts",
        f"Some environment groups are linked to the wildcard route {listed(sorted(links))}, {names} not: without SNI their hosts get 404.",
        active=case.not_found,
        config=evidence,
        log=_unlinked_lines(case),
        severity=None if case.not_found else Severity.WARNING,
        fix=Remedy(case).link(only=[host.name for host in without] or None),
    )


def not_applied(case: Case) -> Iterator[Finding]:
    """overrides.yaml lists the wildcard route, and the objects in the cluster do not; or the other way round; or those two differ."""
    told: set[str] = set()  # names of the objects that a virtual host is known for
    for facts in case.overrides:
        made = _made(case, facts.organization)
        for host in facts.virtual_hosts:
            if not host.name:
                continue
            configs = [route for route in made.get(host.name, ()) if route.kind == ROUTE_CONFIG]
            routes = [route for route in made.get(host.name, ()) if route.kind == ROUTE]
            told.update(route.name for route in configs)
            yield from _missing_hop(case, facts.file, host, configs, routes)
            yield from _surplus(case, facts.file, host, configs + routes)
    for newer, other in () if case.evidence.routes is None else case.evidence.routes.differing:
        yield found(
            "not-applied",
            f"{newer.kind} {newer.name} was given twice, and the two differ: one was not applied, or is older. {newer.file} is judged.",
            config=[
                route_evidence(newer, "is the one that is judged"),
                route_evidence(other, "differs in its hostnames, ports, selector, enableNonSniClient or additionalGateways"),
            ],
            fix=Remedy(case).reapply("Look which of the two is meant, and apply it."),
        )
    for config in case.route_configs:
        if config.name not in told:
            yield from _second_hop(case, config)


def _second_hop(case: Case, config: Route) -> Iterator[Finding]:
    """ApigeeRouteConfig -> ApigeeRoute, where no overrides.yaml says more about the group."""
    made = re.compile(re.escape(config.name) + r"(?:-\d+-[0-9a-f]+)?")  # as the watcher names them: ORG-GROUP-000-33620d0
    wanted = set(config.additional_gateways)
    if any(map(is_unresolved, wanted)):
        return
    for route in case.group_routes:
        has = set(route.additional_gateways)
        if made.fullmatch(route.name) is None or has == wanted or any(map(is_unresolved, has)):
            continue
        lacking, surplus = sorted(wanted - has), sorted(has - wanted)
        what = f"is linked to {listed(lacking)}" if lacking else f"is not linked to {listed(surplus)} any more"
        yield found(
            "not-applied",
            f"ApigeeRouteConfig {config.name} {what}, and ApigeeRoute {route.name}, which is made from it, "
            f"{'is not' if lacking else 'still is'}: the watcher did not carry it on (ApigeeRouteConfig -> ApigeeRoute): "
            "look at its log and at the webhook's certificate.",
            active=case.not_found if lacking else (),
            config=[
                route_evidence(config, f"lists {listed(config.additional_gateways) or 'none'}", config.additional_gateways_line),
                route_evidence(route, f"lists {listed(route.additional_gateways) or 'none'}", route.additional_gateways_line),
            ],
            log=_unlinked_lines(case) if lacking else (),
            against=_answered(case) if lacking and not case.not_found else (),
            fix=Remedy(case).reapply("Apply the virtual hosts again; if the route stays as it is, the watcher's log says why."),
        )


def _missing_hop(case: Case, file: str, host: VirtualHost, configs: list[Route], routes: list[Route]) -> Iterator[Finding]:
    wanted = {name for name in host.additional_gateways if not is_unresolved(name)}
    hops = [
        (route, sorted(wanted - set(route.additional_gateways)))
        for route in (*configs, *routes)
        if not any(map(is_unresolved, route.additional_gateways))
    ]
    late = [(route, names) for route, names in hops if names]
    if not late:
        return
    route, names = late[0]
    if route in configs:
        hop = "the virtualhost chart was not applied since (overrides.yaml -> ApigeeRouteConfig)"
    elif configs:
        hop = (
            "the watcher did not carry it on (ApigeeRouteConfig -> ApigeeRoute): look at its log and at the webhook's certificate"
        )
    else:
        hop = "it was not applied, or the watcher did not carry it on"
    line = host.additional_gateways_line or host.line
    yield found(
        "not-applied",
        f"overrides.yaml links virtualhost {host.name} to {listed(names)}, and {route.kind} {route.name} does not: {hop}.",
        # A link that is missing gives 404 behind the handshake; a reset has another reason.
        active=case.not_found,
        config=[
            Evidence(source="overrides", file=file, line=line, text=f"virtualhost {host.name} lists {listed(host.additional_gateways)}"),
            *(route_evidence(each, f"lacks {listed(lacking)}", each.additional_gateways_line) for each, lacking in late),
        ],
        log=_unlinked_lines(case),
        against=() if case.not_found else _answered(case),
        fix=Remedy(case).reapply(f"Apply the virtual hosts of {file} again; if {host.name} stays as it is, the watcher's log says why."),
    )  # fmt: skip


def _surplus(case: Case, file: str, host: VirtualHost, routes: list[Route]) -> Iterator[Finding]:
    listed_names = {name for route in routes for name in route.additional_gateways if not is_unresolved(name)}
    surplus = listed_names - set(host.additional_gateways)
    if not surplus or any(map(is_unresolved, host.additional_gateways)):
        return
    yield found(
        "not-applied",
        f"The cluster links {host.name} to {listed(sorted(surplus))}, and overrides.yaml does not: the next upgrade takes the link away.",
        config=[
            *(
                route_evidence(route, f"lists {listed(route.additional_gateways)}", route.additional_gateways_line)
                for route in routes
            ),
            Evidence(source="overrides", file=file, line=host.line, text=f"virtualhost {host.name} does not list it"),
        ],
        fix=Remedy(case).link(only=[host.name]),
    )


def _made(case: Case, organization: str | None) -> dict[str, list[Route]]:
    """By virtual host, the objects that are made from it: their name is ORG-GROUP, or ORG-GROUP-NNN-HASH for a route.

    Of two groups whose names begin alike the longer one is meant.
    """
    groups = sorted(dict.fromkeys(host.name for _, host in case.virtual_hosts if host.name), key=len, reverse=True)
    made: dict[str, list[Route]] = {}
    for route in (*case.route_configs, *case.group_routes):
        group = next((each for each in groups if _is_named_after(route.name, each, organization)), None)
        if group is not None:
            made.setdefault(group, []).append(route)
    return made


def _is_named_after(name: str, group: str, organization: str | None) -> bool:
    whole = f"{organization}-{group}" if organization else group
    if organization:
        return name == whole or name.startswith(f"{whole}-")
    return name == whole or name.endswith(f"-{whole}") or f"-{whole}-" in f"-{name}"
