"""Whether a machine gives processes the time that they need: no prober is in time on one that does not."""

from __future__ import annotations

import threading
import time
from collections import deque
from pathlib import Path
from typing import Self

__all__ = ["Starving"]

STARVED = 0.15
"""A process that waits for a CPU for so much of its time is late, whatever it does."""
STOOD_STILL = 0.5
"""And so is one that cannot run for so many seconds of one second: what is due in it is begun in what is left of the next one."""

_LOOK = 0.02
_WINDOW = 1.0


class Starving(threading.Thread):
    """Looks every 20 ms at how long processes wait for a CPU, and whether the machine goes on at all, until the context is left.

    Linux counts only what other processes take: that a hypervisor takes the CPU is seen by who wakes up too late.
    """

    def __init__(self, *processes: int) -> None:
        super().__init__(daemon=True)
        self._processes = processes
        self._over = threading.Event()
        self.longest = 0.0
        """The most seconds of one second in which one of them could not run."""
        self.share = 0.0
        """Which part of all the time one of them waited, at most."""

    @property
    def excuses(self) -> bool:
        """Whether something may be late, and not for want of care."""
        return self.share > STARVED or self.longest > STOOD_STILL

    def __str__(self) -> str:
        return f"waited {self.share:.0%} of the time for a CPU, at most {self.longest:.2f} s in one second"

    def run(self) -> None:
        """The looks."""
        seen = deque([(time.monotonic(), self._waited())])
        began, at_first = seen[0]
        while not self._over.wait(_LOOK):
            now, waited = time.monotonic(), self._waited()
            while len(seen) > 1 and now - seen[0][0] > _WINDOW:
                seen.popleft()
            before = seen[0][1]
            stood_still = now - seen[-1][0] - _LOOK
            self.longest = max(self.longest, stood_still, *(then - first for then, first in zip(waited, before, strict=True)))
            self.share = max(then - first for then, first in zip(waited, at_first, strict=True)) / (now - began)
            seen.append((now, waited))

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self.join()

    def _waited(self) -> tuple[float, ...]:
        return tuple(int(Path(f"/proc/{process}/schedstat").read_text().split()[1]) / 1e9 for process in self._processes)
