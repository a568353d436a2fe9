"""What is kept of rounds: the same values, as few objects as possible."""

from __future__ import annotations

from prober.model import Differential, Observation
from prober.service.keeping import as_before, shared, with_shared_lines
from prober.tls.facts import TranscriptEntry
from tests.outlets.fleet import certificate, differential, reset, target


def hello(name: str) -> Observation:
    """A reset, and what was sent before it; the strings are new ones each time."""
    suites = ("TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384")
    lines = (f"cipher_suites (2): {', '.join(suites)}", f"server_name: {name}")
    return reset()._replace(transcript=(TranscriptEntry(">", "ClientHello", 512, lines),))


def lines(run: Differential) -> list[str]:
    """Of all handshakes."""
    return [line for handshake in run.handshakes for entry in handshake.observation.transcript for line in entry.lines]


def test_equal_lines_of_all_transcripts_are_one_string() -> None:
    """What a person reads is the same; a fleet that fails at once holds each line once."""
    runs = [differential(target(), known=hello(f"api{number}"), none=hello("none")) for number in range(2)]
    kept = [with_shared_lines(run) for run in runs]
    assert kept == runs
    suites = [line for run in kept for line in lines(run) if line.startswith("cipher_suites")]
    assert len(suites) == 6
    assert len({id(line) for line in suites}) == 1


def test_a_differential_without_transcripts_stays_what_it_is() -> None:
    """Most have none."""
    run = differential(target(), known=reset())
    assert with_shared_lines(run) is run


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
