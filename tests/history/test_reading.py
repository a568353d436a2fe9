"""What is asked of the history: words of other versions, and what was kept beside a verdict."""

from __future__ import annotations

from pathlib import Path
from time import time

import trio

from prober.changelog import VerdictChange
from prober.history.history import History
from prober.history.records import Batch
from prober.model import Verdict
from prober.snapshot import StateKey
from tests.outlets.fleet import FakeService, differential, reset, target

NOW = float(round(time()))
"""What is old is pruned, so times are of today."""


async def changed(history: History, number: int, *, expected: bool | None = None) -> None:
    """The nth change of a verdict; returns once it is written."""
    made = VerdictChange(
        "edge", "192.0.2.10", 443, None if not number else Verdict.OK, Verdict.NON_SNI_RESET, NOW + number, expected
    )
    done = trio.Event()
    history.commit(Batch(changes=((StateKey("edge", "192.0.2.10:443"), made),)), done.set)
    await done.wait()


async def test_words_that_a_newer_prober_wrote_hide_nothing_else(tmp_path: Path) -> None:
    """After a rollback at night, verdicts that this one does not know are left out; the API tells the others."""
    history = History.open(tmp_path)
    async with history.running():
        for number in range(3):
            await changed(history, number)
        await history.ask(lambda connection: connection.execute("UPDATE changes SET verdict = 'sulking' WHERE id = 3"))
        await history.ask(lambda connection: connection.execute("UPDATE changes SET previous = 'sulking' WHERE id = 2"))
        assert [one.at for one in await history.changes(limit=1)] == [NOW]
    history.close()


async def test_what_the_policy_asked_for_is_known_after_a_restart(tmp_path: Path) -> None:
    """And of what was kept before that was written, nothing is claimed."""
    history = History.open(tmp_path)
    async with history.running():
        for number, expected in enumerate((True, False, None)):
            await changed(history, number, expected=expected)
    history.close()
    history = History.open(tmp_path)
    async with history.running():
        assert [one.expected for one in await history.changes()] == [None, False, True]
    history.close()


async def test_a_damaged_failure_hides_no_other(tmp_path: Path) -> None:
    """A bit that fell over in a row is seen by no check of the file: the target's page and the API have the others."""
    of = target()
    history = History.open(tmp_path)
    async with history.running():
        service = FakeService()
        for number in range(3):
            service.see(of, differential(of, none=reset()), at=NOW + number)
            (state,) = service.store
            done = trio.Event()
            history.commit(Batch(failures=(state,)), done.set)
            await done.wait()
        assert len(await history.failures()) == 3
        flipped = "UPDATE failures SET result = CAST(substr(result, 1, 40) || x'ff' || substr(result, 42) AS BLOB) WHERE id = 2"
        await history.ask(lambda connection: connection.execute(flipped))
        await history.ask(lambda connection: connection.execute("UPDATE failures SET result = x'00' WHERE id = 1"))
        assert len(await history.failures()) == 1
    history.close()
