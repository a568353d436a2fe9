"""Two clocks at one moment: Unix time, in which kernels and people stamp, and `time.perf_counter`, in which the engine measures."""

from __future__ import annotations

from math import inf
from time import perf_counter, time
from typing import Final

__all__ = ["WallClock", "unix_offset"]

_APART: Final = 50e-6
_TRIES: Final = 5

_COMPARED_FOR: Final = 0.01
"""Seconds by which moments may lie apart that are told by one comparison of the two clocks. NTP slews both alike."""


def unix_offset() -> float:
    """Unix time less `time.perf_counter`, in seconds, right to some microseconds.

    A thread may lose the processor between the two readings, for milliseconds on a busy machine, and a stamp that is moved by
    their difference would be that wrong: readings that lie apart are taken again. After five, the last one has to do.
    """
    for _ in range(_TRIES):
        before = perf_counter()
        unix = time()
        if perf_counter() - before < _APART:
            break
    return unix - before


class WallClock:
    """Comparisons of the two clocks that hold for some milliseconds: most moments that are told lie close together."""

    __slots__ = ("_compared", "_offset")

    def __init__(self) -> None:
        self._compared = inf
        """The moment for which the offset was read."""
        self._offset = 0.0

    def offset(self, moment: float) -> float:
        """Unix time less `time.perf_counter`, in seconds, at a moment of the latter that is not long ago."""
        if not -_COMPARED_FOR < moment - self._compared < _COMPARED_FOR:
            self._compared, self._offset = moment, unix_offset()
        return self._offset
