"""Causes on the server's side that have nothing to do with a wildcard route: versions, client certificates, layer 4, no log. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from prober.diagnose.case import Case, found
from prober.diagnose.evidence import FlowEnd, HttpAnswer, ProbeFacts, is_reset
from prober.diagnose.fixes import Remedy
from prober.diagnose.hostnames import covers
from prober.diagnose.wording import listed, probe_evidence
from prober.findings import Confidence, Evidence, Finding, Fix, Severity
from prober.model import Outcome, Sni, Verdict

__all__ = ["l4", "log_disabled", "mtls", "proto"]

# RFC 8446 §6 and RFC 5246 §7.2: what a server says that finds no version, cipher suite or parameter in common.
_PROTOCOL_ALERTS = {40: "handshake_failure", 70: "protocol_version", 71: "insufficient_security"}
_VERSIONS = ("1.0", "1.1", "1.2", "1.3")
_CLIENT_CERTIFICATE_ALERTS = {42: "bad_certificate", 116: "certificate_required"}


def _alerts(probe: ProbeFacts, sni: Sni) -> set[int]:
    return {
        each.observation.facts.tls_alert.code
        for each in probe.differential.handshakes
        if each.sni is sni and each.observation.facts.tls_alert is not None
    }


def _alerts_everywhere(probe: ProbeFacts, codes: dict[int, str]) -> set[int]:
    """The codes among ``codes`` that clients with a known name and without one both got."""
    return _alerts(probe, Sni.KNOWN) & _alerts(probe, Sni.NONE) & set(codes)


def proto(case: Case) -> Iterator[Finding]:
    """Every hello is refused for its version or cipher suites: SNI has nothing to do with it."""
    concerned = [(probe, codes) for probe in case.probes if (codes := _alerts_everywhere(probe, _PROTOCOL_ALERTS))]
    flows = [flow for flow in case.flows if flow.end is FlowEnd.ALERT and (flow.alert in (70, 71) or flow in case.refused_alike)]
    if not concerned and not flows:
        return
    codes = {code for _, found_codes in concerned for code in found_codes} | {flow.alert for flow in flows if flow.alert}
    names = listed(f"{code} ({_PROTOCOL_ALERTS[code]})" for code in sorted(codes))
    # A capture tells it only of those who came: an old client's alert is no word on the others.
    kinds = {flow.sni is None for flow in flows}
    with_both = concerned or len(kinds) > 1
    whom = (
        "with SNI and without: this is no matter of SNI"
        if with_both
        else f"as {listed(dict.fromkeys(flow.client for flow in flows))} offered them"
    )
    # A CDN or a strict server says so to every name that it does not have.
    unproved = not concerned and not case.hostnames and case.refused_alike.issuperset(flows)
    unless = ", unless none of the names is one of this ingress: probe one that works" if unproved else ""
    limits = [lint for each in case.overrides for lint in each.lints if lint.id == "tls-version-not-string"]
    yield found(
        "proto",
        f"The ingress refuses the offered TLS versions or cipher suites with alert {names}, {whom}{unless}.",
        active=[
            *(probe_evidence(probe) for probe, _ in concerned),
            *(Evidence(source="capture", file=flow.file, text=f"{flow.client} -> {flow.server}: {flow.times} times alert {flow.alert}, {'without SNI' if flow.sni is None else f'server_name {flow.sni}'}") for flow in flows),
        ],
        config=[Evidence(source="overrides", file=lint.file, line=lint.line, text=lint.text) for lint in limits],
        at_most=Confidence.SUSPECTED if unproved else Confidence.CONFIRMED,
        fix=Fix(
            explanation="Compare minTLSProtocolVersion, maxTLSProtocolVersion and cipherSuites of the virtualhosts (or the server's own settings) "
            "with what the client offers; probe one version at a time.",
            commands=tuple(f"prober once {_target(concerned)} --tls {version}" for version in _VERSIONS) if concerned else (),
        ),
    )  # fmt: skip


def _target(concerned: list[tuple[ProbeFacts, set[int]]]) -> str:
    probe = concerned[0][0]
    name = next((each.server_name for each in probe.known if each.server_name), None)
    return f"{probe.where} --server-name {name}" if name else probe.where


def mtls(case: Case) -> Iterator[Finding]:
    """The ingress wants a client certificate and ends handshakes that bring none."""
    concerned = [
        probe
        for probe in case.probes
        if (_alerts(probe, Sni.KNOWN) | _alerts(probe, Sni.NONE)) & set(_CLIENT_CERTIFICATE_ALERTS)
        or _refused_for_certificate(probe)
    ]
    mutual = [(file, host) for file, host in case.virtual_hosts if host.tls_mode == "MUTUAL"]
    if concerned:
        everybody = any(
            _alerts(probe, Sni.NONE) & set(_CLIENT_CERTIFICATE_ALERTS)
            or any(answer.sni is Sni.NONE for answer in _refused_for_certificate(probe))
            for probe in concerned
        )
        whom = "whatever the server name is" if everybody else "of those who send the known name"
        yield found(
            "mtls",
            f"The ingress demands a client certificate, {whom}: without one they are turned away after the hello.",
            active=[
                each
                for probe in concerned
                for each in (
                    probe_evidence(probe),
                    *(
                        Evidence(source="probe", text=f"{probe.where}: GET {answer.path} {'without SNI' if answer.sni is Sni.NONE else 'with SNI'} -> {answer.said}")
                        for answer in _refused_for_certificate(probe)
                    ),
                )
            ],
            config=[Evidence(source="overrides", file=file, line=host.line, text=f"virtualhost {host.name} has tlsMode MUTUAL") for file, host in mutual],
            fix=Fix(explanation="Give the client its certificate; or set tlsMode SIMPLE where none is needed."),
        )  # fmt: skip
    # The other side of the coin: who leaves the name out leaves the certificate out, too.
    passed = [
        probe
        for probe in case.probes
        if _wants_certificate(probe, Sni.KNOWN) and probe.accepts and not _wants_certificate(probe, Sni.NONE)
    ]
    linked = [
        Evidence(source="overrides", file=file, line=host.additional_gateways_line, text=f"virtualhost {host.name} is MUTUAL and linked to {listed(host.additional_gateways)}")
        for file, host in mutual
        if host.additional_gateways
    ]  # fmt: skip
    if passed:
        yield found(
            "mtls-bypass",
            "With the known name the ingress asks for a client certificate, without SNI it does not: who leaves the name out may reach the "
            "same APIs without a certificate.",
            active=[
                *map(probe_evidence, passed),
                *(
                    Evidence(source="probe", text=f"{probe.where}: GET {answer.path} without SNI -> {answer.said}")
                    for probe in passed
                    for answer in probe.answers(Sni.NONE)
                    if answer.well
                ),
            ],
            config=linked,
            severity=Severity.WARNING,
            fix=Fix(explanation="Do not list the wildcard route in additionalGateways of a virtualhost with tlsMode MUTUAL."),
        )


def _refused_for_certificate(probe: ProbeFacts) -> tuple[HttpAnswer, ...]:
    """Requests that the ingress ended for want of a client certificate: in TLS 1.3 behind the handshake, with an alert of its own.

    Before TLS 1.3 servers answer the empty Certificate with handshake_failure or bad_certificate (RFC 5246 §7.4.6), which mean
    that only where a certificate was asked for.
    """
    return tuple(
        answer
        for answer in probe.http
        if answer.error
        and (
            "certificate_required" in answer.error
            or (
                ("handshake_failure" in answer.error or "bad_certificate" in answer.error)
                and _wants_certificate(probe, answer.sni)
            )
        )
    )


def _wants_certificate(probe: ProbeFacts, sni: Sni) -> bool:
    return any(each.observation.facts.client_certificate_requested for each in probe.differential.handshakes if each.sni is sni)


_CONNECTION = {
    Outcome.REFUSED: "nothing listens there, or a firewall rejects",
    Outcome.CONNECT_TIMEOUT: "no SYN is answered: a firewall, or no route",
    Outcome.UNREACHABLE: "the network says it is unreachable",
    Outcome.RESOLVE_FAILED: "the name has no address",
    Outcome.TIMEOUT: "TCP stands and no byte comes: a hung backend or a filter",
    Outcome.RESET: "every connection is reset: no healthy backend, a PROXY header that is expected, or overload",
    Outcome.CLOSED: "every connection is closed: a TCP proxy without a healthy backend, or a PROXY header that is expected",
}


def l4(case: Case) -> Iterator[Finding]:
    """Nobody is served, whatever the name is: load balancer, firewall, backends, PROXY protocol."""
    for probe in case.probes:
        faults = set(probe.judgement.faults)
        if not faults & {Verdict.UNREACHABLE, Verdict.TLS_FAILING}:
            continue
        outcomes = {each.observation.outcome for each in probe.differential.handshakes}
        known = [each.observation.outcome for each in probe.known]
        if not known and Verdict.UNREACHABLE not in faults:
            continue  # without a control nobody can say that everybody fails
        meant = next((text for outcome, text in _CONNECTION.items() if outcome in outcomes), None)
        if meant is None or outcomes & {Outcome.TLS_ALERT, Outcome.NOT_TLS, Outcome.CERTIFICATE}:
            continue
        unlisted = [
            each.server_name
            for each in probe.known
            if case.hostnames and each.server_name and not covers(case.hostnames, each.server_name)
        ]
        against = [
            Evidence(source="routes", text=f"{name} is in no route's hostnames: it may be only that name") for name in unlisted
        ]
        # An Envoy does to a name that it does not have what it does to none.
        unproved = [
            each.server_name for each in probe.known if is_reset(each) and not covers(case.hostnames, each.server_name or "")
        ]
        names = listed(name for name in unproved if name)
        unless = (
            f", unless {names} is no name of this ingress, which an Envoy resets as well: probe one that works" if names else ""
        )
        yield found(
            "l4",
            f"{probe.where}: no client is served, with the right name or without: {meant}. This is no matter of SNI{unless}.",
            active=[probe_evidence(probe)],
            against=against,
            fix=_connect(case, probe, outcomes),
        )
    for server in sorted(case.shut):
        yield found(
            "l4",
            f"{server}: the capture shows no client that is served, and also those who send "
            + (
                "a name that a route has are turned away. This is no matter of SNI."
                if case.hostnames
                # Scanners make names up, and an Envoy turns them away as it does none.
                else "different names are turned away. This is no matter of SNI, unless none of them is a name of this ingress: "
                "give the ApigeeRoutes (--routes FILE or --kubernetes), or probe a name that works."
            ),
            active=[
                Evidence(source="capture", file=each.file, text=f"{each.client} -> {server}: {each.times} with server_name {each.sni}: {each.end.value}")
                for each in case.named_turned_away
                if each.server == server
            ],
            fix=_look_at_layer_4(case, Remedy(case).prove(), expected=_HEADER),
            at_most=Confidence.CONFIRMED if case.hostnames else Confidence.SUSPECTED,
        )  # fmt: skip


_HEADER = ", and whether a PROXY header is expected"


def _connect(case: Case, probe: ProbeFacts, outcomes: set[Outcome]) -> Fix:
    """Where to look first depends on how far the connection came."""
    if Outcome.RESOLVE_FAILED in outcomes:
        return Fix(
            explanation="Look at the name's spelling and its DNS record, and at the resolver of the host that probes.",
            commands=(f"getent ahosts {shlex.quote(probe.differential.address.host)}",),
        )
    again = f"prober once {_target([(probe, set())])}"
    if Verdict.UNREACHABLE in probe.judgement.faults:
        # Whoever gets no connection has sent nothing yet, and no PROXY header is missing.
        return _look_at_layer_4(case, again)
    return _look_at_layer_4(
        case, again if "--proxy-protocol" in probe.options else f"{again} --proxy-protocol v2", expected=_HEADER
    )


def _look_at_layer_4(case: Case, command: str, *, expected: str = "") -> Fix:
    return Fix(
        explanation=f"Look at the load balancer, the firewall and the Service's endpoints{expected}.",
        commands=(
            f"kubectl -n {shlex.quote(case.namespace)} get pods -l app=apigee-ingressgateway -o wide",
            # The Service that Apigee's documentation has people make has no labels.
            f"kubectl -n {shlex.quote(case.namespace)} get services,endpoints -o wide",
            command,
        ),
    )


def log_disabled(case: Case) -> Iterator[Finding]:
    """There is no access log to judge by: it is turned off, or its format is another one."""
    config = [
        Evidence(source="overrides", file=each.file, line=each.access_log_off, text="istiod.accessLogFile is empty: no access log is written")
        for each in case.overrides
        if each.access_log_off is not None
    ]  # fmt: skip
    logs = case.logs
    empty = logs is not None and logs.lines > 0 and logs.entries == 0
    if not config and not empty:
        return
    log = (
        [Evidence(source="logs", text=f"{logs.lines:,} lines, and no access-log entry among them")]
        if logs is not None and empty
        else []
    )
    yield found(
        "log-disabled",
        "The ingress writes no access log that can be read: it is turned off, its format was changed, or these are another container's lines.",
        config=config,
        log=log,
        severity=Severity.INFO,
        fix=Fix(
            explanation="Set istiod.accessLogFile to /dev/stdout in overrides.yaml and keep Apigee's accessLogFormat; name the proxy's container.",
            yaml="istiod:\n  accessLogFile: /dev/stdout\n",
            commands=(
                f"kubectl -n {shlex.quote(case.namespace)} logs -l app=apigee-ingressgateway --all-containers --prefix --tail=-1 > ingress.log",
            ),
        ),
    )
