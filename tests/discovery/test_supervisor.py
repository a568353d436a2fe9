"""Sources under supervision: each fails alone, and nothing that was found is lost."""

from __future__ import annotations

import logging
import re
import threading

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from prober.discovery.feed import Feed, Watcher
from prober.discovery.supervisor import Supervisor
from prober.sources import ADDRESS, Action, HttpSource, LabelSets, RelabelRule, Source, SourceError, TargetFiles

FOUND: LabelSets = ({ADDRESS: "203.0.113.1:443"}, {ADDRESS: "203.0.113.2:443"})


class Scripted:
    """Each run takes the next step: what is found, or the exception."""

    def __init__(self, *steps: LabelSets | Exception) -> None:
        self.steps = list(steps)
        self.runs = 0

    async def run(self, feed: Feed) -> None:
        """One step, then sleep."""
        self.runs += 1
        step = self.steps.pop(0) if len(self.steps) > 1 else self.steps[0]
        if isinstance(step, Exception):
            raise step
        feed.publish(step)
        await trio.sleep(100)
        raise SourceError("over")


def source(name: str, *rules: RelabelRule) -> Source:
    return Source(name=name, how=TargetFiles(patterns=(name,)), relabelling=rules)


def supervised(**watchers: Watcher) -> tuple[Supervisor, dict[str, float]]:
    success: dict[str, float] = {}
    supervisor = Supervisor(lambda source: watchers[source.name], lambda: None, success)
    supervisor.configure([source(name) for name in watchers])
    return supervisor, success


async def test_a_source_that_fails_costs_no_other(autojump_clock: MockClock, nursery: trio.Nursery) -> None:
    """Neither one that says why, nor one with a bug: both are run again, later and later."""
    bad, bug = Scripted(SourceError("no")), Scripted(ZeroDivisionError())
    supervisor, success = supervised(good=Scripted(FOUND), bad=bad, bug=bug)
    assert supervisor.unanswered == ("good", "bad", "bug")
    nursery.start_soon(supervisor.run)
    await trio.sleep(60)
    assert supervisor.found == {"good": FOUND, "bad": (), "bug": ()}
    assert success.keys() == {"good"}
    assert supervisor.problems == {"good": 0, "bad": 1, "bug": 1}
    assert supervisor.unanswered == ()
    # After 2, 4, 8, 16 and 32 seconds.
    assert bad.runs == bug.runs == 5


async def test_a_url_that_fails_is_asked_no_less_often_than_one_that_answers(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    """Whoever has it asked every three seconds hears of its return within three."""
    bad = Scripted(SourceError("no"))
    supervisor = Supervisor(lambda _: bad, lambda: None, {})
    supervisor.configure([Source(name="bad", how=HttpSource(url="http://127.0.0.1:1", refresh=3.0))])
    nursery.start_soon(supervisor.run)
    await trio.sleep(60)
    # After 2, 5, 8, ... seconds.
    assert bad.runs == 21


async def test_what_was_found_stays_while_a_source_fails(autojump_clock: MockClock, nursery: trio.Nursery) -> None:
    """Until it finds something else."""
    supervisor, _ = supervised(one=Scripted(FOUND, SourceError("no"), SourceError("no"), FOUND[:1]))
    nursery.start_soon(supervisor.run)
    await trio.sleep(102)
    assert supervisor.found == {"one": FOUND}
    assert supervisor.problems == {"one": 1}
    await trio.sleep(50)
    assert supervisor.found == {"one": FOUND[:1]}


async def test_a_problem_is_logged_once(
    autojump_clock: MockClock, nursery: trio.Nursery, caplog: pytest.LogCaptureFixture
) -> None:
    """Not at each of its attempts."""
    caplog.set_level(logging.INFO, logger="prober.discovery")
    supervisor, _ = supervised(one=Scripted(SourceError("no")))
    nursery.start_soon(supervisor.run)
    await trio.sleep(600)
    assert len(caplog.records) == 1


async def test_a_reload_keeps_what_is_unchanged(autojump_clock: MockClock, nursery: trio.Nursery) -> None:
    """An unchanged source is not run again; a changed one keeps its targets until it answers; a removed one is gone."""
    watchers = {"kept": Scripted(FOUND), "changed": Scripted(FOUND, SourceError("no")), "gone": Scripted(FOUND)}
    supervisor, success = supervised(**watchers)
    nursery.start_soon(supervisor.run)
    await trio.sleep(1)
    changed = Source(name="changed", how=TargetFiles(patterns=("elsewhere",)))
    supervisor.configure([source("kept"), changed])
    await trio.sleep(1)
    assert supervisor.found == {"kept": FOUND, "changed": FOUND}
    assert success.keys() == {"kept", "changed"}
    assert (watchers["kept"].runs, watchers["changed"].runs) == (1, 2)


async def test_what_a_removed_source_had_begun_to_read_is_nobodys(nursery: trio.Nursery) -> None:
    """A thread that reads is not interrupted by a reload: what it comes to neither counts as a success nor changes anything."""
    reading, read_on, told = trio.Event(), threading.Event(), []

    class Slow:
        async def run(self, feed: Feed) -> None:
            await trio.to_thread.run_sync(self.read)
            feed.publish(FOUND)
            await trio.sleep_forever()

        @staticmethod
        def read() -> None:
            trio.from_thread.run_sync(reading.set)
            read_on.wait(30)

    success: dict[str, float] = {}
    supervisor = Supervisor(lambda _: Slow(), lambda: told.append(1), success)
    supervisor.configure([source("one")])
    nursery.start_soon(supervisor.run)
    await reading.wait()
    supervisor.configure([])
    read_on.set()
    await trio.testing.wait_all_tasks_blocked(0.05)
    assert (success, told) == ({}, [])


async def test_other_rules_are_applied_to_what_was_said(autojump_clock: MockClock, nursery: trio.Nursery) -> None:
    """At once, and without asking again: what the source would not say a second time stays."""
    watcher = Scripted(FOUND, SourceError("no"))
    supervisor, _ = supervised(one=watcher)
    nursery.start_soon(supervisor.run)
    await trio.sleep(1)
    supervisor.configure([source("one", RelabelRule(action=Action.DROP, source_labels=(ADDRESS,), regex=re.compile(".*1:443")))])
    assert supervisor.found == {"one": FOUND[1:]}
    supervisor.configure([source("one")])
    assert supervisor.found == {"one": FOUND}
    assert watcher.runs == 1


async def test_what_is_found_is_relabelled(autojump_clock: MockClock, nursery: trio.Nursery) -> None:
    """Before anybody sees it."""
    supervisor, _ = supervised(one=Scripted(FOUND))
    rule = RelabelRule(target_label="team", replacement="blue")
    supervisor.configure([source("one", rule)])
    nursery.start_soon(supervisor.run)
    await trio.sleep(1)
    assert supervisor.found == {"one": tuple({**labels, "team": "blue"} for labels in FOUND)}
