"""Files of targets, watched by looking: inotify sees neither network file systems nor a ConfigMap's links being exchanged."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NamedTuple, TypeAlias

import trio

from prober.discovery.feed import Feed
from prober.sources import LabelSets, SourceError, TargetFiles

__all__ = ["FileWatcher", "matching"]

LOOK = 1.0
"""Seconds between two looks."""
SETTLE = 0.1
"""Seconds for which a file must not change before it is read: a half-written list may be a valid shorter one."""
_LOOKS_TO_SETTLE = 20

Read: TypeAlias = Callable[[str], LabelSets]
"""Reads one file; `SourceError` says what is wrong with it."""


class _Signature(NamedTuple):
    """When any of this differs, the file is another one."""

    device: int
    inode: int
    modified: int
    size: int


class FileWatcher:
    """`prober.discovery.feed.Watcher` of files. ``read`` runs in a thread."""

    def __init__(self, files: TargetFiles, read: Read) -> None:
        self._patterns = files.patterns
        self._read = read
        self._seen: dict[str, _Signature] = {}
        self._good: dict[str, LabelSets] = {}
        self._bad: dict[str, str] = {}
        """Why the last reading of a file was refused."""
        self._pending: dict[str, _Signature] = {}
        """Files that changed, as the last look saw them."""
        self._looking = trio.CapacityLimiter(1)
        """Not of the threads that are shared out: where a share hangs, each new watcher leaves one behind, and none for metrics."""

    async def run(self, feed: Feed) -> None:
        """Look, until cancelled."""
        while True:
            problems = await trio.to_thread.run_sync(self._look, abandon_on_cancel=True, limiter=self._looking)
            for _ in range(_LOOKS_TO_SETTLE):
                if problems is not None:
                    break
                await trio.sleep(SETTLE)
                problems = await trio.to_thread.run_sync(self._look, abandon_on_cancel=True, limiter=self._looking)
            if problems is not None:
                # A tuple's place in the order is its file's name, so that what is unchanged compares equal.
                found = tuple(labels for path in sorted(self._good) for labels in self._good[path])
                feed.publish(found, problems)
            await trio.sleep(LOOK)

    def _look(self) -> tuple[str, ...] | None:
        """Read what has changed and settled; the problems, or None while something is still changing."""
        missing: dict[str, str] = {}
        there: dict[str, _Signature] = {}
        for pattern in self._patterns:
            try:
                paths = matching(pattern)
            except OSError as error:
                # A dead source, not an empty one: what it had stays.
                missing[pattern] = _unreadable(pattern, error)
                continue
            for path in paths:
                try:
                    there[path] = _signature(path)
                except OSError as error:  # a link that leads nowhere, say; it hides no other file
                    missing[path] = _unreadable(path, error)
        changing = {path: signature for path, signature in there.items() if self._seen.get(path) != signature}
        if changing:
            unread = {path for path, signature in changing.items() if self._pending.get(path) != signature}
            self._pending = changing
            if unread:
                return None
        for path, signature in changing.items():
            self._seen[path] = signature
            try:
                self._good[path] = self._read(path)
                self._bad.pop(path, None)
            except SourceError as error:
                self._bad[path] = str(error)
        self._forget(set(there), missing)
        return (*missing.values(), *self._bad.values())

    def _forget(self, there: set[str], unreadable: Iterable[str]) -> None:
        """Files that are gone; those of a pattern that cannot be looked at are not gone."""
        kept = [path for path in self._seen if any(path == each or fnmatchcase(path, each) for each in unreadable)]
        for path in self._seen.keys() - there - set(kept):
            del self._seen[path]
            self._good.pop(path, None)
            self._bad.pop(path, None)


def matching(pattern: str) -> list[str]:
    """The files of a pattern; a name without pattern characters is itself, whether it exists or not. ``OSError`` without the directory."""
    directory, name = os.path.split(pattern)
    if not glob.has_magic(name):
        return [pattern]
    # Hidden names are not matched, as by a shell: Kubernetes keeps a ConfigMap's former state in some.
    return [str(path) for path in Path(directory).iterdir() if fnmatchcase(path.name, name) and not path.name.startswith(".")]


def _unreadable(place: str, error: OSError) -> str:
    return f"{error.filename or place}: cannot be read: {error.strerror}"


def _signature(path: str) -> _Signature:
    found = Path(path).stat()
    return _Signature(found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size)
