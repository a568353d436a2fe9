"""The file is removed under us: by hand, by whoever tidies up, or with its directory. What it held goes into a new one.

SQLite goes on writing into a file that has no name any more, without an error, and all of it would be gone with the process.
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import TypeAlias

from prober.history.database import LOCK_NAME, StateError, open_again

__all__ = ["LOOK_SECONDS", "Identity", "identity", "put_back"]

LOOK_SECONDS = 30.0
"""How often the file is looked for when nothing is written."""

Identity: TypeAlias = tuple[int, int]
"""Device and inode."""


def identity(path: Path) -> Identity | None:
    """Of the file that has this name now; None when there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def put_back(connection: sqlite3.Connection, path: Path, lock: int | None) -> tuple[sqlite3.Connection, int | None]:
    """A new file of this name with everything that the connection's has, and the lock that is held now.

    The connection and ``lock`` stay as they are when it cannot be done: `OSError`, `sqlite3.Error`, or `StateError` where another
    prober has the directory by now, or there is another file.
    """
    if identity(path) is not None:
        raise StateError("there is another file in its place; restart prober to use that one, or remove it")
    held = lock is not None and identity(path.with_name(LOCK_NAME)) == (os.fstat(lock).st_dev, os.fstat(lock).st_ino)
    opened = open_again(path.parent, lock if held else None)
    try:
        connection.backup(opened.connection)
    except BaseException:
        opened.connection.close()
        if not held and opened.lock is not None:
            os.close(opened.lock)
        raise
    # SQLite sees by the inode that the name is not this connection's any more, and leaves the new file's log alone.
    connection.close()
    if not held and lock is not None:
        os.close(lock)
    return opened.connection, opened.lock
