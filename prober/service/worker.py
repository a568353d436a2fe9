"""A worker process: ``python -m prober.service.worker DESCRIPTOR``. It runs rounds, and tells of them; it decides nothing.

Everything else (configuration, discovery, history, alerting, the web) is in the process that started it, whose end is its end: the
socket between them closes however that process ends, and Linux is asked to kill on top of that, in case this one hangs.
"""

from __future__ import annotations

import ctypes
import logging
import pickle
import signal
import socket
import sys
from collections import deque
from time import time

import trio

from prober.probing.descriptors import raise_descriptor_limit
from prober.probing.names import Names
from prober.probing.runner import Runner
from prober.schedule import Key
from prober.service import collecting, logs
from prober.service.engines import new_engine
from prober.service.frames import FrameStream
from prober.service.plan import Watched
from prober.service.reports import Report, Reporter
from prober.service.rounds import Rounds
from prober.service.shares import Share, Welcome
from prober.service.signals import HEARD
from prober.service.tallies import TallyBook
from prober.snapshot import Statistics, Store

__all__ = ["FLUSH_SECONDS", "TALLY_SECONDS", "main"]

_log = logging.getLogger("prober.service")

FLUSH_SECONDS = 0.05
"""Between two reports: 20 wake-ups a second on either side, and an alert is that much later at most."""

TALLY_SECONDS = 1.0
"""Between two tallies. A report goes out at least as often, so that silence means that something is wrong."""

_PR_SET_PDEATHSIG = 1  # <linux/prctl.h>


class _Worker:
    """The rounds of one share."""

    def __init__(self, stream: FrameStream, welcome: Welcome) -> None:
        self._stream = stream
        self._engine = new_engine(packet_timestamps=welcome.packet_timestamps)
        self._reporter = Reporter()
        statistics = Statistics(lambda: self._engine.in_flight, time())
        self._rounds = Rounds(
            Runner(self._engine),
            Store(),
            statistics,
            lambda _: None,
            witness=self._reporter,
            attentive=Runner(self._engine, transcript=True),
            overseer=self._reporter,
            prompt=True,
        )
        self._tallies = TallyBook(statistics)
        self._told = trio.current_time()
        self._outgoing: deque[Report] = deque()
        self._watched: dict[Key, Watched] = {}
        self._trust: Share | None = None
        self._epoch = 0
        self._said = (0, False)
        """The epoch of the last report, and whether it said that the first round is done."""

    async def run(self) -> None:
        """Until the other process has ended, or wants no more."""
        async with trio.open_nursery() as nursery:
            await nursery.start(Names().run)
            await nursery.start(self._engine.run)
            started = False
            while (frame := await self._stream.receive()) is not None:
                self._adopt(pickle.loads(frame))  # noqa: S301  (see prober.service.frames)
                if not started:
                    started = True
                    collecting.settle()
                    nursery.start_soon(collecting.sweep)
                    nursery.start_soon(self._rounds.run)
                    nursery.start_soon(self._report)
            self._rounds.stop()
            nursery.cancel_scope.cancel()

    def _adopt(self, share: Share) -> None:
        self._close_report(with_tallies=False)  # what happened until now happened before
        self._epoch = share.epoch
        if share.trust is not None:
            self._trust = share
        assert self._trust is not None
        assert self._trust.trust is not None
        for key in share.removed:
            del self._watched[key]
        self._watched |= share.changed
        self._reporter.begin_anew({one.target.name for one in share.changed.values()})
        self._rounds.awaiting_targets = share.awaiting_targets
        self._rounds.policy = share.policy
        self._rounds.replace(self._watched, self._trust.trust, share.elsewhere, share.known)

    async def _report(self) -> None:
        while True:
            await trio.sleep(FLUSH_SECONDS)
            due = trio.current_time() - self._told >= TALLY_SECONDS
            if due:
                self._told = trio.current_time()
            self._close_report(with_tallies=due)
            while self._outgoing:
                try:
                    await self._stream.send(self._outgoing.popleft().encode())
                except trio.BrokenResourceError:
                    return  # the other process has ended, as the reading side sees

    def _close_report(self, *, with_tallies: bool) -> None:
        items = self._reporter.take()
        says = self._epoch, self._rounds.first_round_done
        if items or with_tallies or says != self._said:
            self._said = says
            tallies = self._tallies.since_last() if with_tallies else None
            self._outgoing.append(Report(*says, self._engine.in_flight, items, tallies))


def main() -> None:
    """Run until the other end of the socket is closed."""
    # A signal to the whole process group (Ctrl-C, a service manager's) is for the process that knows what to do about it.
    for number in HEARD:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, HEARD)
    _die_with_parent()
    raise_descriptor_limit()
    trio.run(_main, socket.socket(fileno=int(sys.argv[1])))


async def _main(end: socket.socket) -> None:
    stream = FrameStream(trio.SocketStream(trio.socket.from_stdlib_socket(end)))
    frame = await stream.receive()
    if frame is None:
        return
    welcome: Welcome = pickle.loads(frame)  # noqa: S301
    logs.configure(welcome.log_level, welcome.log_format)
    await _Worker(stream, welcome).run()


def _die_with_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


if __name__ == "__main__":
    main()
