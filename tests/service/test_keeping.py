"""What is kept of rounds: the same values, as few objects as possible."""

from __future__ import annotations

from prober.service.keeping import as_before, shared, without_transcripts
from prober.tls.facts import TranscriptEntry
from tests.outlets.fleet import certificate, differential, reset, target


def test_transcripts_are_left_out() -> None:
    """Of all hellos, also where not each has one; nothing else changes."""
    entry = TranscriptEntry(">", "ClientHello", 512, ("server_name: api.example.com",))
    run = differential(target(), known=certificate(), none=reset()._replace(transcript=(entry,)))
    assert without_transcripts(run) == differential(target(), known=certificate(), none=reset())


def test_a_differential_without_transcripts_stays_what_it_is() -> None:
    """Most have none."""
    run = differential(target(), known=reset())
    assert without_transcripts(run) is run


def test_what_servers_said_is_one_value_for_all_who_were_told_the_same() -> None:
    """Of two endpoints, and of a later round of one of them; nothing that can be read changes."""
    first, second = (differential(target(), known=certificate(), none=certificate(), unknown=reset()) for _ in range(2))
    kept, other = shared(first), shared(second)
    assert (kept, other) == (first, second)
    later = differential(target(), known=certificate(seconds=0.5), none=certificate(seconds=0.6), unknown=reset())
    again = as_before(kept, later)
    assert again == later
    facts = [handshake.observation.facts for run in (kept, other, again) for handshake in run.handshakes]
    assert len({id(each) for each in facts}) == 2
