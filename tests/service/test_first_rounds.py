"""First rounds: soon known, and no burden to anybody."""

from __future__ import annotations

from collections import Counter

import trio
from trio.testing import MockClock

from prober.schedule import SLOT, phase
from prober.service.first_rounds import EARLY, PACE
from prober.service.plan import watched
from tests.outlets.fleet import NOW, trust
from tests.service.watching import INTERVAL, Watching, target


async def test_first_rounds_do_not_wait_for_their_phase_and_the_others_keep_it(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    """A thousand targets are known after a fraction of a second, and none is missed or doubled.

    Their next rounds are at their phases, half an interval later at least.
    """
    watching = Watching(autojump_clock, prompt=True)
    targets = [target(f"t{number}", f"10.0.{number // 250}.{number % 250}") for number in range(1000)]
    await watching.start(nursery, *targets)
    await trio.sleep(0.3)
    assert len({one.name for _, one, _ in watching.runner.started}) == 1000
    assert watching.rounds.first_round_done
    await trio.sleep(3 * INTERVAL)
    moments: dict[str, list[float]] = {}
    for moment, one, _ in watching.runner.started:
        moments.setdefault(one.name, []).append(moment)
    for name, (first, second, *more) in moments.items():
        assert first - NOW < 0.3
        assert 0.75 * INTERVAL <= second - first <= 1.75 * INTERVAL + SLOT
        assert all(
            0 <= (at - phase((name, f"{address(name)}:443"), INTERVAL)) % INTERVAL <= SLOT + 1e-6 for at in (second, *more)
        )
        assert len(more) in {1, 2}
    assert watching.statistics.skipped == {"in_flight": 0, "late": 0}


async def test_a_first_round_is_not_hurried_in_the_very_step_in_which_it_is_due(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    """It would be started twice, and the second time be counted as skipped."""
    watching = Watching(autojump_clock, prompt=True)
    names = [f"t{number}" for number in range(100_000)]
    until_due = {name: (phase((name, "203.0.113.10:443"), INTERVAL) - NOW) % INTERVAL for name in names}
    due_in_the_first_slot = [name for name, seconds in until_due.items() if 0 < seconds < SLOT][:5]
    steps = round(SLOT / PACE)
    later = [name for name in names[: steps * EARLY + 30] if name not in due_in_the_first_slot]
    addresses = {name: f"10.0.{number // 250}.{number % 250}" for number, name in enumerate(later)}
    await watching.start(
        nursery, *(target(name) for name in due_in_the_first_slot), *(target(name, addresses[name]) for name in later)
    )
    await trio.sleep(4 * SLOT)
    assert Counter(one.name for _, one, _ in watching.runner.started) == Counter(due_in_the_first_slot + later)


def address(name: str) -> str:
    """Of the thousand targets above."""
    number = int(name.removeprefix("t"))
    return f"10.0.{number // 250}.{number % 250}"


async def test_an_ingress_with_a_thousand_names_does_not_feel_a_start(autojump_clock: MockClock, nursery: trio.Nursery) -> None:
    """Twenty at once at one address; the others at their phases."""
    watching = Watching(autojump_clock, prompt=True)
    await watching.start(nursery, *(target(f"t{number}", "203.0.113.10") for number in range(1000)))
    await trio.sleep(0.3)
    assert 20 <= len(watching.runner.started) <= 20 + 1000 * 0.3 / INTERVAL * 2
    await trio.sleep(INTERVAL)
    assert len({one.name for _, one, _ in watching.runner.started}) == 1000


async def test_a_target_that_a_reload_adds_is_probed_at_once_and_no_other_one_is(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    """What was probed before, here or by another process, waits for its tick."""
    watching = Watching(autojump_clock, prompt=True)
    await watching.start(nursery, target("old"))
    await trio.sleep(3 * INTERVAL)
    watching.runner.started.clear()
    everything = watched((target("old"), target("new"), target("known")))
    watching.rounds.replace(everything, {None: trust()}, known={("known", "203.0.113.10:443")})
    await trio.sleep(2 * SLOT)
    assert [one.name for _, one, _ in watching.runner.started] == ["new"]
