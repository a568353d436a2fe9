"""Rounds that a stall has left behind: after a stopped process, or a host that stood still, they are not all started at once.

Whatever was due meanwhile is overdue in the same moment, and an ingress with a thousand names would get a thousand differentials
within a blink, which no schedule of ours may do to it. So they are started at a pace. No phase moves by it: whose next tick is near
waits for that tick, and the one that is left out is counted as skipped.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

from prober.schedule import Due, Key, Schedule
from prober.service.first_rounds import EARLY, PACE
from prober.service.watch import Watch
from prober.snapshot import Statistics

__all__ = ["STALL", "LateRounds"]

STALL = 1.0
"""Seconds. What is later was left behind by a stall. What is not comes to a second's worth of rounds, and is started at once."""


class LateRounds:
    """Those that wait for their turn; true while there is one.

    In a step of `PACE` one round is started at each IP address or name, which are 80 a second, and at most `EARLY` at all of them.
    """

    def __init__(self, schedule: Schedule, statistics: Statistics) -> None:
        self._schedule = schedule
        self._statistics = statistics
        self._waiting: dict[Key, Due] = {}
        self._queues: dict[str, deque[Due]] = {}
        """By host, whose turn is next first; what is no longer waiting is passed over."""
        self._next_step = 0.0

    def __bool__(self) -> bool:
        return bool(self._queues)

    def clear(self) -> None:
        """The clock was set: nothing that was due by the old one is missed."""
        self._waiting.clear()
        self._queues.clear()
        self._next_step = 0.0

    def keep(self, due: Sequence[Due], watches: Mapping[Key, Watch], now: float) -> Iterator[Due]:
        """Keep what is later than `STALL`; the others are to be started now."""
        for one in due:
            if overtaken := self._waiting.pop(one.key, None):
                self._skip(overtaken)
            if now - one.at <= STALL:
                yield one
            else:
                self._waiting[one.key] = one
                self._queues.setdefault(watches[one.key].watched.address.host, deque()).append(one)

    def take(self, watches: Mapping[Key, Watch], now: float, room: int) -> Iterator[Due]:
        """What this step may start and there is ``room`` for; nothing when it was asked before in the same step."""
        if now < self._next_step:
            return
        self._next_step = (now // PACE + 1) * PACE
        for host in list(islice(self._queues, max(0, min(room, EARLY)))):
            queue = self._queues.pop(host)
            while queue:
                one = queue.popleft()
                if self._waiting.get(one.key) is not one:
                    continue
                del self._waiting[one.key]
                watch = watches.get(one.key)
                if watch is None:
                    continue
                asked = watch.watched.asked
                # As behind a first round: two in quick succession would be counted as two by alerts.
                if self._schedule.next_tick(one.key) - now < (asked.interval + asked.timeout) / 2:
                    self._skip(one)
                    continue
                yield one
                break
            if queue:
                self._queues[host] = queue  # behind the others

    def _skip(self, one: Due) -> None:
        self._statistics.skipped["late"] += one.missed + 1
