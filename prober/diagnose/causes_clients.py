"""Causes on the clients' side and on the way: no SNI, SNI lost, no TLS at all, a box in between. Pure."""

from __future__ import annotations

import shlex
from collections import defaultdict
from collections.abc import Iterator

from prober.diagnose.case import Case, found
from prober.diagnose.evidence import FlowEnd, FlowGroup
from prober.diagnose.first_bytes import PROXY_PROTOCOL
from prober.diagnose.fixes import Remedy
from prober.diagnose.logs import NOISE_LINES, SourceKind, kind_of
from prober.diagnose.sources import range_of
from prober.diagnose.wording import hellos, listed, probe_evidence, route_evidence
from prober.findings import Confidence, Evidence, Finding, Fix, Severity
from prober.model import Outcome, Sni

__all__ = ["client_no_sni", "middlebox", "not_tls", "sni_stripped"]

_FAILED = {FlowEnd.RESET, FlowEnd.CLOSED, FlowEnd.ALERT}
_OTHER_REASONS = frozenset({42, 43, 44, 45, 46, 48, 70, 71, 86, 116, 120})
"""Alerts that name another reason than a missing name: certificates of clients, versions, cipher suites, ALPN (IANA "TLS Alerts")."""

_CLIENTS = (
    "Let the client send the name: call the hostname and not the IP address; Java: remove -Djsse.enableSNIExtension=false; "
    "nginx as a proxy: proxy_ssl_server_name on; a load balancer: give its backend service the name (Google Cloud: tlsSettings.sni)."
)


def client_no_sni(case: Case) -> Iterator[Finding]:
    """A client sends no server name and fails. A capture proves it; a log line could also be no TLS at all."""
    flows = [
        each
        for each in case.flows
        if each.tls
        and each.sni is None
        and each.end in _FAILED
        and not (each.end is FlowEnd.ALERT and (each.alert in _OTHER_REASONS or each in case.refused_alike))
    ]
    active = [
        Evidence(source="capture", file=each.file, text=f"{each.client}{_range(each.client)} -> {each.server}: "
                 f"{hellos(each)} without server_name, {_end(each)}")
        for each in sorted(flows, key=lambda flow: -flow.times)
    ]  # fmt: skip
    log = [] if flows else list(case.rejected)
    if not active and not log:
        return
    clients = list(dict.fromkeys(each.client for each in flows)) or [source for source, _ in case.rejected_sources]
    # That the configuration wants it so explains what the ingress did, and not what was done on the way or to everybody.
    by_ingress = any(each.end is FlowEnd.ALERT or each in case.ingress_resets for each in flows)
    strict = case.no_wildcard_said if by_ingress and not case.working_wildcards else ()
    serve = (
        f"{listed(route.name for route in case.working_wildcards)} should serve such clients, as it reads: probe the ingress."
        if case.working_wildcards
        else "Or serve such clients: a wildcard route with enableNonSniClient."
    )
    total = sum(each.times for each in flows) or sum(tally.count for _, tally in case.rejected_sources)
    # What a log says of a client without a name, it says of plain HTTP in the same words.
    sends = ("send" if len(clients) > 1 else "sends") if active else ("seem to send" if len(clients) > 1 else "seems to send")
    unsure = (
        ""
        if active
        else " The log cannot tell this from plain HTTP sent to the TLS port; a capture can (tcpdump, then --capture)."
    )
    yield found(
        "client-no-sni",
        f"{listed(clients)} {sends} no server name ({total:,} connection{'s' * (total != 1)}) and "
        f"{'are' if len(clients) > 1 else 'is'} turned away.{unsure}",
        active=active,
        config=strict,
        log=log,
        # Where a route takes such clients, or one of them was served, those that the log turns away may well be no TLS.
        against=[each for each in case.other_resets if each.source == "capture"]
        if active
        else [
            *(
                route_evidence(route, "takes clients without SNI, as it reads", route.flag_line)
                for route in case.working_wildcards
            ),
            *case.accepts,
        ],
        severity=None if active else Severity.WARNING,
        # What a server does to everybody is no word on those without a name.
        at_most=Confidence.SUSPECTED if flows and all(each.server in case.shut for each in flows) else Confidence.CONFIRMED,
        fix=Fix(
            explanation=f"{_CLIENTS} {serve}",
            commands=(Remedy(case).prove(),),
        ),
    )


def sni_stripped(case: Case) -> Iterator[Finding]:
    """The client sends its name, and it is gone before the ingress: a load balancer or proxy opens a connection of its own."""
    without = [each for each in case.flows if each.tls and each.sni is None]
    with_name = [each for each in case.flows if each.tls and each.sni is not None]
    files = {each.file for each in without}
    balancers = [each for each in without if (known := range_of(each.client)) is not None and known.load_balancer]
    # Two captures: one in which everybody sends a name, taken before the balancer, and one with hellos that have none.
    client_side = [each for each in with_name if each.file not in files] if without else []
    # Where both were taken before the same server, they may just be of different clients.
    before = {each.server for each in client_side} - {each.server for each in without}
    active = [
        Evidence(source="capture", file=each.file, text=f"{each.client} -> {each.server}: server_name {each.sni}")
        for each in client_side
    ] + [
        Evidence(source="capture", file=each.file, text=f"{each.client}{_range(each.client)} -> {each.server}: no server_name")
        for each in (balancers or (without if client_side else []))
    ]
    log = [
        Evidence(
            source="logs", text=f"{source}{_range(source)}: {tally.count:,} connection{'s' * (tally.count != 1)} without a name"
        )
        for source, tally in case.rejected_sources
        if kind_of(source, tally)[0] is SourceKind.LOAD_BALANCER
    ]
    if not active and not log:
        return
    names = listed(dict.fromkeys([each.client for each in balancers] or [each.text.partition(" ")[0] for each in log]))
    failing = [each for each in balancers or without if each.end in _FAILED]
    yield found(
        "sni-stripped",
        f"Connections without a server name come from a load balancer ({names}): it opens its own connection to the ingress and "
        f"{'sends' if balancers else 'seems to send'} no SNI there, whatever its clients send."
        if balancers or log
        else "Clients send a server name, and at the ingress it is gone, if these are the same clients: something in between opens a "
        "connection of its own.",
        active=active,
        # A wildcard route is missing only for connections that were turned away for it.
        config=case.no_wildcard_said if balancers and failing and not case.working_wildcards else (),
        log=log,
        severity=Severity.INFO
        if active and not failing and not log
        else Severity.CRITICAL
        if failing and case.resets
        else Severity.WARNING,
        at_most=Confidence.CONFIRMED if balancers else Confidence.LIKELY if before else Confidence.SUSPECTED,
        fix=Fix(
            explanation="Let the load balancer send the name to its backend, or serve clients without SNI by a wildcard route.",
            commands=(
                "gcloud compute backend-services describe BACKEND_SERVICE --global --format='yaml(tlsSettings)'",
                *Remedy(case).enable().commands[-1:],
            ),
        ),
    )


def not_tls(case: Case) -> Iterator[Finding]:
    """Something that is no TLS comes to the TLS port, or the port itself speaks none."""
    flows = [each for each in case.flows if not each.tls]
    active = [
        Evidence(source="capture", file=each.file, text=f"{each.client} -> {each.server}: {each.times} connection{'s' * (each.times != 1)} whose first bytes are no TLS{f' ({each.spoken})' if each.spoken else ''}")
        for each in flows
    ]  # fmt: skip
    ports = [
        probe
        for probe in case.probes
        if probe.differential.handshakes
        and all(each.observation.outcome is Outcome.NOT_TLS for each in probe.differential.handshakes)
    ]
    if ports:
        details = {
            each.observation.detail for probe in ports for each in probe.differential.handshakes if each.observation.detail
        }
        yield found(
            "not-tls",
            f"The port does not speak TLS: {listed(probe.where for probe in ports)} answers with something else.",
            active=[*map(probe_evidence, ports), *(Evidence(source="probe", text=text) for text in sorted(details)[:2])],
            fix=Fix(
                explanation="Probe the TLS port (443, or 8443 of the pod), and look whether the listener terminates TLS.",
                commands=(Remedy(case).prove(),),
            ),
        )
    plain = [each for each in case.flows if each.answered_http]
    if plain:
        yield found(
            "not-tls",
            f"The port does not speak TLS: {listed(dict.fromkeys(each.server for each in plain))} answers ClientHellos in plain HTTP.",
            active=[
                Evidence(source="capture", file=each.file, text=f"{each.client} -> {each.server}: {hellos(each)} answered in plain HTTP")
                for each in plain
            ],
            fix=Fix(
                explanation="Send the clients to the TLS port, or let this listener terminate TLS.", commands=(Remedy(case).prove(),)
            ),
        )  # fmt: skip
    if active:
        clients = listed(dict.fromkeys(each.client for each in flows))
        proxied = [each for each in flows if each.spoken == PROXY_PROTOCOL]
        noise = not proxied and all(range_of(each.client) is None and each.times <= NOISE_LINES for each in flows)
        said = " They are single public addresses that came a few times: internet noise." if noise else ""
        yield found(
            "not-tls",
            f"{clients}: what comes to the TLS port is no TLS. The ingress logs it like a client without SNI.{said}",
            active=active,
            log=case.rejected,
            severity=Severity.INFO if noise else Severity.WARNING,
            fix=Fix(
                explanation=f"{listed(dict.fromkeys(each.client for each in proxied))} sends a PROXY header first, and nothing shows that "
                "the ingress expects one: let the load balancer send none, or the ingress expect it (prober diagnose probe --proxy-protocol)."
                if proxied
                else "Let the client speak https to this port, or send it to the HTTP port."
            ),
        )
    elif case.rejected and not any(each.tls and each.sni is None for each in case.flows):
        yield found(
            "not-tls",
            "The same log lines are written for plain HTTP sent to the TLS port: it may be no client without SNI at all. "
            "Only a capture of the hello tells (tcpdump at the ingress, then --capture FILE).",
            log=case.rejected,
            against=_nobody_else(case),
            severity=Severity.INFO,
        )


def _nobody_else(case: Case) -> tuple[Evidence, ...]:
    """A probe without SNI that was logged the same way shows that such clients are turned away; not that these are such."""
    return tuple(probe_evidence(each) for each in case.probes if each.resets)


def middlebox(case: Case) -> Iterator[Finding]:
    """Something between client and ingress takes part: a RST that is not the server's, or addresses that disagree."""
    foreign = [each for each in case.flows if each.foreign_reset or each.early_reset]
    odd = [each for each in case.flows if each.odd_reset and each not in foreign]
    if odd and not foreign:
        yield found(
            "middlebox",
            "Something on the way may have reset connections: the RST has no TCP timestamps, and the server's other packets have them. "
            "Its TTL is the server's own, so it may be the server's as well.",
            # A kernel may leave them out, too: this supports, and shows nothing by itself.
            log=[
                Evidence(source="capture", file=each.file, text=f"{each.client} -> {each.server}: {each.times} RST{'s' * (each.times > 1)} without timestamps")
                for each in odd
            ],
            severity=Severity.INFO,
            fix=Fix(explanation="Capture on the ingress itself, too: a RST that is not in that capture was sent on the way."),
        )  # fmt: skip
    if foreign:
        yield found(
            "middlebox",
            "Connections are reset by something on the way, not by the ingress: "
            + ("the RST has another TTL than the server's packets." if any(each.foreign_reset for each in foreign)
               else "the RST came before the ClientHello was acknowledged."),
            active=[
                Evidence(source="capture", file=each.file, text=f"{each.client} -> {each.server}: {each.times} resets, "
                         + ("TTL unlike the server's" if each.foreign_reset else "before the hello was acknowledged")
                         + (", without its TCP timestamps" if each.odd_reset else ""))
                for each in foreign
            ],
            fix=Fix(
                explanation="Look at firewalls, proxies and security appliances between the client and the ingress; capture on both sides.",
                commands=("tcpdump -n -i any -s 0 'tcp port 443' -w ingress.pcap", "prober diagnose capture ingress.pcap"),
            ),
        )  # fmt: skip
    by_target: dict[str, dict[bool, list[Evidence]]] = defaultdict(lambda: defaultdict(list))
    for probe in case.probes:
        if probe.hello(Sni.NONE) is not None and (probe.accepts or probe.resets):
            by_target[probe.differential.target][probe.accepts].append(probe_evidence(probe))
    for target, sides in by_target.items():
        if len(sides) == 2:
            yield found(
                "middlebox",
                f"The addresses of {target} disagree about clients without SNI: pods or load balancers run different configurations, "
                "or something before some of them acts.",
                active=[*sides[False], *sides[True]],
                fix=Fix(
                    explanation="Compare what stands behind each address: the Service's pods, their age, the ingress manager's log.",
                    commands=(f"kubectl -n {shlex.quote(case.namespace)} get pods -l app=apigee-ingressgateway -o wide",),
                ),
            )


def _range(address: str) -> str:
    known = range_of(address)
    return f" ({known.name})" if known is not None else ""


def _end(flow: FlowGroup) -> str:
    if flow.foreign_reset or flow.early_reset:
        return "reset, as it seems, by something on the way"
    match flow.end:
        case FlowEnd.RESET:
            return "reset by the server before it sent a byte"
        case FlowEnd.CLOSED:
            return "closed by the server before it sent a byte"
        case FlowEnd.ALERT:
            return f"TLS alert {flow.alert}" if flow.alert is not None else "TLS alert"
        case _:
            return flow.end.value
