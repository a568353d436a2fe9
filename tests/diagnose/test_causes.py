"""Each root cause: evidence that confirms it, evidence that does not, and what a healthy ingress says."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from prober.diagnose.causes import CAUSES, exit_status
from prober.diagnose.evidence import ClusterFacts, FlowEnd, Pod, Secret
from prober.findings import Confidence, Severity
from tests.diagnose.evidence_samples import (
    GROUP,
    OVERRIDES,
    WILDCARD,
    capture,
    flow,
    http,
    log,
    overrides,
    probe,
    routes,
    told,
)
from tests.diagnose.log_samples import entry
from tests.judge.differentials import KNOWN

RESET = probe("certificate", "reset")
SERVED = probe("certificate", "certificate")
BOTH = routes(GROUP, WILDCARD)
# As nobody should have it: with a Secret that no group uses, so that what is served with a name says nothing of it.
OWN = routes(GROUP, WILDCARD.replace("acme-hyb-prod-grp", "own-cert"))
UNLINKED = GROUP.replace("  additionalGateways: [fallback-no-sni]\n", "")
REJECTED = log(entry(remote_address="10.0.0.7:1"))
CONFIG = GROUP.replace("kind: ApigeeRoute", "kind: ApigeeRouteConfig").replace("-000-1a2b3c4", "")
UNLINKED_CONFIG = CONFIG.replace("  additionalGateways: [fallback-no-sni]\n", "")

C, L, S = Confidence.CONFIRMED, Confidence.LIKELY, Confidence.SUSPECTED

CASES: list[tuple[str, Confidence, dict[str, Any]]] = [
    ("no-wildcard", C, {"probes": RESET, "routes": routes(UNLINKED)}),
    ("no-wildcard", C, {"capture": capture(flow(None, FlowEnd.RESET)), "routes": routes(UNLINKED)}),
    ("no-wildcard", L, {"probes": RESET}),
    ("no-wildcard", L, {"routes": routes(UNLINKED)}),
    ("no-wildcard", S, {"logs": REJECTED}),
    ("flag-off", C, {"probes": RESET, "routes": routes(GROUP, WILDCARD.replace("Client: true", "Client: false"))}),
    ("flag-off", C, {"probes": RESET, "routes": routes(GROUP, WILDCARD.replace("  enableNonSniClient: true\n", ""))}),
    ("not-linked", C, {"probes": probe("certificate", "certificate", None, *http(404)), "routes": routes(UNLINKED, WILDCARD)}),
    ("not-linked", L, {"probes": SERVED, "routes": routes(UNLINKED, WILDCARD)}),
    ("not-linked", L, {"probes": probe("certificate", "certificate", None, *http(404))}),
    ("not-linked", S, {"logs": log(entry(status_details="route_not_found", tls_protocol="TLSv1.3", host="a.test", status=404))}),
    ("not-applied", C, {"probes": probe("certificate", "certificate", None, *http(404)),
                        "routes": routes(UNLINKED, WILDCARD), "overrides": overrides()}),
    ("not-applied", L, {"probes": RESET, "routes": routes(UNLINKED, WILDCARD), "overrides": overrides()}),
    ("not-applied", L, {"routes": routes(UNLINKED, CONFIG, WILDCARD)}),
    ("not-applied", L, {"routes": routes(GROUP, UNLINKED_CONFIG, WILDCARD)}),
    ("not-applied", L, {"routes": routes(UNLINKED, CONFIG, WILDCARD), "overrides": overrides()}),
    ("dangling", C, {"probes": RESET, "routes": routes(GROUP)}),
    ("dangling", L, {"routes": routes(GROUP, WILDCARD.replace("fallback-no-sni", "other"))}),
    ("dangling", L, {"probes": RESET, "routes": routes(GROUP, WILDCARD.replace("fallback-no-sni", "other"))}),
    ("dangling", S, {"routes": routes(GROUP, whole=False)}),
    ("dangling", S, {"routes": routes(UNLINKED, whole=False), "overrides": overrides()}),
    ("no-wildcard", L, {"probes": RESET, "routes": routes(GROUP, whole=False)}),
    ("no-wildcard", S, {"routes": routes(GROUP, whole=False)}),
    ("partial-vhosts", C, {"probes": probe("certificate", "certificate", None, *http(404)), "routes": BOTH,
                           "overrides": overrides(OVERRIDES[: OVERRIDES.rindex("  additional")])}),
    ("selector", C, {"probes": RESET, "routes": routes(GROUP, WILDCARD.replace("gateway}", "gateway, ingress_name: edge-b}"))}),
    ("port", C, {"probes": RESET, "routes": routes(GROUP, WILDCARD.replace("number: 443", "number: 80"))}),
    ("port", C, {"probes": RESET, "routes": routes(GROUP, WILDCARD.replace("mode: SIMPLE", "mode: PASSTHROUGH"))}),
    ("dup-wildcard", C, {"probes": probe("certificate", "misnamed"),
                         "routes": routes(GROUP, WILDCARD, WILDCARD.replace("fallback-no-sni", "legacy").replace("acme-hyb-prod-grp", "old-cert"))}),
    ("dup-wildcard", L, {"routes": routes(GROUP, WILDCARD, WILDCARD.replace("fallback-no-sni", "legacy"))}),
    ("secret", S, {"probes": RESET, "routes": OWN}),
    ("stale-route", S, {"probes": RESET, "routes": OWN}),
    ("stale-route", L, {"probes": RESET, "routes": BOTH}),
    ("stale-route", C, {"probes": RESET, "routes": routes(GROUP, WILDCARD.replace("state: running", "state: error"))}),
    ("stale-route", L, {"routes": routes(GROUP, WILDCARD.replace("Generation: 1", "Generation: 0"))}),
    ("unknown-name", C, {"probes": probe("reset", "certificate"), "routes": routes(UNLINKED.replace(KNOWN, "other.test"))}),
    ("unknown-name", L, {"probes": probe("reset", "certificate"), "routes": routes(GROUP.replace(KNOWN, "other.test"), WILDCARD)}),
    ("unknown-name", L, {"logs": log(entry(sni_host="shop.test")), "routes": routes(UNLINKED)}),
    ("unknown-name", S, {"logs": log(entry(sni_host="shop.test")), "routes": BOTH}),
    ("unknown-name", S, {"logs": log(entry(sni_host="shop.test"))}),
    ("client-no-sni", C, {"capture": capture(flow(None, FlowEnd.RESET)), "routes": routes(UNLINKED)}),
    ("client-no-sni", S, {"logs": REJECTED}),
    ("sni-stripped", L, {"capture": capture(flow(None, FlowEnd.RESET, client="35.191.0.9"))}),
    ("sni-stripped", L, {"capture": capture(flow(None, FlowEnd.RESET),
                                            flow(KNOWN, FlowEnd.RESET, file="client.pcap", server="203.0.113.5:443"))}),
    ("sni-stripped", S, {"capture": capture(flow(None, FlowEnd.RESET), flow(KNOWN, FlowEnd.RESET, file="other.pcap"))}),
    ("sni-stripped", S, {"logs": log(entry(remote_address="35.191.0.9:1"))}),
    ("not-tls", L, {"capture": capture(flow(None, FlowEnd.RESET, tls=False))}),
    ("not-tls", L, {"probes": probe("not_tls", "not_tls")}),
    ("not-tls", S, {"logs": REJECTED}),
    ("wrong-default-cert", L, {"probes": probe("certificate", "misnamed")}),
    ("wrong-default-cert", C, {"probes": probe("certificate", "expired"),
                               "routes": routes(GROUP, WILDCARD.replace("acme-hyb-prod-grp", "old-cert"))}),
    ("proto", L, {"probes": probe("alert 70", "alert 70")}),
    ("proto", C, {"probes": probe("alert 70", "alert 70"),
                  "overrides": overrides(OVERRIDES.replace("  sslKeyPath", "  minTLSProtocolVersion: 1.3\n  sslKeyPath", 1))}),
    ("mtls", L, {"probes": probe("alert 116", "alert 116")}),
    ("mtls", C, {"probes": probe("alert 42", "alert 42"),
                 "overrides": overrides(OVERRIDES.replace("  sslKeyPath", "  tlsMode: MUTUAL\n  sslKeyPath", 1))}),
    ("l4", L, {"probes": probe("refused", "refused")}),
    ("l4", L, {"probes": probe("reset", "reset")}),
    ("l4", L, {"probes": probe("timeout", "timeout")}),
    ("middlebox", L, {"capture": capture(flow(None, FlowEnd.RESET, foreign_reset=True))}),
    ("middlebox", L, {"probes": (RESET, SERVED)}),
    ("other-server", L, {"probes": probe("certificate", "alert 112")}),
    ("other-server", L, {"probes": probe("certificate", "alert 80")}),
    ("other-server", L, {"probes": probe("certificate", "fake")}),
    ("other-server", L, {"probes": probe("certificate", "reset", "certificate")}),
    ("log-disabled", L, {"overrides": overrides(OVERRIDES + "istiod: {accessLogFile: ''}\n")}),
    ("ok", C, {"probes": SERVED, "routes": BOTH, "overrides": overrides()}),
    ("ok", L, {"probes": SERVED}),
    ("ok", S, {"logs": log(entry(tls_protocol="TLSv1.3", status_details="via_upstream", status=200))}),
    ("inconclusive", S, {"routes": BOTH, "overrides": overrides()}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("cause", "confidence", "evidence"), CASES, ids=[f"{row[0]}-{row[1]}-{n}" for n, row in enumerate(CASES)]
)
def test_each_cause_is_named_with_the_confidence_that_its_evidence_carries(
    cause: str, confidence: Confidence, evidence: dict[str, Any]
) -> None:
    """Wire and configuration confirm, one of them makes likely, a log makes suspect; and something is shown for it."""
    finding = told(**evidence)[cause]

    assert confidence is finding.confidence
    assert finding.evidence or cause == "inconclusive"


HEALTHY = {"probes": SERVED, "routes": BOTH, "overrides": overrides(), "logs": log(entry(tls_protocol="TLSv1.3", status=200, status_details="via_upstream"))}  # fmt: skip


def test_a_healthy_ingress_has_no_cause_at_all() -> None:
    """The negative of every cause at once: all routes are right, and nothing but `ok` is said, confirmed."""
    assert [("ok", C)] == [(each.id, each.confidence) for each in told(**HEALTHY).values()]


NEGATIVES: list[tuple[str, dict[str, Any]]] = [
    ("no-wildcard", {"probes": RESET, "routes": BOTH}),
    ("no-wildcard", {"probes": probe("reset", "reset"), "routes": BOTH}),
    ("no-wildcard", {"probes": probe("certificate", "alert 112")}),
    ("no-wildcard", {"logs": log(entry(remote_address="203.0.113.7:1"))}),  # one line of a public address is noise
    ("flag-off", {"probes": RESET, "routes": routes(UNLINKED)}),
    ("not-linked", {"probes": probe("certificate", "certificate", None, *http(404, 404)), "routes": BOTH}),
    ("not-linked", {"probes": RESET, "routes": routes(UNLINKED)}),
    ("not-applied", {"probes": RESET, "routes": routes(GROUP, CONFIG, WILDCARD), "overrides": overrides()}),
    ("not-applied", {"routes": routes(GROUP, CONFIG, WILDCARD)}),
    ("not-applied", {"routes": routes(GROUP, UNLINKED_CONFIG.replace("acme-hyb-prod-grp", "acme-hyb-prod"), WILDCARD)}),
    ("dangling", {"routes": routes(GROUP, whole=False), "probes": SERVED}),  # it is in a file that was not given
    ("partial-vhosts", {"routes": BOTH, "overrides": overrides()}),
    ("selector", {"probes": RESET, "routes": BOTH}),
    ("port", {"probes": RESET, "routes": BOTH}),
    ("dup-wildcard", {"probes": probe("certificate", "misnamed"), "routes": BOTH}),
    ("secret", {"probes": RESET, "routes": routes(UNLINKED)}),
    ("secret", {"probes": SERVED, "routes": BOTH}),
    ("stale-route", {"probes": SERVED, "routes": BOTH}),
    ("unknown-name", {"logs": log(entry(sni_host="probe-0f0f0f0f.invalid"))}),
    ("client-no-sni", {"capture": capture(flow(KNOWN, FlowEnd.RESET))}),
    ("client-no-sni", {"capture": capture(flow(None, FlowEnd.CERTIFICATE))}),
    ("sni-stripped", {"capture": capture(flow(None, FlowEnd.RESET))}),
    ("not-tls", {"capture": capture(flow(None, FlowEnd.RESET)), "logs": REJECTED}),
    ("wrong-default-cert", {"probes": SERVED}),
    ("proto", {"probes": probe("certificate", "alert 70")}),
    ("mtls", {"probes": SERVED}),
    ("l4", {"probes": RESET}),
    ("l4", {"probes": probe(None, "reset")}),  # without a control nobody can say that everybody fails
    ("middlebox", {"capture": capture(flow(None, FlowEnd.RESET))}),
    ("other-server", {"probes": RESET}),
    ("other-server", {"probes": SERVED}),
    ("log-disabled", {"logs": REJECTED, "overrides": overrides()}),
    ("ok", {"probes": RESET}),
    ("ok", {"logs": log(entry(status_details="route_not_found", tls_protocol="TLSv1.3", status=404))}),
    ("ok", {"routes": BOTH, "overrides": overrides()}),
]


@pytest.mark.parametrize(("cause", "evidence"), NEGATIVES)
def test_no_cause_is_named_without_its_evidence(cause: str, evidence: dict[str, Any]) -> None:
    """What resembles a cause, and is none."""
    assert cause not in told(**evidence)


def test_each_cause_has_evidence_for_it_and_evidence_that_only_resembles_it() -> None:
    """Every rule of the table, and the two answers that are left, with a case of both kinds above."""
    known = {cause for cause, _ in CAUSES} | {"ok"}

    assert known | {"inconclusive"} == {row[0] for row in CASES}
    assert known == {row[0] for row in NEGATIVES}


def cluster(**more: Any) -> ClusterFacts:
    return ClusterFacts(context="here", namespace="apigee", **more)


def test_a_secret_that_the_cluster_does_not_have_is_the_confirmed_cause() -> None:
    """The route reads right, the probe is reset, and the Secret is not there."""
    absent = cluster(secrets=(Secret("acme-hyb-prod-grp", "apigee", present=False),))

    assert told(probes=RESET, routes=BOTH, cluster=absent)["secret"].confidence is C


def test_a_secret_that_the_cluster_does_not_tell_about_is_unknown_and_not_absent() -> None:
    """403 proves nothing."""
    denied = cluster(secrets=(Secret("own-cert", "apigee", present=None),), denied=("secrets (Forbidden)",))

    assert told(probes=RESET, routes=OWN, cluster=denied)["secret"].confidence is S


def test_a_secret_that_is_there_leaves_an_older_configuration() -> None:
    """It may still be no certificate: that is suspected, with the Secret against it, and comes second."""
    there = cluster(secrets=(Secret("own-cert", "apigee", present=True),))
    findings = told(probes=RESET, routes=OWN, cluster=there)

    assert [("stale-route", L), ("secret", S)] == [(each.id, each.confidence) for each in findings.values()][:2]
    assert findings["secret"].against


CANARY = "probe-0f.invalid"


def test_a_canary_that_was_reset_and_not_logged_tells_a_missing_secret_from_a_missing_route() -> None:
    """A filter chain matched it, so that no line says that none did; and the other way round for a chain that is missing."""
    reset = probe("certificate", "reset", started=1.0)
    later = entry(start_time="2026-03-02T09:15:04Z", sni_host=KNOWN, status_details="via_upstream")

    silent = told(probes=reset, routes=OWN, logs=log(later))
    logged = told(probes=reset, routes=OWN, logs=log(later, entry(sni_host=CANARY)))

    pods = cluster(pods=tuple(Pod(f"gateway-{n}", (("app", "apigee-ingressgateway"),), ready=True) for n in (1, 2)))
    half = told(probes=reset, routes=OWN, logs=log(later), cluster=pods)

    assert silent["secret"].confidence is C
    assert half["secret"].confidence is L  # the other pod may have logged it
    assert any("1 of the 2 pods" in each.text for each in half["secret"].evidence)
    assert "stale-route" not in silent
    assert logged["stale-route"].confidence is C
    assert "secret" not in logged


def test_a_log_that_ends_before_the_probe_says_nothing_about_it() -> None:
    """Envoy writes its log with ten seconds' delay: what is not there yet is no evidence."""
    reset = probe("certificate", "reset", started=4e9)

    findings = told(probes=reset, routes=OWN, logs=log(entry(sni_host=KNOWN, status_details="via_upstream")))

    assert {S} == {findings["secret"].confidence, findings["stale-route"].confidence}


def test_pods_labels_decide_over_what_the_configuration_expects() -> None:
    """A selector that fits no pod is the cause although the other routes have the same one."""
    pods = (Pod("gateway-1", (("app", "istio-ingressgateway"),), ready=True),)

    assert "selector" in told(probes=RESET, routes=BOTH, cluster=cluster(pods=pods))


def test_contradicting_evidence_is_shown_and_costs_a_step() -> None:
    """Routes without a wildcard, and a client without SNI that is served: both are told."""
    ok = told(probes=SERVED, routes=routes(UNLINKED))["ok"]

    assert ok.confidence is L
    assert any("no route has host '*'" in each.text for each in ok.against)


def test_a_control_that_gets_the_same_404_proves_nothing_and_200_speaks_against() -> None:
    """Only where the request with SNI fares better is the missing link the reason."""
    spoken = told(probes=probe("certificate", "certificate", None, *http(200)), routes=routes(UNLINKED, WILDCARD))["not-linked"]

    assert spoken.against
    assert spoken.confidence is S


def test_who_leaves_the_name_out_leaves_the_certificate_out() -> None:
    """Known names ask for a client certificate, the hello without a name does not: a bypass, and no matter of availability."""
    served = probe("certificate", "certificate")
    first, *others = served.differential.handshakes
    asked = first._replace(
        observation=first.observation._replace(facts=first.observation.facts._replace(client_certificate_requested=True))
    )
    bypassed = replace(served, differential=served.differential._replace(handshakes=(asked, *others)))

    assert told(probes=bypassed)["mtls-bypass"].severity is Severity.WARNING


def test_near_misses_of_a_name_are_explained() -> None:
    """A trailing dot and a wrong level are what people look for last."""
    assert "trailing dot" in told(logs=log(entry(sni_host=f"{KNOWN}.")), routes=BOTH)["unknown-name"].summary
    assert "below" in told(logs=log(entry(sni_host=f"www.{KNOWN}")), routes=BOTH)["unknown-name"].summary


def test_a_name_that_the_server_says_it_does_not_know_is_unknown() -> None:
    """Alert 112 to the known name, too: the server has no such name, whatever the routes are."""
    assert Severity.CRITICAL is told(probes=probe("alert 112", "alert 112"))["unknown-name"].severity


def test_an_ingress_at_fault_is_never_waved_through() -> None:
    """Where no cause is known the answer is open, and the status still says that something is wrong."""
    findings = told(probes=probe("alert 80", "alert 80"))

    assert ["inconclusive"] == list(findings)
    assert "tls_failing" in findings["inconclusive"].summary
    assert 1 == exit_status(tuple(findings.values()))


def test_a_capture_without_what_matters_says_so() -> None:
    """Hellos with names prove nothing about those without; a capture without any hello says that."""
    named = told(capture=capture(flow(KNOWN, FlowEnd.CERTIFICATE)))["inconclusive"].summary
    empty = told(capture=capture())["inconclusive"].summary

    assert named.endswith("a ClientHello without a name: the capture has none.")
    assert "none with one either" in empty


def test_log_noise_is_said_to_be_noise() -> None:
    """A scanner's single line is no client, and is not hidden either."""
    finding = told(logs=log(entry(remote_address="203.0.113.7:1")))["inconclusive"]

    assert "internet noise" in finding.summary


def test_a_scanner_that_asks_for_a_name_is_noise_and_a_client_is_not() -> None:
    """A few lines of a public address are no fault; a private one's, many, or a name that is nearly right are."""
    public = [entry(remote_address="203.0.113.7:1", sni_host="shop.test")]
    severities = [
        told(logs=log(*lines), routes=BOTH)["unknown-name"].severity
        for lines in (
            public,
            [entry(remote_address="10.0.0.7:1", sni_host="shop.test")],
            public * 6,
            [entry(remote_address="203.0.113.7:1", sni_host=f"{KNOWN}.")],
        )
    ]

    assert [Severity.INFO, *[Severity.WARNING] * 3] == severities


def test_the_fix_has_the_names_of_this_installation() -> None:
    """Credential, selector, namespace and the linked name come from the routes; both tools' commands; the proof comes last."""
    finding = told(probes=RESET, routes=routes(GROUP))["no-wildcard"]
    assert finding.fix is not None
    assert finding.fix.yaml is not None

    assert "name: fallback-no-sni" in finding.fix.yaml
    assert "credentialName: acme-hyb-prod-grp" in finding.fix.yaml
    assert "ingress_name: edge-a" in finding.fix.yaml
    assert any(
        each.startswith("helm upgrade ENV_GROUP apigee-virtualhost/ --install --namespace apigee --atomic")
        for each in finding.fix.commands
    )
    assert any(
        each.startswith("apigeectl apply -f overrides.yaml --settings virtualhosts --env $ENV") for each in finding.fix.commands
    )
    assert f"prober diagnose probe 192.0.2.10:443 --server-name {KNOWN} --http" == finding.fix.commands[-1]
