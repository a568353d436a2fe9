"""Reader and Writer for the presentation language of RFC 8446 §3: big-endian integers and length-prefixed vectors.

A Reader never looks outside its bounds; the caller of a sub-reader says ``expect_end`` when the structure is complete.
Offsets in errors count from the start of the outermost message, also inside sub-readers.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from struct import unpack_from

from prober.tls.errors import DecodeError

__all__ = ["Reader", "Writer"]


class Reader:
    """A cursor over ``data[start:end]``; every failure is a DecodeError with ``name`` and the absolute offset."""

    __slots__ = ("_end", "_name", "data", "offset")

    def __init__(self, data: bytes, name: str, start: int = 0, end: int | None = None) -> None:
        self.data = data
        self._name = name
        self.offset = start
        self._end = len(data) if end is None else end

    @property
    def remaining(self) -> int:
        """Bytes not read yet."""
        return self._end - self.offset

    def _short(self, count: int, what: str) -> DecodeError:
        return DecodeError(
            f"{what} needs {count} bytes, {self._end - self.offset} are left", message=self._name, offset=self.offset
        )

    def _vector_end(self, width: int, what: str) -> int:
        """Read a length prefix of ``width`` bytes, and return the offset at which the vector that begins here ends."""
        start = self.offset + width
        if start > self._end:
            raise self._short(width, f"length of {what}")
        end = start + int.from_bytes(self.data[self.offset : start])
        self.offset = start
        if end > self._end:
            raise self._short(end - start, what)
        return end

    # These are called some fifty times a handshake, hence none calls another.

    def u8(self, what: str = "u8") -> int:
        """One byte."""
        start = self.offset
        if start >= self._end:
            raise self._short(1, what)
        self.offset = start + 1
        return self.data[start]

    def u16(self, what: str = "u16") -> int:
        """Two bytes, big-endian."""
        start = self.offset
        end = start + 2
        if end > self._end:
            raise self._short(2, what)
        self.offset = end
        return self.data[start] << 8 | self.data[start + 1]

    def u32(self, what: str = "u32") -> int:
        """Four bytes, big-endian."""
        return int.from_bytes(self.take(4, what))

    def take(self, count: int, what: str = "opaque") -> bytes:
        """Exactly ``count`` bytes."""
        start = self.offset
        end = start + count
        if end > self._end:
            raise self._short(count, what)
        self.offset = end
        return self.data[start:end]

    def rest(self) -> bytes:
        """All bytes that are left."""
        return self.take(self.remaining)

    def opaque8(self, what: str = "opaque") -> bytes:
        """A vector ``<0..2^8-1>`` as bytes."""
        end = self._vector_end(1, what)
        start, self.offset = self.offset, end
        return self.data[start:end]

    def opaque16(self, what: str = "opaque") -> bytes:
        """A vector ``<0..2^16-1>`` as bytes."""
        end = self._vector_end(2, what)
        start, self.offset = self.offset, end
        return self.data[start:end]

    def opaque24(self, what: str = "opaque") -> bytes:
        """A vector ``<0..2^24-1>`` as bytes."""
        end = self._vector_end(3, what)
        start, self.offset = self.offset, end
        return self.data[start:end]

    def span16(self, what: str = "vector") -> tuple[int, int]:
        """Offset and end, in ``data``, of a vector ``<0..2^16-1>``, for a caller that reads it without a sub-reader."""
        end = self._vector_end(2, what)
        start, self.offset = self.offset, end
        return start, end

    def span24(self, what: str = "vector") -> tuple[int, int]:
        """Offset and end, in ``data``, of a vector ``<0..2^24-1>``."""
        end = self._vector_end(3, what)
        start, self.offset = self.offset, end
        return start, end

    def _sub_reader(self, end: int) -> Reader:
        start, self.offset = self.offset, end
        return Reader(self.data, self._name, start, end)

    def vector8(self, what: str = "vector") -> Reader:
        """A sub-reader over a vector ``<0..2^8-1>``."""
        return self._sub_reader(self._vector_end(1, what))

    def vector16(self, what: str = "vector") -> Reader:
        """A sub-reader over a vector ``<0..2^16-1>``."""
        return self._sub_reader(self._vector_end(2, what))

    def vector24(self, what: str = "vector") -> Reader:
        """A sub-reader over a vector ``<0..2^24-1>``."""
        return self._sub_reader(self._vector_end(3, what))

    def u16_list(self, what: str = "list") -> tuple[int, ...]:
        """A vector ``<0..2^16-1>`` of 16-bit values."""
        inner = self.vector16(what)
        if inner.remaining % 2:
            raise DecodeError(f"{what} has an odd length", message=self._name, offset=inner.offset)
        return unpack_from(f">{inner.remaining // 2}H", self.data, inner.offset)

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
