"""Rounds that say what the one before said, and what is not done for them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prober.judge.alert_rules import Round
from prober.judge.alerting import Alerts, Policy
from prober.judge.repeats import holds_until, repeats
from prober.judge.verdicts import judge
from prober.model import Address, Close, Differential, Endpoint, Handshake, NonSniPolicy, Outcome, Seconds, Sni, Stage, Target
from tests.judge.differentials import KNOWN, TRUST, differential

NOW = datetime.now(UTC)
ENDINGS = ("certificate", "expired", "fake", "reset", "closed", "timeout", "alert 112", "local_error")


def altered(run: Differential, place: int, change: Callable[[Handshake], Handshake]) -> Differential:
    """The same with another handshake at this place."""
    handshakes = list(run.handshakes)
    handshakes[place] = change(handshakes[place])
    return run._replace(handshakes=tuple(handshakes))


def figures(run: Differential) -> Differential:
    """The same differential another time."""

    def later(one: Handshake) -> Handshake:
        seconds = Seconds(0.1, 0.2, 0.3, 0.6, 0.001)
        size = one.observation.bytes_received and one.observation.bytes_received + 7
        observation = one.observation._replace(seconds=seconds, bytes_received=size, facts=one.observation.facts._replace())
        name = "probe-00ff.invalid" if one.sni is Sni.UNKNOWN else one.server_name
        return one._replace(server_name=name, observation=observation, started=one.started + 15.0)

    return run._replace(handshakes=tuple(map(later, run.handshakes)))


@given(st.lists(st.sampled_from(ENDINGS), min_size=3, max_size=3))
def test_figures_make_no_difference_and_the_judgement_is_the_same(endings: list[str]) -> None:
    """When, how long, how many bytes and which canary are no part of a judgement."""
    run = differential(*endings)
    again = figures(run)
    assert repeats(run, again)
    assert judge(again, NonSniPolicy.CERTIFICATE, TRUST, NOW) == judge(run, NonSniPolicy.CERTIFICATE, TRUST, NOW)


@pytest.mark.parametrize(
    "change",
    [
        lambda one: one._replace(sni=Sni.UNKNOWN),
        lambda one: one._replace(server_name="other.example.test"),
        lambda one: one._replace(profile="other"),
        lambda one: one._replace(ja4="other"),
        lambda one: one._replace(observation=one.observation._replace(outcome=Outcome.TIMEOUT)),
        lambda one: one._replace(observation=one.observation._replace(stage=Stage.FINISHED)),
        lambda one: one._replace(observation=one.observation._replace(errno="EPIPE")),
        lambda one: one._replace(observation=one.observation._replace(close=Close.TIMEOUT)),
        lambda one: one._replace(observation=one.observation._replace(detail="something else")),
        lambda one: one._replace(observation=one.observation._replace(bytes_received=0)),
        lambda one: one._replace(observation=one.observation._replace(facts=one.observation.facts._replace(group="other"))),
    ],
)
def test_everything_else_makes_a_difference(change: Callable[[Handshake], Handshake]) -> None:
    """In the known name's handshake."""
    run = differential("certificate", "reset", "reset")
    run = altered(run, 0, lambda one: one._replace(observation=one.observation._replace(bytes_received=2000)))
    assert repeats(run, altered(run, 0, lambda one: one))
    assert not repeats(run, altered(run, 0, change))


def test_other_hellos_or_another_address_make_a_difference() -> None:
    """A target that is asked for one more name, and one that has moved."""
    run = differential("certificate", "reset", "reset")
    assert not repeats(run, run._replace(handshakes=run.handshakes[:2]))
    assert not repeats(run, run._replace(endpoint=Endpoint("192.0.2.99", 443)))


def test_a_judgement_holds_until_the_next_date_on_a_certificate() -> None:
    """At that moment the same differential is judged otherwise; without certificates there is no such moment."""
    run = differential("certificate", "certificate", "reset")
    until = datetime.fromtimestamp(holds_until(run, TRUST, NOW), UTC)
    policy = NonSniPolicy.CERTIFICATE
    assert judge(run, policy, TRUST, until - timedelta(seconds=1)) == judge(run, policy, TRUST, NOW)
    assert judge(run, policy, TRUST, until) != judge(run, policy, TRUST, NOW)
    assert holds_until(differential("reset", "reset", "reset"), TRUST, NOW) == inf


@given(
    st.lists(st.tuples(st.sampled_from(ENDINGS), st.integers(1, 4), st.booleans()), max_size=12),
    st.builds(Policy, failures=st.integers(1, 3), resolve_after=st.integers(1, 3), expiry=st.sampled_from([0.0, 1e9])),
)
def test_alerts_are_the_same_whether_rounds_are_known_to_repeat_or_looked_at_each_time(
    rows: list[tuple[str, int, bool]], policy: Policy
) -> None:
    """One is given the very judgement of the round before, the other an equal one; now and then an address goes away for a while."""
    knowing, looking = Alerts(policy), Alerts(policy)
    target = Target(name="edge", addresses=(Address("ingress.example.test"),), server_names=(KNOWN,), labels={"team": "edge"})
    at = NOW.timestamp()
    for ending, count, leaves in rows:
        run = differential("certificate", ending, "reset")
        judgement = judge(run, NonSniPolicy.CERTIFICATE, TRUST, NOW)
        for _ in range(count):
            at += 10.0
            same = Round(target, str(run.endpoint), run, judgement, at)
            assert knowing.judged(same) == looking.judged(same._replace(judgement=judgement._replace()))
        if leaves:
            for alerts in (knowing, looking):
                alerts.absent("edge", str(run.endpoint), at + 5.0)
            assert knowing.expire(at + 6.0) == looking.expire(at + 6.0)
    assert list(knowing.alerts()) == list(looking.alerts())
