"""The service's history: a worker thread owns the database, so that the probing loop never waits for a disk.

Batches are written in the order in which they are committed, as many in one transaction as are waiting. Somebody who must not go on
before a batch is on disk gives a callback; it runs in Trio's thread after the transaction. A disk that is full, or broken in
another way, delays nothing: the callback runs all the same, what could not be written waits in memory, and it is tried again.
"""

from __future__ import annotations

import os
import queue
import sqlite3
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from time import monotonic, sleep, time
from typing import Any, NamedTuple, TypeVar

import trio

from prober.changelog import KeptFailure, VerdictChange
from prober.history import reading
from prober.history.database import (
    Opened,
    StateError,
    Trouble,
    is_corruption,
    open_again,
    open_database,
    open_database_file,
    set_aside,
)
from prober.history.pruning import Bounds, prune
from prober.history.records import Batch, Loaded, apply, load, packed
from prober.history.removed import LOOK_SECONDS, identity, put_back
from prober.history.returning import first_sequence, move

__all__ = ["History"]

T = TypeVar("T")

UNSAVED_LIMIT = 20_000
"""Batches that wait for a disk; beyond it the oldest are lost, which is counted and logged."""

MEMORY_BYTES = 16 * 1024 * 1024
"""Of a history that has no file."""

RETRY_SECONDS = 2.0
RETRY_LONGEST_SECONDS = 60.0
PRUNE_SECONDS = 3600.0
PRUNE_BATCHES = 5000
_TOGETHER = 500
"""Batches in one transaction."""

_GATHER = 0.02
"""Seconds for which further batches are waited for once there is one. When a whole fleet is judged for the first time, or fails at
once, to wake this thread for each batch takes the interpreter from the handshakes: a fifth of a start with ten thousand targets."""


class _Write(NamedTuple):
    batch: Batch
    then: Callable[[], None] | None


class _Ask(NamedTuple):
    question: Callable[[sqlite3.Connection], Any]
    answer: Callable[[Any, Exception | None], None]


_Job = _Write | _Ask | None
"""None: stop."""


class History:
    """Open it, read what was `loaded`, then keep it `running`. Implements `prober.changelog.ChangeLog`."""

    def __init__(self, opened: Opened, bounds: Bounds | None = None, on_trouble: Callable[[Trouble], None] | None = None) -> None:
        self._connection = opened.connection
        self._path = opened.path
        self._identity = None if opened.path is None else identity(opened.path)
        self._missed = False
        """The file is not where it was, and that was said."""
        self._lock = opened.lock
        self._awaited = opened.awaited
        self._awaiting = 0
        """Batches that are in memory until the disk has room."""
        self._patience = RETRY_SECONDS
        self._given_bounds = bounds
        self._jobs: queue.SimpleQueue[_Job] = queue.SimpleQueue()
        self._backlog: deque[Batch] = deque()
        self._token: trio.lowlevel.TrioToken | None = None
        self._broken = False
        self.on_trouble = on_trouble
        """Told, in Trio's thread, when something goes wrong with the disk; ``restored`` is the reason when all is well again."""
        self.on_fresh: Callable[[], Batch] | None = None
        """Asked, in Trio's thread, for everything that stands, when a database had to be begun anew."""
        self.on_return: Callable[[Loaded], None] | None = None
        """Told, in Trio's thread, what a file holds that could only be opened now, for want of room."""
        self.troubles = opened.troubles
        self.loaded: Loaded = load(self._connection)
        if self._awaited is not None:
            self.loaded = self.loaded._replace(sequence=first_sequence(time()))

    @classmethod
    def open(cls, directory: Path | None, bounds: Bounds | None = None) -> History:
        """`StateError` when the directory cannot be used. None: in memory."""
        return cls(open_database(directory), bounds)

    @property
    def persistent(self) -> bool:
        """There is a file."""
        return self._path is not None

    @property
    def _bounds(self) -> Bounds:
        return self._given_bounds or (Bounds() if self.persistent else Bounds(size=MEMORY_BYTES))

    @property
    def unsaved(self) -> int:
        """Batches that are not on disk yet."""
        return self._jobs.qsize() + len(self._backlog) + self._awaiting

    # -- from Trio's thread --------------------------------------------------------------------------------------------

    def commit(self, batch: Batch, then: Callable[[], None] | None = None) -> None:
        """Write a batch after all that came before; ``then`` runs once it is on disk, or cannot be."""
        self._jobs.put(_Write(batch, then))

    async def changes(self, target: str | None = None, *, limit: int = 1000) -> Sequence[VerdictChange]:
        """The last changes, newest first."""
        return await self.ask(lambda connection: reading.changes(connection, target, limit))

    async def failures(self, target: str | None = None, *, limit: int = 100) -> Sequence[KeptFailure]:
        """The last failures with their transcripts, newest first."""
        return await self.ask(lambda connection: reading.failures(connection, target, limit))

    async def ask(self, question: Callable[[sqlite3.Connection], T]) -> T:
        """The answer to a question about everything that was committed before. Asked in the worker thread."""
        done = trio.Event()
        result: list[tuple[Any, Exception | None]] = []

        def answer(value: Any, error: Exception | None) -> None:
            result.append((value, error))
            self._in_trio(done.set)

        self._jobs.put(_Ask(question, answer))
        await done.wait()
        value, error = result[0]
        if error is not None:
            raise error
        found: T = value
        return found

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Work as long as the context lasts; what was committed before it is left is on disk afterwards."""
        self._token = trio.lowlevel.current_trio_token()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.to_thread.run_sync, self._work)
            try:
                yield
            finally:
                self._jobs.put(None)

    def close(self) -> None:
        """Close the file. Not while it is running."""
        self._connection.close()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    # -- the worker thread ---------------------------------------------------------------------------------------------

    def _work(self) -> None:
        pruned, written = 0.0, 0
        tried = monotonic()
        while True:
            jobs, stop = self._next_jobs()
            if self._awaited is not None and (stop or monotonic() - tried >= self._patience):
                self._return(self._awaited)
                tried = monotonic()
            self._look_for_file()
            writes = [job for job in jobs if isinstance(job, _Write)]
            self._backlog.extend(packed(write.batch) for write in writes)
            while len(self._backlog) > UNSAVED_LIMIT:
                self._backlog.popleft()
            if self._backlog:
                written += len(writes)
                self._awaiting += len(writes) if self._awaited is not None else 0
                self._write()
            for write in writes:
                if write.then is not None:
                    self._in_trio(write.then)
            for job in jobs:
                if isinstance(job, _Ask):
                    self._answer(job)
            if stop:
                return
            if not self._broken and (time() - pruned > PRUNE_SECONDS or written > PRUNE_BATCHES):
                pruned, written = time(), 0
                with suppress(sqlite3.Error):
                    prune(self._connection, self._bounds, time())

    def _next_jobs(self) -> tuple[list[_Write | _Ask], bool]:
        """What waits, at least one job unless it is time to try again."""
        jobs: list[_Write | _Ask] = []
        patience = RETRY_SECONDS if self._backlog else LOOK_SECONDS if self._awaited is None else self._patience
        with suppress(queue.Empty):
            while len(jobs) < _TOGETHER:
                job = self._jobs.get(timeout=patience)
                if job is None:
                    return jobs, True
                if not jobs and isinstance(job, _Write):
                    sleep(_GATHER)
                jobs.append(job)
                patience = 0.0
        return jobs, False

    def _write(self) -> None:
        """Write all that waits in one transaction; when one batch is to blame that this fails, each in its own."""
        size = len(self._backlog)
        while self._backlog:
            together = list(self._backlog)[:size]
            try:
                self._transaction(together)
            except sqlite3.DatabaseError as error:
                self._undo()
                if is_corruption(error):
                    self._begin_anew(error)
                    return
                if isinstance(error, sqlite3.OperationalError):
                    self._cannot_write(error)
                    return
                size = self._isolate(together, error)
            except Exception as error:
                self._undo()
                size = self._isolate(together, error)
            else:
                for _ in together:
                    self._backlog.popleft()
        if self._broken:
            self._broken = False
            self._report("restored", f"{self._path} is written again")

    def _transaction(self, batches: Sequence[Batch]) -> None:
        lasting = self._path is not None or self._awaited is not None
        self._connection.execute("BEGIN IMMEDIATE")
        for batch in batches:
            apply(self._connection, batch, lasting=lasting)
        self._connection.execute("COMMIT")

    def _undo(self) -> None:
        with suppress(sqlite3.Error):
            self._connection.execute("ROLLBACK")

    def _isolate(self, together: Sequence[Batch], error: Exception) -> int:
        """A bug of ours made a batch that cannot be written: it alone is lost, and said to be."""
        if len(together) == 1:
            self._backlog.popleft()
            self._report("bug", f"a batch could not be written, which is a bug of prober's: {error!r}")
        return 1

    def _cannot_write(self, error: sqlite3.Error) -> None:
        if not self._broken:
            self._broken = True
            self._report("write", f"cannot write {self._path}: {error}; history and alert states wait in memory")

    def _look_for_file(self) -> None:
        """Put it back where it was removed. One that was put in its place is somebody else's: it is left alone."""
        if self._path is None or identity(self._path) == self._identity:
            self._missed = False
            return
        try:
            self._connection, self._lock = put_back(self._connection, self._path, self._lock)
        except (OSError, sqlite3.Error, StateError) as error:
            if not self._missed:
                self._missed = True
                self._report("removed", f"{self._path} was removed: {error}; what is written ends with the process")
            return
        self._identity = identity(self._path)
        self._report("removed", f"{self._path} was removed; what it held is in a new one")

    def _begin_anew(self, error: sqlite3.Error) -> None:
        """The file was corrupted under us: put it aside, and write what stands into a new one."""
        if self._path is None:
            return
        with suppress(sqlite3.Error):
            self._connection.close()
        try:
            aside = set_aside(self._path, "corrupt")
            opened = open_database_file(self._path)
        except (OSError, sqlite3.Error) as failure:
            # Once the file is removed, what memory holds goes into a new one (`_look_for_file`).
            self._connection = open_database(None).connection
            kept = "history and alert states are kept in memory until it is removed"
            self._report("corrupt", f"{self._path} is corrupted ({error}) and could not be set aside: {failure}; {kept}")
        else:
            self._connection, self._identity = opened, identity(self._path)
            self._report("corrupt", f"{self._path} is corrupted ({error}); it was set aside as {aside.name}, and a new one begun")
        fresh = self.on_fresh
        if fresh is not None:
            self._in_trio(lambda: self.commit(fresh()))

    def _return(self, directory: Path) -> None:
        """Open what had no room at the start, and move what memory holds into it; when there is none yet, wait for longer."""
        opened = None
        try:
            opened = open_again(directory, self._lock)
            found = load(opened.connection)
            move(self._connection, opened.connection)
        except (sqlite3.Error, OSError, StateError):
            if opened is not None:
                opened.connection.close()
                if self._lock is None and opened.lock is not None:
                    os.close(opened.lock)
            self._patience = min(2 * self._patience, RETRY_LONGEST_SECONDS)
            return
        self._connection.close()
        self._connection, self._path, self._lock = opened.connection, opened.path, opened.lock
        self._identity = None if opened.path is None else identity(opened.path)
        self._awaited, self._awaiting = None, 0
        for trouble in opened.troubles:
            self._report(*trouble)
        self._report("restored", f"{self._path} is written: there is room again, and what was kept in memory is in it")
        listener = self.on_return
        if listener is not None:
            self._in_trio(lambda: listener(found))

    def _answer(self, job: _Ask) -> None:
        try:
            value = job.question(self._connection)
        except Exception as error:
            job.answer(None, error)
        else:
            job.answer(value, None)

    def _report(self, reason: str, message: str) -> None:
        trouble, listener = Trouble(reason, message), self.on_trouble
        if listener is not None:
            self._in_trio(lambda: listener(trouble))

    def _in_trio(self, call: Callable[[], object]) -> None:
        assert self._token is not None
        # The loop may have ended meanwhile; then nobody waits any more.
        with suppress(trio.RunFinishedError):
            self._token.run_sync_soon(call)
