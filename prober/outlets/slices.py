"""Long work in slices, so that the probing loop runs in between.

Rendering shares the loop and its interpreter with the handshakes: what is not cut up makes them late. Worker threads are no way
out, since they hold the interpreter for up to five milliseconds at a time.
"""

from __future__ import annotations

from time import perf_counter

import trio

__all__ = ["SLICE_SECONDS", "Pause"]

SLICE_SECONDS = 0.0005
"""Work between two checkpoints: how long a reader may hold up the probing loop, give or take one step of its own."""


class Pause:
    """``await pause()`` after each step of long work is a checkpoint whenever a slice's time has passed."""

    __slots__ = ("_until",)

    def __init__(self) -> None:
        self._until = perf_counter() + SLICE_SECONDS

    async def __call__(self) -> None:
        """Give way, if it is time."""
        if perf_counter() > self._until:
            await trio.lowlevel.checkpoint()
            self._until = perf_counter() + SLICE_SECONDS
