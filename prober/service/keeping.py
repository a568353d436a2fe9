"""Differentials as they are kept: what they have in common is there once.

Of many thousand endpoints nearly all say the same few things, so that what a server said, 700 bytes an endpoint with three hellos, need
not be there for each of them. And a transcript is not there at all: a decoded hello is 5 KB of text, which the history has packed in
the moment in which it is worth keeping. When a whole fleet fails at once, that is the moment to take no more memory than before.
"""

from __future__ import annotations

from prober.model import Differential, Handshake
from prober.tls.facts import NOTHING_SAID, HandshakeFacts
from prober.tls.remembered import Remembered

__all__ = ["as_before", "shared", "without_transcripts"]

# What a NamedTuple's own constructor does, at half its price.
_new_tuple = tuple.__new__

_FACTS_BYTES = 8 * 1024 * 1024
_said: Remembered[HandshakeFacts, HandshakeFacts] = Remembered(_FACTS_BYTES)


def shared(differential: Differential) -> Differential:
    """The same; what its servers said is one value for all who were told the same."""
    return differential._replace(handshakes=tuple([_with_facts(each, _known(each)) for each in differential.handshakes]))


def as_before(last: Differential, now: Differential) -> Differential:
    """``now``, which repeats ``last``, with the values of ``last`` for what servers said."""
    pairs = [(each, before.observation.facts) for before, each in zip(last.handshakes, now.handshakes, strict=True)]
    if all(each.observation.facts is facts for each, facts in pairs):
        return now
    handshakes = tuple([_with_facts(each, facts) for each, facts in pairs])
    return _new_tuple(Differential, (now.target, now.address, now.endpoint, handshakes))


def _known(handshake: Handshake) -> HandshakeFacts:
    facts = handshake.observation.facts
    if facts is NOTHING_SAID:
        return facts
    known = _said.get(facts)
    return known if known is not None else _said.keep(facts, facts, 512 + sum(map(len, facts.certificates)))


def _with_facts(handshake: Handshake, facts: HandshakeFacts) -> Handshake:
    sni, name, profile, ja4, observation, started = handshake
    outcome, stage, errno, close, size, detail, seconds, said, transcript = observation
    if said is facts:
        return handshake
    observation = _new_tuple(type(observation), (outcome, stage, errno, close, size, detail, seconds, facts, transcript))
    return _new_tuple(Handshake, (sni, name, profile, ja4, observation, started))


def without_transcripts(differential: Differential) -> Differential:
    """The same; it itself where it has none, as nearly all."""
    for handshake in differential.handshakes:
        if handshake.observation.transcript:
            return differential._replace(handshakes=tuple(map(_without_transcript, differential.handshakes)))
    return differential


def _without_transcript(handshake: Handshake) -> Handshake:
    return handshake._replace(observation=handshake.observation._replace(transcript=()))
