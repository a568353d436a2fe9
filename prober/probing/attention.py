"""When this process last waited in the kernel: the other half of a truthful stamp.

An event that nobody waited for is noticed late. While the whole process sleeps in Trio's own poll, the kernel makes it runnable
at once; so the interval in which an event can have happened unnoticed begins when that sleep ended, not when the engine polled
before it. A poll that returns without having given up the processor was no sleep, however long it took: its events were there
before (on a virtual machine the host may take any moment away). And on a busy host a runnable process is not yet a running one: the
kernel counts that time, and it is subtracted.
"""

from __future__ import annotations

import os
import resource
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Final

import trio

__all__ = ["Attention"]

# Documentation/scheduler/sched-stats.rst: time on the processor, time runnable and waiting for it (both in ns), time slices. Of
# the thread that opens it.
_SCHEDULING: Final = Path("/proc/thread-self/schedstat")


_AT_ONCE: Final = 50e-6
"""Seconds: a poll that has events waiting takes a tenth of this."""

_WHOSE: Final = getattr(resource, "RUSAGE_THREAD", resource.RUSAGE_SELF)  # the former on Linux alone


def _switches() -> int:
    """How often this thread gave up the processor by itself (getrusage(2), ru_nvcsw). Takes 0.3 µs."""
    return resource.getrusage(_WHOSE).ru_nvcsw


class Attention(trio.abc.Instrument):
    """Remembers since when the process is awake."""

    def __init__(self, scheduling: Path = _SCHEDULING, switches: Callable[[], int] = _switches) -> None:
        self.woke = 0.0
        """In seconds of `time.perf_counter`: what happened before was noticed before."""
        self._began = 0.0
        self._switches = switches
        self._switched = 0
        self._delayed = 0
        self._file = -1
        try:
            self._file = os.open(scheduling, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return  # not Linux, or hidden: then waking is taken to be instant
        self._delayed = self._delay()

    def _delay(self) -> int:
        """Nanoseconds that this thread was ever kept waiting for a processor."""
        return int(os.pread(self._file, 64, 0).split()[1])

    def before_io_wait(self, timeout: float) -> None:
        """Trio's hook: it is about to poll, for at most ``timeout`` seconds."""
        if timeout > 0:
            self._switched = self._switches()
            self._began = perf_counter()

    def after_io_wait(self, timeout: float) -> None:
        """Trio's hook: its poll returned."""
        if timeout <= 0:
            return
        woke = perf_counter()
        if woke - self._began < _AT_ONCE or self._switches() == self._switched:
            return
        if self._file >= 0:
            before, self._delayed = self._delayed, self._delay()
            woke -= (self._delayed - before) * 1e-9
        if woke - self._began >= _AT_ONCE:
            self.woke = woke

    def close(self) -> None:
        """Give the descriptor back."""
        if self._file >= 0:
            os.close(self._file)
