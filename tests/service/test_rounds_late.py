"""Rounds that are late, or would be: they are skipped and counted, never queued."""

from __future__ import annotations

import logging

import pytest
import trio
from trio.testing import MockClock

from prober.schedule import SLOT
from tests.outlets.fleet import certificate
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
    for _ in range(30):  # nobody sleeps while rounds wait for the engine, so the clock does not move by itself
        autojump_clock.jump(INTERVAL / 10)
        for _ in range(5):
            await trio.lowlevel.checkpoint()
    assert len(watching.runner.started) == 1
    engine.behind = False
    await trio.sleep(SLOT)
    assert len(watching.runner.started) == 2
    assert watching.statistics.skipped == {"in_flight": 0, "late": 2}
