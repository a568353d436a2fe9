"""What becomes of a judged differential: the store, the log, alerts and history, in one step.

The same in the process that made it and in the one that only heard of it, so that both keep the same books.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from typing import Protocol

from prober.judge.verdicts import Judgement
from prober.model import Differential, Target
from prober.service.keeping import without_transcripts
from prober.service.logs import event
from prober.snapshot import Change, EndpointState, StateKey, Store, state_key

__all__ = ["Recorder", "Witness", "say_ready"]

_log = logging.getLogger("prober.service")


class Witness(Protocol):
    """Sees all rounds, in the step in which they end."""

    def judged(self, state: EndpointState, change: Change | None, now: float) -> None:
        """One endpoint was judged; ``change`` where its verdict changed. ``now`` is Unix time in seconds."""

    def gone(self, keys: Collection[StateKey]) -> None:
        """These endpoints are watched no more."""

    def watching(self, targets: Collection[Target]) -> None:
        """Exactly these targets are watched from now on (one may be there several times)."""


class Recorder:
    """Writes the store. ``on_change`` is told every change of a verdict, ``witness`` of every round.

    Transcripts are for the witness alone: the store has none.
    """

    def __init__(self, store: Store, on_change: Callable[[Change], None], witness: Witness | None = None) -> None:
        self.store = store
        self._on_change = on_change
        self._witness = witness

    def record(
        self,
        target: Target,
        differential: Differential,
        judgement: Judgement,
        now: float,
        *,
        key: StateKey | None = None,
        holds_until: float = 0.0,
    ) -> None:
        """One endpoint was judged at ``now``, Unix time in seconds; the others as `Store.record` has them."""
        kept = without_transcripts(differential)
        change = self.store.record(target, kept, judgement, now, key=key, holds_until=holds_until)
        if change is not None:
            self._on_change(change)
        if self._witness is not None:
            state = self.store.state(state_key(differential)) if change is None else change.state
            assert state is not None
            self._witness.judged(state if kept is differential else state._replace(differential=differential), change, now)

    def repeat(self, before: EndpointState, target: Target, differential: Differential, now: float) -> None:
        """One endpoint did at ``now`` what it had done before, which need not be judged anew."""
        kept = without_transcripts(differential)
        state = self.store.repeat(before, target, kept)
        if self._witness is not None:
            self._witness.judged(state if kept is differential else state._replace(differential=differential), None, now)

    def drop(self, keys: Collection[StateKey]) -> None:
        """These endpoints are watched no more."""
        self.store.remove(keys)
        if self._witness is not None and keys:
            self._witness.gone(keys)

    def adopt(self, targets: Collection[Target]) -> None:
        """Exactly these targets are watched from now on (one may be there several times)."""
        self.store.adopt(targets)
        if self._witness is not None:
            self._witness.watching(targets)


def say_ready(store: Store, *, watching: bool) -> None:
    """The line that says that the first round is done; ``watching``: there is any target."""
    if not watching:
        event(_log, logging.WARNING, "ready, but there is no target to watch")
        return
    at_fault = sum(state.judgement.at_fault for state in store)
    event(_log, logging.INFO, "ready: first round done", endpoints=len(store), at_fault=at_fault)
