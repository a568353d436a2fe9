"""The state file: durable, bounded, migrated, and never a reason not to start."""

from __future__ import annotations

import os
import resource
import sqlite3
import subprocess
import sys
from pathlib import Path
from time import time

import pytest
import trio

from prober.changelog import VerdictChange
from prober.history import reading
from prober.history.database import FILE_NAME, StateError, Trouble
from prober.history.history import History
from prober.history.pruning import Bounds, prune
from prober.history.records import Batch
from prober.history.schema import STEPS, VERSION
from prober.judge.alert_rules import AlertName, Evidence
from prober.judge.alerting import Alert, AlertChange, AlertKey, Phase
from prober.model import Verdict
from prober.notices import OutboxEntry
from prober.snapshot import StateKey
from tests.outlets.fleet import FakeService, differential, reset, target

NOW = float(round(time()))
"""What is old is pruned, so times are of today."""

KEY = StateKey("edge", "192.0.2.10:443")
ALERT = Alert(
    AlertKey(AlertName.NON_SNI_FAILING, *KEY),
    {"team": "edge"},
    Phase.FIRING,
    NOW,
    NOW + 15,
    None,
    Evidence("non_sni_reset", "reset", "It resets."),
    (NOW,),
)


def change(number: int, verdict: Verdict = Verdict.NON_SNI_RESET, target: str = "edge") -> Batch:
    """The nth change of a verdict."""
    made = VerdictChange(target, "192.0.2.10", 443, None if not number else Verdict.OK, verdict, NOW + number)
    return Batch(changes=((StateKey(target, KEY.address), made),))


def entry(sequence: int) -> OutboxEntry:
    """What the webhook is to be told of this change."""
    return OutboxEntry(sequence, "webhook:hooks", "edge", f"key-{sequence}", b"{}", NOW)


def set_aside_in(directory: Path) -> Path:
    """The one database that was set aside."""
    (aside,) = directory.glob(f"{FILE_NAME}.corrupt-*Z")
    return aside


async def committed(history: History, *batches: Batch) -> None:
    """Return once all of it was written (or could not be)."""
    done = trio.Event()
    for batch in batches[:-1]:
        history.commit(batch)
    history.commit(batches[-1], done.set)
    await done.wait()


async def test_what_was_committed_is_there_after_a_restart(tmp_path: Path) -> None:
    """Changes, verdicts, alerts, the outbox and the sequence."""
    directory = tmp_path / "made" / "when missing"
    history = History.open(directory)
    instance = history.loaded.instance
    async with history.running():
        fired = AlertChange(7, NOW + 15, Phase.PENDING, ALERT)
        await committed(
            history, change(0), change(1), Batch(alerts=(fired,), outbox=(entry(7), entry(8))), Batch(delivered=(entry(7),))
        )
        assert [one.at for one in await history.changes("edge", limit=1)] == [NOW + 1]
        assert await history.changes("other") == []
    history.close()
    again = History.open(directory)
    assert again.loaded.verdicts == ((KEY, Verdict.NON_SNI_RESET, NOW + 1),)
    assert again.loaded.alerts == (ALERT,)
    assert again.loaded.outbox == (entry(8),)
    assert (again.loaded.sequence, again.loaded.instance) == (8, instance)
    assert again.troubles == ()
    again.close()


async def test_without_a_directory_it_is_kept_in_memory() -> None:
    """Everything works; nothing is left."""
    history = History.open(None)
    assert not history.persistent
    async with history.running():
        fired = AlertChange(7, NOW + 15, Phase.PENDING, ALERT)
        await committed(history, change(0), Batch(alerts=(fired,), outbox=(entry(7),)))
        assert len(await history.changes()) == 1
        # Nobody begins with it: what is only there for a next process is not kept.
        for table in ("verdicts", "alerts", "notices", "outbox"):
            assert await history.ask(lambda connection, t=table: connection.execute(f"SELECT * FROM {t}").fetchall()) == []
    history.close()


async def test_a_failure_that_cannot_be_told_costs_its_own_batch_alone(tmp_path: Path) -> None:
    """A bug of ours, met where failures are packed: what came with it is lost and said to be, what came before and after is there."""
    service = FakeService()
    edge = target("edge", "192.0.2.10")
    service.see(edge, differential(edge, none=reset()))
    (state,) = service.store.states()
    broken = state._replace(judgement=None)  # type: ignore[arg-type]
    told: list[Trouble] = []
    history = History.open(tmp_path)
    history.on_trouble = told.append
    async with history.running():
        await committed(history, change(0), Batch(failures=(state, broken)), Batch(failures=(state,)), change(1))
        assert len(await history.failures()) == 1
        assert len(await history.changes()) == 2
    history.close()
    assert [trouble.reason for trouble in told] == ["bug"]


async def test_the_last_failures_are_kept_with_what_was_said(tmp_path: Path) -> None:
    """As the API shows them, of each endpoint the last three; a restart keeps them."""
    service = FakeService()
    edge = target("edge", "192.0.2.10")
    service.see(edge, differential(edge, none=reset()))
    (state,) = service.store.states()
    history = History.open(tmp_path)
    async with history.running():
        await committed(history, *[Batch(failures=(state,))] * 5)
        kept = await history.failures("edge")
        assert len(kept) == 3
        assert len(await history.failures(limit=2)) == 2
        assert await history.failures("other") == []
    history.close()
    again = History.open(tmp_path)
    async with again.running():
        assert await again.failures("edge") == kept
    again.close()
    last = kept[0]
    assert (last.target, last.address) == ("edge", "192.0.2.10:443")
    assert last.result["verdict"] == "non_sni_reset"
    assert [handshake["outcome"] for handshake in last.result["handshakes"]] == ["certificate", "reset", "reset"]
    assert len(last.result["transcripts"]) == 3


@pytest.mark.parametrize("damage", ["garbage", "torn", "cut"])
async def test_a_corrupted_file_is_set_aside_and_the_service_starts(tmp_path: Path, damage: str) -> None:
    """Named in the log and counted, kept for who wants to look at it, and a new file begun."""
    history = History.open(tmp_path)
    async with history.running():
        await committed(history, *[change(number) for number in range(2000)])
    history.close()
    file = tmp_path / FILE_NAME
    data = file.read_bytes()
    damaged = {
        "garbage": b"no database " * 1000,
        "torn": data[:4096] + os.urandom(len(data) - 4096),
        "cut": data[: len(data) // 2],
    }[damage]
    file.write_bytes(damaged)
    again = History.open(tmp_path)
    (trouble,) = again.troubles
    assert trouble.reason == "corrupt"
    aside = set_aside_in(tmp_path)
    assert aside.name in trouble.message
    # SQLite may have touched the header of what looked like its own.
    assert aside.read_bytes()[100:] == damaged[100:]
    async with again.running():
        await committed(again, change(0))
        assert len(await again.changes()) == 1
    again.close()


async def corrupted(history: History, file: Path) -> Trouble:
    """Write nonsense over the file under a history that runs; what it says of that."""
    troubles: list[Trouble] = []
    history.on_trouble = troubles.append
    await committed(history, *[change(number) for number in range(500)])
    await history.ask(lambda connection: connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall())
    with file.open("r+b") as stream:
        stream.seek(4096)
        stream.write(os.urandom(os.fstat(stream.fileno()).st_size - 4096))
    await history.ask(lambda connection: connection.execute("PRAGMA shrink_memory").fetchall())
    for number in range(500, 600):
        await committed(history, change(number))
        if troubles:
            break
    return troubles[0]


async def test_a_file_that_is_corrupted_under_the_service_is_begun_anew_with_what_stands(tmp_path: Path) -> None:
    """What holds now is written into the new file; the past is in the old one."""
    history = History.open(tmp_path)
    history.on_fresh = lambda: Batch(verdicts=((KEY, Verdict.OK, NOW),), standing=(ALERT,), outbox=(entry(9),))
    async with history.running():
        assert (await corrupted(history, tmp_path / FILE_NAME)).reason == "corrupt"
        await committed(history, change(1000))
    history.close()
    again = History.open(tmp_path)
    assert again.troubles == ()
    assert again.loaded.alerts == (ALERT,)
    assert again.loaded.outbox == (entry(9),)
    again.close()


async def test_a_corrupted_file_that_cannot_be_set_aside_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a directory that became read-only, say: from there on the history is in memory, and works."""

    def refused(path: Path, why: str) -> Path:
        raise PermissionError(f"{why} {path}")

    history = History.open(tmp_path)
    async with history.running():
        monkeypatch.setattr("prober.history.history.set_aside", refused)
        assert "could not be set aside" in (await corrupted(history, tmp_path / FILE_NAME)).message
        await committed(history, change(1000))
        assert (await history.changes(limit=1))[0].at == NOW + 1000
    history.close()


def test_a_file_of_the_first_version_is_migrated(tmp_path: Path) -> None:
    """All that was in it stays."""
    old = sqlite3.connect(tmp_path / FILE_NAME)
    old.executescript(STEPS[0])
    old.execute(
        "INSERT INTO changes (target, address, port, previous, verdict, at) VALUES ('edge', '192.0.2.10', 443, NULL, 'ok', 5.0)"
    )
    old.execute("INSERT INTO outbox VALUES (3, 'webhook:hooks', 'edge', 'key-3', x'7b7d', 5.0)")
    old.execute("PRAGMA user_version = 1")
    old.commit()
    old.close()
    history = History.open(tmp_path)
    assert [one.sequence for one in history.loaded.outbox] == [3]
    history.close()
    connection = reading.open_for_reading(tmp_path)
    assert connection.execute("PRAGMA user_version").fetchone() == (VERSION,)
    assert [one.verdict for one in reading.changes(connection, "edge", 10)] == [Verdict.OK]
    assert reading.notices(connection, None, 10) == []
    connection.close()


def test_a_migration_that_fails_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    """All steps or none."""
    old = sqlite3.connect(tmp_path / FILE_NAME)
    old.executescript(STEPS[0])
    old.executescript("CREATE TABLE notices (other INTEGER); PRAGMA user_version = 1")
    old.close()
    with pytest.raises(StateError, match="already exists"):
        History.open(tmp_path)
    old = sqlite3.connect(tmp_path / FILE_NAME)
    assert old.execute("PRAGMA user_version").fetchone() == (1,)
    assert old.execute("SELECT name FROM sqlite_master WHERE name = 'verdicts'").fetchall() == []
    old.close()


def test_a_file_of_a_newer_prober_is_set_aside(tmp_path: Path) -> None:
    """After a rollback at night the service starts; the newer one's file is kept."""
    History.open(tmp_path).close()
    newer = sqlite3.connect(tmp_path / FILE_NAME)
    newer.execute(f"PRAGMA user_version = {VERSION + 1}")
    newer.close()
    history = History.open(tmp_path)
    assert [trouble.reason for trouble in history.troubles] == ["newer"]
    history.close()


def test_two_probers_do_not_share_a_directory(tmp_path: Path) -> None:
    """They would deliver everything twice."""
    first = History.open(tmp_path)
    with pytest.raises(StateError, match="in use by another prober"):
        History.open(tmp_path)
    first.close()
    History.open(tmp_path).close()


def test_a_directory_that_cannot_be_used_says_why(tmp_path: Path) -> None:
    """What is wrong; what to do."""
    (tmp_path / "file").write_text("")
    with pytest.raises(StateError, match="is no directory; name one"):
        History.open(tmp_path / "file")
    with pytest.raises(StateError, match=r"cannot be written: .*; (mount a writable volume|check its owner)"):
        History.open(Path("/proc/prober"))


def test_old_rows_go_and_a_large_file_loses_its_oldest(tmp_path: Path) -> None:
    """Bounded by age and by size."""
    History.open(tmp_path).close()
    connection = sqlite3.connect(tmp_path / FILE_NAME, isolation_level=None)
    rows = [("edge", "x" * 200, 443, "ok", NOW + number) for number in range(5000)]
    connection.executemany("INSERT INTO changes (target, address, port, verdict, at) VALUES (?, ?, ?, ?, ?)", rows)
    prune(connection, Bounds(seconds=1000.0), NOW + 5000)
    (left,) = connection.execute("SELECT count(*) FROM changes").fetchone()
    assert left == 1000
    prune(connection, Bounds(seconds=1e9, size=150_000), NOW + 5000)
    oldest, newest = connection.execute("SELECT min(at), max(at) FROM changes").fetchone()
    assert oldest > NOW + 4000
    assert newest == NOW + 4999
    connection.close()
    assert (tmp_path / FILE_NAME).stat().st_size < 400_000


_FILLING = """
import resource, signal, sys, trio
from pathlib import Path
from tests.history.test_history import change, committed
from prober.history.history import History
import prober.history.history as module
module.RETRY_SECONDS = 0.1
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

async def main():
    history = History.open(Path(sys.argv[1]))
    troubles = []
    history.on_trouble = troubles.append
    async with history.running():
        await committed(history, change(0))
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (65536, hard))
        for number in range(1, 3000):
            history.commit(change(number))
        await committed(history, change(3000))
        assert [trouble.reason for trouble in troubles] == ["write"], troubles
        assert history.unsaved > 0
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        with trio.fail_after(20):
            while history.unsaved:
                await trio.sleep(0.05)
        await trio.sleep(0.2)
        assert [trouble.reason for trouble in troubles] == ["write", "restored"], troubles
    history.close()

trio.run(main)
"""


def test_a_full_disk_delays_nothing_and_loses_nothing_once_there_is_room(tmp_path: Path) -> None:
    """In a process of its own, whose files may not grow for a while: what waited is written afterwards, in order."""
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[1] == resource.RLIM_INFINITY
    ended = subprocess.run(
        [sys.executable, "-c", _FILLING, str(tmp_path)], capture_output=True, text=True, timeout=50, check=False
    )
    assert ended.returncode == 0, ended.stderr
    connection = reading.open_for_reading(tmp_path)
    times = [one.at for one in reading.changes(connection, None, 10_000)]
    assert [at - times[-1] for at in times] == list(range(3000, -1, -1))
    connection.close()


def test_reading_waits_for_nobody_and_names_what_is_missing(tmp_path: Path) -> None:
    """A running service goes on writing while somebody reads."""
    with pytest.raises(StateError, match=r"there is no .*state\.db; name the directory"):
        reading.open_for_reading(tmp_path)
    (tmp_path / FILE_NAME).write_bytes(b"no database " * 1000)
    with pytest.raises(StateError, match="cannot be read"):
        reading.open_for_reading(tmp_path)
