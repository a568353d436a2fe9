"""The system's randomness, a block at a time: a hello needs 64 bytes, and asking for them costs as much as sending them."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Final

__all__ = ["EntropyBlock"]

_BLOCK: Final = 16 * 1024


class EntropyBlock:
    """Hands out what ``source`` (`os.urandom`) gave, each byte once. Not for threads: two could be given the same bytes."""

    __slots__ = ("_block", "_offset", "_source")

    def __init__(self, source: Callable[[int], bytes] = os.urandom) -> None:
        self._source = source
        self._block = b""
        self._offset = 0

    def take(self, size: int) -> bytes:
        """``size`` bytes that nobody has seen."""
        start = self._offset
        end = start + size
        if end > len(self._block):
            if size > _BLOCK:
                return self._source(size)
            self._block = self._source(_BLOCK)
            start, end = 0, size
        self._offset = end
        return self._block[start:end]
