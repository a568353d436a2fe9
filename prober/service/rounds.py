"""From the schedule's ticks to the store: what is due is probed, what comes back is judged and recorded.

Judging happens in the engine's callback, in the step in which the last handshake ended: no task, no queue and no lock stand
between an observation and its verdict. Only a name costs a task, while it is resolved, and it is resolved in every round:
each of its addresses is an endpoint with a state of its own, and one that vanishes from DNS vanishes from the store.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime
from functools import partial
from math import inf
from time import perf_counter, time
from typing import Protocol

import trio

from prober.judge.alerting import Policy
from prober.judge.repeats import holds_until, repeats
from prober.judge.trust import TrustStore
from prober.judge.verdicts import judge
from prober.model import Differential, Endpoint, Target
from prober.probing.resolve import ResolveError, resolve
from prober.probing.runner import Runner
from prober.schedule import Due, Key, Schedule
from prober.service.first_rounds import EARLY, PACE, FirstRounds
from prober.service.keeping import as_before, shared
from prober.service.late_rounds import LateRounds
from prober.service.logs import event
from prober.service.plan import Watched, same_question
from prober.service.recording import Recorder, Witness, say_ready
from prober.service.watch import Watch
from prober.snapshot import Change, StateKey, Statistics, Store

__all__ = ["Overseer", "Rounds"]

_log = logging.getLogger("prober.service")

BATCH = 16
"""Rounds of one slot that are started before the engine looks at what has become of them: a millisecond of work."""

BATCHES = 4
"""Of one slot, that are started whether or not the engine has done with those before: the last ones are not to wait for all answers."""

CLOCK_STEP = 1.0
"""Seconds by which the wall clock must leave the monotonic one before it counts as having been set, not slewed."""


class Overseer(Protocol):
    """Another process, for which these rounds are run: it keeps the books, and says itself when it is ready."""

    @property
    def congested(self) -> bool:
        """It takes in less than it is told: rounds must wait."""

    def holds(self, key: Key, states: frozenset[StateKey]) -> None:
        """The watched address writes exactly these states from now on."""

    def ready(self) -> None:
        """The first round is done."""


class Rounds:
    """Runs the rounds. ``on_change`` is told every change of a verdict; ``clock`` is Unix time in seconds.

    ``witness`` is told of every round; ``attentive`` probes what has lately begun to be at fault (it takes transcripts); ``overseer``
    is there in a process that runs them for another one. ``prompt``: first rounds do not wait for their phase.
    """

    def __init__(
        self,
        runner: Runner,
        store: Store,
        statistics: Statistics,
        on_change: Callable[[Change], None],
        clock: Callable[[], float] = time,
        *,
        witness: Witness | None = None,
        attentive: Runner | None = None,
        overseer: Overseer | None = None,
        prompt: bool = False,
    ) -> None:
        self._runner = runner
        self._attentive = attentive or runner
        self._overseer = overseer
        self._prompt = prompt
        self.policy = Policy()
        """When alerts fire: until then, what is at fault is probed attentively."""
        self._store = store
        self._recorder = Recorder(store, on_change, witness)
        self._statistics = statistics
        self._clock = clock
        self._schedule = Schedule()
        self._first = FirstRounds(self._schedule)
        self._late = LateRounds(self._schedule, statistics)
        self._watches: dict[Key, Watch] = {}
        self._owners: dict[StateKey, Watch] = {}
        self._elsewhere: frozenset[StateKey] = frozenset()
        self._trust: Mapping[str | None, TrustStore] = {}
        self._unjudged: set[Key] = set()
        self._anew = 0
        """States up to this version are judged anew: the trust anchors, the targets or the clock are others since."""
        self.awaiting_targets = False
        """Whether targets that belong to the first round are still to be found."""
        self.first_round_done = False
        """Every address that was there at the start was judged once."""
        self._stopped = False
        self._scope = trio.CancelScope()

    def at(self, endpoint: Endpoint) -> Watched | None:
        """What is watched at this endpoint, by literal or by a name's last resolution; None when it is none of ours."""
        address = str(endpoint)
        for key, watch in self._owners.items():
            if key.address == address:
                return watch.watched
        return None

    def replace(
        self,
        watched: Mapping[Key, Watched],
        trust: Mapping[str | None, TrustStore],
        elsewhere: frozenset[StateKey] = frozenset(),
        known: Collection[Key] = (),
    ) -> None:
        """Watch exactly this from now on. What stays keeps its phase, its state and its round under way.

        Endpoints that are watched ``elsewhere`` are left alone where a name leads to one. What is ``known`` was probed by another
        process before.
        """
        before = self._watches
        self._trust = trust
        self._anew = self._store.version
        self._watches = {key: before.get(key) or Watch(key, one) for key, one in watched.items()}
        for key, watch in self._watches.items():
            watch.watched = watched[key]
        for key, watch in before.items():
            if key not in self._watches:
                self._hold(watch, frozenset())
        self._elsewhere = elsewhere
        for watch in self._watches.values():
            if watch.states & elsewhere:
                self._hold(watch, watch.states - elsewhere)
        self._hold_literals()
        self._recorder.adopt([one.target for one in watched.values()])
        self._schedule.replace({key: one.target.interval for key, one in watched.items()}, self._clock())
        if self._prompt:
            self._first.choose([watch for watch in self._watches.values() if not watch.begun and watch.key not in known])
        if not self.first_round_done:
            self._unjudged = (self._unjudged | (self._watches.keys() - before.keys())) & self._watches.keys()
            self._look_for_end_of_first_round()
        # The loop may be waiting for a slot that is not the next one any more.
        self._scope.cancel()

    def stop(self) -> None:
        """Record nothing more: what ends from now on ends because we are ending."""
        self._stopped = True

    async def run(self) -> None:
        """Start every round when it is due, until cancelled."""
        offset = self._clock() - trio.current_time()
        in_a_row = 0
        async with trio.open_nursery() as resolving:
            while True:
                # With more to do than this core can, what is in flight comes first: rounds that are started on top of it make all
                # of them time out, and an overloaded prober would call every ingress dead. So rounds start late, which is counted,
                # and those that come too late for their tick are skipped, which is counted, too.
                while not in_a_row and self._runner.engine.behind:
                    await trio.lowlevel.checkpoint()
                now = self._clock()
                moved = now - trio.current_time() - offset
                if abs(moved) > CLOCK_STEP:
                    event(_log, logging.WARNING, "the clock was set; rounds wait for their next tick", seconds=round(moved, 3))
                    self._schedule.restart(now)
                    self._late.clear()
                    self._anew = self._store.version
                    offset += moved
                due = self._schedule.due(now, BATCH)
                for one in self._late.keep(due, self._watches, now):
                    self._start(one, resolving)
                # Only now: what has just begun is not to be hurried, too.
                for rounds in (self._late, self._first):
                    for one in rounds.take(self._watches, now, EARLY - len(due)):
                        self._start(one, resolving)
                if len(due) == BATCH:
                    in_a_row = (in_a_row + 1) % BATCHES
                    await trio.lowlevel.checkpoint()
                    continue
                in_a_row = 0
                wakeup = self._schedule.next_wakeup()
                if self._first or self._late:
                    wakeup = min(wakeup or inf, (now // PACE + 1) * PACE)
                # One scope for both, the time and the call; `trio.sleep` would make another one.
                with trio.CancelScope(deadline=trio.current_time() + ((wakeup or inf) - now)) as self._scope:
                    await trio.sleep_forever()

    # -- one round -----------------------------------------------------------------------------------------------------

    def _start(self, due: Due, resolving: trio.Nursery) -> None:
        watch = self._watches[due.key]
        self._statistics.skipped["late"] += due.missed
        if watch.running:
            self._statistics.skipped["in_flight"] += 1
            return
        if self._overseer is not None and self._overseer.congested:
            self._statistics.skipped["late"] += 1
            return
        watch.running = 1
        watch.begun = True
        if watch.endpoint is None:
            resolving.start_soon(self._resolve, watch, due.at)
        else:
            try:
                self._differential(watch, watch.watched, watch.endpoint, watch.state, 0.0, due.at)
            except Exception:
                self._ended_by_a_bug(watch)

    async def _resolve(self, watch: Watch, due_at: float) -> None:
        """Resolve a name, and start a differential with each of its endpoints."""
        watched = watch.watched
        began = perf_counter()
        try:
            try:
                with trio.fail_after(watched.asked.timeout):
                    endpoints = await resolve(watched.address)
            except ResolveError as error:
                self._unresolved(watch, watched, error, perf_counter() - began, due_at)
            except trio.TooSlowError:
                late = ResolveError("ETIMEDOUT", f"{watched.address.host} was not resolved within {watched.asked.timeout:g} s")
                self._unresolved(watch, watched, late, perf_counter() - began, due_at)
            else:
                self._resolved(watch, watched, endpoints, perf_counter() - began, due_at)
        except Exception:
            self._ended_by_a_bug(watch)

    def _resolved(self, watch: Watch, watched: Watched, endpoints: tuple[Endpoint, ...], seconds: float, due_at: float) -> None:
        if self._watches.get(watch.key) is not watch:
            return  # removed meanwhile
        by_state = {StateKey(watched.target.name, str(endpoint)): endpoint for endpoint in endpoints}
        self._hold(watch, frozenset(by_state))
        # Where the target lists the IP as well, that address watches it.
        held = watch.states
        mine = [(state, endpoint) for state, endpoint in by_state.items() if state in held]
        watch.running = len(mine)
        for state, endpoint in mine:
            self._differential(watch, watched, endpoint, state, seconds, due_at)
        if not mine:
            self._judged_once(watch)

    def _unresolved(self, watch: Watch, watched: Watched, error: ResolveError, seconds: float, due_at: float) -> None:
        if self._watches.get(watch.key) is watch:
            self._hold(watch, frozenset({watch.state}))
        self._arrived(
            watch, watched, watch.state, due_at, self._runner.unresolved(watched.asked, watched.address, error, seconds)
        )

    def _differential(
        self, watch: Watch, watched: Watched, endpoint: Endpoint, key: StateKey, resolve_seconds: float, due_at: float
    ) -> None:
        # What resolution took is the name's, and in the handshake's own figures; lateness is ours.
        sink = partial(self._arrived, watch, watched, key, due_at + resolve_seconds)
        runner = self._attentive if self._is_news(key, watched) else self._runner
        runner.start_differential(watched.asked, watched.address, endpoint, resolve_seconds, sink)

    def _is_news(self, key: StateKey, watched: Watched) -> bool:
        """Whether it has lately begun to be at fault: its alert may be about to fire, and the transcript will be kept.

        After that a transcript tells nothing new, and it costs as much as the handshake.
        """
        state = self._store.state(key)
        if state is None or not state.judgement.at_fault:
            return False
        # After a first round ahead of its phase, the second one may be almost two intervals away.
        return self._clock() - state.since <= self.policy.for_seconds + (self.policy.failures + 0.5) * watched.target.interval

    def _arrived(self, watch: Watch, watched: Watched, key: StateKey, due_at: float, differential: Differential) -> None:
        """Sink of all differentials."""
        watch.running = max(0, watch.running - 1)  # 0: a bug has ended the round for all of its differentials
        if self._stopped or self._watches.get(watch.key) is not watch or not same_question(watch.watched, watched):
            return  # removed, or asked something else by now
        try:
            self._record(watch.watched.target, key, due_at, differential)
            if not watch.running:
                self._judged_once(watch)
        except Exception:
            self._ended_by_a_bug(watch)

    def _record(self, target: Target, key: StateKey, due_at: float, differential: Differential) -> None:
        for handshake in differential.handshakes:
            self._statistics.lateness.observe(max(0.0, handshake.started - due_at))
            self._statistics.count_handshake(handshake)
        now = self._clock()
        last = self._store.state(key)
        # Most rounds end here: to judge, to compare with what was and to write a state anew takes three times as long.
        if last is not None and now < last.holds_until and last.version > self._anew and repeats(last.differential, differential):
            self._recorder.repeat(last, target, as_before(last.differential, differential), now)
            return
        # A discovered target keeps a module that a reload has removed until what was found is read by the new configuration.
        trust = self._trust.get(target.module.ca_file, self._trust[None])
        moment = datetime.fromtimestamp(now, UTC)
        judgement = judge(differential, target.non_sni, trust, moment, proxied=target.module.proxy_protocol is not None)
        until = holds_until(differential, trust, moment)
        self._recorder.record(target, shared(differential), judgement, now, key=key, holds_until=until)

    def _ended_by_a_bug(self, watch: Watch) -> None:
        """The one end of an exception of our own: it costs a round of one address, never the service, nor the next round."""
        _log.exception("a bug of prober's own ended a round of %s", watch.watched.address)
        self._statistics.local_errors["bug"] = self._statistics.local_errors.get("bug", 0) + 1
        watch.running = 0
        self._judged_once(watch)

    # -- what is whose -------------------------------------------------------------------------------------------------

    def _hold(self, watch: Watch, wanted: frozenset[StateKey]) -> None:
        """Let the watch write these states, as far as no other does, and drop those that it wrote before."""
        if wanted == watch.states:
            return
        held = frozenset(key for key in wanted - self._elsewhere if self._owners.setdefault(key, watch) is watch)
        gone = watch.states - held
        for key in gone:
            del self._owners[key]
        self._recorder.drop(gone)
        watch.states = held
        if self._overseer is not None:
            self._overseer.holds(watch.key, held)

    def _hold_literals(self) -> None:
        """IP addresses own their states from the beginning, also one that a name has resolved to before."""
        for watch in self._watches.values():
            if watch.endpoint is None or watch.states:
                continue
            key = watch.state
            other = self._owners.get(key)
            if other is not None:
                other.states -= {key}
            self._owners[key] = watch
            watch.states = frozenset({key})

    def _judged_once(self, watch: Watch) -> None:
        if not self.first_round_done:
            self._unjudged.discard(watch.key)
            self._look_for_end_of_first_round()

    def _look_for_end_of_first_round(self) -> None:
        if self._unjudged or self.awaiting_targets:
            return
        self.first_round_done = True
        if self._overseer is not None:
            self._overseer.ready()
        else:
            say_ready(self._store, watching=bool(self._watches))
