"""First rounds need not wait for their phase: a service that is started, or told of new targets, soon knows about all of them.

From the second round on each address keeps to its phase, so that neither a start nor a reload bunches anything for longer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from prober.schedule import Due, Key, Schedule
from prober.service.plan import Watched

__all__ = ["EARLY", "EARLY_AT_ONE_HOST", "PACE", "FirstRounds"]

PACE = 0.0125
"""Seconds between two steps."""

EARLY = 64
"""First rounds that are started ahead of their phase in one step: 5,000 addresses a second, so that a service with ten thousand is
ready within three seconds rather than an interval."""

EARLY_AT_ONE_HOST = 20
"""First rounds ahead of their phase at one IP address or name. Behind an ingress with a thousand names, the others keep to theirs: it
should not feel that a prober was started, nor that one is restarted again and again."""


class _Watch(Protocol):
    """One watched address."""

    @property
    def key(self) -> Key:
        """In the schedule."""

    @property
    def watched(self) -> Watched:
        """What is asked of it."""

    @property
    def begun(self) -> bool:
        """A round was ever started."""


class FirstRounds:
    """Those that are still to be started; true while there is one."""

    def __init__(self, schedule: Schedule) -> None:
        self._schedule = schedule
        self._waiting: list[Key] = []
        """The next one last."""

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def choose(self, fresh: Sequence[_Watch]) -> None:
        """Of what was never probed, these wait from now on. Whose tick is farthest away comes first: the others will be there soon."""
        hosts: Counter[str] = Counter()
        chosen: list[Key] = []
        for watch in sorted(fresh, key=lambda watch: self._schedule.next_tick(watch.key), reverse=True):
            host = watch.watched.address.host
            hosts[host] += 1
            if hosts[host] <= EARLY_AT_ONE_HOST:
                chosen.append(watch.key)
        chosen.reverse()
        self._waiting = chosen

    def take(self, watches: Mapping[Key, _Watch], now: float, room: int) -> Iterator[Due]:
        """As many as one step may start and there is ``room`` for, each due now: it had no moment of its own to be late for."""
        left = min(room, EARLY)
        while self._waiting and left > 0:
            watch = watches.get(self._waiting.pop())
            if watch is None or watch.begun:
                continue
            asked = watch.watched.asked
            # The next round must not find this one under way, nor follow it so closely that alerts count one moment twice.
            if self._schedule.advance(watch.key, now, (asked.interval + asked.timeout) / 2):
                left -= 1
                yield Due(watch.key, now, 0)
