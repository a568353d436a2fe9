"""Alerts from rounds: rows of failures, hysteresis, flapping, identity. No clock: rounds carry their time."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby

from hypothesis import given
from hypothesis import strategies as st

from prober.judge.alert_rules import AlertName, Condition, Evidence
from prober.judge.alerting import FLAPPING_TURNS, Alert, AlertChange, AlertKey, Alerts, Phase, Policy

KEY = AlertKey(AlertName.NON_SNI_FAILING, "edge", "192.0.2.10:443")
WHY = Evidence("non_sni_reset", "reset", "It resets; add the wildcard route.")
FAILING, HEALTHY, SILENT = Condition.FAILING, Condition.HEALTHY, Condition.SILENT

rounds = st.lists(st.sampled_from(Condition), max_size=60)
policies = st.builds(
    Policy, failures=st.integers(1, 5), resolve_after=st.integers(1, 5), for_seconds=st.sampled_from([0.0, 25.0])
)


def play(alerts: Alerts, conditions: Iterable[Condition], start: float = 0.0, step: float = 10.0) -> list[AlertChange]:
    """One round each ``step`` seconds."""
    changes: list[AlertChange] = []
    for number, condition in enumerate(conditions):
        why = WHY if condition is FAILING else None
        changes += alerts.observe(KEY, condition, start + number * step, why, {"team": "edge"})
    return changes


def phases(changes: Iterable[AlertChange]) -> list[Phase]:
    return [change.alert.phase for change in changes]


def expected(policy: Policy, conditions: Iterable[Condition]) -> list[tuple[Phase, float]]:
    """The rule in other words: look at the rounds that say something, and at the rows of equal ones among them."""
    told = [(condition, number * 10.0) for number, condition in enumerate(conditions) if condition is not SILENT]
    firing = False
    found: list[tuple[Phase, float]] = []
    for condition, row in groupby(told, key=lambda entry: entry[0]):
        times = [at for _, at in row]
        if condition is FAILING and not firing:
            late = [at for number, at in enumerate(times, 1) if number >= policy.failures and at - times[0] >= policy.for_seconds]
            if not late or late[0] != times[0]:
                found.append((Phase.PENDING, times[0]))
            if late:
                found.append((Phase.FIRING, late[0]))
                firing = True
        elif condition is HEALTHY:
            if firing and len(times) >= policy.resolve_after:
                found.append((Phase.RESOLVED, times[policy.resolve_after - 1]))
                firing = False
            elif not firing and found and found[-1][0] is Phase.PENDING:
                found.append((Phase.INACTIVE, times[0]))
    return found


@given(policies, rounds)
def test_an_alert_fires_after_failures_in_a_row_and_resolves_after_health_in_a_row(
    policy: Policy, conditions: list[Condition]
) -> None:
    """Exactly one change a transition, at exactly the round that decides it, whatever the rounds are."""
    changes = play(Alerts(policy), conditions)
    assert [(change.alert.phase, change.at) for change in changes] == expected(policy, conditions)


@given(policies, rounds)
def test_the_sequence_grows_by_one_and_every_change_is_one(policy: Policy, conditions: list[Condition]) -> None:
    """Numbers without gaps from the one that was given; a change never ends where it began."""
    changes = play(Alerts(policy, sequence=41), conditions)
    assert [change.sequence for change in changes] == list(range(42, 42 + len(changes)))
    assert all(change.previous is not change.alert.phase for change in changes)


@given(policies, rounds)
def test_the_same_round_twice_is_one_round(policy: Policy, conditions: list[Condition]) -> None:
    """A replay changes nothing."""
    once, twice = Alerts(policy), Alerts(policy)
    changes = play(once, conditions)
    again: list[AlertChange] = []
    for number, condition in enumerate(conditions):
        for _ in range(2):
            again += twice.observe(KEY, condition, number * 10.0, WHY if condition is FAILING else None, {"team": "edge"})
    assert again == changes


@given(policies, rounds, rounds)
def test_a_restart_neither_fires_again_nor_forgets(policy: Policy, before: list[Condition], after: list[Condition]) -> None:
    """What fires goes on firing, under the same start; what was only pending waits anew."""
    first = Alerts(policy)
    play(first, before)
    kept = [alert for alert in first.alerts() if alert.phase in {Phase.FIRING, Phase.RESOLVED}]
    second = Alerts(policy, first.sequence, kept)
    assert list(second.firing()) == list(first.firing())
    firing = bool(list(second.firing()))
    notable = [change for change in play(second, after, start=10_000.0) if change.notable]
    assert phases(notable) == [Phase.RESOLVED if firing == (number % 2 == 0) else Phase.FIRING for number in range(len(notable))]
    assert all(change.sequence > first.sequence for change in notable)


def test_silence_is_neither_failure_nor_health() -> None:
    """A round that this host spoiled breaks no row and makes none."""
    alerts = Alerts(Policy(failures=2, resolve_after=2))
    assert phases(play(alerts, [SILENT, SILENT, FAILING, SILENT, SILENT])) == [Phase.PENDING]
    assert phases(play(alerts, [FAILING, HEALTHY, SILENT], start=100)) == [Phase.FIRING]
    assert phases(play(alerts, [HEALTHY], start=200)) == [Phase.RESOLVED]


def test_an_alert_tells_when_it_began_and_ended() -> None:
    """``since`` is the first failing round, ``starts_at`` the one that decided."""
    first, second, third = play(Alerts(Policy()), [FAILING, FAILING, HEALTHY, HEALTHY])
    assert first.alert.phase is Phase.PENDING
    assert (second.alert.since, second.alert.starts_at, second.alert.ends_at) == (0.0, 10.0, None)
    assert (third.alert.since, third.alert.starts_at, third.alert.ends_at) == (0.0, 10.0, 30.0)


def test_the_identity_is_name_target_address_severity_and_configured_labels() -> None:
    """What changes from round to round is no part of it."""
    (*_, fired) = play(Alerts(Policy()), [FAILING, FAILING])
    assert fired.alert.identity() == {
        "alertname": "NonSniHandshakesFailing",
        "target": "edge",
        "address": "192.0.2.10:443",
        "severity": "critical",
        "team": "edge",
    }


def test_flapping_is_named() -> None:
    """Three times there and back within an hour."""
    alerts = Alerts(Policy(failures=2, resolve_after=2))
    cycle = [FAILING, FAILING, HEALTHY, HEALTHY]
    changes = [change for change in play(alerts, cycle * 3) if change.notable]
    assert [change.alert.flapping() for change in changes[:4]] == [None] * 4
    assert len(changes[5].alert.turns) == FLAPPING_TURNS
    assert changes[5].alert.flapping() == "changed 6 times within 2 min"


def test_flapping_ends_with_time() -> None:
    """Turns of more than an hour ago are no flapping."""
    alerts = Alerts(Policy(failures=1, resolve_after=1))
    changes = play(alerts, [FAILING, HEALTHY] * 6, step=1800.0)
    assert sum(change.alert.phase is Phase.FIRING for change in changes) == 6
    assert all(change.alert.flapping() is None for change in changes)


def test_other_labels_are_another_alert() -> None:
    """After a reload that changed labels, the alert under the old ones ends and one under the new ones stands."""
    alerts = Alerts(Policy())
    play(alerts, [FAILING, FAILING])
    old, new = alerts.observe(KEY, FAILING, 99.0, WHY, {"team": "core"})
    assert (old.alert.phase, old.alert.labels) == (Phase.RESOLVED, {"team": "edge"})
    assert (new.alert.phase, new.alert.labels, new.alert.starts_at) == (Phase.FIRING, {"team": "core"}, 10.0)
    assert alerts.observe(KEY, FAILING, 109.0, WHY, {"team": "core"}) == []


def test_a_clock_that_is_set_back_delays_no_alert() -> None:
    """What is counted is rounds; an hour that is lived through twice is no reason to be silent in it."""
    alerts = Alerts(Policy())
    play(alerts, [FAILING], start=10_000.0)
    (fired,) = play(alerts, [FAILING], start=6_400.0)
    assert (fired.alert.phase, fired.alert.since, fired.alert.starts_at) == (Phase.FIRING, 6_400.0, 6_400.0)


def test_nothing_that_fires_has_begun_after_now_nor_after_its_end() -> None:
    """Alertmanager answers 400 to an alert that starts after its end, and what fires is sent with an end some minutes ahead."""
    alerts = Alerts(Policy())
    play(alerts, [FAILING, FAILING], start=10_000.0)
    assert play(alerts, [FAILING], start=6_400.0) == []
    (standing,) = alerts.firing()
    assert (standing.since, standing.starts_at) == (6_400.0, 6_400.0)
    resolved = play(alerts, [HEALTHY, HEALTHY], start=3_000.0)[-1]
    assert (resolved.alert.phase, resolved.alert.starts_at, resolved.alert.ends_at) == (Phase.RESOLVED, 3_000.0, 3_010.0)


def test_an_address_that_vanishes_for_a_moment_resolves_nothing() -> None:
    """One bad answer of a resolver takes all addresses away; they are back with the next."""
    alerts = Alerts(Policy())
    play(alerts, [FAILING, FAILING])
    alerts.absent("edge", KEY.address, until=60.0)
    assert alerts.expire(59.0) == []
    assert alerts.observe(KEY, FAILING, 59.5, WHY, {"team": "edge"}) == []
    assert alerts.expire(60.0) == []
    assert len(list(alerts.firing())) == 1


def test_an_address_that_stays_away_ends_its_alerts() -> None:
    """Nobody may be paged for ever about what is not there."""
    alerts = Alerts(Policy())
    play(alerts, [FAILING, FAILING])
    alerts.absent("edge", KEY.address, until=60.0)
    (ended,) = alerts.expire(60.0)
    assert (ended.alert.phase, ended.alert.ends_at) == (Phase.RESOLVED, 60.0)
    assert "watched no more" in ended.alert.evidence.summary
    assert list(alerts.alerts()) == []


def test_a_name_that_has_addresses_again_is_not_said_to_be_watched_no_more() -> None:
    """Its own alert ends where those of its addresses begin; who is told of the end must not look for a target that is there."""
    alerts = Alerts(Policy())
    play(alerts, [FAILING, FAILING])
    alerts.absent("edge", KEY.address, until=60.0, found_at=30.0)
    (ended,) = alerts.expire(60.0, lambda key: key == KEY)
    assert ended.alert.phase is Phase.RESOLVED
    assert ended.alert.evidence.summary == f"{WHY.summary} (It resolves again.)"


def test_a_target_that_is_configured_no_more_ends_its_alerts() -> None:
    """Those of other targets, and those about prober itself, stay."""
    alerts = Alerts(Policy(failures=1))
    play(alerts, [FAILING])
    alerts.observe(KEY._replace(target="other"), FAILING, 0.0, WHY, {})
    alerts.observe(AlertKey(AlertName.PROBER_LATE), FAILING, 0.0, WHY, {})
    alerts.unwatched(["other"], until=30.0)
    assert [change.alert.key for change in alerts.expire(30.0)] == [KEY]
    assert {alert.key.name for alert in alerts.firing()} == {AlertName.NON_SNI_FAILING, AlertName.PROBER_LATE}


def test_what_is_healthy_again_for_long_is_forgotten() -> None:
    """Memory is for what happens, not for what once happened."""
    alerts = Alerts(Policy())
    play(alerts, [FAILING, FAILING, HEALTHY, HEALTHY])
    assert len(list(alerts.alerts())) == 1
    play(alerts, [HEALTHY], start=5000.0)
    assert list[Alert](alerts.alerts()) == []


def test_a_policy_that_changes_counts_for_what_is_pending() -> None:
    """A reload that lowers ``failures`` takes effect with the next round."""
    alerts = Alerts(Policy(failures=9))
    assert phases(play(alerts, [FAILING] * 4)) == [Phase.PENDING]
    alerts.policy = Policy(failures=2)
    assert phases(play(alerts, [FAILING], start=100.0)) == [Phase.FIRING]
