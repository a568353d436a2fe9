"""Does a differential say what the one before it said? Pure.

From round to round an ingress does the same, and then nothing need be judged, counted by key or told at length again: that is
most of what a round costs besides its handshakes.
"""

from __future__ import annotations

from datetime import datetime
from math import inf

from prober.judge.chains import assess
from prober.judge.trust import TrustStore
from prober.model import Differential, Handshake, Sni

__all__ = ["holds_until", "repeats"]

_UNKNOWN = Sni.UNKNOWN


def repeats(last: Differential, now: Differential) -> bool:
    """Whether they differ in figures alone: when, how long, how many bytes, which canary, and in transcripts."""
    before, after = last.handshakes, now.handshakes
    if len(before) != len(after):
        return False
    for old, new in zip(before, after, strict=True):
        if not _repeats(old, new):
            return False
    return last.endpoint == now.endpoint and last.address == now.address


def _repeats(last: Handshake, now: Handshake) -> bool:
    sni, name, profile, ja4, observation, _ = now
    old_sni, old_name, old_profile, old_ja4, old_observation, _ = last
    if sni is not old_sni or ja4 != old_ja4 or profile != old_profile or (name != old_name and sni is not _UNKNOWN):
        return False
    outcome, stage, errno, close, size, detail, _, facts, _ = observation
    old_outcome, old_stage, old_errno, old_close, old_size, old_detail, _, old_facts, _ = old_observation
    return (
        outcome is old_outcome
        and stage is old_stage
        and close is old_close
        and errno == old_errno
        and detail == old_detail
        and (size > 0) is (old_size > 0)  # an ingress that says half a word and one that says none are two different things
        and (facts is old_facts or facts == old_facts)
    )


def holds_until(differential: Differential, trust: TrustStore, now: datetime) -> float:
    """Unix time until which a differential that repeats this one is judged as this one is at ``now``: no certificate's date comes."""
    chains = {handshake.observation.facts.certificates for handshake in differential.handshakes}
    return min((assess(chain, trust).unchanged_until(now).timestamp() for chain in chains if chain), default=inf)
