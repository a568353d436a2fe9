"""The schedule: stable phases, open loop, nothing queued."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prober.schedule import SLOT, Due, Key, Schedule, phase, slot

NOW = 1_700_000_000.0
KEY: Key = ("apigee-prod", "203.0.113.10:443")

keys = st.tuples(st.text(max_size=20), st.text(max_size=20))
intervals = st.floats(min_value=0.25, max_value=3600)
times = st.floats(min_value=0, max_value=4e9)


def scheduled(*entries: Key, interval: float = 15.0, now: float = NOW) -> Schedule:
    schedule = Schedule()
    schedule.replace(dict.fromkeys(entries, interval), now)
    return schedule


def names(count: int) -> list[Key]:
    return [(f"target-{number}", "203.0.113.10:443") for number in range(count)]


def test_a_phase_is_the_same_in_every_process_and_on_every_machine() -> None:
    """The number is pinned: to change it would move every probe of every user at an upgrade."""
    assert phase(KEY, 15.0) == pytest.approx(3.760581206029656, abs=1e-9)


def test_the_words_of_a_key_are_not_run_together() -> None:
    """Keys whose words concatenate to the same text are different keys."""
    assert phase(("ab", "c"), 15.0) != phase(("a", "bc"), 15.0)


@given(keys, intervals, times)
def test_an_entry_is_due_once_within_an_interval_and_at_its_phase(key: Key, interval: float, now: float) -> None:
    """From any moment, the first tick is in the future, at most an interval away, and in the first slot after the phase."""
    schedule = scheduled(key, interval=interval, now=now)
    at = schedule.next_wakeup()
    assert at is not None
    tolerance = 1e-6 * max(1.0, interval)
    assert now <= at + tolerance
    assert at <= now + interval + tolerance
    after = (at - phase(key, interval) + tolerance) % interval
    assert after <= slot(interval, 1 / interval) + 2 * tolerance


@given(keys, intervals, times, st.lists(st.floats(min_value=0, max_value=40_000), max_size=20))
def test_ticks_are_run_or_counted_as_missed_and_never_both(key: Key, interval: float, now: float, waits: list[float]) -> None:
    """However late and irregularly somebody comes, every tick up to then was handed out once or counted once."""
    schedule = scheduled(key, interval=interval, now=now)
    first = schedule.next_wakeup()
    assert first is not None
    handed = 0
    last = first - interval
    for wait in waits:
        now += wait
        for due in schedule.due(now):
            assert due.at <= now
            assert due.at > last
            handed += 1 + due.missed
            last = due.at
        assert schedule.due(now) == []
    wakeup = schedule.next_wakeup()
    assert wakeup is not None
    assert wakeup > now
    assert round((wakeup - first) / interval) == handed


def test_entries_are_due_together() -> None:
    """A thousand entries have a tick in each slot at most, however many they are; a slot is a hundredth of a short interval."""
    schedule = scheduled(*names(1000), interval=2.0)
    assert slot(2.0, rate=500.0) == pytest.approx(0.02)
    moments = {due.at for due in schedule.due(NOW + 2.0)}
    assert 90 <= len(moments) <= 101
    assert all(moment / 0.02 == pytest.approx(round(moment / 0.02), abs=1e-3) for moment in moments)


@pytest.mark.parametrize(
    ("rate", "width"), [(1.0, SLOT), (222.0, SLOT), (400.0, SLOT / 2), (667.0, SLOT / 2), (1000.0, SLOT / 4), (1e6, SLOT / 4)]
)
def test_the_more_is_due_the_narrower_are_the_slots(rate: float, width: float) -> None:
    """So that what is due together does not make itself late."""
    assert slot(15.0, rate) == width


def test_what_is_added_to_a_busier_schedule_is_due_at_other_moments_and_moves_nobody() -> None:
    """Two hundred rounds a second have slots of a tenth of a second, a thousand narrower ones."""
    schedule = scheduled(*names(3000))
    before = {name: schedule.next_tick(name) for name in names(3000)}
    schedule.replace(dict.fromkeys(names(15_000), 15.0), NOW)
    assert {name: schedule.next_tick(name) for name in names(3000)} == before
    added = {round(schedule.next_tick(name) * 1000) % 100 for name in names(15_000)[3000:]}
    assert added == {0, 25, 50, 75}


def test_nothing_is_due_before_its_tick() -> None:
    """Just before the tick there is nothing to run, at the tick there is."""
    schedule = scheduled(KEY)
    at = schedule.next_wakeup()
    assert at is not None
    assert schedule.due(at - 0.001) == []
    assert schedule.due(at) == [Due(KEY, at, 0)]
    assert schedule.next_wakeup() == pytest.approx(at + 15.0)


def test_a_late_comer_runs_the_last_tick_and_counts_those_before() -> None:
    """After three and a half intervals one round is run, late by half an interval, and three are missed."""
    schedule = scheduled(KEY)
    at = schedule.next_wakeup()
    assert at is not None
    (due,) = schedule.due(at + 3.5 * 15.0)
    assert due.missed == 3
    assert due.at == pytest.approx(at + 3 * 15.0)
    assert schedule.next_wakeup() == pytest.approx(at + 4 * 15.0)


def test_entries_come_in_the_order_of_their_ticks() -> None:
    """Who has waited longest goes first, so that lateness is shared fairly."""
    schedule = scheduled(*names(100))
    due = schedule.due(NOW + 15.0)
    assert len(due) == 100
    assert [one.at for one in due] == sorted(one.at for one in due)


def test_a_limit_leaves_the_rest_due() -> None:
    """With a limit the earliest are handed out, and nothing of the rest is lost."""
    schedule = scheduled(*names(10))
    first, rest = schedule.due(NOW + 15.0, limit=4), schedule.due(NOW + 15.0)
    assert [len(first), len(rest)] == [4, 6]
    assert first[-1].at <= rest[0].at


def test_phases_spread_over_the_interval() -> None:
    """Of two thousand entries each tenth of the interval gets its share: no bunching."""
    tenths = [0] * 10
    for key in names(2000):
        tenths[int(phase(key, 10.0))] += 1
    assert min(tenths) > 150
    assert max(tenths) < 250


def test_a_restart_moves_no_tick() -> None:
    """A process that starts later has its ticks at the same moments as the one before."""
    before = scheduled(KEY, now=NOW)
    after = scheduled(KEY, now=NOW + 7.3 * 15.0)
    first, second = before.next_wakeup(), after.next_wakeup()
    assert first is not None
    assert second is not None
    assert (second - first) / 15.0 == pytest.approx(round((second - first) / 15.0), abs=1e-6)


def test_a_reload_keeps_ticks_adds_and_removes() -> None:
    """An unchanged entry keeps its tick, even one that is due already; a removed one is never due again; a new one is due within an interval."""
    kept, removed, added = names(3)
    schedule = scheduled(kept, removed)
    overdue = NOW + 15.0
    schedule.replace({kept: 15.0, added: 15.0}, overdue)
    assert [due.key for due in schedule.due(overdue)] == [kept]
    assert {due.key for due in schedule.due(overdue + 15.0)} == {kept, added}
    assert removed not in schedule
    assert len(schedule) == 2


def test_a_changed_interval_has_a_phase_of_its_own() -> None:
    """After a reload with another interval the entry is due within that interval."""
    schedule = scheduled(KEY, interval=3600.0)
    schedule.replace({KEY: 5.0}, NOW)
    wakeup = schedule.next_wakeup()
    assert wakeup is not None
    assert NOW < wakeup <= NOW + 5.0


def test_a_clock_that_was_set_back_stops_nothing() -> None:
    """After the clock was set back by a day, entries are due within an interval of the new time and count nothing as missed."""
    schedule = scheduled(*names(5))
    yesterday = NOW - 86_400.0
    schedule.restart(yesterday)
    due = schedule.due(yesterday + 15.0)
    assert len(due) == 5
    assert {one.missed for one in due} == {0}


def test_an_empty_schedule_has_no_wakeup() -> None:
    """Without entries there is nothing to wait for."""
    schedule = Schedule()
    assert schedule.next_wakeup() is None
    assert schedule.due(NOW) == []


def test_an_entry_may_be_run_ahead_once_and_then_keeps_its_phase() -> None:
    """The ticks within the rest are left out and not missed; those after it are where they always were."""
    key = ("edge", "203.0.113.10:443")
    schedule, untouched = Schedule(), Schedule()
    for each in (schedule, untouched):
        each.replace({key: 10.0, ("other",): 10.0}, 1000.0)
    tick = untouched.next_tick(key)
    assert schedule.advance(key, tick - 1.0, 5.0)
    assert [due.key for due in schedule.due(tick + 5.0) if due.key == key] == []
    assert schedule.next_tick(key) == tick + 10.0
    (again,) = (due for due in schedule.due(tick + 10.5) if due.key == key)
    assert (again.at, again.missed) == (tick + 10.0, 0)
    assert not schedule.advance(("gone",), 1000.0, 5.0)
