"""A corrupted state file that cannot be moved out of the way: memory takes its place until it is gone."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from prober.history import history as module
from prober.history.database import FILE_NAME, Trouble
from prober.history.history import History
from prober.history.records import Batch
from prober.model import Verdict
from tests.history.test_history import ALERT, KEY, NOW, change, committed, entry


def cannot_be_moved(path: Path, _: str) -> Path:
    raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))


async def test_what_cannot_be_set_aside_is_replaced_by_memory_until_it_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that loses pages is often read-only a moment later. Changes are shown all the same, and on disk as soon as they can be."""
    history = History.open(tmp_path)
    troubles: list[Trouble] = []
    history.on_trouble = troubles.append
    history.on_fresh = lambda: Batch(verdicts=((KEY, Verdict.OK, NOW),), standing=(ALERT,), outbox=(entry(9),))
    monkeypatch.setattr(module, "set_aside", cannot_be_moved)
    file = tmp_path / FILE_NAME
    async with history.running():
        await committed(history, *[change(number) for number in range(500)])
        await history.ask(lambda connection: connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall())
        with file.open("r+b") as stream:
            stream.seek(4096)
            stream.write(os.urandom(file.stat().st_size - 4096))
        await history.ask(lambda connection: connection.execute("PRAGMA shrink_memory").fetchall())
        for number in range(500, 1000):
            await committed(history, change(number))
            if troubles:
                break
        await committed(history, change(1001))
        assert [trouble.reason for trouble in troubles] == ["corrupt"]
        assert "could not be set aside" in troubles[0].message
        assert (await history.changes())[0].at == change(1001).changes[0][1].at
        file.unlink()
        await committed(history, change(1002))
        assert [trouble.reason for trouble in troubles] == ["corrupt", "removed"]
    history.close()
    again = History.open(tmp_path)
    assert (again.loaded.alerts, again.loaded.outbox) == ((ALERT,), (entry(9),))
    async with again.running():
        assert len(await again.changes()) >= 3
    again.close()
