"""Runs prober with an instrument that counts Trio's living tasks: ``python counted.py FILE serve ...`` keeps their number in FILE."""

from __future__ import annotations

import os
import sys
from functools import partial

import trio

from prober.cli import main


class Tasks(trio.abc.Instrument):
    """Writes the number whenever it changes."""

    def __init__(self, path: str) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._living = 0

    def task_spawned(self, task: trio.lowlevel.Task) -> None:
        """One more."""
        self._add(1)

    def task_exited(self, task: trio.lowlevel.Task) -> None:
        """One less."""
        self._add(-1)

    def _add(self, difference: int) -> None:
        self._living += difference
        os.pwrite(self._file, b"%8d\n" % self._living, 0)


if __name__ == "__main__":
    trio.run = partial(trio.run, instruments=[Tasks(sys.argv[1])])
    sys.exit(main(sys.argv[2:]))
