"""Signals, from the first line of the program to the last: a stop is status 0 whenever it comes.

Light on purpose: it works before the service is imported.
"""

from __future__ import annotations

import os
import signal
from types import FrameType
from typing import NoReturn

__all__ = ["HEARD", "STOPPING", "hold", "release", "stoppable"]

STOPPING = (signal.SIGTERM, signal.SIGINT)
HEARD = (*STOPPING, signal.SIGHUP)


def stoppable() -> None:
    """From now on, and until the service listens to signals itself, a signal to stop ends the process with status 0.

    SIGHUP means to read the configuration again: who is about to read it has heard.
    """

    def stop(_number: int, _frame: FrameType | None) -> NoReturn:
        # Not by an exception: whatever is being imported may catch it. Nothing is open yet that a kill -9 might not find as well.
        os._exit(0)

    for number in STOPPING:
        signal.signal(number, stop)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)


def hold() -> None:
    """Let signals wait: one that arrived while Trio starts would break it."""
    signal.pthread_sigmask(signal.SIG_BLOCK, HEARD)


def release() -> None:
    """Deliver those that wait, and all that come."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, HEARD)
