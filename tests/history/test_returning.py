"""A disk that is full at the start: the service works in memory, and its file is as if there had always been room afterwards."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import trio

from prober.changelog import VerdictChange
from prober.history import database, reading
from prober.history import history as history_module
from prober.history.database import FILE_NAME, Trouble
from prober.history.history import History
from prober.history.records import Batch, Loaded
from prober.history.returning import first_sequence
from prober.judge.alerting import AlertChange, Phase
from prober.model import Verdict
from prober.notices import OutboxEntry
from tests.history.test_history import ALERT, KEY, NOW, committed, entry

OTHER = KEY._replace(target="other")


def verdict(number: int, previous: Verdict | None, now: Verdict, target: str = "edge") -> Batch:
    """A change at the nth second."""
    return Batch(changes=((KEY._replace(target=target), VerdictChange(target, "192.0.2.10", 443, previous, now, NOW + number)),))


async def begun(directory: Path) -> None:
    """What the process before left: two verdicts, an alert that fires, a notification that is not delivered."""
    history = History.open(directory)
    async with history.running():
        await committed(history, verdict(0, None, Verdict.OK))
        await committed(history, verdict(1, None, Verdict.OK, "other"))
        alerts = (AlertChange(7, NOW, Phase.PENDING, ALERT),)
        await committed(history, Batch(alerts=alerts, outbox=(entry(7),)))
    history.close()


async def until(holds: Callable[[], bool]) -> None:
    with trio.fail_after(20):
        while not holds():  # noqa: ASYNC110 -- what is waited for happens in a thread
            await trio.sleep(0.01)


async def in_memory_then_in_the_file(directory: Path, make_room: Callable[[], None]) -> tuple[list[Trouble], list[Loaded]]:
    """Open a full disk, work, make room, go on."""
    history = History.open(directory)
    assert [trouble.reason for trouble in history.troubles] == ["full"]
    assert not history.persistent
    assert history.loaded.sequence > first_sequence(NOW - 1000)
    number = history.loaded.sequence + 1
    told: list[Trouble] = []
    returned: list[Loaded] = []
    history.on_trouble, history.on_return = told.append, returned.append
    async with history.running():
        await committed(history, verdict(10, None, Verdict.OK))
        await committed(history, verdict(11, None, Verdict.NON_SNI_RESET, "other"))
        fired = ALERT._replace(key=ALERT.key._replace(target="other"))
        waits = OutboxEntry(number, "webhook:hooks", "other", "key", b"{}", NOW)
        await committed(history, Batch(alerts=(AlertChange(number, NOW + 11, Phase.PENDING, fired),), outbox=(waits,)))
        assert history.unsaved >= 3
        await trio.sleep(0.3)
        assert not history.persistent
        assert len(await history.changes()) == 2
        make_room()
        await until(lambda: bool(returned))
        assert history.persistent
        assert history.unsaved == 0
        await committed(history, verdict(20, Verdict.OK, Verdict.NON_SNI_RESET))
        assert len(await history.changes()) == (4 if returned[0].verdicts else 3)
    history.close()
    return told, returned


async def test_what_was_kept_in_memory_follows_what_the_file_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A verdict that is as it was is no change, alerts and notifications of both are there, and the process hears of the file's."""
    monkeypatch.setattr(history_module, "RETRY_SECONDS", 0.05)
    await begun(tmp_path)
    told, (loaded,) = await in_memory_then_in_the_file(*full_directory(tmp_path, monkeypatch))
    assert [trouble.reason for trouble in told] == ["restored"]
    assert loaded.alerts == (ALERT,)
    assert [one.sequence for one in loaded.outbox] == [7]

    history = History.open(tmp_path)
    connection = reading.open_for_reading(tmp_path)
    changes = [(one.target, one.previous, one.verdict, one.at - NOW) for one in reading.changes(connection, None, 100)[::-1]]
    notices = [(one.target, one.phase) for one in reading.notices(connection, None, 100)[::-1]]
    connection.close()
    history.close()
    assert changes == [
        ("edge", None, "ok", 0),
        ("other", None, "ok", 1),
        ("other", "ok", "non_sni_reset", 11),
        ("edge", "ok", "non_sni_reset", 20),
    ]
    assert notices == [("edge", "firing"), ("other", "firing")]
    assert {(one.key.target, one.since - NOW) for one in history.loaded.verdicts} == {("edge", 20), ("other", 11)}
    assert {alert.key.target for alert in history.loaded.alerts} == {"edge", "other"}
    assert [one.sequence for one in history.loaded.outbox] == sorted(one.sequence for one in history.loaded.outbox)
    assert len(history.loaded.outbox) == 2


def full_directory(directory: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Callable[[], None]]:
    """The directory while its disk has no room, and what makes some."""
    real, full = database._connect_checked, True

    def refuse(path: Path) -> tuple[sqlite3.Connection, int]:
        if full:
            error = sqlite3.OperationalError("database or disk is full")
            error.sqlite_errorcode = sqlite3.SQLITE_FULL
            raise error
        return real(path)

    def make_room() -> None:
        nonlocal full
        full = False

    monkeypatch.setattr(database, "_connect_checked", refuse)
    return directory, make_room


_SMALL_DISK = """
set -e
mount -t tmpfs -o size=256k tmpfs "$1"
head -c 1m /dev/zero > "$1/filler" 2>/dev/null || true
exec "$2" -c '
import sys, trio
from pathlib import Path
from tests.history.test_returning import in_memory_then_in_the_file
import prober.history.history as module
module.RETRY_SECONDS = 0.05
directory = Path(sys.argv[1])
told, returned = trio.run(in_memory_then_in_the_file, directory / "state", (directory / "filler").unlink)
assert [trouble.reason for trouble in told] == ["restored"], told
' "$1"
"""


def test_a_disk_that_is_really_full(tmp_path: Path) -> None:
    """A file system of 256 KiB in a mount namespace of its own, where not even the directory of the state can be made."""
    namespace = ["unshare", "--mount", "--map-root-user", "--user"]
    if subprocess.run([*namespace, "mount", "-t", "tmpfs", "tmpfs", str(tmp_path)], capture_output=True, check=False).returncode:
        pytest.skip("the kernel does not let this user mount a file system")
    command = [*namespace, "sh", "-c", _SMALL_DISK, "sh", str(tmp_path), sys.executable]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=50, check=False)
    assert ended.returncode == 0, ended.stderr
    assert not (tmp_path / FILE_NAME).exists()
