"""Causes that lie in the wildcard route itself: it is missing, off, on the wrong port or pods, or there are two. Pure.

Sources: "Enable non-SNI clients" and the ApigeeRoute CRD of Apigee hybrid; Istio's ``pilot/pkg/model/gateway.go`` for duplicates.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import combinations

from prober.diagnose.case import Case, Labels, conflict, found, serves_unknown
from prober.diagnose.fixes import Remedy
from prober.diagnose.hostnames import covers
from prober.diagnose.route import Route
from prober.diagnose.wording import listed, probe_evidence, route_evidence
from prober.findings import Evidence, Finding, Fix, Severity

__all__ = ["dup_wildcard", "flag_off", "no_wildcard", "port", "selector"]


def no_wildcard(case: Case) -> Iterator[Finding]:
    """No route takes clients without SNI, so no filter chain matches their hello.

    Confirmed by a reset on the wire and a configuration without such a route. Contradicted by any client without SNI that got a
    certificate. A route that exists and is wrong is another cause.
    """
    if not case.wildcards:
        yield from _without_wildcard(case)
    for part in case.apart:
        yield from _without_wildcard(part, f" in namespace {part.namespace}")


def _without_wildcard(case: Case, place: str = "") -> Iterator[Finding]:
    config = case.no_wildcard_said
    active = case.resets
    if case.accepts and not active:
        return  # whatever serves them, something does; the missing route is told as evidence against `ok`
    if not active and not config and not case.rejected:
        return
    missing = _missing(active=bool(active), config=bool(config))
    whole = case.evidence.routes is not None and case.evidence.routes.complete
    consequence = (
        "the ingress resets clients that send no SNI"
        if active
        else "connections without a server name match no filter chain"
        if case.rejected
        else "clients that send no SNI would be reset"
    )
    known = (
        ""
        if not config
        else "No virtualhost lists a wildcard route, and "
        if all(each.source == "overrides" for each in config)
        else f"No ApigeeRoute with host '*' is configured{place}, and "
        if whole
        else f"None of the ApigeeRoutes given{place} has host '*', and "
    )
    summary = f"{known}{consequence}{'' if known else ', as an ingress without a wildcard route does'}.{missing}"
    # By the CRD's own words the flag decides whether '*' comes into the gateway; that it does so for a group's route nobody has seen.
    flagged = [
        route_evidence(
            route, "has enableNonSniClient true, though not host '*': its gateway may take clients without SNI", route.flag_line
        )
        for route in (*case.group_routes, *case.route_configs)
        if route.enable_non_sni_client
    ]
    against = (*case.other_resets, *case.accepts, *case.handshakes_in_log, *flagged)
    dangling = [name for name in case.links if case.routes]
    support: tuple[Evidence, ...] = ()
    if dangling and not whole:
        # A route that is linked and was not among the files may be the wildcard: then the files do not agree, they are silent.
        summary += f" The linked route {listed(dangling)} is in none of the files: give it, to be sure."
        support, config = config, ()
    yield found(
        "no-wildcard",
        summary[:1].upper() + summary[1:],
        active=active,
        config=config,
        log=(*support, *case.rejected),
        against=against,
        fix=Remedy(case).enable(),
    )


def _missing(*, active: bool, config: bool) -> str:
    wanted = []
    if not active:
        wanted.append("a probe (--probe ADDRESS --server-name NAME) or a capture")
    if not config:
        wanted.append("the ApigeeRoutes (--routes FILE or --kubernetes)")
    return f" To be sure: {' and '.join(wanted)}." if wanted else ""


def flag_off(case: Case) -> Iterator[Finding]:
    """A wildcard route exists, and enableNonSniClient is false or not written, which means false."""
    for route in () if case.working_wildcards else case.wildcards:
        if route.enable_non_sni_client:
            continue
        how = "is false" if route.enable_non_sni_client is False else "is not written, which means false"
        yield found(
            "flag-off",
            f"The wildcard route {route.name} exists, but its enableNonSniClient {how}: it takes no client without SNI."
            + _unproved(case, "reset"),
            active=case.resets,
            config=[route_evidence(route, f"has host '*' and enableNonSniClient {how}", route.flag_line)],
            log=case.rejected,
            against=(*case.other_resets, *case.accepts),
            fix=Remedy(case).repair_route(
                route,
                f"Set spec.enableNonSniClient of ApigeeRoute {route.name} to true.",
                merge_patch='{"spec":{"enableNonSniClient":true}}',
            ),
        )


def selector(case: Case) -> Iterator[Finding]:
    """A wildcard route whose selector matches no pod of the gateway: no pod gets its filter chain."""
    cluster = case.evidence.cluster
    for route in () if case.working_wildcards else case.wildcards:
        if case.selects_gateway(route) or not route.enable_non_sni_client:
            continue
        wanted = _labels(route)
        pods = cluster is not None and bool(cluster.pods)
        other = next((labels for labels in case.gateways if conflict(route.selector, labels)), case.gateways[0])
        labels = ", ".join(f"{key}={value}" for key, value in other)
        whom = "pods of the ingress have" if pods else "the ingress is expected to have"
        yield found(
            "selector",
            f"The wildcard route {route.name} selects {wanted}, and {whom} {labels}: the route is on no pod of this ingress."
            + _unproved(case, "reset"),
            active=case.resets,
            config=[
                route_evidence(route, f"selects {wanted}", route.line_of("selector")),
                Evidence(source="kubernetes", text=f"{whom} {labels}") if pods else _expected(case, other, f"{whom} {labels}"),
            ],
            log=case.rejected,
            against=(*case.other_resets, *case.accepts),
            fix=Remedy(case).repair_route(route, f"Give ApigeeRoute {route.name} the selector of this ingress."),
        )
    yield from _on_another_ingress(case)


def _on_another_ingress(case: Case) -> Iterator[Finding]:
    """Groups that are linked to wildcard routes of another ingress alone: clients without SNI that come to their own have none."""
    for route in case.working_wildcards:
        groups = [each for each in case.group_routes if _is_beside(case, route, each.selector, each.additional_gateways)]
        hosts = [
            (file, host) for file, host in case.virtual_hosts if _is_beside(case, route, host.selector, host.additional_gateways)
        ]
        beside = list(dict.fromkeys(each.selector for each in groups) | dict.fromkeys(host.selector for _, host in hosts))
        if not beside:
            continue
        names = tuple(name for each in groups for name in each.hostnames)
        reset = [
            probe_evidence(probe)
            for probe in case.probes
            if probe.resets and not serves_unknown(probe) and any(covers(names, each.server_name or "") for each in probe.known)
        ]
        others = "; ".join(", ".join(f"{key}={value}" for key, value in each) for each in beside)
        yield found(
            "selector",
            f"The wildcard route {route.name} selects {_labels(route)}, and {listed([each.name for each in groups] or [host.name for _, host in hosts])}, "
            f"linked to it, is on the ingress {others}: clients without SNI {'are' if reset else 'would be'} reset there.",
            active=reset,
            config=[
                route_evidence(route, f"selects {_labels(route)}", route.line_of("selector")),
                *(route_evidence(each, f"lists {route.name} and selects {_labels(each)}", each.line_of("selector")) for each in groups),
                *(Evidence(source="overrides", file=file, line=host.line, text=f"virtualhost {host.name} lists {route.name} and is on another ingress") for file, host in hosts),
            ],
            fix=Remedy(case).repair_route(
                route, f"Let ApigeeRoute {route.name} select what the ingresses of all groups have in common, if all are to serve such clients."
            ),
        )  # fmt: skip


def _is_beside(case: Case, route: Route, selector: Labels, links: Iterable[str]) -> bool:
    """Whether a group is linked to a wildcard route that shares no pod with it, and to no other that does."""
    linked = [each for each in case.working_wildcards if each.name in set(links)]
    return route in linked and all(conflict(each.selector, selector) for each in linked)


def _expected(case: Case, labels: tuple[tuple[str, str], ...], text: str) -> Evidence:
    """The place that says which labels the ingress has."""
    for route in (*case.group_routes, *case.route_configs):
        if route.selector == labels:
            return route_evidence(route, f"selects {text.rpartition(' have ')[2]}: {text}", route.line_of("selector"))
    for file, host in case.virtual_hosts:
        if host.selector == labels:
            return Evidence(source="overrides", file=file, line=host.line, text=f"virtualhost {host.name}: {text}")
    for facts in case.overrides:
        for gateway in facts.gateways:
            if ("ingress_name", gateway.name) in labels:
                return Evidence(source="overrides", file=facts.file, line=gateway.line, text=text)
    return Evidence(source="overrides", text=text)


def port(case: Case) -> Iterator[Finding]:
    """A wildcard route that does not terminate TLS on 443: only port 80, PASSTHROUGH, or no certificate."""
    for route in () if case.working_wildcards else case.wildcards:
        if any(each.terminates_tls for each in route.ports):
            continue
        ports = "; ".join(
            f"{each.number or 'no number'} {each.protocol or 'no protocol'}, tls mode {each.tls_mode or 'none'}, "
            f"credentialName {each.credential_name or 'none'}"
            for each in route.ports
        )
        yield found(
            "port",
            f"The wildcard route {route.name} has no port 443 with protocol HTTPS, tls mode SIMPLE and a credentialName: "
            "it presents no certificate to clients without SNI." + _unproved(case, "reset"),
            active=case.resets,
            config=[route_evidence(route, f"has {ports or 'no ports'}", route.line_of("ports"))],
            log=case.rejected,
            against=(*case.other_resets, *case.accepts),
            fix=Remedy(case).repair_route(route, f"Give ApigeeRoute {route.name} a port 443 that terminates TLS."),
        )


def dup_wildcard(case: Case) -> Iterator[Finding]:
    """Two wildcard routes on one port of one gateway: Istio takes one and skips the other, and which one is a matter of order."""
    routes = [route for route in case.wildcards if any(each.number == 443 for each in route.ports)]
    pairs = list(combinations(routes, 2))
    if not pairs:
        return
    overlapping = [pair for pair in pairs if not conflict(pair[0].selector, pair[1].selector)]
    concerned = tuple(dict.fromkeys(route for pair in overlapping or pairs for route in pair))
    names = listed(_called(route, concerned) for route in concerned)
    secrets = list(dict.fromkeys(_credential(route) for route in concerned))
    against = [] if overlapping else [route_evidence(concerned[-1], f"selects {_labels(concerned[-1])}: no pod has both")]
    # By the CRD's own words the flag decides whether '*' comes into the gateway.
    off = [route for route in concerned if not route.enable_non_sni_client]
    if len(off) >= len(concerned) - 1:
        against += [
            route_evidence(route, "does not have enableNonSniClient true: its '*' is in no gateway", route.flag_line)
            for route in off
        ]
    if len({route.namespace for route in concerned}) > 1:
        against += [
            route_evidence(
                route,
                f"is in namespace {route.namespace}, and linked there: it may be of an installation with an ingress of its own",
            )
            for route in concerned[1:]
            if case.users_of(route)
        ]
    # Where all name one Secret, its certificate is what is wrong, whichever of them takes effect.
    wrong = case.wrong_certificates if len(secrets) > 1 else ()
    # A client that is served well, by one of the two, does not say that the other is in nobody's way.
    against += [] if case.wrong_certificates or case.resets else list(case.accepts)
    keep = max(concerned, key=lambda route: (_is_linked(case, route), route in case.working_wildcards))
    superfluous = [route for route in concerned if route is not keep]
    yield found(
        "dup-wildcard",
        f"{len(concerned)} ApigeeRoutes have host '*' on port 443 ({names}): only one takes effect, in no order to rely on, with one "
        f"of the certificates {listed(secrets)}." if overlapping else
        f"{len(concerned)} ApigeeRoutes have host '*' on port 443 ({names}); Apigee allows one, though their selectors share no pod.",
        active=(*wrong, *case.resets) if overlapping else (),
        config=[
            route_evidence(
                route,
                f"{f'of namespace {route.namespace} ' if '/' in _called(route, concerned) else ''}has host '*', port 443, credentialName {_credential(route)}",
                route.line_of("hostnames"),
            )
            for route in concerned
        ],
        against=against,
        severity=None if overlapping else Severity.WARNING,
        fix=_keep_one(case, keep, superfluous),
    )  # fmt: skip


def _called(route: Route, among: Iterable[Route]) -> str:
    """Its name, with its namespace where others have the same name or stand elsewhere."""
    return f"{route.namespace}/{route.name}" if route.namespace and len({each.namespace for each in among}) > 1 else route.name


def _is_linked(case: Case, route: Route) -> bool:
    """Whether a link leads to it: of routes with one name that is the one in the namespace of those that list it."""
    places = {each.namespace for each in case.routes if route.name in each.additional_gateways}
    return route.name in case.links and (not places or not route.namespace or not places.isdisjoint({"", route.namespace}))


def _labels(route: Route) -> str:
    return ", ".join(f"{key}={value}" for key, value in route.selector) or "every pod"


def _keep_one(case: Case, keep: Route, superfluous: list[Route]) -> Fix:
    remedy = Remedy(case)
    names = [_called(route, (keep, *superfluous)) for route in superfluous]
    used = [
        f"{name} (by {listed(users)})" for route, name in zip(superfluous, names, strict=True) if (users := case.users_of(route))
    ]
    careful = (
        f" Before that, look who uses {listed(used)}: link them to {keep.name}, or leave it where it has an ingress of its own."
        if used
        else ""
    )
    commands = [command for route in superfluous for command in remedy.delete(route)]
    return Fix(
        explanation=f"Keep {_called(keep, (keep, *superfluous))} (linked: {'yes' if _is_linked(case, keep) else 'no'}) and delete {listed(names)}; "
        f"a copy is saved first.{careful}",
        commands=(*commands, remedy.prove()),
    )


def _credential(route: Route) -> str:
    return next((each.credential_name for each in route.ports if each.number == 443 and each.credential_name), "(none)")


def _unproved(case: Case, seen: str) -> str:
    return "" if case.resets or case.other_resets else f" No probe or capture shows the {seen}: probe it to be sure."
