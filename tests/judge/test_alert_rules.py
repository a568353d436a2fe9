"""What one round says about each alert, in terms of differentials and policies."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from prober.judge.alert_rules import AlertName, Condition, Round, assess, evidence, expiring
from prober.judge.alerting import AlertChange, Alerts, Phase, Policy
from prober.judge.verdicts import judge
from prober.model import Address, Differential, Endpoint, NonSniPolicy, Target
from tests.judge.differentials import KNOWN, TRUST, differential

NOW = datetime.now(UTC)
A, B, C = (Endpoint(f"192.0.2.{number}", 443) for number in (1, 2, 3))

FAILING, HEALTHY, SILENT = Condition.FAILING, Condition.HEALTHY, Condition.SILENT


def judged(
    run: Differential, policy: NonSniPolicy = NonSniPolicy.CERTIFICATE, now: datetime = NOW, names: tuple[str, ...] = (KNOWN,)
) -> Round:
    """The round of a differential."""
    target = Target(name="edge", addresses=(Address("ingress.example.test"),), server_names=names, non_sni=policy)
    return Round(target, str(run.endpoint), run, judge(run, policy, TRUST, now), now.timestamp())


def failing(run: Round) -> set[str]:
    """The alerts whose condition holds."""
    return {name.value for name, condition in assess(run).items() if condition is FAILING}


@pytest.mark.parametrize(
    ("run", "policy", "alerts"),
    [
        (differential("certificate", "certificate", "certificate"), "certificate", set()),
        (differential("certificate", "reset", "reset"), "certificate", {"NonSniHandshakesFailing"}),
        (differential("certificate", "alert 112"), "certificate", {"NonSniHandshakesFailing"}),
        (differential("certificate", "timeout"), "certificate", {"NonSniHandshakesFailing"}),
        (differential("certificate", "fake"), "certificate", {"NonSniHandshakesFailing"}),
        (differential("certificate", "reset"), "rejected", set()),
        (differential("certificate", "timeout"), "rejected", {"NonSniHandshakesFailing"}),
        (differential("certificate", "timeout"), "any", set()),
        (differential("certificate", "certificate"), "rejected", {"NonSniHandshakesServed"}),
        (differential("reset", "certificate"), "certificate", {"SniHandshakesFailing"}),
        (differential("reset", "reset", "reset"), "certificate", {"IngressTlsDown"}),
        (differential("reset", "reset", "reset"), "rejected", {"IngressTlsDown"}),
        (differential("refused", "refused", "refused"), "any", {"IngressUnreachable"}),
        (differential("resolve_failed", "resolve_failed", endpoint=None), "certificate", {"IngressUnreachable"}),
        (differential("expired", "expired"), "certificate", {"IngressCertificateInvalid", "NonSniHandshakesFailing"}),
        (differential("expired", "reset"), "certificate", {"IngressCertificateInvalid", "NonSniHandshakesFailing"}),
    ],
)
def test_faults_become_alerts_unless_the_policy_wants_them(run: Differential, policy: str, alerts: set[str]) -> None:
    """Which faults each alert is about; several hold at once."""
    assert failing(judged(run, NonSniPolicy(policy))) == alerts


@pytest.mark.parametrize(
    "run",
    [
        differential("local_error", "reset", "reset"),
        differential("certificate", "local_error", "reset"),
        differential("local_error", "local_error", "local_error"),
        differential("local_error", "refused", "refused"),
        differential(),
    ],
)
def test_what_this_host_failed_says_nothing_about_the_ingress(run: Differential) -> None:
    """Neither that it fails nor that it is well."""
    assert set(assess(judged(run)).values()) == {SILENT}


def test_a_canary_that_this_host_could_not_send_hides_nothing() -> None:
    """No verdict needs the unknown name."""
    assert failing(judged(differential("certificate", "reset", "local_error"))) == {"NonSniHandshakesFailing"}


def test_a_greater_fault_says_nothing_about_the_lesser_ones() -> None:
    """An ingress that cannot be reached has not begun to serve clients without SNI."""
    said = assess(judged(differential("refused", "refused", "refused")))
    assert said[AlertName.UNREACHABLE] is FAILING
    assert {condition for name, condition in said.items() if name is not AlertName.UNREACHABLE} == {SILENT}


def test_without_a_known_name_only_that_it_is_down_is_known() -> None:
    """The verdict is inconclusive, but nothing else than an outage refuses the connection."""
    said = assess(judged(differential(None, "refused", "refused"), names=()))
    assert said[AlertName.UNREACHABLE] is FAILING
    said = assess(judged(differential(None, "certificate", "reset"), names=()))
    assert (said[AlertName.UNREACHABLE], said[AlertName.TLS_DOWN], said[AlertName.NON_SNI_FAILING]) == (HEALTHY, HEALTHY, SILENT)


@pytest.mark.parametrize(
    ("name", "run", "outcome"),
    [
        (AlertName.NON_SNI_FAILING, differential("certificate", "timeout", "reset"), "timeout"),
        (AlertName.SNI_FAILING, differential("certificate", "certificate", other="alert 80"), "tls_alert"),
        (AlertName.UNREACHABLE, differential("refused", "refused"), "refused"),
    ],
)
def test_the_outcome_is_that_of_the_hello_that_matters(name: AlertName, run: Differential, outcome: str) -> None:
    """It is an annotation of the alert."""
    assert evidence(name, judged(run)).outcome == outcome


def test_an_alert_shows_its_own_fault_beside_the_verdict_where_several_hold() -> None:
    """An expired certificate is the verdict, and not what the alert about clients without SNI is about."""
    why = evidence(AlertName.NON_SNI_FAILING, judged(differential("expired", "reset")))
    assert (why.verdict, why.fault) == ("certificate_invalid", "non_sni_reset")


def test_a_certificate_expires_within_the_configured_time() -> None:
    """Counted from the round; the sentence says how long there is left."""
    run = differential("certificate", "certificate", "reset")
    ends = judged(run).judgement.handshakes[0].certificates[0].not_after
    assert ends is not None
    week = 7 * 86400.0
    early = judged(run, now=ends - timedelta(days=8))
    assert expiring(early, week)[0] is HEALTHY
    condition, why, _ = expiring(judged(run, now=ends - timedelta(days=6, hours=23)), week)
    assert condition is FAILING
    assert why is not None
    assert "expires in 6 days" in why.summary
    condition, why, _ = expiring(judged(run, now=ends + timedelta(hours=5)), week)
    assert condition is FAILING
    assert why is not None
    assert "expired 5 hours ago" in why.summary


def test_no_certificate_is_no_news_about_its_end() -> None:
    """A reset is somebody else's alert."""
    assert expiring(judged(differential("reset", "reset")), 1e9)[0] is SILENT


def play(*rounds: tuple[Endpoint, str]) -> list[AlertChange]:
    """Rounds of addresses of one target: what clients without SNI met."""
    alerts = Alerts(Policy(failures=2, resolve_after=2, expiry=0.0))
    changes: list[AlertChange] = []
    for number, (endpoint, none) in enumerate(rounds):
        run = judged(differential("certificate", none, endpoint=endpoint), NonSniPolicy.ANY)
        changes += alerts.judged(run._replace(at=run.at + number))
    return [change for change in changes if change.alert.key.name is AlertName.ADDRESSES_DISAGREE]


def test_addresses_that_disagree_for_rounds_raise_one_alert_about_the_target() -> None:
    """Counted in rounds of the whole target, not of each address."""
    assert play((A, "certificate"), (B, "certificate")) == []
    pending, firing = play(*[(A, "certificate"), (B, "reset")] * 3)
    assert (pending.alert.phase, firing.alert.phase) == (Phase.PENDING, Phase.FIRING)
    assert firing.alert.identity() == {"alertname": "IngressAddressesDisagree", "severity": "warning", "target": "edge"}
    assert "non_sni_reset at 192.0.2.2:443" in firing.alert.evidence.summary
    why = firing.alert.evidence
    assert (why.verdict, why.outcome, why.address) == ("non_sni_reset", "reset", "192.0.2.2:443")


def test_addresses_that_change_one_after_the_other_do_not_disagree_for_long() -> None:
    """A change that reaches them within one round is no disagreement that counts."""
    changes = play(*[(A, "certificate"), (B, "certificate")] * 2, (A, "reset"), (B, "reset"), (A, "reset"), (B, "reset"))
    assert Phase.FIRING not in {change.alert.phase for change in changes}


def test_an_address_that_could_not_be_judged_agrees_with_all() -> None:
    """What this host failed is no different verdict."""
    changes = play(*[(A, "certificate"), (B, "local_error"), (C, "certificate")] * 3)
    assert changes == []
