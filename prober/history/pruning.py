"""Bounds by age and by size, so that years of changes never fill a volume."""

from __future__ import annotations

import sqlite3
from typing import NamedTuple

__all__ = ["Bounds", "prune"]

DAY = 86_400.0

_AGED = ("changes", "failures", "notices")
_PART = 10
"""A file that is too large loses this part of its oldest rows at a time."""


class Bounds(NamedTuple):
    """How much is kept."""

    seconds: float = 90 * DAY
    size: int = 256 * 1024 * 1024
    """Bytes of the file, WAL aside (which is at most 4 MiB after a checkpoint)."""
    resolved_seconds: float = 3600.0
    """Alerts that were resolved; kept for a receiver that has not heard of it, and to tell flapping."""
    undelivered_seconds: float = 7 * DAY
    """Notifications that a receiver refuses for so long are news no more."""


def prune(connection: sqlite3.Connection, bounds: Bounds, now: float) -> None:
    """Delete what is too old, then the oldest of what is too much. The connection is in autocommit mode."""
    for table in _AGED:
        connection.execute(f"DELETE FROM {table} WHERE at < ?", (now - bounds.seconds,))  # noqa: S608 -- a name of ours
    connection.execute("DELETE FROM outbox WHERE created < ?", (now - bounds.undelivered_seconds,))
    resolved = "json_extract(alert, '$.phase') = 'resolved' AND json_extract(alert, '$.ends_at') < ?"
    connection.execute(f"DELETE FROM alerts WHERE {resolved}", (now - bounds.resolved_seconds,))  # noqa: S608
    while _used(connection) > bounds.size:
        removed = 0
        for table in _AGED:
            key = "sequence" if table == "notices" else "id"
            oldest = f"SELECT {key} FROM {table} ORDER BY {key} LIMIT 1 + (SELECT count(*) FROM {table}) / {_PART}"  # noqa: S608
            removed += connection.execute(f"DELETE FROM {table} WHERE {key} IN ({oldest})").rowcount  # noqa: S608
        if not removed:
            break
    # Not execute: it takes one step of a statement without columns, which frees one page.
    connection.executescript("PRAGMA incremental_vacuum")


def _used(connection: sqlite3.Connection) -> int:
    pages, free, size = (
        int(connection.execute(f"PRAGMA {name}").fetchone()[0]) for name in ("page_count", "freelist_count", "page_size")
    )
    return (pages - free) * size
