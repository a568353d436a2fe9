"""Evidence in words: one line for each thing that was seen, with the place where it was seen. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from prober.diagnose.evidence import FlowGroup, ProbeFacts
from prober.diagnose.logs import Tally, kind_of
from prober.diagnose.route import Route
from prober.findings import Evidence
from prober.model import Handshake, Outcome, Sni

__all__ = [
    "default_problems",
    "flow_evidence",
    "hello_text",
    "hellos",
    "known_problems",
    "listed",
    "probe_evidence",
    "reads_right",
    "route_evidence",
    "source_evidence",
]


def listed(names: Iterable[str], most: int = 4) -> str:
    """``a, b, c and 5 more``."""
    names = list(names)
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"


_ENDINGS = {
    Outcome.RESET: "RST",
    Outcome.TIMEOUT: "no answer in time",
    Outcome.REFUSED: "connection refused",
    Outcome.CONNECT_TIMEOUT: "no TCP connection in time",
    Outcome.RESOLVE_FAILED: "the name does not resolve",
    Outcome.NOT_TLS: "an answer that is no TLS",
}


def hello_text(handshake: Handshake) -> str:
    """How one hello ended, in a few words."""
    seen = handshake.observation
    if seen.outcome is Outcome.CERTIFICATE:
        return "certificate"
    if seen.outcome is Outcome.TLS_ALERT and seen.facts.tls_alert is not None:
        return f"TLS alert {seen.facts.tls_alert.code} ({seen.facts.tls_alert.description})"
    ending = seen.close.goodbye if seen.outcome is Outcome.CLOSED else _ENDINGS.get(seen.outcome, seen.outcome.value)
    counted = seen.outcome in {Outcome.RESET, Outcome.CLOSED}
    return f"{ending} after {seen.bytes_received} bytes" if counted else ending


_HELLO_NAMES = {Sni.NONE: "no name", Sni.UNKNOWN: "unknown name"}


def probe_evidence(probe: ProbeFacts) -> Evidence:
    """One line on all hellos of a probe."""
    texts = (
        f"{each.server_name if each.sni is Sni.KNOWN else _HELLO_NAMES[each.sni]}: {hello_text(each)}"
        for each in probe.differential.handshakes
    )
    return Evidence(source="probe", text=f"{probe.where}: " + "; ".join(texts))


def hellos(group: FlowGroup) -> str:
    """How many they were."""
    return f"{group.times} ClientHello{'s' * (group.times > 1)}"


def flow_evidence(groups: Iterable[FlowGroup], text: str) -> tuple[Evidence, ...]:
    """Captured connections without a name, the most frequent first, and what came of them."""
    return tuple(
        Evidence(
            source="capture", file=each.file, text=f"{each.client} -> {each.server}: {hellos(each)} without server_name; {text}"
        )
        for each in sorted(groups, key=lambda group: -group.times)
    )


def route_evidence(route: Route, text: str, line: int | None = None) -> Evidence:
    """Something that a route says, and where: the file and line, or the object's name where a cluster was asked."""
    if route.file.startswith("kubernetes:"):
        return Evidence(source="kubernetes", file=f"{route.kind.lower()}/{route.name}", text=f"{route.kind} {route.name} {text}")
    return Evidence(source="routes", file=route.file, line=line or route.line, text=f"{route.kind} {route.name} {text}")


def reads_right(route: Route) -> Evidence:
    """That a wildcard route is written as it should be."""
    return route_evidence(route, "has host '*', enableNonSniClient true and port 443 with a certificate")


def source_evidence(source: str, tally: Tally) -> Evidence:
    """One source of log lines without a name: who it is, how often and when."""
    kind, known = kind_of(source, tally)
    name = f" ({known.name})" if known is not None else f" ({kind.value})"
    rate = tally.per_minute
    often = f", {rate:.1f}/min" if rate is not None else ""
    span = (
        f", {tally.first} to {tally.last}"
        if tally.first and tally.first != tally.last
        else f", {tally.first}" * bool(tally.first)
    )
    text = f"{source}{name}: {tally.count:,} connection{'s' * (tally.count != 1)} without a name matched no filter chain{often}{span}"
    return Evidence(source="logs", text=text)


def default_problems(probe: ProbeFacts) -> tuple[str, ...]:
    """What is wrong with the certificate that the client without SNI got; empty where it got none."""
    pairs = zip(probe.differential.handshakes, probe.judgement.handshakes, strict=True)
    judged = next((judged for handshake, judged in pairs if handshake.sni is Sni.NONE), None)
    if judged is None or not judged.certificates:
        return ()
    product = (f"the default certificate of {judged.default_of}",) if judged.default_of else ()
    subject = (f"it got the certificate of {judged.certificates[0].subject or 'nobody'}",)
    return (*subject, *product, *judged.certificate_problems)


def known_problems(probe: ProbeFacts) -> tuple[Evidence, ...]:
    """What is wrong with the certificates that the known names got."""
    pairs = zip(probe.differential.handshakes, probe.judgement.handshakes, strict=True)
    return tuple(
        Evidence(
            source="probe",
            text=f"{probe.where}: with server_name {handshake.server_name}: {'; '.join(judged.certificate_problems)}",
        )
        for handshake, judged in pairs
        if handshake.sni is Sni.KNOWN and judged.certificate_problems
    )
