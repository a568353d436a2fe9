"""The cause that lies on the way of a link: what overrides.yaml says has not arrived in the cluster, or the cluster has more. Pure.

The link goes through three places: overrides.yaml, ApigeeRouteConfig (applied by the virtualhost chart), ApigeeRoute (made by the
watcher). Which of the two steps was not taken says where to look.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from prober.diagnose.case import Case, found
from prober.diagnose.causes_links import answered, unlinked_lines
from prober.diagnose.fixes import Remedy
from prober.diagnose.manifest import is_unresolved
from prober.diagnose.overrides import VirtualHost
from prober.diagnose.route import ROUTE, ROUTE_CONFIG, Route
from prober.diagnose.wording import listed, route_evidence
from prober.findings import Evidence, Finding, Severity

__all__ = ["not_applied"]


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
        if None not in (newer.state, other.state) and newer.generation != other.generation:
            yield found(
                "not-applied",
                f"{newer.kind} {newer.name} was given twice, as the cluster had it at two times: that of {newer.file} is the newer one, and is judged.",
                config=[
                    route_evidence(newer, f"has generation {newer.generation}"),
                    route_evidence(other, f"has generation {other.generation}"),
                ],
                severity=Severity.INFO,
            )
            continue
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
            log=unlinked_lines(case) if lacking else (),
            against=answered(case) if lacking and not case.not_found else (),
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
        log=unlinked_lines(case),
        against=() if case.not_found else answered(case),
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
