"""Entropy that counts: every test sees the same bytes, and no two draws are equal."""

from __future__ import annotations

__all__ = ["CounterEntropy"]


class CounterEntropy:
    """``entropy(n)``: n bytes of a stream of 32-bit counters, most significant byte first, beginning with ``start``."""

    def __init__(self, start: int = 1) -> None:
        self._next = start
        self._left = b""

    def __call__(self, size: int) -> bytes:
        """The next ``size`` bytes."""
        while len(self._left) < size:
            self._left += self._next.to_bytes(4)
            self._next += 1
        drawn, self._left = self._left[:size], self._left[size:]
        return drawn
