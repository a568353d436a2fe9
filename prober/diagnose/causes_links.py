"""Causes that lie between the wildcard route and the environment groups: not linked, linked to nothing, linked in part. Pure.

ApigeeRoute ``*`` gives clients without SNI a certificate; ``additionalGateways`` of a virtual host binds its hosts to that gateway.
Without the link the handshake succeeds and every request gets 404 ``route_not_found`` (measured on a real Envoy).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from prober.diagnose.case import Case, found
from prober.diagnose.fixes import Remedy
from prober.diagnose.fixes_route import may_be_named
from prober.diagnose.hostnames import covers
from prober.diagnose.manifest import is_unresolved
from prober.diagnose.route import ROUTE, Route
from prober.diagnose.wording import listed, route_evidence
from prober.findings import Evidence, Finding, Severity
from prober.model import Sni

__all__ = ["answered", "dangling", "not_linked", "partial_vhosts", "unlinked_lines"]


def not_linked(case: Case) -> Iterator[Finding]:
    """A wildcard route works, and nothing is bound to it: TLS stands, and every Host is 404.

    Confirmed by a 404 of Envoy's over a connection without SNI, where the same request with SNI is answered otherwise, and a
    configuration that lists the route nowhere.
    """
    config = _nothing_linked(case)
    log = unlinked_lines(case)
    active = case.not_found
    if not active and not config and not log:
        return
    if not config and _leads_nowhere(case):
        return  # every link is to a route that is not there: that is `dangling`
    if not active and not log and not case.working_wildcards:
        return  # the route itself is wrong; that comes first
    # Where it is linked in part, `partial-vhosts` and `not-applied` say where not; this is then about the Hosts that were seen.
    against = (*answered(case), *_linked(case), *(() if active else case.resets))
    proof = (
        ""
        if active
        else " The request that was tried tells nothing, since it fails with SNI, too: try --http-path or --http-agent."
        if case.requests.telling_nothing
        else ""
        if answered(case)
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
        fix=Remedy(case).link()
        if not _linked_everywhere(case)
        else Remedy(case).reapply(
            f"{listed(sorted({route.name for route in case.wildcards} & _links(case)))} is linked already: apply the virtual hosts again; "
            "if the 404 stays, read the watcher's log and restart the ingress manager."
        ),
    )


def _linked_everywhere(case: Case) -> bool:
    """Whether all that was read has the link: then it is not written once more, but has not arrived."""
    names = {route.name for route in case.wildcards}
    lists = [route.additional_gateways for route in (*case.group_routes, *case.route_configs) if not route.is_mutual]
    lists += [host.additional_gateways for _, host in case.virtual_hosts if host.tls_mode != "MUTUAL"]
    return bool(lists) and all(not names.isdisjoint(each) for each in lists)


def _links(case: Case) -> set[str]:
    return set(case.links)


def _nothing_linked(case: Case) -> tuple[Evidence, ...]:
    """That a wildcard route is there and listed nowhere."""
    names = {route.name for route in case.wildcards}
    if not names or names & _links(case) or any(map(is_unresolved, _links(case))):
        return ()
    nowhere = _leads_nowhere(case)
    said = [
        route_evidence(route, f"lists no wildcard route in additionalGateways ({listed(route.additional_gateways) or 'none'})",
                       route.additional_gateways_line)
        for route in (*case.group_routes, *case.route_configs)
        if not route.is_mutual  # who demands client certificates is better not linked
        and nowhere.isdisjoint(route.additional_gateways)
    ]  # fmt: skip
    said += [
        Evidence(
            source="overrides", file=file, line=host.line, text=f"virtualhost {host.name} does not list {listed(sorted(names))}"
        )
        for file, host in case.virtual_hosts
        if host.tls_mode != "MUTUAL" and nowhere.isdisjoint(host.additional_gateways)
    ]
    return tuple(said)


def _leads_nowhere(case: Case) -> set[str]:
    """Links to routes that the cluster has not, where it has a wildcard route: who has such a link lacks no other."""
    facts = case.evidence.routes
    if facts is None or not facts.complete or facts.damaged or not case.wildcards:
        return set()
    return {name for name in _links(case) if not facts.named(name) and not is_unresolved(name)}


def _linked(case: Case) -> tuple[Evidence, ...]:
    names = {route.name for route in case.wildcards}
    return tuple(
        route_evidence(route, f"lists {listed(sorted(names & set(route.additional_gateways)))}", route.additional_gateways_line)
        for route in case.group_routes
        if names & set(route.additional_gateways)
    )


def unlinked_lines(case: Case) -> tuple[Evidence, ...]:
    """Log lines of requests without SNI for a Host that an environment group has, or may have, which no gateway routed."""
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


def answered(case: Case) -> tuple[Evidence, ...]:
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
    others: dict[str, Route] = {}  # and the wildcard route of that name in another one
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
                others.update((name, each) for each in case.wildcards if each.name == name)
                missing.setdefault(name, []).append(route_evidence(route, text, route.additional_gateways_line))
    for file, host in case.virtual_hosts:
        for name in host.additional_gateways:
            if name not in {each for _, each in names} and not is_unresolved(name):
                text = f"virtualhost {host.name} lists {name}; {absent}"
                line = host.additional_gateways_line or host.line
                missing.setdefault(name, []).append(Evidence(source="overrides", file=file, line=line, text=text))
    for name, evidence in missing.items():
        near = listed(route.name for route in case.wildcards if name not in others)
        guessed = unsure and name not in elsewhere
        remedy = Remedy(case)
        there = [each for each in case.wildcards if name not in elsewhere or each.namespace == elsewhere[name]]
        remedy.namespace = elsewhere.get(name, remedy.namespace)
        remedy.route = there[0].name if there else name if may_be_named(name) else remedy.route
        whole = " The files may not hold all routes: kubectl get apigeeroutes -o json prints them." if guessed else ""
        yield found(
            "dangling",
            f"additionalGateways names {name}, and {absent if guessed else 'there is no such ApigeeRoute in its namespace'}"
            + (
                f"; it is in namespace {others[name].namespace}."
                if name in others
                else f"; the wildcard route there is called {near}."
                if near
                else "."
            )
            + whole,
            # Where there is a wildcard route of another name, a reset is not for want of this one.
            active=() if guessed else (*(() if case.wildcards else case.resets), *case.not_found),
            config=() if guessed else evidence,
            log=evidence if guessed else unlinked_lines(case) if there else (),
            against=() if case.resets or case.not_found else case.accepts,
            severity=Severity.INFO if guessed and not case.wildcards else None,
            # A second route with host '*' is what must never be: where one is, its name is what the link should say.
            fix=remedy.rename_link(name)
            if there
            else remedy.move(others[name])
            if name in others
            else remedy.enable(instead_of=None if may_be_named(name) else name),
        )


def partial_vhosts(case: Case) -> Iterator[Finding]:
    """Some environment groups are linked to the wildcard route, and others are not: their Hosts get 404 without SNI."""
    links = {route.name for route in case.wildcards} & _links(case) or _links(case)
    if not links:
        return
    apart = {each.namespace for each in case.apart}  # they have no wildcard route to be linked to
    hosts = [host for facts in case.overrides if facts.namespace not in apart for host in facts.virtual_hosts]
    without = [
        host
        for host in hosts
        if not links & set(host.additional_gateways) and not any(map(is_unresolved, host.additional_gateways))
    ]
    mutual = [host for host in without if host.tls_mode == "MUTUAL"]
    without = [host for host in without if host.tls_mode != "MUTUAL"]
    if len(without) + len(mutual) == len(hosts):
        without = []  # none is linked here: that is drift between the overrides and the cluster
    # What is linked is no environment group, also where its host is not '*' as it should be.
    groups = [route for route in case.group_routes if route.name not in case.links and route.namespace not in apart]
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
        log=unlinked_lines(case),
        severity=None if case.not_found else Severity.WARNING,
        fix=Remedy(case).link(only=[host.name for host in without] or None, behind=[route.name for route in routes]),
    )
