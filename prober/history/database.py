"""Opens ``state.db``: made if missing, set aside if it is corrupted or from a newer prober, refused if it cannot be written.

Only what an operator must put right ends the start (`StateError`). A file that is no use is moved away and named in
`Opened.troubles`; a full disk means working in memory until there is room, which is in `Opened.troubles` too.
"""

from __future__ import annotations

import errno
import fcntl
import os
import sqlite3
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from time import time
from typing import NamedTuple, NoReturn

from prober.history.schema import VERSION, migrate

__all__ = [
    "FILE_NAME",
    "LOCK_NAME",
    "MEMORY",
    "Opened",
    "StateError",
    "Trouble",
    "is_corruption",
    "open_again",
    "open_database",
    "open_database_file",
    "set_aside",
]

FILE_NAME = "state.db"
LOCK_NAME = "state.lock"
MEMORY = ":memory:"

_SIDE_FILES = ("", "-wal", "-shm", "-journal")
_SET_ASIDE_KEPT = 3
"""Files that were set aside and are kept for people to look at; older ones are deleted."""

_CORRUPT = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_UNWRITTEN = frozenset({sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_SHMSIZE})


class StateError(Exception):
    """The state directory cannot be used: ``what is wrong; what to do``."""


class Trouble(NamedTuple):
    """Something that was wrong with the state and did not stop the service."""

    reason: str
    """``corrupt``, ``newer``, ``full`` or ``removed``."""
    message: str


class Opened(NamedTuple):
    """An open database. ``lock`` keeps other probers away as long as it is open."""

    connection: sqlite3.Connection
    path: Path | None
    """None: in memory."""
    lock: int | None
    troubles: tuple[Trouble, ...] = ()
    awaited: Path | None = None
    """The directory that had no room; in memory until then."""


def open_database(directory: Path | None) -> Opened:
    """Open the state in this directory, or in memory where there is none."""
    if directory is None:
        return Opened(_in_memory(), None, None)
    lock: int | None = None
    path = directory / FILE_NAME
    try:
        lock = _claim(directory)
        return _open_file(path, lock)
    except BaseException as error:
        if _no_room(error):
            message = f"the disk of {directory} is full; history and alert states are kept in memory until there is room"
            return Opened(_in_memory(), None, lock, (Trouble("full", message),), directory)
        if lock is not None:
            os.close(lock)
        if isinstance(error, sqlite3.Error):
            raise StateError(f"{path} cannot be opened: {error}; check its permissions and its file system") from None
        if isinstance(error, OSError):
            raise _unwritable(directory, error) from None
        raise


def open_again(directory: Path, lock: int | None) -> Opened:
    """Open what had no room before, with the lock that was got then; `sqlite3.Error`, `OSError` or `StateError` when it has none yet."""
    claimed = _claim(directory) if lock is None else lock
    try:
        return _open_file(directory / FILE_NAME, claimed)
    except BaseException:
        if lock is None:
            os.close(claimed)
        raise


def _open_file(path: Path, lock: int) -> Opened:
    troubles: list[Trouble] = []
    try:
        connection, found = _connect_checked(path)
    except sqlite3.DatabaseError as error:
        if not is_corruption(error):
            raise
        aside = set_aside(path, "corrupt")
        troubles.append(
            Trouble("corrupt", f"{path} is corrupted ({error}); it was set aside as {aside.name}, and a new one begun")
        )
        connection, found = _connect_checked(path)
    if found > VERSION:
        connection.close()
        aside = set_aside(path, "newer")
        what = f"{path} was written by a newer prober (schema {found}, this one knows {VERSION})"
        troubles.append(Trouble("newer", f"{what}; it was set aside as {aside.name}, and a new one begun"))
        connection, _ = _connect_checked(path)
    return Opened(connection, path, lock, tuple(troubles))


def open_database_file(path: Path) -> sqlite3.Connection:
    """Open a file that is known to be ours, or new."""
    return _connect_checked(path)[0]


def _connect_checked(path: Path) -> tuple[sqlite3.Connection, int]:
    connection = _connect(str(path))
    try:
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        connection.execute("PRAGMA journal_mode = WAL")
        (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        if verdict != "ok":
            _complain_of_corruption(str(verdict))
        # Kill -9 needs less, a power cut needs this; the fsync is the worker thread's, and shared by all that waits.
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA journal_size_limit = 4194304")
        found = migrate(connection)
        # A file that can be read but not written is found out now, not at the first alert.
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("ROLLBACK")
    except BaseException:
        connection.close()
        raise
    return connection, found


def _connect(name: str) -> sqlite3.Connection:
    # Used by one thread at a time: opened by the one that starts the service, then owned by the worker.
    return sqlite3.connect(name, timeout=5.0, isolation_level=None, check_same_thread=False)


def _in_memory() -> sqlite3.Connection:
    connection = _connect(MEMORY)
    migrate(connection)
    return connection


def _claim(directory: Path) -> int:
    """Make the directory, and lock it: two probers with one outbox would deliver everything twice."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        lock = os.open(directory / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except (FileExistsError, NotADirectoryError):
        raise StateError(f"{directory} is no directory; name one that may be made or written") from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        raise StateError(f"{directory} is in use by another prober; stop it, or give each one a directory of its own") from None
    return lock


def _unwritable(directory: Path, error: OSError) -> StateError:
    hint = "check its owner and permissions, or leave the key out to keep the state in memory"
    if error.errno == errno.EROFS:
        hint = "mount a writable volume there, or leave the key out to keep the state in memory"
    return StateError(f"{directory} cannot be written: {error.strerror}; {hint}")


def set_aside(path: Path, why: str) -> Path:
    """Move a database and its side files out of the way; the new path of the database."""
    stamp = datetime.fromtimestamp(time(), UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    aside = path.with_name(f"{path.name}.{why}-{stamp}")
    for suffix in _SIDE_FILES:
        with suppress(FileNotFoundError):
            path.with_name(path.name + suffix).rename(aside.with_name(aside.name + suffix))
    older = sorted(each for each in path.parent.glob(f"{path.name}.{why}-*Z"))[:-_SET_ASIDE_KEPT]
    for each in older:
        for suffix in _SIDE_FILES:
            with suppress(FileNotFoundError):
                each.with_name(each.name + suffix).unlink()
    return aside


def is_corruption(error: sqlite3.Error) -> bool:
    """Whether the file's contents are to blame."""
    return _code(error) in _CORRUPT


def _no_room(error: BaseException) -> bool:
    """A full disk, or a quota, which SQLite does not tell from other errors of writing."""
    if isinstance(error, OSError):
        return error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
    if not isinstance(error, sqlite3.Error):
        return False
    return _code(error) == sqlite3.SQLITE_FULL or getattr(error, "sqlite_errorcode", None) in _UNWRITTEN


def _code(error: sqlite3.Error) -> int | None:
    # Extended codes carry the primary one in their low byte.
    code = getattr(error, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF


def _complain_of_corruption(what: str) -> NoReturn:
    error = sqlite3.DatabaseError(what)
    error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    raise error
