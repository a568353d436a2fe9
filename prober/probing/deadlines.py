"""When each handshake wants to be woken: one heap for all of them.

A handshake moves its alarm often (a grace period, an early end) and a heap cannot forget: a moved or ended alarm stays behind as
a stale entry and is dropped when it surfaces. Stale entries never outnumber the live ones by much, see `_SLACK`.
"""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from itertools import count
from math import inf
from typing import Generic, Protocol, TypeVar

__all__ = ["Alarmed", "DeadlineQueue"]

_SLACK = 256
"""Stale entries that are not worth a sweep (about 25 KB)."""


class Alarmed(Protocol):
    """Something that waits for one point in time."""

    alarm: float
    """When it wants to be woken, in the queue's clock; `math.inf`: not any more."""


_A = TypeVar("_A", bound=Alarmed)


class DeadlineQueue(Generic[_A]):
    """At most one live alarm for each waiter."""

    __slots__ = ("_heap", "_numbers", "_stale", "earliest")

    def __init__(self) -> None:
        self.earliest = inf
        """No alarm is earlier than this; it may be that of one that was called off. One comparison spares most calls of `due`."""
        self._heap: list[tuple[float, int, _A]] = []
        self._numbers = count()
        self._stale = 0

    def __len__(self) -> int:
        """Entries held, stale ones included."""
        return len(self._heap)

    def set(self, waiter: _A, time: float) -> None:
        """Wake ``waiter`` at ``time`` and at no other time."""
        if waiter.alarm != inf:
            self.drop(waiter)
        waiter.alarm = time
        if time < self.earliest:
            self.earliest = time
        heappush(self._heap, (time, next(self._numbers), waiter))

    def drop(self, waiter: _A) -> None:
        """Wake ``waiter`` no more."""
        if waiter.alarm == inf:
            return
        waiter.alarm = inf
        self._stale += 1
        if self._stale > _SLACK and self._stale * 2 > len(self._heap):
            self._heap = [entry for entry in self._heap if entry[2].alarm == entry[0]]
            heapify(self._heap)
            self._stale = 0

    def next(self) -> float:
        """The earliest alarm; `math.inf` when there is none."""
        heap = self._heap
        while heap:
            time, _, waiter = heap[0]
            if waiter.alarm == time:
                self.earliest = time
                return time
            heappop(heap)
            self._stale -= 1
        self.earliest = inf
        return inf

    def due(self, now: float) -> list[_A]:
        """Take out everyone whose alarm is not later than ``now``, in order."""
        waiters = []
        while self.next() <= now:
            waiter = heappop(self._heap)[2]
            waiter.alarm = inf
            waiters.append(waiter)
        return waiters  # next() has set `earliest`
