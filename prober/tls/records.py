"""The record layer's reading side: bytes to records, records to handshake messages, and the writing of plain records.

Both readers take whatever arrived and hand out what is complete. In the common case, a whole flight in one segment, they
only slice; a tail that is incomplete is kept in a bytearray and looked at again when the length that its header announced
is there, so that a flight that arrives byte by byte costs linear time. Limits are enforced at headers, before the body.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from struct import Struct
from typing import Final, NamedTuple

from prober.tls.errors import DecodeError, NotTLS, PeerMisbehaved, ProtocolError
from prober.tls.first_bytes import MORE_NEEDED, could_be_tls, guess_protocol
from prober.tls.registry import AlertDescription, ContentType

__all__ = [
    "FLIGHT_LIMIT",
    "MAX_CIPHERTEXT_TLS12",
    "MAX_CIPHERTEXT_TLS13",
    "MAX_PLAINTEXT",
    "RECORD_LIMIT",
    "HandshakeReader",
    "Record",
    "RecordReader",
    "plain_records",
]

HEADER_SIZE: Final = 5
_MESSAGE_HEADER_SIZE: Final = 4
# RFC 8446 §5.1, §5.2; RFC 5246 §6.2.3
MAX_PLAINTEXT: Final = 1 << 14
MAX_CIPHERTEXT_TLS13: Final = (1 << 14) + 256
MAX_CIPHERTEXT_TLS12: Final = (1 << 14) + 2048

FLIGHT_LIMIT: Final = 256 * 1024
"""Most bytes of handshake messages that one handshake reads. Go and BoringSSL refuse certificate messages above 64 to
256 KiB; real chains have 2 to 16 KiB."""

RECORD_LIMIT: Final = 4096
"""Most records of one handshake: what `FLIGHT_LIMIT` bytes take in records of 64 bytes, the smallest that RFC 8449 lets anybody
ask for. A record costs us more than the byte that it might carry."""

_FIRST_TYPE: Final = ContentType.change_cipher_spec.value
_LAST_TYPE: Final = ContentType.heartbeat.value


class Record(NamedTuple):
    """One record as it came: ``header`` is its five bytes (the additional data of TLS 1.3), ``fragment`` the rest."""

    content_type: int
    header: bytes
    fragment: bytes


# What a NamedTuple's own constructor does, at half its price.
_new_tuple = tuple.__new__

# RFC 8446 §5.1: type, major version, length; the minor version means nothing.
_read_header = Struct(">BBxH").unpack_from
_read_u32 = Struct(">I").unpack_from


class RecordReader:
    """Splits a byte stream into records. ``limit`` is the largest fragment; it grows when records become protected."""

    __slots__ = ("_count", "_needed", "_started", "_tail", "limit")

    def __init__(self) -> None:
        self._tail = bytearray()
        self._needed = 0
        self._started = False
        self._count = 0
        self.limit = MAX_PLAINTEXT

    @property
    def pending(self) -> int:
        """Bytes of a record that is not complete yet."""
        return len(self._tail)

    def forget_flight(self) -> None:
        """Start to count for `RECORD_LIMIT` anew."""
        self._count = 0

    def receive(self, data: bytes) -> Iterator[Record]:
        """The records that ``data`` completes. Raises NotTLS, DecodeError, PeerMisbehaved (record_overflow).

        To be iterated to the end, unless nothing that follows matters any more.
        """
        tail = self._tail
        if tail:
            tail += data
            if len(tail) < self._needed:
                return
            data = bytes(tail)
            tail.clear()
        size = len(data)
        offset = 0
        needed = HEADER_SIZE
        while size - offset >= HEADER_SIZE:
            if not self._started and not _begins_tls(data, final=False):
                needed = size + 1
                break
            content_type, major, length = _read_header(data, offset)
            if major != 3 or length > self.limit or not _FIRST_TYPE <= content_type <= _LAST_TYPE:
                raise _header_error(content_type, major, length, self.limit)
            body = offset + HEADER_SIZE
            end = body + length
            if end > size:
                needed = HEADER_SIZE + length
                break
            self._started = True
            self._count += 1
            if self._count > RECORD_LIMIT:
                raise DecodeError(f"more than {RECORD_LIMIT} records in one handshake", offset=0)
            yield _new_tuple(Record, (content_type, data[offset:body], data[body:end]))
            offset = end
        if offset < size:
            tail += data[offset:]
            self._needed = needed

    def receive_eof(self) -> None:
        """No more bytes will come. Raises NotTLS if all that came is too short to say, but cannot be TLS either."""
        if not self._started and self._tail:
            _begins_tls(bytes(self._tail), final=True)


def _begins_tls(data: bytes, *, final: bool) -> bool:
    """False: it is no TLS, and more bytes will tell what it is. Raises NotTLS."""
    if could_be_tls(data):
        return True
    guess = guess_protocol(data, final=final)
    if guess is MORE_NEEDED:
        return False
    raise NotTLS(f"no TLS record, but {data[:16]!r}", first_bytes=data[:64], guess=guess)


def _header_error(content_type: int, major: int, length: int, limit: int) -> ProtocolError:
    if not _FIRST_TYPE <= content_type <= _LAST_TYPE:
        return DecodeError(f"0x{content_type:02X} is no content type", offset=0)
    if major != 3:
        return DecodeError(f"major version 0x{major:02X} is not TLS", offset=1)
    return PeerMisbehaved(
        f"a fragment of {length} bytes, at most {limit} are allowed",
        message="record",
        offset=3,
        implies=AlertDescription.record_overflow,
    )


class HandshakeReader:
    """Joins handshake fragments and splits them into messages; a message comes with its four-byte header."""

    __slots__ = ("_left", "_needed", "_read", "_tail")

    def __init__(self) -> None:
        self._tail = bytearray()
        self._needed = 0
        self._left = 0
        self._read = 0

    @property
    def pending(self) -> int:
        """Bytes behind the last message that was handed out."""
        return len(self._tail) + self._left

    def forget_flight(self) -> None:
        """Start to count for `FLIGHT_LIMIT` anew: the peer's flight is complete."""
        self._read = 0

    def receive(self, fragment: bytes) -> Iterable[bytes]:
        """The messages that a record's fragment completes. Raises DecodeError, also at the header of what is too long.

        To be iterated to the end, unless nothing that follows matters any more.
        """
        # Most servers send each message in a record of its own.
        size = len(fragment)
        if (
            size >= _MESSAGE_HEADER_SIZE
            and not self._tail
            and _MESSAGE_HEADER_SIZE + (_read_u32(fragment)[0] & 0xFFFFFF) == size
            and self._read + size <= FLIGHT_LIMIT
        ):
            self._read += size
            return (fragment,)
        return self._split(fragment)

    def _split(self, fragment: bytes) -> Iterator[bytes]:
        # RFC 8446 §5.1: zero-length fragments of handshake type must not be sent.
        if not fragment:
            raise DecodeError("an empty handshake fragment", offset=3)
        tail = self._tail
        if tail:
            tail += fragment
            if len(tail) < self._needed:
                return
            fragment = bytes(tail)
            tail.clear()
        size = len(fragment)
        offset = 0
        needed = _MESSAGE_HEADER_SIZE
        while size - offset >= _MESSAGE_HEADER_SIZE:
            length = 4 + (fragment[offset + 1] << 16 | fragment[offset + 2] << 8 | fragment[offset + 3])
            if self._read + length > FLIGHT_LIMIT:
                raise DecodeError(
                    f"a message of {length} bytes after {self._read}, at most {FLIGHT_LIMIT} are read in all",
                    message="handshake",
                    offset=1,
                )
            end = offset + length
            if end > size:
                needed = length
                break
            self._read += length
            self._left = size - end
            yield fragment[offset:end]
            offset = end
        self._left = 0
        if offset < size:
            tail += fragment[offset:]
            self._needed = needed


def plain_records(content_type: int, version: int, payload: bytes) -> bytes:
    """``payload`` as unprotected records of at most 2^14 bytes each (RFC 8446 §5.1)."""
    head = content_type.to_bytes(1) + version.to_bytes(2)
    if len(payload) <= MAX_PLAINTEXT:
        return head + len(payload).to_bytes(2) + payload
    pieces = [payload[start : start + MAX_PLAINTEXT] for start in range(0, len(payload), MAX_PLAINTEXT)]
    return b"".join(head + len(piece).to_bytes(2) + piece for piece in pieces)
