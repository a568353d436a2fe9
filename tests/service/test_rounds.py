"""Rounds: what is probed when, and what becomes of the answers. No network: the runner is scripted."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
import trio
from trio.testing import MockClock

from prober.config.targets import SHORTEST_INTERVAL
from prober.model import Observation, Outcome, Sni, Verdict
from prober.schedule import SLOT, phase
from prober.service.rounds import Rounds
from prober.snapshot import StateKey
from tests.outlets.fleet import NOW, certificate, issued, reset
from tests.service.watching import INTERVAL, ScriptedRunner, Watching, target

# pytest-trio runs a test by the clock that is among the test's own arguments; a fixture's argument would not do.


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


async def test_five_hundred_targets_at_the_shortest_interval_are_all_probed(
    watching: Watching, autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    """Batches leave nobody out: each address is started once an interval, whatever its phase."""
    targets = [target(f"t{number}", f"10.0.{number // 250}.{number % 250}", interval=SHORTEST_INTERVAL) for number in range(500)]
    watching.runner.answers = None
    await watching.start(nursery, *targets)
    await trio.sleep(SHORTEST_INTERVAL + 2 * SLOT)
    assert len({one.name for _, one, _ in watching.runner.started}) == 500
