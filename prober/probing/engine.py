"""Thousands of handshakes over one private poller, driven by one Trio task.

Why not a task, a cancel scope and a `trio.socket` for each handshake: measured on one core, that costs 355 µs of CPU a handshake
and over-reports an answer of 50 µs by 4 ms at a hundred handshakes in flight; this costs 40 to 50 µs and is 0.2 ms off without the
kernel's help.

  * Sockets are registered once, edge-triggered. Trio watches a single descriptor: the poller's own.
  * Each turn polls, stamps everything that is ready with the time of that poll, and works for at most `SLICE` before it polls
    again, so that a stamp is never older than a slice. After `TURN` other tasks get the processor.
  * Deadlines are one heap; the nearest is the deadline of the one cancel scope that the task waits in.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from math import inf
from time import perf_counter, sleep
from typing import TYPE_CHECKING, Final, Protocol

import outcome
import trio

from prober.model import Observation
from prober.probing.attempt import Attempt
from prober.probing.attention import Attention
from prober.probing.deadlines import DeadlineQueue
from prober.probing.descriptors import handshake_ceiling
from prober.probing.flight import Flight
from prober.probing.poller import BATCH, Poller, new_poller
from prober.probing.receive_clock import ReceiveClock
from prober.probing.wall_clock import WallClock

if TYPE_CHECKING:
    from prober.probing.packet_clock import PacketClock

__all__ = ["Engine", "Handle"]

_log = logging.getLogger(__name__)

SLICE: Final = 200e-6
"""Seconds of work between two polls. A handshake is two or three steps of some 20 µs, and a poll that finds nothing costs a tenth of
one: at 100 µs they are twice as many, for a truth that is good enough already."""

TURN: Final = 1e-3
"""Seconds of work before other tasks run. Giving way costs about 20 µs."""

NAP: Final = 200e-6
"""Seconds for which the thread sleeps before it looks at what woke it: being woken for each event costs more than the event, and what
comes within the nap is seen together. The kernel stamps what brings a certificate; a reset may be told later by a nap, which its
uncertainty covers."""

CROWD: Final = 16
"""Handshakes in flight from which on naps are taken: for fewer there is little to gather, and somebody waits for them."""

CANCELLED: Final = "cancelled"


class Handle(Protocol):
    """A started handshake, for whoever started it."""

    @property
    def observation(self) -> Observation | None:
        """What came of it; None while it is in flight."""

    @property
    def started(self) -> float:
        """When connect() was called, in seconds of `time.perf_counter`; 0.0 before."""

    @property
    def ja4(self) -> str:
        """The JA4 of the hello."""

    def cancel(self) -> None:
        """Close now. The sink is not called any more; ``observation`` is a `local_error`. Idempotent."""


class Engine:
    """Runs handshakes. ``await nursery.start(engine.run)`` first; then `start` or `handshake`, from the same Trio thread.

    ``nap`` (seconds) is taken while at least ``crowd`` handshakes are in flight, see `NAP`. ``ceiling``: descriptors from this number on
    are not for handshakes. ``packet_clock`` stamps RSTs and FINs; the engine closes it when it ends.
    """

    def __init__(
        self, *, nap: float = NAP, crowd: int = CROWD, ceiling: int | None = None, packet_clock: PacketClock | None = None
    ) -> None:
        self.in_flight = 0
        """Handshakes started and not ended."""
        self.bugs = 0
        """Exceptions of our own that became a `local_error`; each was logged with its traceback."""
        self.ceiling = handshake_ceiling() if ceiling is None else ceiling
        self.clock: ReceiveClock
        self.packet_clock = packet_clock
        self._nap = nap
        self._crowd = crowd
        self._poller: Poller
        self._flights: dict[int, Flight] = {}
        self._ready: deque[Flight] = deque()
        self._deadlines: DeadlineQueue[Flight] = DeadlineQueue()
        self._scope: trio.CancelScope | None = None
        self._armed = inf
        self._running = False
        self._stopped = False
        self._parked = False
        self._working = False
        self._attention: Attention
        self._polled = 0.0
        """When the poller was last asked, and told everything."""
        self._burst = inf
        self._wall_clock = WallClock()

    # -- for callers ---------------------------------------------------------------------------------------------------

    @property
    def behind(self) -> bool:
        """Handshakes wait for the processor. Whoever starts more of them now makes all of them late, and in the end time out."""
        return bool(self._ready)

    async def handshake(self, attempt: Attempt) -> Observation:
        """One handshake. Cancellable at any moment: the socket is closed at once."""
        if self._stopped:
            await trio.lowlevel.checkpoint()
            return self._stillborn(attempt)
        task = trio.lowlevel.current_task()
        handle = self.start(attempt, lambda observation: trio.lowlevel.reschedule(task, outcome.Value(observation)))

        def abort(_: object) -> trio.lowlevel.Abort:
            handle.cancel()
            return trio.lowlevel.Abort.SUCCEEDED

        observation: Observation = await trio.lowlevel.wait_task_rescheduled(abort)
        return observation

    def start(self, attempt: Attempt, sink: Callable[[Observation], None]) -> Handle:
        """Start one handshake and return at once; ``sink`` is called exactly once, by the engine's task, unless it is cancelled.

        A sink is quick and raises nothing; it may start other handshakes. Once the engine has stopped, it is called right
        here, with the `local_error` that everyone else got.
        """
        if self._stopped:
            handle = Flight(attempt, None, self)
            sink(self._stillborn(attempt))
            return handle
        if not self._running:
            raise RuntimeError("the engine is not running: await nursery.start(engine.run) first")
        flight = Flight(attempt, sink, self)
        self.in_flight += 1
        if self._working:
            self._enqueue(flight)
        else:
            # Launching here saves the engine's task a wake-up, but not for longer than a slice: nobody polls meanwhile.
            now = perf_counter()
            self._burst = min(self._burst, now)
            if now - self._burst < SLICE:
                self._step(flight)
            else:
                self._enqueue(flight)
                self._rouse()
        return flight

    def look(self) -> None:
        """Stamp what is ready, and leave the rest for later: for tasks that keep the processor for longer than `SLICE`.

        What arrives while the engine's task waits for its turn would be stamped when it gets it. Call it often: it polls no more than
        once in half a slice.
        """
        if self._running and not self._working and perf_counter() - self._polled > SLICE / 2:
            self._poll()
            if self._ready:
                self._rouse()  # the poller has told of it, and will not wake the task any more

    def unix_time(self, moment: float) -> float:
        """The Unix time of a moment of `time.perf_counter` that is not long ago, by what the two clocks say now."""
        return moment + self._wall_clock.offset(moment)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Drive all handshakes until cancelled; then close them, and tell everyone who waits `local_error`, ``cancelled``."""
        if self._running or self._stopped:
            raise RuntimeError("an engine runs once")
        self._poller = new_poller()
        self._attention = Attention()
        trio.lowlevel.add_instrument(self._attention)
        self.clock = ReceiveClock()
        self._polled = perf_counter()
        self._running = True
        task_status.started()
        try:
            while True:
                # A scope that was cancelled stays so; one lasts until an alarm goes off or somebody rouses the task.
                with trio.CancelScope() as self._scope:
                    self._armed = inf
                    await self._work_and_wait()
        finally:
            self._running = False
            self._stopped = True
            self._release_all()
            trio.lowlevel.remove_instrument(self._attention)
            self._attention.close()
            self._poller.close()
            self.clock.close()
            if self.packet_clock is not None:
                self.packet_clock.close()

    # -- the task ------------------------------------------------------------------------------------------------------

    async def _work_and_wait(self) -> None:
        fd = self._poller.fileno()
        while True:
            self._working = True
            try:
                idle = self._turn()
            finally:
                self._working = False
            if not idle:
                await trio.lowlevel.checkpoint()
                continue
            self._arm(self._deadlines.next())
            self._parked = True
            try:
                await trio.lowlevel.wait_readable(fd)
            finally:
                self._parked = False
            self._gather()

    def _gather(self) -> None:
        if self.in_flight >= self._crowd:
            sleep(self._nap)

    def _turn(self) -> bool:
        """Work for at most `TURN`. Returns whether nothing is left to do."""
        ready = self._ready
        turn_end = perf_counter() + TURN
        while True:
            self._poll()
            if not ready:
                return True
            slice_end = perf_counter() + SLICE
            while ready:
                self._step(ready.popleft())
                if perf_counter() >= slice_end:
                    break
            if slice_end >= turn_end:
                return False

    def _poll(self) -> None:
        """Stamp and queue whatever is ready or due."""
        before = perf_counter()
        events = self._poller.poll()
        now = perf_counter()
        ready, flights, quiet = self._ready, self._flights, self._polled
        attentive = max(quiet, self._attention.woke)
        for fd, mask in events:
            flight = flights.get(fd)
            if flight is None:
                continue  # closed here, and held open by a child that was forked and has not called exec() yet
            flight.seen = now
            if flight.events:
                flight.events |= mask
            else:
                flight.events = mask
                flight.quiet_at = quiet
                flight.seen_after = attentive
            if not flight.queued:
                flight.queued = True
                ready.append(flight)
        if len(events) < BATCH:
            self._polled = before  # else some were ready, and not reported
        self._burst = inf
        if self._deadlines.earliest <= now:
            for flight in self._deadlines.due(now):
                flight.woken = True
                self._enqueue(flight)

    def _step(self, flight: Flight) -> None:
        """Advance one flight, and tell its observation. The one place in which an exception of our own is caught."""
        flight.queued = False
        try:
            flight.advance()
            if flight.observation is not None:
                self._tell(flight)
        except Exception as error:
            self.bugs += 1
            _log.exception("a bug of prober's own ended a handshake with %s", flight.attempt.endpoint)
            flight.abandon(f"bug: {type(error).__name__}: {error}")
            if flight.sink is not None:
                self._enqueue(flight)
                self._rouse()

    def _tell(self, flight: Flight) -> None:
        observation, sink = flight.observation, flight.sink
        if observation is None or sink is None:
            return
        if self._working:
            flight.sink = None
            sink(observation)
        else:
            # Its handle has not been returned to the caller yet.
            self._enqueue(flight)
            self._rouse()

    def _enqueue(self, flight: Flight) -> None:
        if not flight.queued:
            flight.queued = True
            self._ready.append(flight)

    def _rouse(self) -> None:
        """Wake the task if it waits; if it does not, it will look at the queue before it does."""
        if self._parked and self._scope is not None:
            self._parked = False
            self._scope.cancel()

    def _arm(self, moment: float) -> None:
        """Wake the task at ``moment`` at the latest.

        An alarm that was called off meanwhile costs one vain wake-up, which is less than moving the deadline each time.
        """
        if moment < self._armed and self._scope is not None:
            self._armed = moment
            self._scope.deadline = trio.current_time() + (moment - perf_counter())

    def _stillborn(self, attempt: Attempt) -> Observation:
        flight = Flight(attempt, None, self)
        self.in_flight += 1
        flight.abandon(CANCELLED)
        assert flight.observation is not None
        return flight.observation

    def _release_all(self) -> None:
        for flight in [*self._flights.values(), *self._ready]:
            flight.abandon(CANCELLED)
            self._enqueue(flight)
        self._working = True  # what is told now is told at once
        while self._ready:
            self._step(self._ready.popleft())
        self._working = False

    # -- for flights: `flight.Host` ------------------------------------------------------------------------------------

    def watch(self, flight: Flight, fd: int) -> None:
        """Call the flight's `advance` when ``fd`` changes."""
        self._poller.add(fd)
        self._flights[fd] = flight

    def again(self, flight: Flight) -> None:
        """Call the flight's `advance` soon."""
        self._enqueue(flight)

    def alarm(self, flight: Flight, time: float) -> None:
        """Wake the flight at ``time``."""
        self._deadlines.set(flight, time)
        if self._parked:
            self._arm(time)

    def ended(self, flight: Flight, fd: int) -> None:
        """Forget the flight."""
        self.in_flight -= 1
        self._deadlines.drop(flight)
        if fd >= 0:
            del self._flights[fd]
