"""From memory into the file, once a disk that was full at the start has room: as if there had always been room.

What the process has kept in memory comes after what the file holds. Its sequence begins far above that of any file
(`first_sequence`), so that nothing of the one is taken for something of the other.
"""

from __future__ import annotations

import sqlite3

from prober.history.records import FAILURES_KEPT
from prober.model import Endpoint

__all__ = ["first_sequence", "move"]


def first_sequence(now: float) -> int:
    """The sequence of a process that cannot read its file: milliseconds of Unix time, which no prober's changes outrun."""
    return round(now * 1000)


def move(memory: sqlite3.Connection, file: sqlite3.Connection) -> None:
    """Copy everything in one transaction; on an error, the file is as it was."""
    file.execute("BEGIN IMMEDIATE")
    try:
        _move_verdicts(memory, file)
        for table, columns in _TABLES.items():
            places = ", ".join("?" * len(columns.split(", ")))
            rows = memory.execute(f"SELECT {columns} FROM {table} ORDER BY {columns.partition(',')[0]}")  # noqa: S608 -- names of ours
            file.executemany(f"INSERT OR REPLACE INTO {table} ({columns}) VALUES ({places})", rows)  # noqa: S608
        _move_failures(memory, file)
        file.execute("COMMIT")
    except BaseException:
        if file.in_transaction:
            file.execute("ROLLBACK")
        raise


_TABLES = {
    "alerts": "name, target, address, alert",
    "notices": "sequence, name, severity, target, address, phase, at, summary",
    "outbox": "sequence, receiver, lane, key, body, created",
}


def _move_verdicts(memory: sqlite3.Connection, file: sqlite3.Connection) -> None:
    """To the process every first verdict was a change; to the file it may be what it was before."""
    known = {(target, address): (verdict, since) for target, address, verdict, since in file.execute("SELECT * FROM verdicts")}
    continued: dict[tuple[str, str], float] = {}
    for target, address, port, previous, verdict, at, expected in memory.execute(
        "SELECT target, address, port, previous, verdict, at, expected FROM changes ORDER BY id"
    ):
        key = (target, str(Endpoint(address, port)))
        before = previous
        if previous is None and key in known:
            before, since = known.pop(key)
            if before == verdict:
                continued[key] = since
                continue
        continued.pop(key, None)
        row = (target, address, port, before, verdict, at, expected)
        file.execute(
            "INSERT INTO changes (target, address, port, previous, verdict, at, expected) VALUES (?, ?, ?, ?, ?, ?, ?)", row
        )
    for target, address, verdict, since in memory.execute("SELECT target, address, verdict, since FROM verdicts"):
        began = continued.get((target, address), since)
        file.execute("INSERT OR REPLACE INTO verdicts VALUES (?, ?, ?, ?)", (target, address, verdict, began))


def _move_failures(memory: sqlite3.Connection, file: sqlite3.Connection) -> None:
    rows = memory.execute("SELECT target, address, at, result FROM failures ORDER BY id")
    file.executemany("INSERT INTO failures (target, address, at, result) VALUES (?, ?, ?, ?)", rows)
    file.execute(
        "DELETE FROM failures WHERE (SELECT count(*) FROM failures AS later"
        " WHERE (later.target, later.address) = (failures.target, failures.address) AND later.id > failures.id) >= ?",
        (FAILURES_KEPT,),
    )
