"""What is wrong with the server for everybody: no TLS, no common version, a client certificate that is missing."""

from __future__ import annotations

from dataclasses import replace

import pytest

from prober.diagnose.causes import exit_status
from prober.diagnose.evidence import FlowEnd, HttpAnswer, ProbeFacts
from prober.findings import Confidence
from prober.model import Sni
from tests.diagnose.evidence_samples import GROUP, OVERRIDES, capture, flow, overrides, probe, routes, told
from tests.judge.differentials import KNOWN


def asked_for_certificates(alert: str) -> ProbeFacts:
    """A server that shows its certificate, asks for the client's, and ends the requests of clients that have none."""
    served = probe("certificate", "certificate")
    handshakes = tuple(
        each._replace(
            observation=each.observation._replace(facts=each.observation.facts._replace(client_certificate_requested=True))
        )
        for each in served.differential.handshakes
    )
    answers = tuple(HttpAnswer(sni=sni, host=KNOWN, path="/", error=alert) for sni in (Sni.NONE, Sni.KNOWN))
    return replace(served, differential=served.differential._replace(handshakes=handshakes), http=answers)


@pytest.mark.parametrize(
    "alert", ["TLS alert 116 (certificate_required)", "TLS alert 40 (handshake_failure)", "TLS alert 42 (bad_certificate)"]
)
def test_a_missing_client_certificate_is_told_in_every_version(alert: str) -> None:
    """Before TLS 1.3 there is no alert of its own for it: who asked for one and then fails the handshake means it."""
    findings = told(probes=asked_for_certificates(alert))

    assert "mtls" == next(iter(findings))
    assert any(f"without SNI -> {alert}" in each.text for each in findings["mtls"].evidence)
    assert "ok" not in findings
    assert 1 == exit_status(tuple(findings.values()))


def test_a_failed_handshake_without_a_request_for_certificates_is_no_matter_of_them() -> None:
    """The same alert where none was asked for means something else."""
    failed = replace(
        probe("certificate", "certificate"),
        http=tuple(
            HttpAnswer(sni=sni, host=KNOWN, path="/", error="TLS alert 40 (handshake_failure)") for sni in (Sni.NONE, Sni.KNOWN)
        ),
    )

    assert "mtls" not in told(probes=failed)


def test_the_same_captured_alert_for_everybody_is_no_matter_of_sni() -> None:
    """handshake_failure with a name and without, and nobody is served: versions or suites, and no client that lacks a name."""
    refused = [flow(None, FlowEnd.ALERT, alert=40), flow(KNOWN, FlowEnd.ALERT, alert=40)]
    findings = told(capture=capture(*refused))

    assert ("proto", Confidence.SUSPECTED) == (next(iter(findings)), findings["proto"].confidence)
    assert "no matter of SNI, unless none of the names is one of this ingress" in findings["proto"].summary
    assert "client-no-sni" not in findings

    known = told(capture=capture(*refused), routes=routes(GROUP))["proto"]
    assert Confidence.LIKELY is known.confidence
    assert "unless" not in known.summary

    strict = told(capture=capture(*refused), routes=routes(GROUP.replace(KNOWN, "other.test")))
    served = told(capture=capture(*refused, flow("shop.test", FlowEnd.CERTIFICATE)))
    assert "proto" not in strict
    assert "client-no-sni" in strict
    assert "proto" not in served
    assert "client-no-sni" in served


def test_every_version_is_tried_where_none_is_in_common() -> None:
    """The one that the ingress speaks may be an old one."""
    fix = told(probes=probe("alert 70", "alert 70"))["proto"].fix

    assert fix is not None
    assert ["1.0", "1.1", "1.2", "1.3"] == [command.rpartition(" ")[2] for command in fix.commands]


def test_a_router_by_names_is_not_said_to_be_unlike_an_envoy_behind_a_proxy() -> None:
    """Both close without a byte; and the map that is shown keeps the names that work."""
    finding = told(probes=probe("certificate", "closed"))["other-server"]

    assert "not what Envoy" not in finding.summary
    assert finding.fix is not None
    assert "the lines of your names stay" in (finding.fix.yaml or "")


def test_a_products_fix_has_the_name_that_was_probed() -> None:
    """Caddy's default_sni wants one that it has a certificate for."""
    fix = told(probes=probe("certificate", "alert 80"))["other-server"].fix

    assert fix is not None
    assert f"default_sni {KNOWN}" in (fix.yaml or "")


def test_a_name_that_nobody_vouches_for_may_be_what_is_wrong() -> None:
    """An Envoy resets names that it does not have as it resets none: who mistyped it is not sent to the load balancer alone."""
    summary = told(probes=probe("reset", "reset"))["l4"].summary
    assert f"This is no matter of SNI, unless {KNOWN} is no name of this ingress" in summary
    assert summary.endswith("probe one that works.")
    assert "is no name of this ingress" not in told(probes=probe("reset", "reset"), routes=routes(GROUP))["l4"].summary
    assert "is no name of this ingress" not in told(probes=probe("refused", "refused"))["l4"].summary


def test_services_are_looked_for_without_labels() -> None:
    """The Service that the documentation has people make has none."""
    fix = told(probes=probe("reset", "reset"))["l4"].fix

    assert fix is not None
    assert not any("services" in command and " -l " in command for command in fix.commands)
    assert any("get services,endpoints" in command for command in fix.commands)


def test_a_port_that_answers_hellos_in_plain_http_speaks_no_tls() -> None:
    """Seen in a capture, as a probe sees it."""
    findings = told(capture=capture(flow(KNOWN, FlowEnd.OTHER, answered_http=True)))

    assert ["not-tls"] == list(findings)
    assert "does not speak TLS" in findings["not-tls"].summary


def test_a_certificate_that_is_demanded_without_a_name_speaks_against_a_bypass() -> None:
    """Overrides link a MUTUAL virtual host to a route of which it does not say what it demands; the probe saw it."""
    linked = overrides(OVERRIDES.replace("  sslKeyPath", "  tlsMode: MUTUAL\n  sslKeyPath", 1))
    seen = told(probes=asked_for_certificates("TLS alert 116 (certificate_required)"), overrides=linked)["mtls-bypass"]

    assert (Confidence.SUSPECTED, 1) == (seen.confidence, len(seen.against))
    assert (Confidence.LIKELY, ()) == ((alone := told(overrides=linked)["mtls-bypass"]).confidence, alone.against)
