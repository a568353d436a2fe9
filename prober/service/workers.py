"""Rounds in other processes, seen from the one that keeps the books.

CPython has one interpreter lock, so more than one core means more than one process. Workers run handshakes and judge; this process
keeps configuration, store, history, alerts and the web, and books what they report as `prober.service.rounds` books it itself: a
round recorded, an alert counted, in the order in which each endpoint's rounds ended.

A worker is started as a fresh interpreter: a fork of a running Trio would share its descriptors and its half-done work. One that ends
unasked is started again; what it watched keeps its states meanwhile, since that it died says nothing about any ingress.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import UTC, datetime

import trio

from prober.judge.alerting import Policy
from prober.judge.trust import TrustStore
from prober.judge.verdicts import judge
from prober.model import Differential, Endpoint
from prober.schedule import Key
from prober.service.child import Child
from prober.service.logs import event
from prober.service.plan import Watched, same_question
from prober.service.recording import Recorder, say_ready
from prober.service.reports import AGAIN, ANEW, HOLDS, Item, Report, again, anew
from prober.service.shares import Places, Share, Welcome
from prober.service.tallies import add
from prober.snapshot import StateKey, Statistics, Store, state_key

__all__ = ["SILENCE_SECONDS", "Workers"]

_log = logging.getLogger("prober.service")

SILENCE_SECONDS = 30.0
"""A worker reports every second. One that says nothing for so long hangs, and is killed."""

FIRST_PAUSE, LONGEST_PAUSE = 0.2, 30.0
"""Seconds between a worker's end and its next start; twice as long each time, until one has lasted `LONGEST_PAUSE`."""

DOUBT_SECONDS = 2.0
"""The last of these, which begin anew once the first are over: it may be this process that stood still (it was stopped, or the whole
host), and then what the worker has said meanwhile is there."""

_BATCH = 64
"""Rounds that are booked before other tasks run: 2 to 3 ms."""


class _Worker:
    """One worker, over all its processes."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.child: Child | None = None
        """None between two processes."""
        self.told: Mapping[Key, Watched] = {}
        self.trust: Mapping[str | None, bytes] = {}
        """Identities of the trust stores that it has."""
        self.slots: dict[int, tuple[Key, StateKey]] = {}
        """Endpoints of whose last differential it may tell the differences."""
        self.epoch = 0
        """The last share that it was given."""
        self.in_flight = 0
        self.ready = False


class Workers:
    """As `prober.service.rounds.Rounds` for those who use it. ``recorder`` is told every round."""

    def __init__(self, count: int, store: Store, statistics: Statistics, recorder: Recorder, welcome: Welcome) -> None:
        self._store = store
        self._statistics = statistics
        self._recorder = recorder
        self._welcome = welcome
        self._workers = tuple(map(_Worker, range(count)))
        self._places = Places(count)
        self._watched: Mapping[Key, Watched] = {}
        self._trust: Mapping[str | None, TrustStore] = {}
        self._asked_since: dict[Key, int] = {}
        """The epoch in which what is asked of a key became what it is."""
        self._holders: dict[StateKey, Key] = {}
        """Who wrote each state."""
        self._held: dict[Key, tuple[StateKey, ...]] = {}
        self._epoch = 0
        self.policy = Policy()
        """As in `Rounds`."""
        self.awaiting_targets = False
        """As in `Rounds`."""
        self.first_round_done = False
        """As in `Rounds`."""
        self._stopped = False
        self._scope = trio.CancelScope()
        statistics.workers = lambda: sum(worker.child is not None for worker in self._workers)

    @property
    def in_flight(self) -> int:
        """Handshakes in flight in all workers, as last reported."""
        return sum(worker.in_flight for worker in self._workers)

    def at(self, endpoint: Endpoint) -> Watched | None:
        """As `Rounds.at`."""
        address = str(endpoint)
        for states in (self._places.literals, self._holders):
            for state in states:
                if state.address == address:
                    holder = self._holders.get(state) or (state.target, address)
                    return self._watched.get(holder)
        return None

    def replace(self, watched: Mapping[Key, Watched], trust: Mapping[str | None, TrustStore]) -> None:
        """As `Rounds.replace`; the workers hear of it within milliseconds."""
        before, self._watched, self._trust = self._watched, watched, trust
        self._epoch += 1
        for key, one in watched.items():
            known = before.get(key)
            if known is None or not same_question(one, known):
                self._asked_since[key] = self._epoch
        for key in before.keys() - watched.keys():
            self._asked_since.pop(key, None)
            self._release(key, self._held.pop(key, ()))
        self._places.adopt(watched)
        self._recorder.adopt([one.target for one in watched.values()])
        for worker in self._workers:
            self._tell(worker)
        self._look_for_end_of_first_round()

    def stop(self) -> None:
        """As `Rounds.stop`; the workers end, too."""
        self._stopped = True
        self._scope.cancel()

    async def run(self) -> None:
        """Keep all workers running, until cancelled or stopped; then end them."""
        with self._scope:
            async with trio.open_nursery() as nursery:
                for worker in self._workers:
                    nursery.start_soon(self._keep, worker)

    # -- processes -----------------------------------------------------------------------------------------------------

    async def _keep(self, worker: _Worker) -> None:
        pause = FIRST_PAUSE
        while True:
            began = trio.current_time()
            why: dict[str, str | int]
            try:
                child = await self._run_once(worker)
            except OSError as error:
                # A process that ended for want of memory is often not the only one that finds none.
                what, why = "a worker cannot be started; it is tried again", {"problem": error.strerror or str(error)}
            else:
                self._statistics.worker_deaths += 1
                what, why = "a worker ended unasked; it is started again", {"pid": child.pid, "how": child.how}
            if trio.current_time() - began > LONGEST_PAUSE:
                pause = FIRST_PAUSE
            event(_log, logging.ERROR, what, worker=worker.number, **why, seconds=pause)
            await trio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    async def _run_once(self, worker: _Worker) -> Child:
        """One process, from its start to its end. OSError when it cannot be started."""
        async with Child.running() as child:
            worker.child, worker.told, worker.trust, worker.slots = child, {}, {}, {}
            child.tell(self._welcome.encode())
            self._tell(worker)
            try:
                await self._hear(worker, child)
            finally:
                worker.child, worker.in_flight = None, 0
        return child

    async def _hear(self, worker: _Worker, child: Child) -> None:
        """Book what the process reports, until it ends or says nothing for too long."""
        try:
            while (frame := await _in_time(child)) is not None:
                await self._book(worker, Report.decode(frame))
        except trio.TooSlowError:
            event(_log, logging.ERROR, "a worker hangs; it is killed", worker=worker.number, pid=child.pid)

    def _tell(self, worker: _Worker) -> None:
        """Tell what has changed since the worker's process was told last; a process that is not there is told all when it starts."""
        if worker.child is None:
            return
        mine = {key: one for key, one in self._watched.items() if self._places[key] == worker.number}
        identities = {file: store.identity for file, store in self._trust.items()}
        changed = {key: one for key, one in mine.items() if worker.told.get(key) != one}
        share = Share(
            epoch=self._epoch,
            changed=changed,
            removed=tuple(worker.told.keys() - mine.keys()),
            trust=self._trust if worker.trust != identities else None,
            elsewhere=self._places.elsewhere[worker.number],
            known=frozenset(key for key in changed if self._held.get(key)),
            policy=self.policy,
            awaiting_targets=self.awaiting_targets,
        )
        worker.told, worker.trust, worker.epoch, worker.ready = mine, identities, self._epoch, False
        worker.child.tell(share.encode())

    # -- reports -------------------------------------------------------------------------------------------------------

    async def _book(self, worker: _Worker, report: Report) -> None:
        for start in range(0, len(report.items), _BATCH):
            for item in report.items[start : start + _BATCH]:
                if self._stopped:
                    return
                try:
                    self._take(worker, report.epoch, item)
                except Exception:
                    # As in `Rounds`: a bug of our own costs a round of one address, never the service.
                    _log.exception("a bug of prober's own ended a round of worker %d", worker.number)
                    self._statistics.local_errors["bug"] = self._statistics.local_errors.get("bug", 0) + 1
            await trio.lowlevel.checkpoint()
        worker.in_flight = report.in_flight
        if report.tallies is not None:
            add(self._statistics, report.tallies)
        worker.ready = report.ready and report.epoch == worker.epoch
        if worker.ready:
            self._look_for_end_of_first_round()

    def _take(self, worker: _Worker, epoch: int, item: Item) -> None:
        match item:
            case (kind, slot, now, figures, transcripts) if kind == AGAIN:
                self._judged_again(worker, epoch, slot, now, figures, transcripts)
            case (kind, slot, now, pickled) if kind == ANEW:
                self._judged_anew(worker, epoch, slot, now, anew(pickled))
            case (kind, key, states) if kind == HOLDS:
                self._holds(key, {StateKey(*state) for state in states})
            case _:
                raise AssertionError(item)

    def _judged_anew(self, worker: _Worker, epoch: int, slot: int, now: float, differential: Differential) -> None:
        key = (differential.target, str(differential.address))
        state = state_key(differential)
        watched = self._watched.get(key)
        worker.slots.pop(slot, None)
        if watched is None or epoch < self._asked_since[key]:
            return  # removed, or asked something else by now
        if self._places.literals.get(state, worker.number) != worker.number:
            return  # another worker watches this address by itself, as the name's worker is about to hear
        worker.slots[slot] = key, state
        self._hold(key, state)
        trust = self._trust.get(watched.target.module.ca_file, self._trust[None])
        proxied = watched.target.module.proxy_protocol is not None
        judgement = judge(differential, watched.target.non_sni, trust, datetime.fromtimestamp(now, UTC), proxied=proxied)
        self._recorder.record(watched.target, differential, judgement, now)

    def _judged_again(
        self, worker: _Worker, epoch: int, slot: int, now: float, figures: tuple[Item, ...], transcripts: bytes | None
    ) -> None:
        known = worker.slots.get(slot)
        if known is None:
            return
        key, state = known
        watched, last = self._watched.get(key), self._store.state(state)
        if watched is None or last is None or epoch < self._asked_since[key] or self._holders.get(state) != key:
            return
        self._recorder.repeat(last, watched.target, again(last.differential, figures, transcripts), now)

    # -- what is whose -------------------------------------------------------------------------------------------------

    def _hold(self, key: Key, state: StateKey) -> None:
        """The state is the key's from now on."""
        holder = self._holders.get(state)
        if holder == key:
            return
        if holder is not None:
            self._held[holder] = tuple(other for other in self._held.get(holder, ()) if other != state)
        self._holders[state] = key
        self._held[key] = (*self._held.get(key, ()), state)

    def _holds(self, key: Key, states: set[StateKey]) -> None:
        """The key has no other states than these."""
        held = self._held.get(key, ())
        gone = tuple(state for state in held if state not in states)
        if gone:
            self._held[key] = tuple(state for state in held if state in states)
            self._release(key, gone)

    def _release(self, key: Key, states: tuple[StateKey, ...]) -> None:
        for state in states:
            if self._holders.get(state) == key:
                del self._holders[state]
        self._recorder.drop(states)

    def _look_for_end_of_first_round(self) -> None:
        if self.first_round_done or self.awaiting_targets:
            return
        if self._watched and not all(worker.ready for worker in self._workers):
            return
        self.first_round_done = True
        say_ready(self._store, watching=bool(self._watched))


async def _in_time(child: Child) -> bytes | None:
    """The next frame; None once the process has ended. `trio.TooSlowError` when it says nothing for too long."""
    with trio.move_on_after(SILENCE_SECONDS - DOUBT_SECONDS):
        return await child.receive()
    with trio.fail_after(DOUBT_SECONDS):
        return await child.receive()
    raise AssertionError
