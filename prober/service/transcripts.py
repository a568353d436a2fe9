"""Transcripts as they are kept: of many thousand hellos, nearly all lines are the same.

A decoded hello is 5 KB of text, most of it a list of cipher suites, and each endpoint that has lately begun to be at fault holds one
for each of its hellos. When a whole fleet fails at once, that is the moment to take no more memory than before.
"""

from __future__ import annotations

from sys import intern

from prober.model import Differential, Handshake

__all__ = ["with_shared_lines"]


def with_shared_lines(differential: Differential) -> Differential:
    """The same, each line of its transcripts one string for all who have it."""
    if not any(handshake.observation.transcript for handshake in differential.handshakes):
        return differential
    return differential._replace(handshakes=tuple(map(_shared, differential.handshakes)))


def _shared(handshake: Handshake) -> Handshake:
    observation = handshake.observation
    entries = tuple(entry._replace(lines=tuple(map(intern, entry.lines))) for entry in observation.transcript)
    return handshake._replace(observation=observation._replace(transcript=entries))
