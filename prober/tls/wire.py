"""Reader and Writer for the presentation language of RFC 8446 §3: big-endian integers and length-prefixed vectors.

A Reader never looks outside its bounds; the caller of a sub-reader says ``expect_end`` when the structure is complete.
Offsets in errors count from the start of the outermost message, also inside sub-readers.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from prober.tls.errors import DecodeError

__all__ = ["Reader", "Writer"]


class Reader:
    """A cursor over ``data[start:end]``; every failure is a DecodeError with ``name`` and the absolute offset."""

    __slots__ = ("_data", "_end", "_name", "offset")

    def __init__(self, data: bytes, name: str, start: int = 0, end: int | None = None) -> None:
        self._data = data
        self._name = name
        self.offset = start
        self._end = len(data) if end is None else end

    @property
    def remaining(self) -> int:
        """Bytes not read yet."""
        return self._end - self.offset

    def _need(self, count: int, what: str) -> int:
        start = self.offset
        if self._end - start < count:
            raise DecodeError(f"{what} needs {count} bytes, {self._end - start} are left", message=self._name, offset=start)
        self.offset = start + count
        return start

    def u8(self, what: str = "u8") -> int:
        """One byte."""
        return self._data[self._need(1, what)]

    def u16(self, what: str = "u16") -> int:
        """Two bytes, big-endian."""
        start = self._need(2, what)
        return self._data[start] << 8 | self._data[start + 1]

    def u24(self, what: str = "u24") -> int:
        """Three bytes, big-endian."""
        start = self._need(3, what)
        return int.from_bytes(self._data[start : start + 3])

    def u32(self, what: str = "u32") -> int:
        """Four bytes, big-endian."""
        start = self._need(4, what)
        return int.from_bytes(self._data[start : start + 4])

    def take(self, count: int, what: str = "opaque") -> bytes:
        """Exactly ``count`` bytes."""
        start = self._need(count, what)
        return self._data[start : start + count]

    def rest(self) -> bytes:
        """All bytes that are left."""
        return self.take(self.remaining)

    def opaque8(self, what: str = "opaque") -> bytes:
        """A vector ``<0..2^8-1>`` as bytes."""
        return self.take(self.u8(f"length of {what}"), what)

    def opaque16(self, what: str = "opaque") -> bytes:
        """A vector ``<0..2^16-1>`` as bytes."""
        return self.take(self.u16(f"length of {what}"), what)

    def opaque24(self, what: str = "opaque") -> bytes:
        """A vector ``<0..2^24-1>`` as bytes."""
        return self.take(self.u24(f"length of {what}"), what)

    def _vector(self, length: int, what: str) -> Reader:
        start = self._need(length, what)
        return Reader(self._data, self._name, start, start + length)

    def vector8(self, what: str = "vector") -> Reader:
        """A sub-reader over a vector ``<0..2^8-1>``."""
        return self._vector(self.u8(f"length of {what}"), what)

    def vector16(self, what: str = "vector") -> Reader:
        """A sub-reader over a vector ``<0..2^16-1>``."""
        return self._vector(self.u16(f"length of {what}"), what)

    def vector24(self, what: str = "vector") -> Reader:
        """A sub-reader over a vector ``<0..2^24-1>``."""
        return self._vector(self.u24(f"length of {what}"), what)

    def u16_list(self, what: str = "list") -> tuple[int, ...]:
        """A vector ``<0..2^16-1>`` of 16-bit values."""
        inner = self.vector16(what)
        if inner.remaining % 2:
            raise DecodeError(f"{what} has an odd length", message=self._name, offset=inner.offset)
        return tuple(inner.u16(what) for _ in range(inner.remaining // 2))

    def expect_end(self, what: str = "structure") -> None:
        """Raise DecodeError unless everything was read."""
        if self.offset != self._end:
            raise DecodeError(f"{self._end - self.offset} bytes follow the end of {what}", message=self._name, offset=self.offset)


class Writer:
    """An append-only buffer; ``with writer.vector16():`` writes the length of what the block appended."""

    __slots__ = ("_buffer",)

    def __init__(self) -> None:
        self._buffer = bytearray()

    def __len__(self) -> int:
        return len(self._buffer)

    def u8(self, value: int) -> None:
        """One byte; OverflowError when it does not fit."""
        self._buffer += value.to_bytes(1)

    def u16(self, value: int) -> None:
        """Two bytes, big-endian; OverflowError when it does not fit."""
        self._buffer += value.to_bytes(2)

    def u24(self, value: int) -> None:
        """Three bytes, big-endian; OverflowError when it does not fit."""
        self._buffer += value.to_bytes(3)

    def raw(self, data: bytes) -> None:
        """Bytes as they are."""
        self._buffer += data

    @contextmanager
    def _vector(self, width: int) -> Iterator[None]:
        start = len(self._buffer)
        self._buffer += bytes(width)
        yield
        length = len(self._buffer) - start - width
        self._buffer[start : start + width] = length.to_bytes(width)

    def vector8(self) -> AbstractContextManager[None]:
        """Context manager: a vector ``<0..2^8-1>``; OverflowError when the block wrote more."""
        return self._vector(1)

    def vector16(self) -> AbstractContextManager[None]:
        """Context manager: a vector ``<0..2^16-1>``; OverflowError when the block wrote more."""
        return self._vector(2)

    def vector24(self) -> AbstractContextManager[None]:
        """Context manager: a vector ``<0..2^24-1>``; OverflowError when the block wrote more."""
        return self._vector(3)

    def getvalue(self) -> bytes:
        """What was written so far."""
        return bytes(self._buffer)
