"""From all evidence to findings: one table of rules, and the two answers that are left when none holds. Pure.

Each rule is a function that looks at the whole `Case` and yields findings; what confirms, contradicts and misses is said in its
docstring and in what it yields. `ok` needs positive evidence and the absence of anything critical; without either, `inconclusive`
names what is missing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from prober.diagnose import (
    causes_applied,
    causes_clients,
    causes_links,
    causes_names,
    causes_products,
    causes_routes,
    causes_server,
    causes_serving,
)
from prober.diagnose.case import Case, found
from prober.diagnose.causes_lints import UNLINKED, lint_findings
from prober.diagnose.evidence import EvidenceSet
from prober.diagnose.fixes import Remedy
from prober.diagnose.wording import known_problems, listed, probe_evidence
from prober.findings import Confidence, Evidence, Finding, Fix, Severity
from prober.model import Sni, Verdict

__all__ = ["CAUSES", "diagnose", "exit_status"]

CAUSES: tuple[tuple[str, Callable[[Case], Iterator[Finding]]], ...] = (
    ("l4", causes_server.l4),
    ("not-tls", causes_clients.not_tls),
    ("no-wildcard", causes_routes.no_wildcard),
    ("flag-off", causes_routes.flag_off),
    ("selector", causes_routes.selector),
    ("port", causes_routes.port),
    ("dangling", causes_links.dangling),
    ("not-applied", causes_applied.not_applied),
    ("secret", causes_serving.secret),
    ("stale-route", causes_serving.stale_route),
    ("dup-wildcard", causes_routes.dup_wildcard),
    ("not-linked", causes_links.not_linked),
    ("partial-vhosts", causes_links.partial_vhosts),
    ("wrong-default-cert", causes_serving.wrong_default_cert),
    ("other-server", causes_products.other_server),
    ("proto", causes_server.proto),
    ("mtls", causes_server.mtls),
    ("middlebox", causes_clients.middlebox),
    ("unknown-name", causes_names.unknown_name),
    ("client-no-sni", causes_clients.client_no_sni),
    ("sni-stripped", causes_clients.sni_stripped),
    ("log-disabled", causes_server.log_disabled),
)
"""Root causes by id; of equal severity and confidence the earlier one is told first."""

_SEVERITIES = list(Severity)
_CONFIDENCES = list(Confidence)
_SEEN = {"probe", "capture", "logs"}
"""Sources that show clients: what some of them suffer comes before what is only written, and might befall others."""
_LAST = ("ok", "inconclusive")


def diagnose(evidence: EvidenceSet) -> tuple[Finding, ...]:
    """All findings, the most severe and most certain first. Never empty: there is `ok` or `inconclusive` where nothing is wrong."""
    case = Case(evidence)
    findings = _told_once([finding for _, rule in CAUSES for finding in rule(case)])
    findings += lint_findings(case, findings)
    findings += _conclusion(case, findings)
    order = {id(finding): place for place, finding in enumerate(findings)}
    return tuple(
        sorted(
            findings,
            key=lambda each: (
                each.id in _LAST and each.id != "ok",
                _SEVERITIES.index(each.severity),
                _CONFIDENCES.index(each.confidence),
                not any(piece.source in _SEEN for piece in each.evidence),
                order[id(each)],
            ),
        )
    )


_BROKEN_LINKS = {"dangling", "not-applied", "partial-vhosts"}


def _told_once(findings: list[Finding]) -> list[Finding]:
    """Without what another cause explains whole.

    A 404 where a link broke; a wrong certificate where a route is doubled; a group that was left out, where all are or a link did not arrive;
    a reset by an ingress that the wildcard route is not on, which runs what it should.
    """
    broken = {piece for each in findings if each.id in _BROKEN_LINKS for piece in each.evidence}
    doubled = {piece for each in findings if each.id == "dup-wildcard" for piece in each.evidence}
    beside = {piece for each in findings if each.id == "selector" for piece in each.evidence}
    unlinked = {
        place for each in findings if each.id in UNLINKED and each.severity is not Severity.INFO for place in _places(each)
    }
    told = {
        "not-linked": lambda each: broken.issuperset(each.evidence),
        "wrong-default-cert": lambda each: doubled.issuperset(piece for piece in each.evidence if piece.source == "probe"),
        "stale-route": lambda each: beside.issuperset(each.evidence),
        "partial-vhosts": lambda each: unlinked.issuperset(_places(each)),
    }
    return [each for each in findings if each.id not in told or not told[each.id](each)]


def _places(finding: Finding) -> set[tuple[str, int | None]]:
    return {(piece.file, piece.line) for piece in finding.evidence if piece.file is not None}


def exit_status(findings: tuple[Finding, ...]) -> int:
    """As ``prober once`` ends: 1 when something is wrong, 3 when nothing is and not everything could be judged, else 0."""
    if any(each.severity is not Severity.INFO for each in findings):
        return 1
    return 3 if any(each.id == "inconclusive" for each in findings) else 0


def _conclusion(case: Case, findings: list[Finding]) -> list[Finding]:
    if any(each.severity is Severity.CRITICAL for each in findings):
        return []
    good = _positive(case)
    doubts = [each for each in findings if each.id in _ON_THE_WAY and each.severity is Severity.WARNING]
    if good and any(each.confidence is not Confidence.SUSPECTED for each in doubts):
        return []  # a certificate is not enough: the configuration has something in the way of requests, and it was named
    if good:
        return [_ok(case, good, doubts)]
    wrong = [each for each in findings if each.severity is Severity.WARNING]
    if any(each.id in _ROOT for each in wrong):
        return []  # a root cause was named, with what it misses
    return [_inconclusive(case)]


_ROOT = frozenset(cause for cause, _ in CAUSES)
_ON_THE_WAY = frozenset(
    {"no-wildcard", "flag-off", "selector", "port", "dup-wildcard", "dangling", "not-applied", "not-linked", "partial-vhosts"}
)
"""Causes in the way of a client without SNI; what was seen on the wire may speak against them, as they against it."""


def _positive(case: Case) -> tuple[Evidence, ...]:
    """Clients without SNI that were served, seen by whoever; a probe that saw anything else takes it back."""
    for probe in case.probes:
        if probe.hello(Sni.NONE) is not None and probe.judgement.verdict is not Verdict.OK:
            return ()
    if case.not_found or case.requests.refused:
        return ()
    served = tuple(probe_evidence(each) for each in case.probes if each.healthy and each.accepts)
    flows = () if case.resets else tuple(each for each in case.accepts if each.source == "capture")
    logs = () if case.rejected else case.served_in_log
    return served + flows + logs


def _ok(case: Case, good: tuple[Evidence, ...], doubts: list[Finding]) -> Finding:
    http = [
        Evidence(source="probe", text=f"{probe.where}: without SNI, GET {answer.path} with Host {answer.host} -> {answer.status}")
        for probe in case.probes
        for answer in probe.answers(Sni.NONE)
        if answer.well
    ]
    config = [
        Evidence(source="routes", file=route.file, line=route.line, text=f"ApigeeRoute {route.name} takes clients without SNI")
        for route in case.working_wildcards
    ]
    active = [each for each in good if each.source in {"probe", "capture"}]
    doubted = [each for doubt in doubts for each in doubt.evidence if each.source not in {"probe", "capture"}]
    against = dict.fromkeys([*case.no_wildcard_said, *doubted, *(case.rejected if active else ())])
    probed = any(each.source == "probe" for each in good)
    untried = (
        ""
        if http or not active
        else f" Whether requests are routed is open: {case.requests.telling_nothing[0].text} ({_next_request(case)})."
        if case.requests.telling_nothing
        else " Whether requests are routed was not tried (--http)."
    )
    if not http and any(probe.asks_certificate for probe in case.probes):
        untried += " The ingress asks for a client certificate: whether it demands one shows behind the handshake alone."
    return found(
        "ok",
        f"Clients without SNI {'get a certificate that they accept' if probed else 'are served, as far as one sees it'}.{untried}",
        active=[*active, *http],
        config=config if active else (),
        log=[each for each in good if each.source == "logs"],
        against=against,
        severity=Severity.INFO,
    )


def _next_request(case: Case) -> str:
    """What to try where a request fails with SNI as well. One that is never answered, with any path, fails in TLS or right behind it."""
    answers = (answer for probe in case.probes for sni in (Sni.NONE, Sni.KNOWN) for answer in probe.answers(sni))
    if any(answer.status is not None for answer in answers):
        return "try --http-path or --http-agent"
    return "see whether the handshake ends well: prober once --depth finished"


def _inconclusive(case: Case) -> Finding:
    missing = []
    judged = [probe for probe in case.probes if probe.known and probe.hello(Sni.NONE) is not None]
    if not judged:
        missing.append("a probe with a known name (--probe ADDRESS --server-name NAME)")
    unsure = [probe.judgement.inconclusive for probe in case.probes if probe.judgement.inconclusive]
    if case.evidence.routes is None:
        missing.append("the ApigeeRoutes (--routes FILE, or --kubernetes)")
    if not case.overrides:
        missing.append("overrides.yaml (--overrides FILE)")
    if case.logs is None:
        missing.append("the ingress's access log (--logs FILE)")
    elif not case.logs.lines:
        missing.append("a log with lines in it: the one that was read is empty")
    elif case.logs.entries and not case.logs.served_without_sni and not case.logs.rejected_without_sni:
        missing.append("a client without SNI: the log has none, neither served nor turned away")
    if case.evidence.cluster is not None and case.evidence.cluster.denied:
        missing.append(f"what the cluster refused: {listed(case.evidence.cluster.denied)}")
    capture = case.evidence.capture
    if capture is not None and capture.cut:
        missing.append(f"whole ClientHellos: the capture cut {capture.cut:,} of them (tcpdump -s 0)")
    elif capture is not None and capture.one_sided:
        missing.append(
            f"the other direction of {capture.one_sided:,} captured connection{'s' * (capture.one_sided > 1)} (tcpdump -i any)"
        )
    elif capture is not None and not any(each.tls and each.sni is None for each in case.flows):
        named = any(each.tls for each in case.flows)
        missing.append(f"a ClientHello without a name: the capture has none{'' if named else ', and none with one either'}")
    if capture is not None and capture.not_read:
        missing.append(f"{capture.not_read:,} captured packets that could not be read")
    failed = [
        f"{each.kind} {each.name}" for each in case.evidence.sources if each.error is not None and each.kind != "kubernetes"
    ]
    if failed:
        missing.append(f"what could not be read: {listed(failed)}")
    noise = "" if case.logs is None or not case.logs.rejected_without_sni or case.rejected else (
        f" The log's {case.logs.rejected_count} lines without a name come from single public addresses: internet noise."
    )  # fmt: skip
    right = f"The wildcard route {case.working_wildcards[0].name} reads right, but n" if case.working_wildcards else "N"
    facts = [*case.accepts, *case.served_in_log, *case.rejected]
    said = ""
    failing = [probe for probe in case.probes if probe.judgement.at_fault]
    refused = [each for probe in failing for each in known_problems(probe)]
    what = f"{right}othing shows how clients without SNI fare{': ' + listed(unsure) if unsure else ''}"
    if case.requests.refused:
        what = (
            "A request without SNI fails where the same request with SNI is answered, and what was given does not tell the cause"
        )
    if failing:
        said = listed(f"{probe.where} ({', '.join(fault.value for fault in probe.judgement.faults)})" for probe in failing)
        unknown = f": {listed(unsure)}" if unsure else ""
        what = f"Something is wrong with {said}, and what was given does not tell the cause{unknown}"
    certificate = bool(refused) and all(probe.judgement.verdict is Verdict.CERTIFICATE_INVALID for probe in failing)
    if certificate:
        what = f"Clients that send a name refuse the certificate of {said}: this is no matter of SNI"
    return Finding(
        id="inconclusive",
        severity=Severity.WARNING if failing or case.requests.refused else Severity.INFO,
        confidence=Confidence.SUSPECTED,
        summary=f"{what}.{noise} Missing: {'; '.join(missing) or 'a client without SNI that is served'}.",
        evidence=tuple(
            dict.fromkeys((*facts[:4], *refused, *case.requests.refused, *(probe_evidence(probe) for probe in case.probes)))
        ),
        fix=Fix(
            explanation="Replace the certificate of the known name; the probe says when it is accepted."
            if certificate
            else "Give prober what is missing; the probe says when the ingress is well."
            if judged
            else "Probe the ingress with a known name.",
            commands=(Remedy(case).prove(),),
        ),
    )
