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


_HELLO = slice(2, 4)
"""Of a `Handshake`: profile, JA4. Slices are compared at once, and what is the very same object is not looked into."""
_END = slice(4)
"""Of an `Observation`: outcome, stage, errno, close."""


def _repeats(last: Handshake, now: Handshake) -> bool:
    if (
        now.sni is not last.sni
        or now[_HELLO] != last[_HELLO]
        or (now.server_name != last.server_name and now.sni is not _UNKNOWN)
    ):
        return False
    before, after = last.observation, now.observation
    return (
        after[_END] == before[_END]
        and after.detail == before.detail
        # An ingress that says half a word and one that says none are two different things.
        and (after.bytes_received > 0) is (before.bytes_received > 0)
        and after.facts == before.facts
    )


def holds_until(differential: Differential, trust: TrustStore, now: datetime) -> float:
    """Unix time until which a differential that repeats this one is judged as this one is at ``now``: no certificate's date comes."""
    chains = {handshake.observation.facts.certificates for handshake in differential.handshakes}
    return min((assess(chain, trust).unchanged_until(now).timestamp() for chain in chains if chain), default=inf)
