"""What is asked of the history, newest first. Works on the service's own connection and on a read-only one of another process."""

from __future__ import annotations

import sqlite3
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from prober.changelog import KeptFailure, VerdictChange
from prober.history.database import FILE_NAME, StateError
from prober.history.packing import unpack
from prober.history.schema import VERSION
from prober.model import Verdict

__all__ = ["AlertNotice", "changes", "failures", "notices", "open_for_reading"]


class AlertNotice(NamedTuple):
    """An alert fired or was resolved."""

    sequence: int
    name: str
    severity: str
    target: str
    address: str
    phase: str
    at: float
    """Unix time in seconds."""
    summary: str


_WORDS = ", ".join(f"'{verdict}'" for verdict in Verdict)


def changes(connection: sqlite3.Connection, target: str | None, limit: int, since: float = 0.0) -> list[VerdictChange]:
    """The last ``limit`` changes of verdicts, of one target or of all, not older than ``since`` (Unix time).

    Words that are no verdicts (a newer prober's, before it was replaced by this one) are no reason to tell nothing at all.
    """
    rows = connection.execute(
        "SELECT target, address, port, previous, verdict, at, expected FROM changes"  # noqa: S608 -- words of ours
        " WHERE at >= :since AND (:target IS NULL OR target = :target)"
        f" AND verdict IN ({_WORDS}) AND (previous IS NULL OR previous IN ({_WORDS})) ORDER BY id DESC LIMIT :limit",
        {"since": since, "target": target, "limit": limit},
    )
    return [
        VerdictChange(
            name,
            address,
            port,
            None if previous is None else Verdict(previous),
            Verdict(verdict),
            at,
            None if expected is None else bool(expected),
        )
        for name, address, port, previous, verdict, at, expected in rows
    ]


def notices(connection: sqlite3.Connection, target: str | None, limit: int, since: float = 0.0) -> list[AlertNotice]:
    """The last ``limit`` times that an alert fired or was resolved."""
    rows = connection.execute(
        "SELECT sequence, name, severity, target, address, phase, at, summary FROM notices"
        " WHERE at >= :since AND (:target IS NULL OR target = :target) ORDER BY sequence DESC LIMIT :limit",
        {"since": since, "target": target, "limit": limit},
    )
    return [AlertNotice(*row) for row in rows]


def failures(connection: sqlite3.Connection, target: str | None, limit: int, since: float = 0.0) -> list[KeptFailure]:
    """The last ``limit`` failures that are kept, of one target's addresses or of all. One that is damaged is left out.

    A disk that flips a bit in the middle of a row is seen by nobody but who unpacks it: SQLite checks its structure alone.
    """
    rows = connection.execute(
        "SELECT target, address, at, result FROM failures"
        " WHERE at >= :since AND (:target IS NULL OR target = :target) ORDER BY id DESC LIMIT :limit",
        {"since": since, "target": target, "limit": limit},
    )
    kept = []
    for name, address, at, result in rows:
        with suppress(ValueError):
            kept.append(KeptFailure(name, address, at, unpack(result)))
    return kept


def open_for_reading(directory: Path) -> sqlite3.Connection:
    """The state of a service that may be running; `StateError` says why it cannot be read."""
    path = directory / FILE_NAME
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        raise StateError(f"there is no {path}; name the directory that is written as `state` in the configuration") from None
    except OSError as error:
        raise StateError(f"{path} cannot be looked at: {error.strerror}; check the path and its permissions") from None
    failure: sqlite3.Error | None = None
    # Without write permission for the directory, a WAL database can only be read as one that nobody changes.
    for mode in ("mode=ro", "mode=ro&immutable=1"):
        connection = None
        try:
            connection = sqlite3.connect(f"{path.absolute().as_uri()}?{mode}", uri=True, timeout=5.0, isolation_level=None)
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            if not connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                connection.close()
                raise StateError(f"{path} holds nothing yet; where its service has been running, its log says why (a full disk?)")
            connection.execute("SELECT count(*) FROM changes").fetchone()
        except sqlite3.Error as error:
            failure = error
            if connection is not None:
                connection.close()
            continue
        if version != VERSION:
            connection.close()
            what = "an older" if version < VERSION else "a newer"
            raise StateError(
                f"{path} was written by {what} prober; read it with that one, or start this one's service with it once"
            )
        return connection
    raise StateError(f"{path} cannot be read: {failure}; check its permissions, or whether it is a state file at all")
