"""What of the rounds survives a reload."""

from __future__ import annotations

from dataclasses import replace

import pytest
import trio
from trio.testing import MockClock

from prober.model import Module, Target
from prober.schedule import SLOT
from prober.snapshot import StateKey
from tests.outlets.fleet import certificate
from tests.service.watching import INTERVAL, Watching, target

# pytest-trio runs a test by the clock that is among the test's own arguments; a fixture's argument would not do.


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
