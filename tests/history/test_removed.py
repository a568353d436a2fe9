"""The state file is removed while the service runs: nothing of it is lost, and somebody is told."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from prober.history.database import FILE_NAME, StateError, Trouble
from prober.history.history import History
from prober.history.records import Batch
from tests.history.test_history import change, committed, entry


async def test_what_a_removed_file_held_is_in_a_new_one(tmp_path: Path) -> None:
    """Also what was written before, and also when the directory went with it; the next prober is still kept out."""
    directory = tmp_path / "state"
    for removed in (directory / FILE_NAME, directory):
        history = History.open(directory)
        troubles: list[Trouble] = []
        history.on_trouble = troubles.append
        async with history.running():
            before = len(await history.changes())
            await committed(history, change(0), Batch(outbox=(entry(7),)))
            remove(removed)
            await committed(history, change(1))
            await committed(history, change(2))
            with pytest.raises(StateError, match="in use by another prober"):
                History.open(directory)
            assert [trouble.reason for trouble in troubles] == ["removed"]
            assert len(await history.changes()) == before + 3
            # As after a kill: what is in the files, while they are still in use.
            shutil.copytree(directory, tmp_path / "copy")
        history.close()
        for place in (directory, tmp_path / "copy"):
            again = History.open(place)
            assert again.troubles == ()
            assert again.loaded.outbox == (entry(7),)
            async with again.running():
                assert len(await again.changes()) == before + 3
            again.close()
        shutil.rmtree(tmp_path / "copy")


async def test_another_file_in_its_place_is_left_alone(tmp_path: Path) -> None:
    """It may be a backup that somebody has just put there. What is written meanwhile can be asked for, and it is said once that it ends."""
    history = History.open(tmp_path)
    troubles: list[Trouble] = []
    history.on_trouble = troubles.append
    async with history.running():
        await committed(history, change(0))
        (tmp_path / FILE_NAME).unlink()
        (tmp_path / FILE_NAME).write_bytes(b"theirs")
        await committed(history, change(1))
        await committed(history, change(2))
        assert len(await history.changes()) == 3
    history.close()
    assert [trouble.reason for trouble in troubles] == ["removed"]
    assert "another file in its place" in troubles[0].message
    assert (tmp_path / FILE_NAME).read_bytes() == b"theirs"


def remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
        return
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink()
