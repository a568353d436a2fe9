"""What a round leaves in the store, and what its witness is told."""

from __future__ import annotations

from collections.abc import Collection

from prober.model import Differential, Target
from prober.service.recording import Recorder
from prober.snapshot import Change, EndpointState, StateKey, Store
from prober.tls.facts import TranscriptEntry
from tests.outlets.fleet import NOW, differential, judged, reset, target


class Seen:
    """A witness that notes the differentials it is told of."""

    def __init__(self) -> None:
        self.differentials: list[Differential] = []

    def judged(self, state: EndpointState, change: Change | None, now: float) -> None:
        """One round."""
        self.differentials.append(state.differential)

    def gone(self, keys: Collection[StateKey]) -> None:
        """Not here."""

    def watching(self, targets: Collection[Target]) -> None:
        """Not here."""


def test_transcripts_are_for_the_witness_and_not_for_the_store() -> None:
    """The history keeps them; a fleet that fails has none in memory. In a first round as in those that repeat it."""
    edge, seen, store = target(), Seen(), Store()
    recorder = Recorder(store, lambda change: None, seen)
    entry = TranscriptEntry(">", "ClientHello", 512, ("server_name: api.example.com",))
    told = differential(edge, none=reset()._replace(transcript=(entry,)))
    plain = differential(edge, none=reset())

    recorder.record(edge, told, judged(edge, told, now=NOW).judgement, NOW)
    (state,) = store
    assert state.differential == plain
    recorder.repeat(state, edge, told, NOW + 15)
    (state,) = store
    assert (state.differential, state.rounds) == (plain, 2)
    assert seen.differentials == [told, told]
