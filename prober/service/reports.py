"""What a worker tells about its rounds, and what is made of it: only what changed travels.

From round to round an ingress does the same, so that its differential differs from the one before in figures alone: when, how long,
how many bytes, which canary. Then those figures are sent, some hundred bytes, and the differential is made from the last one. The
judgement is part of that comparison: while it is equal, too, nobody need judge again.

A report is one list, and in the order in which things happened:

* ``(ANEW, slot, now, differential)``: pickled as a whole; from now on, the slot is this endpoint.
* ``(AGAIN, slot, now, figures, transcripts)``: as the last one of the slot, but for these.
* ``(HOLDS, key, states)``: the watched address writes exactly these states from now on.
"""

from __future__ import annotations

import marshal
import pickle
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, TypeAlias

from prober.judge.repeats import repeats
from prober.judge.verdicts import Judgement
from prober.model import Differential, Handshake, Observation, Seconds, Sni, Target
from prober.schedule import Key
from prober.service.keeping import shared, without_transcripts
from prober.service.tallies import Tallies
from prober.snapshot import Change, EndpointState, StateKey

__all__ = ["AGAIN", "ANEW", "HOLDS", "MOST_WAITING", "Item", "Report", "Reporter", "again", "anew"]

ANEW: Final = 0
AGAIN: Final = 1
HOLDS: Final = 2

Item: TypeAlias = tuple[Any, ...]

MOST_WAITING: Final = 20_000
"""Items that may wait to be sent, some 10 MB: half a minute of a busy worker, after which the other process is in trouble."""

_PROTOCOL: Final = 5

# What a NamedTuple's own constructor does, at half its price.
_new_tuple: Final = tuple.__new__


class Report(NamedTuple):
    """What is sent at a time."""

    epoch: int
    """The last share that was taken in before any of this happened."""
    ready: bool
    """The first round is done."""
    in_flight: int
    items: list[Item]
    tallies: Tallies | None
    """What was counted since the last ones."""

    def encode(self) -> bytes:
        """As bytes, for `decode`."""
        return marshal.dumps(tuple(self))

    @classmethod
    def decode(cls, data: bytes) -> Report:
        """From `encode`'s bytes."""
        return cls(*marshal.loads(data))  # noqa: S302  (a process of our own; see prober.service.frames)


@dataclass(slots=True)
class _Told:
    """What the other process knows about one endpoint."""

    slot: int
    differential: Differential | None
    """The last one; None: tell anew."""
    judgement: Judgement | None


class Reporter:
    """Collects what happens, for the next report. Implements `prober.service.recording.Witness`."""

    def __init__(self) -> None:
        self.items: list[Item] = []
        self._told: dict[StateKey, _Told] = {}
        self._slots = 0
        self._free: list[int] = []
        """Slots of endpoints that have gone, for others: the other process keeps an entry for each number that it has ever heard."""

    @property
    def congested(self) -> bool:
        """As `prober.service.rounds.Overseer` has it."""
        return len(self.items) >= MOST_WAITING

    def judged(self, state: EndpointState, change: Change | None, now: float) -> None:  # noqa: ARG002
        """One endpoint was judged. Whether that is a change is for the other process to say, which knows what was before."""
        differential, judgement = state.differential, state.judgement
        told = self._told.get(state.key)
        if told is None:
            told = self._told[state.key] = _Told(self._new_slot(), None, None)
        last, before = told.differential, told.judgement
        told.differential, told.judgement = without_transcripts(differential), judgement
        if last is not None and (judgement is before or judgement == before) and repeats(last, differential):
            handshakes = differential.handshakes
            self.items.append((AGAIN, told.slot, now, tuple(map(_figures, handshakes)), _transcripts(handshakes)))
        else:
            self.items.append((ANEW, told.slot, now, pickle.dumps(differential, _PROTOCOL)))

    def gone(self, keys: Collection[StateKey]) -> None:
        """What is watched no more is told anew if it comes back; `holds` tells that it has gone."""
        for key in keys:
            if (told := self._told.pop(key, None)) is not None:
                self._free.append(told.slot)

    def watching(self, targets: Collection[Target]) -> None:
        """The other process has said so itself."""

    def holds(self, key: Key, states: frozenset[StateKey]) -> None:
        """As `prober.service.rounds.Overseer` has it."""
        self.items.append((HOLDS, key, [tuple(state) for state in states]))

    def ready(self) -> None:
        """As `prober.service.rounds.Overseer` has it; every report says it."""

    def begin_anew(self, targets: Collection[str]) -> None:
        """What is asked of these targets has changed, or may have: the other process drops answers to what was asked before."""
        for key, told in self._told.items():
            if key.target in targets:
                told.differential, told.judgement = None, None

    def _new_slot(self) -> int:
        if self._free:
            return self._free.pop()
        self._slots += 1
        return self._slots

    def take(self) -> list[Item]:
        """All items that wait."""
        items, self.items = self.items, []
        return items


def _figures(handshake: Handshake) -> Item:
    observation = handshake.observation
    return handshake.started, handshake.server_name, observation.bytes_received, tuple(observation.seconds)


def _transcripts(handshakes: tuple[Handshake, ...]) -> bytes | None:
    transcripts = [handshake.observation.transcript for handshake in handshakes]
    return pickle.dumps(transcripts, _PROTOCOL) if any(transcripts) else None


def anew(pickled: bytes) -> Differential:
    """The differential of an `ANEW`."""
    return shared(pickle.loads(pickled))  # noqa: S301  (a process of our own; see prober.service.frames)


def again(last: Differential, figures: tuple[Item, ...], transcripts: bytes | None) -> Differential:
    """The differential of an `AGAIN`, from the last one of its endpoint."""
    told: list[Any] = [()] * len(figures)
    if transcripts is not None:
        told = pickle.loads(transcripts)  # noqa: S301
    handshakes = tuple(
        _again(handshake, each, transcript) for handshake, each, transcript in zip(last.handshakes, figures, told, strict=True)
    )
    return Differential(last.target, last.address, last.endpoint, handshakes)


def _again(last: Handshake, figures: Item, transcript: Any) -> Handshake:
    started, name, size, seconds = figures
    outcome, stage, errno, close, _, detail, _, facts, _ = last.observation
    durations = _new_tuple(Seconds, seconds)
    observation = _new_tuple(Observation, (outcome, stage, errno, close, size, detail, durations, facts, transcript))
    # A known name is the same each time: its string is shared.
    name = name if last.sni is Sni.UNKNOWN else last.server_name
    return _new_tuple(Handshake, (last.sni, name, last.profile, last.ja4, observation, started))
