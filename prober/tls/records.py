"""The record layer's reading side: bytes to records, records to handshake messages, and the writing of plain records.

Both readers take whatever arrived and hand out what is complete. In the common case, a whole flight in one segment, they
only slice; a tail that is incomplete is kept in a bytearray and looked at again when the length that its header announced
is there, so that a flight that arrives byte by byte costs linear time. Limits are enforced at headers, before the body.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from prober.tls.errors import DecodeError, NotTLS, PeerMisbehaved, ProtocolError
from prober.tls.first_bytes import MORE_NEEDED, could_be_tls, guess_protocol
from prober.tls.registry import AlertDescription, ContentType

__all__ = [
    "FLIGHT_LIMIT",
    "MAX_CIPHERTEXT_TLS12",
    "MAX_CIPHERTEXT_TLS13",
    "MAX_PLAINTEXT",
    "HandshakeReader",
    "Record",
    "RecordReader",
    "plain_records",
]

HEADER_SIZE: Final = 5
# RFC 8446 §5.1, §5.2; RFC 5246 §6.2.3
MAX_PLAINTEXT: Final = 1 << 14
MAX_CIPHERTEXT_TLS13: Final = (1 << 14) + 256
MAX_CIPHERTEXT_TLS12: Final = (1 << 14) + 2048

FLIGHT_LIMIT: Final = 256 * 1024
"""Most bytes of handshake messages that one handshake reads. Go and BoringSSL refuse certificate messages above 64 to
256 KiB; real chains have 2 to 16 KiB."""

_FIRST_TYPE: Final = ContentType.change_cipher_spec.value
_LAST_TYPE: Final = ContentType.heartbeat.value


class Record(NamedTuple):
    """One record as it came: ``header`` is its five bytes (the additional data of TLS 1.3), ``fragment`` the rest."""

    content_type: int
    header: bytes
    fragment: bytes


class RecordReader:
    """Splits a byte stream into records. ``limit`` is the largest fragment; it grows when records become protected."""

    __slots__ = ("_data", "_needed", "_offset", "_started", "_tail", "limit")

    def __init__(self) -> None:
        self._data = b""
        self._offset = 0
        self._tail = bytearray()
        self._needed = 0
        self._started = False
        self.limit = MAX_PLAINTEXT

    @property
    def pending(self) -> int:
        """Bytes of a record that is not complete yet."""
        return len(self._tail)

    def receive(self, data: bytes) -> None:
        """Take bytes from the peer; call only when `next_record` has returned None."""
        if self._tail:
            self._tail += data
            if len(self._tail) < self._needed:
                return
            data = bytes(self._tail)
            self._tail.clear()
        self._data = data
        self._offset = 0

    def next_record(self) -> Record | None:
        """The next complete record, or None. Raises NotTLS, DecodeError, PeerMisbehaved (record_overflow)."""
        data = self._data
        start = self._offset
        available = len(data) - start
        if not self._started and available:
            self._check_first_bytes(data, final=False)
        if available < HEADER_SIZE:
            self._keep(HEADER_SIZE)
            return None
        content_type = data[start]
        length = data[start + 3] << 8 | data[start + 4]
        if not _FIRST_TYPE <= content_type <= _LAST_TYPE or data[start + 1] != 3 or length > self.limit:
            raise _header_error(content_type, data[start + 1], length, self.limit)
        body = start + HEADER_SIZE
        end = body + length
        if end > len(data):
            self._keep(HEADER_SIZE + length)
            return None
        self._started = True
        self._offset = end
        return Record(content_type, data[start:body], data[body:end])

    def receive_eof(self) -> None:
        """No more bytes will come. Raises NotTLS if all that came is too short to say, but cannot be TLS either."""
        if not self._started and self._tail:
            self._check_first_bytes(bytes(self._tail), final=True)

    def _keep(self, needed: int) -> None:
        if self._data:
            self._tail += self._data[self._offset :]
            self._data = b""
            self._offset = 0
            self._needed = needed

    def _check_first_bytes(self, data: bytes, *, final: bool) -> None:
        if could_be_tls(data):
            return
        guess = guess_protocol(data, final=final)
        if guess is MORE_NEEDED:
            return
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

    __slots__ = ("_data", "_needed", "_offset", "_read", "_tail")

    def __init__(self) -> None:
        self._data = b""
        self._offset = 0
        self._tail = bytearray()
        self._needed = 0
        self._read = 0

    @property
    def pending(self) -> int:
        """Bytes of a message that is not complete yet, or of messages that were not asked for yet."""
        return len(self._tail) + len(self._data) - self._offset

    def forget_flight(self) -> None:
        """Start to count for `FLIGHT_LIMIT` anew: the peer's flight is complete."""
        self._read = 0

    def receive(self, fragment: bytes) -> None:
        """Take a handshake record's fragment; call only when `next_message` has returned None."""
        # RFC 8446 §5.1: zero-length fragments of handshake type must not be sent.
        if not fragment:
            raise DecodeError("an empty handshake fragment", offset=3)
        if self._tail:
            self._tail += fragment
            if len(self._tail) < self._needed:
                return
            fragment = bytes(self._tail)
            self._tail.clear()
        self._data = fragment
        self._offset = 0

    def next_message(self) -> bytes | None:
        """The next complete message, or None. Raises DecodeError at the header of a message beyond `FLIGHT_LIMIT`."""
        data = self._data
        start = self._offset
        available = len(data) - start
        if available < 4:
            self._keep(4)
            return None
        size = 4 + (data[start + 1] << 16 | data[start + 2] << 8 | data[start + 3])
        if self._read + size > FLIGHT_LIMIT:
            raise DecodeError(
                f"a message of {size} bytes after {self._read} bytes of handshake, at most {FLIGHT_LIMIT} are read in all",
                message="handshake",
                offset=1,
            )
        end = start + size
        if end > len(data):
            self._keep(size)
            return None
        self._read += size
        self._offset = end
        return data[start:end]

    def _keep(self, needed: int) -> None:
        if self._data:
            self._tail += self._data[self._offset :]
            self._data = b""
            self._offset = 0
            self._needed = needed


def plain_records(content_type: int, version: int, payload: bytes) -> bytes:
    """``payload`` as unprotected records of at most 2^14 bytes each (RFC 8446 §5.1)."""
    head = content_type.to_bytes(1) + version.to_bytes(2)
    if len(payload) <= MAX_PLAINTEXT:
        return head + len(payload).to_bytes(2) + payload
    pieces = [payload[start : start + MAX_PLAINTEXT] for start in range(0, len(payload), MAX_PLAINTEXT)]
    return b"".join(head + len(piece).to_bytes(2) + piece for piece in pieces)
