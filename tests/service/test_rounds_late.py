"""Rounds that are late, or would be: they are skipped and counted, never queued."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest
import trio
from trio.testing import MockClock

from prober.schedule import SLOT, phase
from prober.service.first_rounds import EARLY, PACE
from prober.service.late_rounds import STALL
from prober.service.rounds import BATCH, BATCHES
from tests.outlets.fleet import NOW, certificate
from tests.service.watching import INTERVAL, ScriptedEngine, Watching, target

# pytest-trio runs a test by the clock that is among the test's own arguments; a fixture's argument would not do.


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
    for _ in range(24):  # nobody sleeps while rounds wait for the engine, so the clock does not move by itself
        autojump_clock.jump(INTERVAL / 10)
        for _ in range(5):
            await trio.lowlevel.checkpoint()
    assert len(watching.runner.started) == 1
    engine.behind = False
    await trio.sleep(SLOT)
    assert len(watching.runner.started) == 2
    assert watching.statistics.skipped == {"in_flight": 0, "late": 2}


@pytest.mark.parametrize(("together", "at_once"), [(40, 40), (100, BATCH * BATCHES)])
async def test_what_is_due_together_does_not_wait_for_the_answers_of_the_first(
    together: int, at_once: int, watching: Watching, autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    """All of a slot begins while the engine is busy with its first rounds; of a very large slot, the rest waits for it."""
    first = SLOT * 0.5
    due = [
        name
        for name in (f"t{number}" for number in range(40_000))
        if 0 < (phase((name, "203.0.113.10:443"), INTERVAL) - NOW - first) % INTERVAL < SLOT * 0.4
    ][:together]
    assert len(due) == together
    engine = watching.runner.engine
    assert isinstance(engine, ScriptedEngine)

    begun = trio.Event()

    class Busy(list[Callable[..., None]]):
        """The first round makes the engine busy."""

        def append(self, finish: Callable[..., None]) -> None:
            engine.behind = True
            begun.set()
            super().append(finish)

    watching.runner.answers, watching.runner.pending = None, Busy()
    await watching.start(nursery, *map(target, due))
    await begun.wait()
    for _ in range(20):
        await trio.lowlevel.checkpoint()
    assert len(watching.runner.started) == at_once
    engine.behind = False
    await trio.sleep(SLOT)
    assert len(watching.runner.started) == together


async def stopped(watching: Watching, seconds: float) -> float:
    """Let nothing run for so long, as SIGSTOP does, and give the moment at which it goes on; what ran before is forgotten."""
    watching.runner.started.clear()
    watching.mock.jump(seconds)
    await trio.lowlevel.checkpoint()
    return watching.clock()


async def test_after_a_stall_rounds_at_one_address_are_spread_and_phases_stay(
    watching: Watching, autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    """An ingress with five hundred names gets a second's worth of rounds at once, and then twice its ordinary load at most."""
    names = [f"t{number}" for number in range(500)]
    await watching.start(nursery, *(target(name) for name in names))
    await trio.sleep(2 * INTERVAL)
    resumed = await stopped(watching, 6 * INTERVAL)
    await trio.sleep(3 * INTERVAL)
    moments = [moment - resumed for moment, _, _ in watching.runner.started]
    ordinary = len(names) / INTERVAL
    for second in range(round(INTERVAL)):
        begun = sum(second <= moment < second + 1 for moment in moments)
        assert begun <= ordinary * (2.2 if second == 0 else 1.2) + 1 / PACE
    for moment, one, _ in watching.runner.started:
        if moment - resumed > INTERVAL:
            assert 0 <= (moment - phase((one.name, "203.0.113.10:443"), INTERVAL)) % INTERVAL <= SLOT + 1e-6
    by_name = {name: [moment for moment, one, _ in watching.runner.started if one.name == name] for name in names}
    for late, regular in ((first, second) for first, second, *_ in by_name.values()):
        assert regular - late > INTERVAL / 2, "alerts would take them for two rounds"


async def test_after_a_stall_every_tick_was_run_or_is_counted_as_skipped(
    watching: Watching, autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    """None of them twice, and none not at all; lateness tells how late those are that were run."""
    await watching.start(nursery, *(target(f"t{number}", f"10.0.{number % 4}.1") for number in range(400)))
    await trio.sleep(INTERVAL + SLOT / 2)
    assert len(watching.runner.started) == 400
    await stopped(watching, 5.5 * INTERVAL)
    await trio.sleep(2.5 * INTERVAL)
    assert len(watching.runner.started) + watching.statistics.skipped["late"] == 8 * 400
    assert watching.statistics.skipped["in_flight"] == 0
    assert watching.statistics.lateness.sum >= 3 * STALL


async def test_after_a_stall_different_addresses_do_not_wait_for_one_another(
    watching: Watching, autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    """As many at a time as first rounds: what the prober can do, and no ingress feels."""
    await watching.start(nursery, *(target(f"t{number}", f"10.0.{number // 250}.{number % 250}") for number in range(500)))
    await trio.sleep(INTERVAL)
    resumed = await stopped(watching, 3 * INTERVAL)
    await trio.sleep(INTERVAL / 2)
    late = [moment - resumed for moment, _, _ in watching.runner.started]
    assert sum(moment < 0.2 for moment in late) > 100
    assert max(sum(start <= moment < start + PACE for moment in late) for start in late if start > SLOT) <= EARLY + 2 * BATCH


async def test_a_target_that_is_removed_while_its_late_round_waits_is_forgotten(
    watching: Watching, autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    """The others still have their turn."""
    names = [f"t{number}" for number in range(100)]
    await watching.start(nursery, *(target(name) for name in names))
    await trio.sleep(INTERVAL)
    await stopped(watching, 3 * INTERVAL)
    watching.watch(*(target(name) for name in names[::2]))
    await trio.sleep(2 * INTERVAL)
    assert {one.name for _, one, _ in watching.runner.started[BATCH:]} <= set(names[::2])
    assert {one.name for _, one, _ in watching.runner.started} >= set(names[::2])
