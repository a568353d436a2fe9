"""The finite-field groups of RFC 7919 appendix A: safe primes with generator 2.

The primes are not copied here but made as the RFC made them, from the binary digits of e; the tests compare every digit with
OpenSSL's. A prime is computed when it is first asked for (0.1 to 1 ms), so that a prober that never meets one pays nothing.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

from prober.tls.registry import NamedGroup

__all__ = ["FFDHE_GROUPS", "FiniteFieldGroup", "finite_field_group"]


class FiniteFieldGroup(NamedTuple):
    """Integers modulo ``prime``. ``exponent_size`` is the size of a private exponent in bytes."""

    prime: int
    generator: int
    exponent_size: int = 32

    @property
    def size(self) -> int:
        """Bytes of the prime, which is also the length of a public value in TLS 1.3 (RFC 8446 §4.2.8.1)."""
        return (self.prime.bit_length() + 7) // 8


class _Recipe(NamedTuple):
    bits: int
    offset: int
    """The smallest X that makes p a safe prime (RFC 7919 appendix A)."""
    exponent_size: int


# RFC 7919 §5.2: an exponent of 225, 275, 325, 375, 400 bits is as strong as the group, and is many times cheaper than a full one.
_RECIPES: dict[NamedGroup, _Recipe] = {
    NamedGroup.ffdhe2048: _Recipe(2048, 560316, 29),
    NamedGroup.ffdhe3072: _Recipe(3072, 2625351, 35),
    NamedGroup.ffdhe4096: _Recipe(4096, 5736041, 41),
    NamedGroup.ffdhe6144: _Recipe(6144, 15705020, 47),
    NamedGroup.ffdhe8192: _Recipe(8192, 10965728, 50),
}

FFDHE_GROUPS: frozenset[int] = frozenset(_RECIPES)


def _floor_of_e_shifted(bits: int) -> int:
    """floor(2^bits e), from the series of 1/n! with 64 guard bits against the truncation of its terms."""
    term = total = 1 << bits + 64
    n = 1
    while term:
        term //= n
        total += term
        n += 1
    return total >> 64


@cache
def finite_field_group(group: NamedGroup) -> FiniteFieldGroup:
    """The parameters of an ``ffdhe`` group; KeyError for any other."""
    bits, offset, exponent_size = _RECIPES[group]
    # RFC 7919 appendix A: p = 2^b - 2^(b-64) + (floor(2^(b-130) e) + X) 2^64 - 1
    prime = (1 << bits) - (1 << bits - 64) + (_floor_of_e_shifted(bits - 130) + offset << 64) - 1
    return FiniteFieldGroup(prime, 2, exponent_size)
