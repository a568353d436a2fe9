"""The judgement of a differential: the table of decisions, and what holds for every combination."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prober.judge.verdicts import EXCUSED, RULES, judge
from prober.model import NonSniPolicy, Outcome, Sni, Verdict
from tests.judge.differentials import CERTIFICATES, KNOWN, TRUST, differential
from tests.pki import NOW

C, R, A = NonSniPolicy.CERTIFICATE, NonSniPolicy.REJECTED, NonSniPolicy.ANY

# known, none, unknown | verdict | all faults | as expected under the policies certificate, rejected, any
DECISIONS = [
    ("certificate", "certificate", "certificate", "ok", "", "C-A"),
    ("certificate", "certificate", "reset", "ok", "", "C-A"),
    ("certificate", "certificate", "misnamed", "ok", "", "C-A"),
    ("certificate", None, None, "ok", "", "CRA"),
    ("certificate", None, "reset", "ok", "", "CRA"),
    ("certificate", "reset", "reset", "non_sni_reset", "non_sni_reset", "-RA"),
    ("certificate", "reset late", "reset", "non_sni_reset", "non_sni_reset", "-RA"),
    ("certificate", "closed", "closed", "non_sni_reset", "non_sni_reset", "-RA"),
    ("certificate", "closed late", "closed", "non_sni_failing", "non_sni_failing", "--A"),
    ("certificate", "alert 112", "alert 112", "non_sni_rejected", "non_sni_rejected", "-RA"),
    ("certificate", "alert 80", "certificate", "non_sni_rejected", "non_sni_rejected", "-RA"),
    ("certificate", "timeout", "timeout", "non_sni_timeout", "non_sni_timeout", "--A"),
    ("certificate", "not_tls", "reset", "non_sni_failing", "non_sni_failing", "--A"),
    ("certificate", "protocol_error", "reset", "non_sni_failing", "non_sni_failing", "--A"),
    ("certificate", "refused", "refused", "non_sni_failing", "non_sni_failing", "--A"),
    ("certificate", "connect_timeout", "reset", "non_sni_failing", "non_sni_failing", "--A"),
    ("certificate", "misnamed", "misnamed", "non_sni_wrong_certificate", "non_sni_wrong_certificate", "--A"),
    ("certificate", "fake", "fake", "non_sni_wrong_certificate", "non_sni_wrong_certificate", "--A"),
    ("certificate", "expired", "certificate", "non_sni_wrong_certificate", "non_sni_wrong_certificate", "--A"),
    ("certificate", "untrusted", "certificate", "non_sni_wrong_certificate", "non_sni_wrong_certificate", "--A"),
    ("certificate", "empty", "certificate", "non_sni_wrong_certificate", "non_sni_wrong_certificate", "--A"),
    ("certificate", "garbage", "certificate", "non_sni_wrong_certificate", "non_sni_wrong_certificate", "--A"),
    ("expired", "reset", "reset", "certificate_invalid", "certificate_invalid non_sni_reset", "---"),
    ("expired", "expired", "expired", "certificate_invalid", "certificate_invalid non_sni_wrong_certificate", "---"),
    ("expired", "certificate", "certificate", "certificate_invalid", "certificate_invalid", "---"),
    ("untrusted", "untrusted", "untrusted", "certificate_invalid", "certificate_invalid", "---"),
    ("not yet valid", "not yet valid", "reset", "certificate_invalid", "certificate_invalid", "---"),
    ("misnamed", "misnamed", "misnamed", "certificate_invalid", "certificate_invalid non_sni_wrong_certificate", "---"),
    ("misnamed", "certificate", "reset", "certificate_invalid", "certificate_invalid", "---"),
    ("fake", "fake", "fake", "certificate_invalid", "certificate_invalid non_sni_wrong_certificate", "---"),
    ("empty", "alert 112", "reset", "certificate_invalid", "certificate_invalid non_sni_rejected", "---"),
    ("reset", "certificate", "reset", "sni_failing", "sni_failing", "---"),
    ("reset", "reset", "certificate", "sni_failing", "sni_failing", "---"),
    ("refused", "certificate", "reset", "sni_failing", "sni_failing", "---"),
    ("reset", "reset", "reset", "tls_failing", "tls_failing", "---"),
    ("alert 70", "alert 70", "alert 70", "tls_failing", "tls_failing", "---"),
    ("not_tls", "not_tls", "not_tls", "tls_failing", "tls_failing", "---"),
    ("timeout", "refused", "refused", "tls_failing", "tls_failing", "---"),
    ("timeout", None, None, "tls_failing", "tls_failing", "---"),
    ("refused", "refused", "refused", "unreachable", "unreachable", "---"),
    ("refused", "connect_timeout", "unreachable", "unreachable", "unreachable", "---"),
    ("resolve_failed", "resolve_failed", "resolve_failed", "unreachable", "unreachable", "---"),
    # No known name: nothing to compare with, but what needs no comparison still counts.
    (None, "certificate", "certificate", "inconclusive", "", "---"),
    (None, "reset", "reset", "inconclusive", "tls_failing", "---"),
    (None, "timeout", "timeout", "inconclusive", "tls_failing", "---"),
    (None, "refused", "refused", "inconclusive", "unreachable", "---"),
    (None, None, "certificate", "inconclusive", "", "---"),
    (None, None, None, "inconclusive", "", "---"),
    # This host failed: never counted against the ingress.
    ("local_error", "local_error", "local_error", "inconclusive", "", "---"),
    ("local_error", "reset", "reset", "inconclusive", "", "---"),
    ("local_error", "certificate", "certificate", "inconclusive", "", "---"),
    ("local_error", "refused", "refused", "inconclusive", "unreachable", "---"),
    ("certificate", "local_error", "certificate", "inconclusive", "", "---"),
    ("expired", "local_error", "reset", "inconclusive", "certificate_invalid", "---"),
    ("reset", "local_error", "certificate", "inconclusive", "sni_failing", "---"),
    ("reset", "local_error", "reset", "inconclusive", "tls_failing", "---"),
    ("certificate", "certificate", "local_error", "ok", "", "C-A"),
    ("certificate", "reset", "local_error", "non_sni_reset", "non_sni_reset", "-RA"),
]


@pytest.mark.parametrize(("known", "none", "unknown", "verdict", "faults", "expected"), DECISIONS)
def test_the_table_of_decisions(known: str, none: str, unknown: str, verdict: str, faults: str, expected: str) -> None:
    """Each combination has the verdict, the faults and the expectations that the contract gives."""
    for policy, letter in ((C, "C"), (R, "R"), (A, "A")):
        judgement = judge(differential(known, none, unknown), policy, TRUST, NOW)
        served = policy is R and none in CERTIFICATES
        assert " ".join(judgement.faults) == f"{faults}{' non_sni_served' * served}".strip()
        assert judgement.verdict == ("non_sni_served" if served and verdict == "ok" else verdict)
        assert judgement.expected is (letter in expected), policy


@pytest.mark.parametrize(
    ("first", "second", "none", "verdict", "faults"),
    [
        ("certificate", "certificate", "reset", "non_sni_reset", "non_sni_reset"),
        ("certificate", "reset", "reset", "sni_failing", "sni_failing"),
        ("certificate", "reset", "certificate", "sni_failing", "sni_failing"),
        ("expired", "reset", "reset", "sni_failing", "sni_failing certificate_invalid"),
        ("certificate", "expired", "reset", "certificate_invalid", "certificate_invalid non_sni_reset"),
        ("certificate", "untrusted", "untrusted", "certificate_invalid", "certificate_invalid non_sni_wrong_certificate"),
        ("certificate", "local_error", "reset", "inconclusive", ""),
        ("reset", "local_error", "certificate", "inconclusive", "sni_failing"),
        ("reset", "alert 112", "reset", "tls_failing", "tls_failing"),
        ("refused", "reset", "refused", "tls_failing", "tls_failing"),
    ],
)
def test_several_known_names_are_all_looked_at(first: str, second: str, none: str, verdict: str, faults: str) -> None:
    """One name that fails is a fault, whatever the others do."""
    judgement = judge(differential(first, none, "reset", other=second), C, TRUST, NOW)
    assert (judgement.verdict, " ".join(judgement.faults)) == (verdict, faults)


def test_an_ingress_without_a_known_name_that_rejects_as_it_should_is_not_at_fault() -> None:
    """Nothing is known about clients with SNI then, and those without meet what the policy asks for."""
    rejecting = differential(None, "reset", "reset")
    assert [judge(rejecting, policy, TRUST, NOW).at_fault for policy in (C, R, A)] == [True, False, False]
    serving = differential(None, "certificate", "certificate")
    assert [judge(serving, policy, TRUST, NOW).at_fault for policy in (C, R, A)] == [False, True, False]


@pytest.mark.parametrize(
    ("known", "none", "supported"),
    [
        ("certificate", "certificate", True),
        ("certificate", "fake", True),
        ("reset", "certificate", True),
        (None, "certificate", True),
        ("certificate", "reset", False),
        ("certificate", "alert 112", False),
        ("certificate", "timeout", False),
        ("expired", "reset", False),
        ("reset", "reset", None),
        (None, "reset", None),
        ("refused", "refused", None),
        ("certificate", "refused", None),
        ("certificate", "local_error", None),
        ("local_error", "reset", None),
        ("certificate", None, None),
    ],
)
def test_support_of_clients_without_sni_is_claimed_only_where_something_tells(
    known: str | None, none: str | None, supported: bool | None
) -> None:
    """A failure means something only beside a known name that works at the same time."""
    assert judge(differential(known, none, "reset"), C, TRUST, NOW).non_sni_supported is supported


def test_each_handshake_says_whether_its_certificate_is_valid() -> None:
    """For clients without the name, any known name will do; without a certificate there is nothing to say."""
    judged = judge(differential("misnamed", "certificate", "reset"), C, TRUST, NOW).handshakes
    assert [one.certificate_valid for one in judged] == [False, True, None]
    assert judged[0].certificate_problems == (f"the certificate covers default.example.test, but not {KNOWN}",)
    assert judged[1].certificate_problems == ()
    assert [len(one.certificates) for one in judged] == [2, 2, 0]


def test_an_empty_chain_is_not_valid() -> None:
    """A Certificate message without a certificate is read, and is no certificate."""
    judged = judge(differential("empty", "reset", "reset"), C, TRUST, NOW).handshakes
    assert judged[0].certificate_valid is False
    assert judged[0].certificates == ()


def test_without_known_names_a_name_is_not_judged() -> None:
    """Chain and dates still are."""
    judged = judge(differential(None, "certificate", "expired"), C, TRUST, NOW).handshakes
    assert [one.certificate_valid for one in judged] == [True, False]


def test_the_reason_of_an_undecided_judgement_names_the_hello() -> None:
    """So that an operator knows what to give, or which limit to raise."""
    reasons = [
        judge(case, C, TRUST, NOW).inconclusive
        for case in (
            differential("certificate", "certificate", "certificate"),
            differential(None, "certificate"),
            differential("local_error", "certificate"),
            differential("certificate", "local_error"),
        )
    ]
    assert reasons == [
        None,
        "no known server name was sent to compare with; give one (--server-name, server_names, hostname=)",
        f"this host could not send the hello with {KNOWN} (EMFILE)",
        "this host could not send the hello with no server name (EMFILE)",
    ]


def test_a_name_that_does_not_resolve_is_unreachable() -> None:
    """There is no endpoint then."""
    case = differential("resolve_failed", "resolve_failed", "resolve_failed", endpoint=None)
    judgement = judge(case, C, TRUST, NOW)
    assert judgement.verdict is Verdict.UNREACHABLE
    assert judgement.summary.startswith("ingress.example.test:443 does not resolve (EAI_NONAME)")


words = st.one_of(
    st.sampled_from(CERTIFICATES),
    st.sampled_from([outcome.value for outcome in Outcome if outcome not in {Outcome.CERTIFICATE, Outcome.TLS_ALERT}]),
    st.sampled_from(["reset late", "closed late", "alert 112", "alert 80", "alert 40", "alert 70", "alert 255"]),
)
asked = st.one_of(st.none(), words)
policies = st.sampled_from(NonSniPolicy)
PRECEDENCE = [Verdict.INCONCLUSIVE, *(verdict for verdict, _ in RULES), Verdict.OK]


@given(known=asked, other=asked, none=asked, unknown=asked, policy=policies)
def test_every_combination_has_one_verdict_and_the_first_fault_is_it(
    known: str | None, other: str | None, none: str | None, unknown: str | None, policy: NonSniPolicy
) -> None:
    """Precedence holds, ``ok`` means no fault and nothing undecided, and a sentence says so."""
    case = differential(known, none, unknown, other=other)
    judgement = judge(case, policy, TRUST, NOW)
    assert list(judgement.faults) == sorted(set(judgement.faults), key=PRECEDENCE.index)
    assert not {Verdict.OK, Verdict.INCONCLUSIVE} & set(judgement.faults)
    assert (judgement.verdict is Verdict.INCONCLUSIVE) == (judgement.inconclusive is not None)
    if judgement.verdict is not Verdict.INCONCLUSIVE:
        assert judgement.verdict is (judgement.faults[0] if judgement.faults else Verdict.OK)
    assert not (judgement.expected and judgement.at_fault)
    if judgement.verdict is not Verdict.INCONCLUSIVE:
        assert judgement.expected is not judgement.at_fault
        assert judgement.at_fault is bool(set(judgement.faults) - EXCUSED[policy])
    assert len(judgement.handshakes) == len(case.handshakes)
    assert 0 < len(judgement.summary) <= 200
    assert judgement.summary.isprintable()
    for handshake, one in zip(case.handshakes, judgement.handshakes, strict=True):
        assert (one.certificate_valid is None) == (handshake.observation.outcome is not Outcome.CERTIFICATE)
        assert one.certificate_valid is None or one.certificate_valid is not bool(one.problems)


@given(known=asked, other=asked, none=asked, unknown=asked, policy=policies)
def test_a_failure_of_this_host_never_adds_a_fault(
    known: str | None, other: str | None, none: str | None, unknown: str | None, policy: NonSniPolicy
) -> None:
    """Whatever hello fails on this host instead, the ingress is blamed for nothing new but what the other hellos show by themselves."""
    before = judge(differential(known, none, unknown, other=other), policy, TRUST, NOW)
    for failing in ("known", "none", "unknown"):
        given_words = {"known": known, "none": none, "unknown": unknown, failing: "local_error"}
        after = judge(differential(**given_words, other=other), policy, TRUST, NOW)
        # Without the hello that got through, the rest may look unconnected or failing: that is what the rest shows.
        added = set(after.faults) - set(before.faults) - {Verdict.UNREACHABLE, Verdict.TLS_FAILING}
        assert not added
        if failing != "unknown":
            assert after.verdict is Verdict.INCONCLUSIVE


@given(known=words, none=words, unknown=asked)
def test_the_policy_changes_expectations_and_nothing_else(known: str, none: str, unknown: str | None) -> None:
    """Except for ``non_sni_served``, which is a fault by policy; ``any`` minds nothing that ``rejected`` or ``certificate`` excuse."""
    case = differential(known, none, unknown)
    certificate, rejected, anything = (judge(case, policy, TRUST, NOW) for policy in (C, R, A))
    assert certificate.faults == anything.faults
    assert tuple(fault for fault in rejected.faults if fault is not Verdict.NON_SNI_SERVED) == certificate.faults
    assert certificate.handshakes == rejected.handshakes == anything.handshakes
    if certificate.expected or rejected.expected:
        assert anything.expected
    assert not (certificate.expected and rejected.expected)


@given(known=words, none=words, unknown=asked)
def test_a_fault_of_clients_without_sni_needs_known_names_that_are_served(known: str, none: str, unknown: str | None) -> None:
    """Else every outage would look like one."""
    faults = judge(differential(known, none, unknown), C, TRUST, NOW).faults
    if any(fault.value.startswith("non_sni_") for fault in faults):
        assert known in CERTIFICATES


@given(known=words, none=words, unknown=asked, policy=policies)
def test_equal_differentials_are_judged_equally(known: str, none: str, unknown: str | None, policy: NonSniPolicy) -> None:
    """What is remembered is what would be found again."""
    first, second = (judge(differential(known, none, unknown), policy, TRUST, NOW) for _ in range(2))
    assert first == second


def test_every_rule_is_a_verdict_of_the_closed_set_in_its_order() -> None:
    """The table and the enumeration have one order of precedence."""
    assert list(Verdict) == PRECEDENCE
    assert set(EXCUSED) == set(NonSniPolicy)
    assert {Sni.KNOWN, Sni.NONE, Sni.UNKNOWN} == set(Sni)
