"""Carrying out ``prober once``: targets in, at most so many handshakes in flight, results out as they come.

What is in memory at any time does not depend on how many targets there are: the reader waits while enough differentials are
under way or their results are not yet written. A target that is an IP address costs no task; names wait for a resolver's thread.
"""

from __future__ import annotations

import os
import signal
import sys
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Iterable
from datetime import UTC, datetime
from time import perf_counter

import trio

from prober.cli.formats import Finding, Format, Tally
from prober.cli.once_output import Output
from prober.cli.once_plan import Plan, bar_of, concurrency_of, format_of, packet_clock
from prober.cli.once_targets import BadLine, LineSplitter, TargetFile
from prober.cli.parser import UsageError
from prober.cli.progress import REFRESH, Bar
from prober.cli.terminal import Terminal
from prober.cli.transcript import transcript
from prober.config.trust import TrustError, load_trust
from prober.judge.trust import TrustStore
from prober.judge.verdicts import judge
from prober.model import Address, Differential, Target
from prober.probing.engine import Engine
from prober.probing.names import Names
from prober.probing.resolve import ResolveError, literal_endpoint, resolve
from prober.probing.runner import Runner

__all__ = ["carry_out"]

_RESOLVING = 32
"""Names that are waited for at the same time. One that nobody answers for keeps its thread long after its deadline: see `Names`."""
_WAITING, _FEW_WAITING = 64, 16
"""Differentials that stand ready for the moment in which there is room: so many at most, and when to look for more. Waking the
reader for each of them costs as much as reading."""
_GATHER = 0.005
"""Seconds for which results are gathered before they are judged and written together: one wake-up, and one write, for all."""
_SLICE = 500e-6
"""Seconds of judging and formatting after which the engine may work. It looks at its sockets more often, so that what arrives
meanwhile is not told as late."""
_BATCH = 64 * 1024
"""Characters that are written at once."""
_EXIT_FAULT, _EXIT_USAGE, _EXIT_UNSURE = 1, 2, 3


def carry_out(plan: Plan) -> int:
    """Probe everything; the exit status. Raises `UsageError`, and `OSError` where the output cannot be written."""
    try:
        trust = load_trust(plan.recipe.module.ca_file)
    except TrustError as error:
        raise UsageError(f"--ca-file {error}") from None
    engine = Engine(packet_clock=packet_clock() if plan.packet_timestamps else None)
    run = _Run(plan, trust, format_of(plan), engine, concurrency_of(plan), bar_of(plan))
    try:
        trio.run(run.run)
    except* KeyboardInterrupt:
        run.interrupted()  # before signals were heeded
    return run.finish()


class _Awaited:
    """The sink of one differential, which knows its place in the output. Each one under way has one; a partial is thrice as large."""

    __slots__ = ("_number", "_place", "_take")

    def __init__(self, take: Callable[[tuple[int, int], Differential], None], number: int, place: int) -> None:
        self._take = take
        self._number = number
        self._place = place

    def __call__(self, differential: Differential) -> None:
        """Its result."""
        self._take((self._number, self._place), differential)


class _Run:
    """One run, from the first target to the last byte of output."""

    def __init__(self, plan: Plan, trust: TrustStore, format_: Format, engine: Engine, concurrency: int, bar: Bar | None) -> None:
        self._plan = plan
        self._trust = trust
        self._proxied = plan.recipe.module.proxy_protocol is not None
        self._format = format_
        self._bar = bar
        self._engine = engine
        self._runner = Runner(self._engine, limit=concurrency, transcript=plan.transcript)
        self._backlog = max(concurrency, _WAITING)
        self._output = Output(sys.stdout)
        self._terminal = Terminal.of(sys.stderr, os.environ, colour=plan.colour)
        """Where transcripts go, as curl's do, when standard output is for programs."""
        self._probing = trio.CancelScope()
        self._resolvers = trio.Semaphore(_RESOLVING)
        self._names = Names()

        self._began = perf_counter()
        self._targets = 0
        self._lines = 0
        """Targets and bad lines that were taken in: what the progress bar counts, less what is under way."""
        self._bad_lines = 0
        self._under_way = 0
        """Names being resolved, and differentials without a result."""
        self._fed = False
        self._arrived: deque[tuple[tuple[int, int], Differential]] = deque()
        self._news = trio.Event()
        self._complete = trio.Event()
        """Everything was probed; what is left is to be written."""
        self._room = trio.Event()
        self._signal: int | None = None
        self._missing: list[str] = []
        """What a signal cut off: without it the totals read as if that had not been asked for."""
        self._output_error: OSError | None = None
        self._verdicts: Counter[str] = Counter()
        self._at_fault = 0
        self._inconclusive = 0

    async def run(self) -> None:
        """Probe, and write what comes, until everything is written or a signal says stop."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._heed_signals, nursery.cancel_scope)
            if self._bar is not None:
                nursery.start_soon(self._draw, self._bar)
            nursery.start_soon(self._probe)
            await self._write_results()
            nursery.cancel_scope.cancel()

    def interrupted(self) -> None:
        """A signal ended the run."""
        self._signal = signal.SIGINT

    def finish(self) -> int:
        """Complete the document; the exit status."""
        if self._bar is not None:
            self._bar.stop()
        if self._output_error is not None:
            raise self._output_error
        tally = Tally(self._verdicts, self._at_fault, self._inconclusive, perf_counter() - self._began)
        self._output.write(self._format.end(tally))
        if self._signal is not None:
            if self._missing:
                self._complain(f"{signal.Signals(self._signal).name}: {', and '.join(self._missing)}")
            return 128 + self._signal
        if self._targets == 0:
            self._complain("no target in " + ", ".join(file.name for file in self._plan.files))
        if self._bad_lines or self._targets == 0:
            return _EXIT_USAGE
        return _EXIT_FAULT if self._at_fault else _EXIT_UNSURE if self._inconclusive else 0

    # -- probing -------------------------------------------------------------------------------------------------------

    async def _probe(self) -> None:
        with self._probing:
            async with trio.open_nursery() as nursery:
                await nursery.start(self._engine.run)
                await nursery.start(self._names.run)
                await self._feed(nursery)
                self._fed = True
                self._news.set()
                while self._under_way:
                    await self._have_room()
                nursery.cancel_scope.cancel()
        self._fed, self._under_way = True, 0
        self._complete.set()
        self._news.set()

    async def _feed(self, nursery: trio.Nursery) -> None:
        for target in self._plan.targets:
            await self._begin(target, nursery)
        for file in self._plan.files:
            async for items in self._items(file):
                for item in items:
                    if isinstance(item, BadLine):
                        self._lines += 1
                        self._bad_lines += 1
                        self._complain(str(item))
                    else:
                        await self._begin(item, nursery)

    async def _items(self, file: TargetFile) -> AsyncIterator[Iterable[Target | BadLine]]:
        """Block by block: a step of an asynchronous generator costs as much as a line."""
        splitter = LineSplitter(file.name, self._plan.recipe)
        try:
            while True:
                if file.is_regular:
                    block = file.read()
                else:
                    block = await trio.to_thread.run_sync(file.read, abandon_on_cancel=True)
                yield splitter.feed(block)
                if not block:
                    return
        except OSError as error:
            yield [BadLine(file.name, f"cannot be read further: {error.strerror}")]
        finally:
            file.close()

    async def _begin(self, target: Target, nursery: trio.Nursery) -> None:
        while self._runner.waiting >= _WAITING or len(self._arrived) >= self._backlog:
            await self._have_room()
        number = self._targets
        self._targets += 1
        self._lines += 1
        address = target.addresses[0]
        self._under_way += 1
        if self._plan.family is None and (endpoint := literal_endpoint(address)) is not None:
            self._runner.start_differential(target, address, endpoint, 0.0, _Awaited(self._take, number, 0))
            self._engine.look()
            return
        await self._resolvers.acquire()
        nursery.start_soon(self._resolve, number, target, address)

    async def _resolve(self, number: int, target: Target, address: Address) -> None:
        began = perf_counter()
        try:
            with trio.fail_after(target.timeout):
                endpoints = await resolve(address, self._plan.family)
        except ResolveError as error:
            unresolved = error
        except trio.TooSlowError:
            unresolved = ResolveError("ETIMEDOUT", f"{address.host} was not resolved within {target.timeout:g} s")
        else:
            seconds = perf_counter() - began
            self._under_way += len(endpoints) - 1
            for place, endpoint in enumerate(endpoints):
                self._runner.start_differential(target, address, endpoint, seconds, _Awaited(self._take, number, place))
            return
        finally:
            self._resolvers.release()
        self._take((number, 0), self._runner.unresolved(target, address, unresolved, perf_counter() - began))

    def _take(self, number: tuple[int, int], differential: Differential) -> None:
        if self._signal is not None:
            return  # a handshake that was cut off by the end of the run says nothing
        self._under_way -= 1
        self._arrived.append((number, differential))
        self._news.set()
        if self._runner.waiting <= _FEW_WAITING or not self._under_way:
            self._room.set()

    async def _have_room(self) -> None:
        """Wait until something changed that makes room, or ends the run."""
        self._room = trio.Event()
        await self._room.wait()

    # -- writing -------------------------------------------------------------------------------------------------------

    async def _write_results(self) -> None:
        text = [self._format.start()]
        try:
            while True:
                self._news = trio.Event()
                await self._judge_arrived(text)
                self._room.set()
                if any(text):
                    await self._write("".join(text))
                text.clear()
                if self._arrived:
                    continue
                if self._fed and not self._under_way:
                    return
                await self._news.wait()
                with trio.move_on_after(_GATHER):
                    await self._complete.wait()
        except OSError as error:
            self._output_error = error

    async def _judge_arrived(self, text: list[str]) -> None:
        slice_end = perf_counter() + _SLICE
        size = 0
        while self._arrived and size < _BATCH:
            number, differential = self._arrived.popleft()
            judgement = judge(differential, self._plan.recipe.non_sni, self._trust, datetime.now(UTC), proxied=self._proxied)
            self._verdicts[judgement.verdict] += 1
            self._at_fault += judgement.at_fault
            self._inconclusive += judgement.inconclusive is not None
            text.append(self._format.result(Finding(number, differential, judgement)))
            if self._plan.transcript and self._plan.format != "table":
                self._clear_bar()
                print(
                    f"{differential.endpoint or differential.address}",
                    *transcript(differential, self._terminal),
                    sep="\n",
                    file=sys.stderr,
                )
            size += len(text[-1])
            self._engine.look()
            if perf_counter() >= slice_end:
                await trio.lowlevel.checkpoint()
                slice_end = perf_counter() + _SLICE

    async def _write(self, text: str) -> None:
        if self._bar is not None:
            self._bar.make_room()
        if self._fed and not self._under_way:
            self._output.write(text)  # nobody has to be waited for
        elif rest := self._output.write_at_once(text):
            # A pager that is not scrolled, or a full pipe, must not stop the clock of handshakes that are in flight.
            await trio.to_thread.run_sync(self._output.finish, rest, abandon_on_cancel=True)

    # -- people --------------------------------------------------------------------------------------------------------

    def _complain(self, message: str) -> None:
        self._clear_bar()
        print(f"prober once: {message}", file=sys.stderr)

    def _clear_bar(self) -> None:
        if self._bar is not None:
            self._bar.clear()

    async def _draw(self, bar: Bar) -> None:
        bar.start()
        while True:
            if not self._output.busy:
                bar.draw(max(self._lines - self._under_way - len(self._arrived), 0), self._at_fault)
            await trio.sleep(REFRESH)

    async def _heed_signals(self, everything: trio.CancelScope) -> None:
        """The first signal ends probing, and what is there is written; the second one ends that, too."""
        with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            async for number in signals:
                if self._signal is not None:
                    everything.cancel()
                    continue
                if count := self._under_way:
                    self._missing.append(f"{count:,} address{'es' * (count != 1)} without a result")
                if not self._fed:
                    self._missing.append("the targets were not read to their end")
                self._signal = number
                self._probing.cancel()
