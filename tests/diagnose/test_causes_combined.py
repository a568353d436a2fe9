"""Whatever evidence comes together, the judgement keeps its promises."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from prober.diagnose.causes import CAUSES, diagnose, exit_status
from prober.diagnose.evidence import EvidenceSet, FlowEnd, FlowGroup
from prober.findings import Confidence, Severity, findings_document
from tests.diagnose.evidence_samples import GROUP, OVERRIDES, WILDCARD, capture, http, log, overrides, probe, routes, told
from tests.diagnose.log_samples import entry
from tests.judge.differentials import CERTIFICATES, KNOWN

_WORDS = st.sampled_from(
    [*CERTIFICATES, "reset", "closed", "reset late", "timeout", "refused", "connect_timeout", "unreachable", "resolve_failed",
     "not_tls", "protocol_error", "local_error", "alert 40", "alert 42", "alert 70", "alert 80", "alert 112", "alert 116"]
)  # fmt: skip
_PROBES = st.builds(
    lambda known, none, unknown, answers: probe(known, none, unknown, *answers),
    st.none() | _WORDS,
    _WORDS,
    _WORDS,
    st.sampled_from([(), http(404), http(200), http(404, 404)]),
)
_GROUPS = st.sampled_from(
    [GROUP, GROUP.replace("[fallback-no-sni]", "[]"), GROUP.replace("running", "error"), GROUP.replace(KNOWN, "x.test")]
)
_WILDCARDS = st.sampled_from(
    [WILDCARD, WILDCARD.replace("true", "false"), WILDCARD.replace("443", "80"), WILDCARD.replace("fallback-no-sni", "second"),
     WILDCARD.replace("apigee-ingressgateway", "istio-ingressgateway"), WILDCARD.replace("SIMPLE", "PASSTHROUGH")]
)  # fmt: skip
_ROUTES = st.none() | st.builds(
    lambda groups, wildcards, whole: routes(*groups, *wildcards, whole=whole),
    st.lists(_GROUPS, max_size=2),
    st.lists(_WILDCARDS, max_size=2),
    st.booleans(),
)
_OVERRIDES = st.sampled_from(
    [(), overrides(), overrides(OVERRIDES.replace('  additionalGateways: ["fallback-no-sni"]\n', "")),
     overrides(OVERRIDES.replace("  sslKeyPath", "  tlsMode: MUTUAL\n  sslKeyPath", 1)), overrides("virtualhosts: [{}]\n")]
)  # fmt: skip
_ENTRIES = st.fixed_dictionaries(
    {
        "remote_address": st.sampled_from(["10.0.0.1:1", "203.0.113.9:2", "35.191.1.1:3", "-", None]),
        "sni_host": st.sampled_from([None, KNOWN, "shop.test", "probe-0f.invalid"]),
        "status_details": st.sampled_from(["filter_chain_not_found", "route_not_found", "via_upstream", None]),
        "tls_protocol": st.sampled_from([None, "TLSv1.3"]),
    }
)
_LOGS = st.none() | st.builds(lambda rows: log(*(entry(**row) for row in rows)), st.lists(_ENTRIES, max_size=6))
_FLOWS = st.builds(
    FlowGroup,
    file=st.sampled_from(["a.pcap", "b.pcap"]),
    client=st.sampled_from(["10.0.0.1", "35.191.1.1"]),
    server=st.just("192.0.2.10:443"),
    tls=st.booleans(),
    sni=st.sampled_from([None, KNOWN, "shop.test"]),
    end=st.sampled_from(list(FlowEnd)),
    alert=st.sampled_from([None, 40, 70, 112]),
    early_reset=st.booleans(),
    foreign_reset=st.booleans(),
    times=st.integers(1, 1000),
)
_EVIDENCE = st.builds(
    EvidenceSet,
    probes=st.lists(_PROBES, max_size=2).map(tuple),
    logs=_LOGS,
    capture=st.none() | st.lists(_FLOWS, max_size=3).map(lambda flows: capture(*flows)),
    routes=_ROUTES,
    overrides=_OVERRIDES,
    texts=st.just({"overrides.yaml": OVERRIDES}),
)


@given(_EVIDENCE)
def test_every_combination_of_evidence_is_judged_as_promised(evidence: EvidenceSet) -> None:
    """Never empty and never both well and ill; confirmed only with the wire; all of it JSON; the most severe first."""
    findings = diagnose(evidence)
    ids = {each.id for each in findings}
    order = [list(Severity).index(each.severity) for each in findings if each.id != "inconclusive"]

    assert findings
    assert not ("ok" in ids and any(each.severity is Severity.CRITICAL for each in findings))
    assert not {"ok", "inconclusive"} <= ids
    assert order == sorted(order)
    for each in findings:
        sources = {evidence.source for evidence in each.evidence}
        if each.confidence is Confidence.CONFIRMED:
            assert sources & {"probe", "capture"}
            assert sources & {"routes", "overrides", "kubernetes"}
        if sources == {"logs"}:
            assert each.confidence is Confidence.SUSPECTED
        assert each.summary
    assert exit_status(findings) in ({1} if any(each.judgement.at_fault for each in evidence.probes) else {0, 1, 3})
    document = json.loads(json.dumps(findings_document(findings, ())))
    assert document["schema"] == 1
    for each in document["findings"]:
        assert {"id", "severity", "confidence", "summary", "evidence", "against", "fix"} == set(each)
        assert {"explanation", "yaml", "commands"} == set(each["fix"])
        assert all({"source", "file", "line", "text"} == set(one) for one in (*each["evidence"], *each["against"]))


@given(_LOGS)
def test_a_log_alone_never_carries_more_than_suspicion(facts: object) -> None:
    """Plain HTTP on the TLS port is logged like a client without a name."""
    findings = diagnose(EvidenceSet(logs=facts))  # type: ignore[arg-type]

    assert {each.confidence for each in findings} == {Confidence.SUSPECTED}


def test_each_cause_is_in_the_table_once() -> None:
    """The ids of the contract, each with one rule."""
    ids = [cause for cause, _ in CAUSES]

    assert len(ids) == len(set(ids)) == 22


def test_an_error_of_a_generation_before_the_one_that_is_applied_is_no_stale_route() -> None:
    """What the operator complained of was mended since; an error of the generation that is applied, or of a later one, counts."""

    def with_error(generation: int) -> str:
        return GROUP.replace("Generation: 4}", f"Generation: 4, errors: [{{generation: {generation}, message: refused}}]}}")

    assert "stale-route" not in told(routes=routes(with_error(3), WILDCARD))
    for generation in (4, 5):
        assert "reports refused" in told(routes=routes(with_error(generation), WILDCARD))["stale-route"].summary


def test_a_groups_route_with_the_flag_speaks_against_a_missing_wildcard_route() -> None:
    """By the CRD's words its gateway has ``*``, too; with a reset on the wire as well the cause is likely at most."""
    flagged = routes(GROUP.replace("  additionalGateways: [fallback-no-sni]", "  enableNonSniClient: true"))
    by_reset, by_routes = (
        told(probes=probes, routes=flagged)["no-wildcard"] for probes in ((probe("certificate", "reset"),), ())
    )

    assert (Confidence.LIKELY, Confidence.SUSPECTED) == (by_reset.confidence, by_routes.confidence)
    assert all("has enableNonSniClient true" in each.against[0].text for each in (by_reset, by_routes))
