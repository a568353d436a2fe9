"""Causes behind a configuration that reads right, and certificates that do not fit. Pure.

A missing Secret looks on the wire like a missing route (RST, no byte), but the filter chain matches, so that the log has *no*
``filter_chain_not_found`` for it (measured on a real Envoy): that tells `secret` from `stale-route`.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator

from prober.diagnose.case import Case, found
from prober.diagnose.evidence import FlowEnd, ProbeFacts, is_reset
from prober.diagnose.fixes import Remedy
from prober.diagnose.hostnames import covers
from prober.diagnose.route import Route
from prober.diagnose.wording import default_problems, known_problems, listed, reads_right, route_evidence
from prober.findings import Confidence, Evidence, Finding, Fix
from prober.model import Outcome, Sni, Verdict

__all__ = ["secret", "stale_route", "wrong_default_cert"]


def secret(case: Case) -> Iterator[Finding]:
    """The wildcard route reads right, clients without SNI are reset, and no filter chain was missed: its Secret is not there."""
    absent = _absent_secrets(case)
    issues = _issues(case)
    if not case.working_wildcards:
        return
    unlogged, logged = _canaries(case)
    if not absent and not issues and (not case.resets or (logged and not unlogged)):
        return
    route = case.working_wildcards[0]
    name = _credential(route)
    in_use = _in_use(case, route)
    if in_use and not (absent or issues or unlogged):
        return  # it is there, and good: an older configuration is what remains
    shown = bool(absent or issues or unlogged)
    proof = ""
    if case.resets and not absent and not unlogged:
        present = "what is in the Secret" if _present_secret(case, name) else "the Secret (--kubernetes)"
        proof = (
            f" An ingress that runs an older configuration resets them, too. To be sure: {present}, or a log of the time of the "
            "probe, in which a missing Secret leaves no filter_chain_not_found (Envoy writes its log every 10 s)."
        )
    yield found(
        "secret",
        f"The wildcard route {route.name} is configured, and the ingress {'has' if shown else 'may have'} no usable certificate for it: "
        f"the Secret {name} is {'' if shown else 'perhaps '}missing or invalid in the namespace of the gateway.{proof}",
        active=(*case.resets, *(unlogged if case.resets else ())),
        # That the route reads right is what makes the reset a matter of the Secret; without a trace of it, it confirms nothing.
        config=(*absent, *issues, *((reads_right(route),) if shown else ())),
        log=_unlike_others(case, route, name),
        # What reads right contradicts what was seen, as long as nothing shows why.
        against=(
            *_present_secret(case, name),
            *(() if absent or issues else in_use),
            *(() if shown else (reads_right(route),)),
            *case.other_resets,
            *case.accepts,
        ),
        fix=_recreate(case, name, route),
        at_most=Confidence.SUSPECTED
        if not shown
        else Confidence.CONFIRMED
        if absent or issues or _all_pods(case)
        else Confidence.LIKELY,
    )


def _absent_secrets(case: Case) -> tuple[Evidence, ...]:
    cluster = case.evidence.cluster
    wanted = {_credential(route) for route in case.working_wildcards}
    return tuple(
        Evidence(
            source="kubernetes",
            file=f"secret/{each.name}",
            text=f"Secret {each.name} in namespace {each.namespace} {'is not there' if each.present is False else each.problem}",
        )
        for each in (() if cluster is None else cluster.secrets)
        if each.name in wanted and (each.present is False or each.problem is not None)
    )


def _present_secret(case: Case, name: str) -> tuple[Evidence, ...]:
    cluster = case.evidence.cluster
    return tuple(
        Evidence(source="kubernetes", file=f"secret/{name}", text=f"Secret {name} in namespace {each.namespace} is there")
        for each in (() if cluster is None else cluster.secrets)
        if each.name == name and each.present and each.problem is None
    )


def _in_use(case: Case, route: Route) -> tuple[Evidence, ...]:
    """A name that was served by a route with the same Secret as a wildcard route: it is there."""
    captured = [flow.sni for flow in case.flows if flow.tls and flow.end is FlowEnd.CERTIFICATE]
    return _with_same_secret(case, route, (*_served_to(case.probes), *captured))


def _served_to(probes: Iterable[ProbeFacts]) -> list[str | None]:
    return [each.server_name for probe in probes for each in probe.known if each.observation.outcome is Outcome.CERTIFICATE]


def _with_same_secret(case: Case, route: Route, served: Iterable[str | None]) -> tuple[Evidence, ...]:
    return tuple(
        route_evidence(each, f"names the same Secret, and {name} is served: it is there", each.line_of("ports"))
        for each in case.group_routes
        if each.namespace == route.namespace and _credential(each) == _credential(route)
        for name in dict.fromkeys(served)
        if name and covers(each.hostnames, name)
    )[:1]


def _issues(case: Case) -> tuple[Evidence, ...]:
    cluster = case.evidence.cluster
    return tuple(
        Evidence(source="kubernetes", text=f"ApigeeIssue: {each}")
        for each in (() if cluster is None else cluster.issues)
        if "cert" in each.lower() or "tls" in each.lower() or "secret" in each.lower()
    )


def _canaries(case: Case) -> tuple[tuple[Evidence, ...], tuple[Evidence, ...]]:
    """Unknown names of our probes that were reset at a time that the log covers: not logged, and logged as without filter chain."""
    logs = case.logs
    end = None if logs is None else logs.span.end
    unlogged, logged = [], []
    for probe in case.probes:
        hello = probe.hello(Sni.UNKNOWN)
        if logs is None or hello is None or not is_reset(hello) or hello.server_name is None:
            continue
        if hello.server_name in logs.canaries:
            text = f"the probe's name {hello.server_name} is logged as filter_chain_not_found: no filter chain took it"
            logged.append(Evidence(source="logs", text=text))
        elif end is not None and end.timestamp() > hello.started:
            text = f"the probe's name {hello.server_name} was reset and is not in the log, which goes on until {logs.span.last}"
            if not _all_pods(case):
                text += f", but is of {len(logs.pods) or 1} of the {len(case.evidence.cluster.pods if case.evidence.cluster else ())} pods"
            unlogged.append(Evidence(source="logs", text=text))
    return tuple(unlogged), tuple(logged)


def _all_pods(case: Case) -> bool:
    """Whether the log is, as far as one sees, of all pods that the probe may have come to."""
    cluster = case.evidence.cluster
    return case.logs is None or cluster is None or len(cluster.pods) <= max(len(case.logs.pods), 1)


def _unlike_others(case: Case, route: Route, name: str) -> tuple[Evidence, ...]:
    used = {port.credential_name for each in case.group_routes for port in each.ports if port.credential_name}
    if not used or name in used:
        return ()
    text = f"names the Secret {name}; the environment groups' routes use {listed(sorted(used))}"
    return (route_evidence(route, text, route.line_of("ports")),)


def _recreate(case: Case, name: str, route: Route) -> Fix:
    remedy = Remedy(case)
    namespace = route.namespace or remedy.namespace
    there, secret_name = shlex.quote(namespace), shlex.quote(name)
    # Applied, and not created: one that is there and invalid is written over.
    create = f"kubectl -n {there} create secret generic {secret_name} --from-file=cert=CERT.pem --from-file=key=KEY.pem"
    return Fix(
        explanation=f"Create the Secret {name} in {namespace}, or name one in ApigeeRoute {route.name} that exists ({remedy.credential}).",
        commands=(
            f"kubectl -n {there} get secret {secret_name} -o jsonpath='{{.type}}{{\"\\n\"}}'",
            f"{create} --dry-run=client -o yaml | kubectl -n {there} apply -f -",
            *remedy.apply_overrides(),
            remedy.prove(),
        ),
    )


def stale_route(case: Case) -> Iterator[Finding]:
    """The cluster's routes say that they are not what the ingress runs, or the ingress acts as if they were not there."""
    stale = [(route, text) for route in case.routes if (text := _unsettled(route)) is not None]
    unlogged, logged = _canaries(case)
    unexplained = bool(case.working_wildcards and case.resets)
    ignored = unexplained and bool(logged or case.rejected)
    # Nothing tells it from a missing Secret: then both are possible.
    undecided = unexplained and not (unlogged or _absent_secrets(case) or _issues(case))
    if not stale and not ignored and not undecided:
        return
    told = [route_evidence(route, text, route.line_of("status")) for route, text in stale]
    right = [reads_right(route) for route in case.working_wildcards] if unexplained else []
    # Where the Secret is seen to be there, an older configuration is what remains.
    remains = undecided and any(
        _present_secret(case, _credential(route)) or _in_use(case, route) for route in case.working_wildcards
    )
    # A group's route that is not applied is no reason for a reset without SNI; the wildcard route itself is.
    concerned = unexplained or any(route.is_wildcard for route, _ in stale)
    unlinked = case.not_found if any(not route.is_wildcard for route, _ in stale) else ()
    shown = bool(logged) or any(route.is_wildcard for route, _ in stale) or bool(unlinked)
    summary = (
        "Routes in the cluster are not applied: " + listed(each.text for each in told) + "."
        if stale
        else f"The wildcard route {case.working_wildcards[0].name} reads right, and the ingress {'has' if ignored else 'may have'} no "
        "filter chain for clients without SNI: it runs an older configuration. Some pods may; probe every address."
    )
    yield found(
        "stale-route",
        summary,
        active=(*(case.resets if concerned else ()), *unlinked),
        config=(*told, *right) if stale or logged else (),
        log=(*logged, *(case.rejected if concerned else ())),
        against=(*(() if stale or logged else right), *case.other_resets, *case.accepts) if concerned else (),
        fix=Remedy(case).reapply("Apply again; if the state stays, read the watcher's log and restart the ingress manager."),
        at_most=Confidence.CONFIRMED if shown else Confidence.LIKELY if stale or ignored or remains else Confidence.SUSPECTED,
    )


def _unsettled(route: Route) -> str | None:
    said = []
    if route.state is not None and route.state != "running":
        said.append(f"is in state {route.state}, not running")
    if None not in (route.generation, route.applied_generation) and route.applied_generation != route.generation:
        said.append(f"has generation {route.generation}, and {route.applied_generation} is applied")
    if route.errors:
        said.append(f"reports {listed(route.errors, 2)}")
    return ", ".join(said) or None


def wrong_default_cert(case: Case) -> Iterator[Finding]:
    """Clients without SNI get a certificate that they refuse: another name's, an expired one, or a product's own."""
    active = case.wrong_certificates
    if not active:
        return
    used = sorted({port.credential_name for each in case.group_routes for port in each.ports if port.credential_name})
    config = [
        route_evidence(
            route, f"presents {_credential(route)}; the environment groups present {listed(used)}", route.line_of("ports")
        )
        for route in case.working_wildcards
        if used and (len(used) > 1 or _credential(route) not in used)
    ]
    problems = [default_problems(probe) for probe in case.probes if default_problems(probe)]
    concerned = [probe for probe in case.probes if Verdict.NON_SNI_WRONG_CERTIFICATE in probe.judgement.faults]
    with_name = [each for probe in concerned for each in known_problems(probe)]
    alike = " With SNI the certificate is refused, too: that comes first, and is no matter of SNI." if with_name else ""
    remedy = Remedy(case)
    route = case.working_wildcards[0] if case.working_wildcards else None
    # The Secret that the route names is presented to a name of the same probe, and it is accepted there: this is another one.
    in_use = _with_same_secret(case, route, _served_to(concerned)) if route is not None and not with_name else ()
    text = "Present one certificate that covers all hostnames of all environment groups (one pair for the port), and renew it in time."
    yield found(
        "wrong-default-cert",
        f"Clients without SNI get a certificate that they refuse: {'; '.join(problems[0][:3])}.{alike}",
        active=(*active, *with_name),
        config=config,
        against=in_use,
        fix=remedy.reapply(
            f"The Secret that {route.name} names has the right certificate, so the ingress runs an older configuration, or takes "
            "another route with host '*': look at all of them, and apply again."
        )
        if route is not None and in_use
        else remedy.repair_route(route, text, credential=remedy.credential)
        if route is not None
        else Fix(explanation=text, commands=(remedy.prove(),)),
    )


def _credential(route: Route) -> str:
    return next((port.credential_name for port in route.ports if port.terminates_tls and port.credential_name), "(none)")
