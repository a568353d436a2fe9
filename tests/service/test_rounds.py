"""Rounds: what is probed when, what becomes of the answers, and what survives a reload. No network: the runner is scripted."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import UTC, datetime

import pytest
import trio
from trio.testing import MockClock

from prober.config.targets import SHORTEST_INTERVAL
from prober.model import Endpoint, Module, Observation, Outcome, Sni, Target, Verdict
from prober.schedule import SLOT, phase
from prober.service.rounds import Rounds
from prober.snapshot import StateKey
from tests.outlets.fleet import NOW, certificate, issued, reset
from tests.service.watching import INTERVAL, ScriptedEngine, ScriptedRunner, Watching, target

# pytest-trio runs a test by the clock that is among the test's own arguments; a fixture's argument would not do.


@pytest.fixture
def watching(autojump_clock: MockClock) -> Watching:
    return Watching(autojump_clock)


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.DEBUG, logger="prober.service")
    return caplog


async def test_every_address_is_probed_once_an_interval_at_its_phase(
    watching: Watching, autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    """The moments are those of the schedule: never before the phase, and in the first slot after it."""
    await watching.start(nursery, target("a", "203.0.113.10", "203.0.113.11"))
    await trio.sleep(3 * INTERVAL)
    assert len(watching.runner.started) == 6
    for moment, one, endpoint in watching.runner.started:
        late = (moment - phase((one.name, str(endpoint)), INTERVAL)) % INTERVAL
        assert 0 <= late <= SLOT + 1e-6
    assert watching.statistics.skipped == {"in_flight": 0, "late": 0}


async def test_what_comes_back_is_judged_and_recorded(
    watching: Watching, autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    """One differential makes the state, the change, and one observation a handshake in both histograms."""
    watching.runner.answers = lambda sni: certificate() if sni is Sni.KNOWN else reset()
    await watching.start(nursery, target())
    await trio.sleep(INTERVAL)
    state = watching.store.state(StateKey("apigee-prod", "203.0.113.10:443"))
    assert state is not None
    assert state.judgement.verdict is Verdict.NON_SNI_RESET
    assert [change.previous for change in watching.changes] == [None]
    assert watching.statistics.lateness.count == 3
    assert watching.statistics.lateness.sum <= 3 * 1e-6
    counted = {series: histogram.count for series, histogram in watching.statistics.handshake_seconds.items()}
    assert counted == {(Sni.KNOWN, Outcome.CERTIFICATE): 1, (Sni.NONE, Outcome.RESET): 1, (Sni.UNKNOWN, Outcome.RESET): 1}


async def test_a_round_that_repeats_the_one_before_is_not_judged_again_and_its_figures_are_its_own(
    watching: Watching, autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    """The judgement is the very same; durations, times and counters are those of the new round. A reload is a reason to judge anew."""
    await watching.start(nursery, target())
    await trio.sleep(INTERVAL)
    (first,) = watching.store
    watching.runner.answers = lambda _: certificate(seconds=0.0123)
    await trio.sleep(2 * INTERVAL)
    (third,) = watching.store
    assert third.judgement is first.judgement
    assert third.version > first.version
    assert {handshake.observation.seconds.total for handshake in third.differential.handshakes} == {0.0123}
    assert min(third.last_run.values()) >= max(first.last_run.values()) + INTERVAL
    assert [set(state.outcomes.values()) for state in (first, third)] == [{1}, {3}]
    watching.watch(target())
    await trio.sleep(INTERVAL)
    (anew,) = watching.store
    assert anew.judgement is not first.judgement
    assert anew.judgement == first.judgement


async def test_a_certificate_that_expires_between_two_rounds_is_noticed_by_the_second_one(
    watching: Watching, autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    """The same answer as ever means something else from then on."""
    expires = NOW + 2.5 * INTERVAL
    chain = issued(not_after=datetime.fromtimestamp(expires, UTC)).ders
    watching.runner.answers = lambda _: certificate(chain)
    await watching.start(nursery, target())
    await trio.sleep(6 * INTERVAL)
    assert [change.state.judgement.verdict for change in watching.changes] == [Verdict.OK, Verdict.CERTIFICATE_INVALID]
    assert expires < watching.changes[-1].at <= expires + INTERVAL


async def test_how_often_a_hello_ended_how_is_counted_over_all_rounds(
    watching: Watching, autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    """Rows of equal rounds, interrupted by others, add up."""
    await watching.start(nursery, target())
    for answers in (certificate, reset, certificate, certificate):
        watching.runner.answers = lambda _, answers=answers: answers()
        await trio.sleep(2 * INTERVAL)
    (state,) = watching.store
    assert {(sni, outcome): count for ((sni, _), outcome), count in state.outcomes.items()} == {
        (sni, outcome): count for sni in Sni for outcome, count in ((Outcome.CERTIFICATE, 6), (Outcome.RESET, 2))
    }


async def test_a_change_is_told_once_and_since_stays(
    watching: Watching, autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    """Of many rounds with one flip, the first verdict and the flip are told; ``since`` is the time of the flip."""
    await watching.start(nursery, target())
    await trio.sleep(3 * INTERVAL)
    watching.runner.answers = lambda sni: certificate() if sni is Sni.KNOWN else reset()
    flipped = watching.clock()
    await trio.sleep(3 * INTERVAL)
    assert [(change.previous, change.state.judgement.verdict) for change in watching.changes] == [
        (None, Verdict.OK),
        (Verdict.OK, Verdict.NON_SNI_RESET),
    ]
    (state,) = watching.store
    assert flipped < state.since <= flipped + INTERVAL + SLOT


async def test_a_round_that_is_still_running_is_not_doubled(
    watching: Watching, autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    """Its ticks are skipped and counted, and probing goes on afterwards."""
    watching.runner.answers = None
    await watching.start(nursery, target())
    await trio.sleep(4 * INTERVAL)
    assert len(watching.runner.started) == 1
    assert watching.statistics.skipped == {"in_flight": 3, "late": 0}
    watching.runner.pending.pop()(lambda _: certificate())
    await trio.sleep(INTERVAL)
    assert len(watching.runner.started) == 2


async def test_ticks_that_nobody_came_for_are_counted_and_not_made_up_for(
    watching: Watching, autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    """After a stall of three and a half intervals there is one round, not four."""
    await watching.start(nursery, target())
    await trio.sleep(INTERVAL)
    before = len(watching.runner.started)
    watching.mock.jump(3.5 * INTERVAL)
    await trio.sleep(SLOT)
    # Three ticks or four fall into the stall, by the phase: the last of them is run, late; the others are counted.
    ran, missed = len(watching.runner.started) - before, watching.statistics.skipped["late"]
    assert ran == 1
    assert missed in {2, 3}
    assert watching.statistics.lateness.sum > 3 * SLOT


async def test_a_clock_that_is_set_stops_nothing(
    watching: Watching, autojump_clock: MockClock, nursery: trio.Nursery, lines: pytest.LogCaptureFixture
) -> None:
    """Set back by a day, rounds go on within an interval, nothing counts as missed, and the log says why phases moved."""
    await watching.start(nursery, target())
    await trio.sleep(INTERVAL)
    before = len(watching.runner.started)
    watching.skew = -86_400.0
    await trio.sleep(2 * INTERVAL + 2 * SLOT)
    assert len(watching.runner.started) - before in {1, 2}
    assert watching.statistics.skipped["late"] == 0
    assert [record.getMessage() for record in lines.records if record.levelno == logging.WARNING] == [
        "the clock was set; rounds wait for their next tick"
    ]


async def test_every_address_of_a_name_is_an_endpoint_of_its_own(
    watching: Watching, autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    """A name is resolved in each round; what vanishes from DNS vanishes from the store."""
    watching.names.answers = {"ingress.example.com": ["203.0.113.1", "203.0.113.2"]}
    await watching.start(nursery, target("a", "ingress.example.com"))
    await trio.sleep(INTERVAL)
    assert watching.addresses() == ["203.0.113.1:443", "203.0.113.2:443"]
    watching.names.answers = {"ingress.example.com": ["203.0.113.2", "203.0.113.3"]}
    await trio.sleep(INTERVAL)
    assert watching.addresses() == ["203.0.113.2:443", "203.0.113.3:443"]
    assert watching.rounds.at(Endpoint("203.0.113.3", 443)) is not None
    assert watching.rounds.at(Endpoint("203.0.113.1", 443)) is None


async def test_a_name_without_address_is_unreachable_until_it_has_one(
    watching: Watching, autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    """The state is the name's own; it makes room for those of the addresses, and they for it."""
    await watching.start(nursery, target("a", "ingress.example.com"))
    await trio.sleep(INTERVAL)
    (state,) = watching.store
    assert (state.key.address, state.endpoint) == ("ingress.example.com:443", None)
    assert state.judgement.verdict is Verdict.UNREACHABLE
    assert state.differential.handshakes[0].observation.errno == "EAI_NONAME"
    watching.names.answers = {"ingress.example.com": ["203.0.113.1"]}
    await trio.sleep(INTERVAL)
    assert watching.addresses() == ["203.0.113.1:443"]
    watching.names.answers = {}
    await trio.sleep(INTERVAL)
    assert watching.addresses() == ["ingress.example.com:443"]


async def test_a_resolver_that_hangs_ends_at_the_deadline(
    watching: Watching, autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    """Resolution counts against the timeout; late is `resolve_failed`, and the next round is not skipped."""
    watching.names.delay = 1000.0
    await watching.start(nursery, target("a", "ingress.example.com"))
    await trio.sleep(2 * INTERVAL + INTERVAL / 2 + SLOT)
    (state,) = watching.store
    first = state.differential.handshakes[0].observation
    assert (first.outcome, first.errno) == (Outcome.RESOLVE_FAILED, "ETIMEDOUT")
    assert watching.statistics.skipped == {"in_flight": 0, "late": 0}


async def test_resolution_is_not_counted_as_lateness(
    watching: Watching, autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    """A slow DNS server is not a slow prober: lateness is from the tick to the start of the round."""
    watching.names.answers = {"ingress.example.com": ["203.0.113.1"]}
    await watching.start(nursery, target("a", "ingress.example.com"))
    await trio.sleep(INTERVAL)
    assert watching.statistics.lateness.count == 3
    assert watching.statistics.lateness.sum <= 0.5 + 1e-6


async def test_an_ip_that_a_name_resolves_to_as_well_is_probed_once(
    watching: Watching, autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    """One series has one writer: the literal's, whichever came first."""
    watching.names.answers = {"ingress.example.com": ["203.0.113.1", "203.0.113.2"]}
    await watching.start(nursery, target("a", "ingress.example.com"))
    await trio.sleep(INTERVAL)
    watching.watch(target("a", "ingress.example.com", "203.0.113.1"))
    assert sorted(watching.addresses()) == ["203.0.113.1:443", "203.0.113.2:443"]
    watching.runner.started.clear()
    await trio.sleep(2 * INTERVAL)
    assert sorted(endpoint.ip for _, _, endpoint in watching.runner.started) == ["203.0.113.1"] * 2 + ["203.0.113.2"] * 2
    watching.watch(target("a", "ingress.example.com"))
    await trio.sleep(INTERVAL)
    assert sorted(watching.addresses()) == ["203.0.113.1:443", "203.0.113.2:443"]


async def test_a_target_without_names_asks_for_its_address(
    watching: Watching, autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    """A name is its own known name, without the trailing dot; an IP address has none."""
    watching.names.answers = {"ingress.example.com.": ["203.0.113.1"]}
    await watching.start(nursery, target("a", "ingress.example.com.", "203.0.113.2", names=()))
    await trio.sleep(INTERVAL)
    asked = {endpoint.ip: one.server_names for _, one, endpoint in watching.runner.started}
    assert asked == {"203.0.113.1": ("ingress.example.com",), "203.0.113.2": ()}
    states = {state.key.address: state for state in watching.store}
    assert states["203.0.113.1:443"].target.server_names == ()
    assert states["203.0.113.2:443"].judgement.verdict is Verdict.INCONCLUSIVE


async def test_a_reload_keeps_what_is_unchanged(watching: Watching, autojump_clock: MockClock, nursery: trio.Nursery) -> None:
    """State, counters, phase and the round under way of an unchanged target survive; a removed one vanishes."""
    await watching.start(nursery, target("kept"), target("removed"))
    await trio.sleep(INTERVAL)
    before = watching.store.state(StateKey("kept", "203.0.113.10:443"))
    watching.watch(target("added"), target("kept"))
    assert watching.store.state(StateKey("kept", "203.0.113.10:443")) is before
    assert [state.key.target for state in watching.store] == ["kept"]
    await trio.sleep(INTERVAL)
    assert sorted(state.key.target for state in watching.store) == ["added", "kept"]
    moments = [moment for moment, one, _ in watching.runner.started if one.name == "kept"]
    assert moments[1] - moments[0] == pytest.approx(INTERVAL, abs=2 * SLOT)
    kept = watching.store.state(StateKey("kept", "203.0.113.10:443"))
    assert kept is not None
    assert set(kept.outcomes.values()) == {2}


async def test_a_round_under_way_survives_a_reload_that_does_not_concern_it(
    watching: Watching, autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    """No probe is lost or doubled: its result is recorded under the target's new labels."""
    watching.runner.answers = None
    await watching.start(nursery, target())
    await trio.sleep(INTERVAL)
    watching.watch(replace(target(), labels={"team": "edge"}))
    watching.runner.pending.pop()(lambda _: certificate())
    (state,) = watching.store
    assert state.target.labels == {"team": "edge"}
    assert not watching.runner.pending


@pytest.mark.parametrize(
    "after", [(), (replace(target(), server_names=("other.example.com",)),), (replace(target(), module=Module(name="x")),)]
)
async def test_an_answer_to_what_is_asked_no_more_is_dropped(
    after: tuple[Target, ...], watching: Watching, autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    """A removed target must not come back, and old names must not be judged as new ones."""
    watching.runner.answers = None
    await watching.start(nursery, target())
    await trio.sleep(INTERVAL)
    watching.watch(*after)
    watching.runner.pending.pop()(lambda _: certificate())
    assert len(watching.store) == 0
    watching.runner.answers = lambda _: certificate()
    await trio.sleep(INTERVAL)
    assert len(watching.store) == len(after)


async def test_labels_and_policy_of_a_reload_show_at_once(
    watching: Watching, autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    """Readers need not wait for the next round to see the target as it is configured now."""
    await watching.start(nursery, target())
    await trio.sleep(INTERVAL)
    watching.watch(replace(target(), labels={"team": "edge"}))
    (state,) = watching.store
    assert state.target.labels == {"team": "edge"}


async def test_the_first_round_is_done_when_every_address_was_judged(
    watching: Watching, autojump_clock: MockClock, nursery: trio.Nursery, lines: pytest.LogCaptureFixture
) -> None:
    """Names and literals, answered or not; said once in the log."""
    watching.names.answers = {"ingress.example.com": ["203.0.113.1", "203.0.113.2"]}
    watching.runner.answers = None
    await watching.start(nursery, target("a", "ingress.example.com", "203.0.113.3", "nowhere.example.com"))
    await trio.sleep(INTERVAL)
    assert len(watching.runner.pending) == 3
    for finish in watching.runner.pending:
        assert not watching.rounds.first_round_done
        finish(lambda _: certificate())
    assert watching.rounds.first_round_done
    watching.runner.answers = lambda _: certificate()
    await trio.sleep(2 * INTERVAL)
    assert [record.getMessage() for record in lines.records] == ["ready: first round done"]


async def test_a_target_that_a_reload_removes_does_not_hold_up_the_first_round(
    watching: Watching, autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    """The first round is that of the targets that are still there."""
    watching.runner.answers = None
    await watching.start(nursery, target("stuck"), target("a", "203.0.113.11"))
    await trio.sleep(INTERVAL)
    for finish in watching.runner.pending:
        finish(lambda _: certificate())
    watching.runner.pending.clear()
    assert watching.rounds.first_round_done
    other = Watching(watching.mock)
    other.runner.answers = None
    other.watch(target("stuck"))
    assert not other.rounds.first_round_done
    other.watch()
    assert other.rounds.first_round_done


async def test_without_targets_there_is_nothing_to_wait_for(
    watching: Watching, autojump_clock: MockClock, nursery: trio.Nursery, lines: pytest.LogCaptureFixture
) -> None:
    """Ready, and the log says that nothing is watched; targets of a later reload are probed."""
    await watching.start(nursery)
    assert watching.rounds.first_round_done
    assert [record.getMessage() for record in lines.records] == ["ready, but there is no target to watch"]
    await trio.sleep(5 * INTERVAL)
    watching.watch(target())
    await trio.sleep(INTERVAL)
    assert len(watching.store) == 1


async def test_a_bug_of_ours_costs_one_round_and_not_the_service(
    watching: Watching, autojump_clock: MockClock, nursery: trio.Nursery, lines: pytest.LogCaptureFixture
) -> None:
    """It is logged with its traceback, counted, and the address is probed again at its next tick."""

    def broken(_: Sni) -> Observation:
        raise ZeroDivisionError

    watching.runner.answers = broken
    await watching.start(nursery, target())
    await trio.sleep(INTERVAL)
    assert watching.rounds.first_round_done
    assert watching.statistics.local_errors == {"bug": 1}
    assert lines.records[0].exc_info is not None
    watching.runner.answers = lambda _: certificate()
    await trio.sleep(INTERVAL)
    assert len(watching.store) == 1
    assert watching.statistics.skipped == {"in_flight": 0, "late": 0}


async def test_after_stop_nothing_is_recorded(watching: Watching, autojump_clock: MockClock, nursery: trio.Nursery) -> None:
    """Handshakes that end because the service ends are no news about the ingress."""
    watching.runner.answers = None
    await watching.start(nursery, target())
    await trio.sleep(INTERVAL)
    watching.rounds.stop()
    watching.runner.pending.pop()(lambda _: certificate())
    assert len(watching.store) == 0
    assert not watching.changes


async def test_transcripts_are_taken_while_a_fault_is_news(autojump_clock: MockClock, nursery: trio.Nursery) -> None:
    """From the second failing round until its alert has fired; a fault that goes on is probed as cheaply as health."""
    watching = Watching(autojump_clock)
    attentive = ScriptedRunner(watching.clock)
    watching.rounds = Rounds(
        watching.runner, watching.store, watching.statistics, watching.changes.append, watching.clock, attentive=attentive
    )
    for runner in (watching.runner, attentive):
        runner.answers = lambda sni: certificate() if sni is Sni.KNOWN else reset()
    await watching.start(nursery, target())
    await trio.sleep(10 * INTERVAL)
    assert len(attentive.started) == 2
    assert len(watching.runner.started) == 8
    assert min(moment for moment, _, _ in attentive.started) - watching.runner.started[0][0] <= INTERVAL + SLOT


async def test_an_engine_that_is_behind_gets_no_more_to_do(
    watching: Watching, autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    """Rounds wait, and those that wait for too long are skipped and counted: an overloaded prober calls no ingress dead."""
    await watching.start(nursery, target())
    await trio.sleep(INTERVAL)
    assert len(watching.runner.started) == 1
    engine = watching.runner.engine
    assert isinstance(engine, ScriptedEngine)
    engine.behind = True
    for _ in range(30):  # nobody sleeps while rounds wait for the engine, so the clock does not move by itself
        autojump_clock.jump(INTERVAL / 10)
        for _ in range(5):
            await trio.lowlevel.checkpoint()
    assert len(watching.runner.started) == 1
    engine.behind = False
    await trio.sleep(SLOT)
    assert len(watching.runner.started) == 2
    assert watching.statistics.skipped == {"in_flight": 0, "late": 2}


async def test_five_hundred_targets_at_the_shortest_interval_are_all_probed(
    watching: Watching, autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    """Batches leave nobody out: each address is started once an interval, whatever its phase."""
    targets = [target(f"t{number}", f"10.0.{number // 250}.{number % 250}", interval=SHORTEST_INTERVAL) for number in range(500)]
    watching.runner.answers = None
    await watching.start(nursery, *targets)
    await trio.sleep(SHORTEST_INTERVAL + 2 * SLOT)
    assert len({one.name for _, one, _ in watching.runner.started}) == 500
