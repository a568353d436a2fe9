"""Which of several probers watches which target. Pure.

Rendezvous hashing (Thaler and Ravishankar 1998, "highest random weight"): a key has a weight for each shard, and belongs to the
shard with the greatest. A shard that is added takes from each of the others the keys for which its weight is greatest, and no other
key moves; one that is taken away leaves its keys to all the others alike. No prober needs to know another one.

The key is a target's name and not its address: the addresses of one target stay together, so that one prober can say that they
disagree.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from hashlib import shake_128

__all__ = ["MOST_SHARDS", "WHOLE", "Shard", "owner", "parse_shard"]

MOST_SHARDS = 1000
"""A weight is 8 bytes of hash: for 10,000 targets, 40 ms with 10 shards and 1 s with 1,000."""

_POD = re.compile(r".*-(?P<ordinal>[0-9]{1,9})")


@dataclass(frozen=True, slots=True)
class Shard:
    """One part of all targets. ``number`` counts from 0, as the ordinals of a StatefulSet do."""

    number: int
    of: int

    def owns(self, key: str) -> bool:
        """Whether the key is of this part. For each key there is exactly one number below ``of`` of which this is true."""
        return self.of == 1 or owner(key, self.of) == self.number

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"


WHOLE = Shard(0, 1)
"""All targets."""


def owner(key: str, shards: int) -> int:
    """The number of the shard that a key belongs to: the same in every process and on every machine."""
    # An extendable output gives one weight of 64 bits after the other: those of the shards that there are stay when one is added.
    weights = struct.unpack(f">{shards}Q", shake_128(key.encode("utf-8", "surrogatepass")).digest(8 * shards))
    return weights.index(max(weights))  # of equal ones the first; they are as rare as collisions of 64 bits


def parse_shard(text: str, pod: str) -> Shard:
    """``N/M``, or ``auto/M`` for the ordinal at the end of a pod's name; ``ValueError`` says what is wrong and what to write."""
    written, slash, total = text.partition("/")
    if not slash or not _is_number(total):
        raise ValueError(
            f"{text!r} is no shard; write N/M with N from 0, for example 0/3, or auto/3 in a StatefulSet of 3 replicas"
        )
    shards = int(total)
    if not 1 <= shards <= MOST_SHARDS:
        raise ValueError(f"{text!r} splits the targets into {shards} shards; write a number from 1 to {MOST_SHARDS}")
    if written == "auto":
        return Shard(_ordinal(pod, shards), shards)
    if not _is_number(written):
        raise ValueError(f"{text!r} is no shard; write a number from 0 to {shards - 1} before the slash, or auto")
    if int(written) >= shards:
        counted = f"from 0/{shards} to {shards - 1}/{shards}" if shards > 1 else "0/1 alone"
        raise ValueError(f"there is no shard {text}: they are counted from 0, so there is {counted}")
    return Shard(int(written), shards)


def _ordinal(pod: str, shards: int) -> int:
    match = _POD.fullmatch(pod)
    if match is None:
        raise ValueError(
            f"auto/{shards} takes the shard from the end of a StatefulSet pod's name (prober-0), and this is {pod!r}; "
            f"write the shard's number, for example 0/{shards}, or set POD_NAME"
        )
    ordinal = int(match["ordinal"])
    if ordinal >= shards:
        raise ValueError(
            f"this is {pod}, and auto/{shards} has no shard {ordinal}: "
            f"write the number of replicas behind the slash, auto/{ordinal + 1} or more"
        )
    return ordinal


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 10
