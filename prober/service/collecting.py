"""When Python looks for reference cycles: rarely, and at a moment that the service chooses.

A full collection goes through everything that the service holds: 200 ms with ten thousand targets, in which no handshake is noticed
and no round begins. Left to itself, CPython begins one whenever enough has survived, in the middle of a scrape or of a reload. But
the service's own values hold no cycles: what a round replaces is freed at once, without a collector. Cycles come from requests, from
exceptions and from libraries, a few kilobytes each, and most of them die young, which the first two generations see to as ever
(a millisecond). So full collections are done here, as seldom as their own duration says.
"""

from __future__ import annotations

import gc
from time import perf_counter

import trio

__all__ = ["SHARE", "settle", "sweep"]

SHARE = 0.0002
"""Of the time, at most, is spent in full collections: 200 ms every quarter of an hour. At 2,000 handshakes a second one makes 400 of
them late, which the 99th percentile of half a minute sees; what requests leave behind until then is less than a megabyte."""

SOONEST = 300.0
"""Seconds between two full collections, at least."""

_NEVER = 1 << 30
"""Collections of the second generation before CPython would begin a full one by itself: some thousand years."""


def settle() -> None:
    """What was loaded until here stays: the collector need not look at it again, and begins no full collection by itself."""
    gc.collect()
    gc.freeze()
    young, middle, _ = gc.get_threshold()
    gc.set_threshold(young, middle, _NEVER)
    gc.enable()


async def sweep() -> None:
    """Full collections, until cancelled."""
    pause = SOONEST
    while True:
        await trio.sleep(pause)
        began = perf_counter()
        gc.collect()
        pause = max(SOONEST, (perf_counter() - began) / SHARE)
