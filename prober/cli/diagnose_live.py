"""``prober diagnose capture --live INTERFACE``: who sends no server name, said as it happens; Ctrl-C (or SIGTERM) prints the whole result."""

from __future__ import annotations

import sys
import time

from prober.cli.ending import until_stopped
from prober.diagnose.capture import Follower
from prober.diagnose.capture_facts import CaptureFacts
from prober.diagnose.collect_live import LiveError, live_frames

__all__ = ["watch"]


def watch(interface: str) -> tuple[CaptureFacts, str | None]:
    """Watch until Ctrl-C; what was seen, and why it could not be watched (on), if that is so."""
    follower = Follower()
    told: dict[tuple[str, str], int] = {}

    def tell(dropped: int) -> None:
        if dropped:
            follower.facts.dropped += dropped
            print(f"{dropped:,} packets came faster than they could be read", file=sys.stderr)
        follower.settle(time.time())
        for (client, ending), count in list(follower.facts.without_name.items()):
            if told.get((client, ending)) != count:
                told[client, ending] = count
                moment = time.strftime("%H:%M:%S")
                print(f"{moment}  {client}  no server name: {ending.value.replace('_', ' ')} ({count:,} so far)", file=sys.stderr)

    error = None
    try:
        frames = live_frames(interface, tell)
        with until_stopped():
            print(f"watching {interface}; Ctrl-C ends it and prints the result", file=sys.stderr)
            for frame in frames:
                follower.add(frame)
    except LiveError as failure:
        error = str(failure)
    except KeyboardInterrupt:
        print(file=sys.stderr)
    return follower.finish(), error
