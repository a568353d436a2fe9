"""When this process last waited in the kernel: the other half of a truthful stamp.

An event that nobody waited for is noticed late. While the whole process sleeps in Trio's own poll the kernel tells at once, so
the interval in which an event can have happened unnoticed begins when that sleep ended, not when the engine last polled.
"""

from __future__ import annotations

from time import perf_counter

import trio

__all__ = ["Attention"]


class Attention(trio.abc.Instrument):
    """Remembers when the process last woke from sleeping."""

    def __init__(self) -> None:
        self.woke = 0.0
        """In seconds of `time.perf_counter`."""

    def after_io_wait(self, timeout: float) -> None:
        """Trio's hook: its poll returned. With a timeout of zero it did not sleep."""
        if timeout > 0:
            self.woke = perf_counter()
