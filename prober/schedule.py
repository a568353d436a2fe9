"""When a target's address is due. Pure: time is an argument, in Unix seconds.

Open loop: an entry is due at ``phase + n * interval`` for every whole ``n``, whatever happened to the rounds before. The phase is a
hash of the entry's key, so that entries spread evenly, and it is pinned to absolute time, so that neither a restart nor a
reload moves or bunches anything. A tick that nobody came for within its interval is skipped and counted, never queued.

Phases are rounded up to slots, so that entries are due together: at some hundred handshakes a second, to be woken for each of them
costs more than the handshakes.

An entry may be run once ahead of its tick (`Schedule.advance`), so that nobody waits an interval to know anything about it.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b
from heapq import heapify, heapreplace
from math import ceil, floor
from typing import NamedTuple, TypeAlias

__all__ = ["SLOT", "SLOTS", "Due", "Key", "Schedule", "phase", "slot"]

SLOT = 0.1
"""Seconds, at most. Woken half as often as with slots of 50 ms, the service takes 0.92 of the CPU at 667 handshakes a second (three paired
windows)."""

ROUNDS_IN_A_SLOT = 34
"""Of a hundred handshakes, the last one begins ten milliseconds late. With more to do than that, slots are halved, and halved again:
there is hardly any wake-up left to be spared."""

SLOTS = 100
"""Into which an interval is divided at least, so that also those of less than ten seconds are spread evenly."""

_NARROWEST = 0.025

Key: TypeAlias = tuple[str, ...]
"""Identity of an entry: the same words have the same phase in every process and on every machine."""


class Due(NamedTuple):
    """One entry that is to be run now."""

    key: Key
    at: float
    """The tick: the moment at which it should have been run."""
    missed: int
    """Ticks before it that were skipped, since nobody came for them in time."""


def phase(key: Key, interval: float) -> float:
    """The moment within the interval, in seconds, at which the key is due."""
    digest = blake2b("\0".join(key).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64 * interval


def slot(interval: float, rate: float) -> float:
    """Seconds between two moments at which entries with this interval are due, where ``rate`` of all entries are due a second.

    Slots are nested: what is due in a wide one is due in a narrow one as well.
    """
    width = SLOT
    while rate * width > ROUNDS_IN_A_SLOT and width > _NARROWEST:
        width /= 2
    return min(width, interval / SLOTS)


class _Entry:
    __slots__ = ("interval", "key", "phase", "tick")

    def __init__(self, key: Key, interval: float, width: float, now: float) -> None:
        self.key = key
        self.interval = interval
        self.phase = ceil(phase(key, interval) / width) * width
        self.tick = 0
        self.await_next(now)

    @property
    def at(self) -> float:
        return self.phase + self.tick * self.interval

    def await_next(self, now: float) -> None:
        """Wait for the first tick after ``now``."""
        self.tick = floor((now - self.phase) / self.interval) + 1


class Schedule:
    """All entries, as a heap by their next tick."""

    __slots__ = ("_entries", "_heap")

    def __init__(self) -> None:
        self._entries: dict[Key, _Entry] = {}
        # The number breaks ties, so that entries are never compared.
        self._heap: list[tuple[float, int, _Entry]] = []

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, key: Key) -> bool:
        return key in self._entries

    def replace(self, intervals: Mapping[Key, float], now: float) -> None:
        """Exactly these keys are scheduled from now on. One that keeps its interval keeps its next tick, also an overdue one."""
        rate = sum(1 / interval for interval in intervals.values())
        kept: dict[Key, _Entry] = {}
        for key, interval in intervals.items():
            entry = self._entries.get(key)
            if entry is None or entry.interval != interval:
                entry = _Entry(key, interval, slot(interval, rate), now)
            kept[key] = entry
        self._entries = kept
        self._rebuild()

    def advance(self, key: Key, now: float, rest: float) -> bool:
        """Run the key now, and next at its first tick after ``rest`` seconds: whether it is still there to be run.

        What is left out in between was not missed: two rounds in quick succession would be counted as two by alerts.
        """
        entry = self._entries.get(key)
        if entry is None:
            return False
        entry.await_next(now + rest)  # its place in the heap is corrected when it comes to the top
        return True

    def next_tick(self, key: Key) -> float:
        """When the key is due next."""
        return self._entries[key].at

    def restart(self, now: float) -> None:
        """The clock was set: every entry waits for its first tick after the new ``now``."""
        for entry in self._entries.values():
            entry.await_next(now)
        self._rebuild()

    def next_wakeup(self) -> float | None:
        """When the next entry is due; None when there is none at all."""
        return self._heap[0][0] if self._heap else None

    def due(self, now: float, limit: int | None = None) -> list[Due]:
        """Entries whose tick has come, earliest first, at most ``limit``; each then waits for its next tick after ``now``."""
        ready: list[Due] = []
        heap = self._heap
        while heap and heap[0][0] <= now and (limit is None or len(ready) < limit):
            at, number, entry = heap[0]
            if at < entry.at:
                heapreplace(heap, (entry.at, number, entry))
                continue
            missed_from = entry.tick
            entry.await_next(now)
            # The last tick that has come is run; those before it were missed. A float's rounding may put it one too far back.
            ran = max(entry.tick - 1, missed_from)
            entry.tick = ran + 1
            ready.append(Due(entry.key, entry.phase + ran * entry.interval, ran - missed_from))
            heapreplace(heap, (entry.at, number, entry))
        return ready

    def _rebuild(self) -> None:
        self._heap = [(entry.at, number, entry) for number, entry in enumerate(self._entries.values())]
        heapify(self._heap)
