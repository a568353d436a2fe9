"""Two clocks at one moment: Unix time, in which kernels and people stamp, and `time.perf_counter`, in which the engine measures."""

from __future__ import annotations

from time import perf_counter, time
from typing import Final

__all__ = ["unix_offset"]

_APART: Final = 50e-6
_TRIES: Final = 5


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
