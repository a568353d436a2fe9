"""The differential: one handshake for each hello, side by side, against one endpoint.

The hellos go out together, in random order, so that what changes between them is the server name and nothing else: not the
moment, and not which of them always came first. Each is sent once; a run never has two handshakes with the same hello.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Sequence
from time import perf_counter, time

import outcome
import trio

from prober.model import Address, Differential, Endpoint, Handshake, Observation, Seconds, Sni, Stage, Target
from prober.probing.attempt import Attempt
from prober.probing.engine import Engine, Handle
from prober.probing.entropy import EntropyBlock
from prober.probing.resolve import IpFamily, ResolveError, resolve
from prober.tls.client_hello import HelloFactory
from prober.tls.key_exchange import KeySharePool
from prober.tls.profiles import PROFILES
from prober.tls.server_name import canary_name

__all__ = ["DifferentialRun", "Runner"]

Sink = Callable[[Differential], None]

# What a NamedTuple's own constructor does, at half its price.
_new_tuple = tuple.__new__


_SHARED_BY = 512
"""Hellos that share one key pair: making one costs 40 to 190 µs."""


class _Hello:
    """One hello of a run, and the sink of its handshake: a quarter of what a `functools.partial` of a method takes."""

    __slots__ = ("_run", "attempt", "handle", "handshake")

    def __init__(self, run: DifferentialRun, attempt: Attempt) -> None:
        self._run = run
        self.attempt = attempt
        self.handle: Handle | None = None
        self.handshake: Handshake | None = None

    def __call__(self, observation: Observation) -> None:
        """What came of it."""
        self._run.arrived(self, observation)


class DifferentialRun:
    """A differential under way, for whoever started it."""

    __slots__ = ("_address", "_endpoint", "_hellos", "_order", "_runner", "_sink", "_target", "_waiting")

    def __init__(
        self,
        runner: Runner,
        target: Target,
        address: Address,
        endpoint: Endpoint,
        attempts: Sequence[Attempt],
        order: list[int],
        sink: Sink,
    ) -> None:
        self._runner = runner
        self._target = target
        self._address = address
        self._endpoint = endpoint
        self._hellos = [_Hello(self, attempt) for attempt in attempts]
        self._order = order
        """Places of the hellos that are not started yet, the next one last."""
        self._sink: Sink | None = sink
        self._waiting = len(attempts)

    @property
    def unstarted(self) -> int:
        """Handshakes that wait for a place under the concurrency limit."""
        return len(self._order)

    def start_next(self) -> None:
        """Start one more handshake. The runner calls this when there is room."""
        hello = self._hellos[self._order.pop()]
        hello.handle = self._runner.engine.start(hello.attempt, hello)

    def cancel(self) -> None:
        """Close everything now. The sink is not called any more. Idempotent."""
        if self._sink is None:
            return
        self._sink = None
        running = 0
        hellos, self._hellos = self._hellos, []
        for hello in hellos:
            handle = hello.handle
            if handle is not None and handle.observation is None:
                handle.cancel()
                running += 1
        self._order.clear()
        self._runner.freed(running)

    def arrived(self, hello: _Hello, observation: Observation) -> None:
        """One handshake ended. Its hello calls this."""
        runner = self._runner
        try:
            if self._sink is None:
                return
            attempt, handle = hello.attempt, hello.handle
            if handle is None:  # a stopped engine tells before it returns
                started, ja4 = time(), attempt.factory.ja4(attempt.server_name is not None)
            else:
                started, ja4 = runner.engine.unix_time(handle.started) if handle.started else time(), handle.ja4
            hello.handshake = _new_tuple(
                Handshake, (attempt.sni, attempt.server_name, attempt.factory.profile_name, ja4, observation, started)
            )
            self._waiting -= 1
            if not self._waiting:
                self._tell()
        finally:
            runner.freed(1)

    def _tell(self) -> None:
        sink, self._sink = self._sink, None
        hellos, self._hellos = self._hellos, []  # which refer to this: no cycle is left to the collector
        if sink is not None:
            handshakes = tuple([hello.handshake for hello in hellos if hello.handshake is not None])
            sink(Differential(self._target.name, self._address, self._endpoint, handshakes))


class Runner:
    """Runs differentials on one engine, with at most ``limit`` handshakes in flight (None: as many as are asked for).

    ``entropy`` fills hellos and canaries (by default from the system's, drawn in blocks); ``shuffle`` orders the hellos of one run.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        limit: int | None = None,
        transcript: bool = False,
        entropy: Callable[[int], bytes] | None = None,
        shuffle: Callable[[list[int]], None] = random.shuffle,
    ) -> None:
        self.engine = engine
        self._transcript = transcript
        self._entropy = entropy = EntropyBlock().take if entropy is None else entropy
        self._shuffle = shuffle
        self._pool = KeySharePool(entropy, reuse=_SHARED_BY)
        self._factories: dict[tuple[str, str], HelloFactory] = {}
        self._limit = limit
        self._free = limit or 0
        self._wanted = 1
        """Free places that the first of the queue waits for."""
        self._queue: deque[DifferentialRun] = deque()
        self._admitting = False

    # -- asking --------------------------------------------------------------------------------------------------------

    async def probe(self, target: Target, address: Address, family: IpFamily | None = None) -> tuple[Differential, ...]:
        """Resolve ``address`` and run one differential for each endpoint, all at the same time, in the resolver's order.

        An address that does not resolve, or not in time, gives one differential whose handshakes say so.
        """
        began = perf_counter()
        try:
            with trio.fail_after(target.timeout):
                endpoints = await resolve(address, family)
        except ResolveError as error:
            return (self.unresolved(target, address, error, perf_counter() - began),)
        except trio.TooSlowError:
            late = ResolveError("ETIMEDOUT", f"{address.host} was not resolved within {target.timeout:g} s")
            return (self.unresolved(target, address, late, perf_counter() - began),)
        seconds = perf_counter() - began
        results: list[Differential | None] = [None] * len(endpoints)

        async def run(place: int, endpoint: Endpoint) -> None:
            results[place] = await self.differential(target, address, endpoint, seconds)

        async with trio.open_nursery() as nursery:
            for place, endpoint in enumerate(endpoints):
                nursery.start_soon(run, place, endpoint)
        return tuple(result for result in results if result is not None)

    async def differential(
        self, target: Target, address: Address, endpoint: Endpoint, resolve_seconds: float | None = None
    ) -> Differential:
        """One differential. Cancellable at any moment."""
        task = trio.lowlevel.current_task()
        parked = False
        early: list[Differential] = []

        def sink(differential: Differential) -> None:
            if parked:
                trio.lowlevel.reschedule(task, outcome.Value(differential))
            else:
                early.append(differential)

        run = self.start_differential(target, address, endpoint, resolve_seconds, sink)
        if early:  # nothing to be asked, or the engine has stopped
            await trio.lowlevel.checkpoint()
            return early[0]
        parked = True

        def abort(_: object) -> trio.lowlevel.Abort:
            run.cancel()
            return trio.lowlevel.Abort.SUCCEEDED

        differential: Differential = await trio.lowlevel.wait_task_rescheduled(abort)
        return differential

    def start_differential(
        self, target: Target, address: Address, endpoint: Endpoint, resolve_seconds: float | None, sink: Sink
    ) -> DifferentialRun:
        """Start one differential and return at once; ``sink`` is called exactly once, unless the run is cancelled.

        It is called by the engine's task, or right here when there is nothing to ask (a target without a known name, of which
        only the known ones are wanted) or the engine has stopped.
        """
        module = target.module
        factory, timeout, depth, proxy = self._factory(target), target.timeout, module.depth, module.proxy_protocol
        attempts = [
            _new_tuple(Attempt, (endpoint, factory, sni, name, timeout, depth, resolve_seconds, proxy, self._transcript))
            for sni, name in self._hellos(target)
        ]
        order = list(range(len(attempts)))
        self._shuffle(order)
        run = DifferentialRun(self, target, address, endpoint, attempts, order, sink)
        if not attempts:
            sink(Differential(target.name, address, endpoint, ()))
        elif self._limit is None:
            while run.unstarted:
                run.start_next()
        else:
            self._queue.append(run)
            self._admit()
        return run

    def unresolved(self, target: Target, address: Address, error: ResolveError, seconds: float) -> Differential:
        """The differential of an address without an endpoint: every hello ended at stage ``resolve``."""
        factory = self._factory(target)
        observation = Observation(
            error.outcome, Stage.RESOLVE, error.code, detail=error.detail, seconds=Seconds(resolve=seconds, total=seconds)
        )
        started = time() - seconds
        handshakes = tuple(
            Handshake(sni, name, factory.profile_name, factory.ja4(name is not None), observation, started)
            for sni, name in self._hellos(target)
        )
        return Differential(target.name, address, None, handshakes)

    # -- the limit -----------------------------------------------------------------------------------------------------

    @property
    def waiting(self) -> int:
        """Differentials that wait for room under the limit."""
        return len(self._queue)

    def freed(self, count: int) -> None:
        """``count`` handshakes of a run ended."""
        if self._limit is not None:
            self._free += count
            if self._queue and self._free >= self._wanted:
                self._admit()

    def _admit(self) -> None:
        """Start what there is room for, in order. A run starts when there is room for all its hellos, so that they go together."""
        if self._admitting:  # a stopped engine ends a handshake while it is being started
            return
        self._admitting = True
        assert self._limit is not None
        try:
            while self._queue:
                run = self._queue[0]
                unstarted = run.unstarted
                # A run that was begun (the limit is smaller than it) takes what there is.
                self._wanted = min(unstarted, self._limit)
                if self._free < self._wanted:
                    return
                while unstarted and self._free:
                    self._free -= 1
                    run.start_next()
                    unstarted = run.unstarted  # a stopped engine ends it in here
                if unstarted:
                    self._wanted = 1
                    return
                self._queue.popleft()
        finally:
            self._admitting = False

    # -- what to ask ---------------------------------------------------------------------------------------------------

    def _hellos(self, target: Target) -> list[tuple[Sni, str | None]]:
        """In the order of a Differential: known (one a name), none, unknown."""
        hellos: list[tuple[Sni, str | None]] = []
        wanted = target.module.sni
        if Sni.KNOWN in wanted:
            hellos += [(Sni.KNOWN, name) for name in target.server_names]
        if Sni.NONE in wanted:
            hellos.append((Sni.NONE, None))
        if Sni.UNKNOWN in wanted:
            hellos.append((Sni.UNKNOWN, canary_name(self._entropy)))
        return hellos

    def _factory(self, target: Target) -> HelloFactory:
        module = target.module
        key = (module.hello, module.tls)
        factory = self._factories.get(key)
        if factory is None:
            factory = HelloFactory(PROFILES[module.hello], tls=module.tls.value, entropy=self._entropy, pool=self._pool)
            self._factories[key] = factory
        return factory
