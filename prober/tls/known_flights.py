"""First flights that were read before: what they said is known by all of them that stays the same.

Of one ingress, two flights differ in little: ServerHello.random, the session id, the key share, the signature. To find out that the
rest was read before costs a tenth of reading it again, in TLS 1.2 some 4 µs instead of 50. A flight is looked up under its
`flight_key`; what it said is put there after `handshake` has read it, and read it to the end. So nothing is decided here: a
key is made of everything that the state machine looks at, for a flight of the shape that nearly all servers send, and there
is none (None) for any other. tests/tls/test_known_flights.py holds the two against each other.

Only for depth ``certificate``: signatures and Finished are new in every handshake.
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import sha256
from struct import Struct
from typing import TYPE_CHECKING, Final

from prober.tls.errors import ProtocolError
from prober.tls.facts import HandshakeFacts
from prober.tls.keys import KeySchedule, new_transcript_hash, traffic_keys
from prober.tls.messages import HELLO_RETRY_REQUEST_RANDOM, handshake_message
from prober.tls.protection import Tls13Protection
from prober.tls.records import MAX_CIPHERTEXT_TLS13, MAX_PLAINTEXT, Record
from prober.tls.registry import ContentType, ExtensionType, HandshakeType, ProtocolVersion
from prober.tls.remembered import Remembered
from prober.tls.server_hello import DOWNGRADE_SENTINELS
from prober.tls.suites import suite_of

if TYPE_CHECKING:
    from prober.tls.client_hello import Offer

__all__ = ["KnownFlights", "flight_key"]

_HANDSHAKE: Final = ContentType.handshake.value
_PLAIN: Final = _HANDSHAKE << 8 | 3
"""How a handshake record begins: its type, and the first byte of its version."""
_CHANGE_CIPHER_SPEC: Final = ContentType.change_cipher_spec.value
_APPLICATION_DATA: Final = ContentType.application_data.value
_SERVER_HELLO: Final = HandshakeType.server_hello.value
_CERTIFICATE: Final = HandshakeType.certificate.value
# As the first two of the four bytes before a message: the second is the highest of its length, and 0 in what fits into one read.
_SERVER_KEY_EXCHANGE: Final = HandshakeType.server_key_exchange.value << 8
_SERVER_HELLO_DONE: Final = HandshakeType.server_hello_done.value << 8
_KEY_SHARE: Final = ExtensionType.key_share.value
_TLS_1_2: Final = ProtocolVersion.TLSv1_2.to_bytes(2)
_TLS_1_3: Final = ProtocolVersion.TLSv1_3.to_bytes(2)
_NAMED_CURVE: Final = 3
_DONE: Final = handshake_message(HandshakeType.server_hello_done, b"")

# RFC 8446 §4.1.3: the last eight bytes are all that is ever read of the random, but for a HelloRetryRequest, which is none of ours.
_MARKS: Final[dict[bytes, bytes | None]] = {sentinel: bytes([number]) for number, sentinel in enumerate(DOWNGRADE_SENTINELS, 1)}
_MARKS[HELLO_RETRY_REQUEST_RANDOM[24:]] = None

# RFC 8446 §D.4: what a server of TLS 1.3 sends to please middleboxes.
_COMPATIBLE: Final = b"\x14\x03\x03\x00\x01\x01"

_MOST_RECORDS: Final = 32
"""Of a usual flight: it has five messages, and chains of 16 KiB are long."""

# RFC 8446 §5.1, §4, §4.1.3, as offsets: a record's header, a message's, and ServerHello up to its session id.
_RECORD_HEADER: Final = 5
_MESSAGE_HEADER: Final = 4
_RANDOM_AT: Final = 6
_MARK_AT: Final = 30
_SESSION_ID_SIZE_AT: Final = 38
_SESSION_ID_AT: Final = 39

_read_header: Final = Struct(">BBxH").unpack_from
_read_start: Final = Struct(">HxH").unpack_from
"""The same, with type and first byte of the version as one number."""
_read_u32: Final = Struct(">I").unpack_from
_read_u16: Final = Struct(">H").unpack_from
_read_u16_twice: Final = Struct(">HH").unpack_from
_write_place: Final = Struct(">BI").pack

_MEMORY: Final = 96 * 1024 * 1024
"""Bytes of chains that a memory keeps alive at most, each counted for each flight that shows it (with a name, and without one):
some ten thousand ingresses, each with a chain of its own."""
_ENTRY: Final = 300
"""Bytes of an entry beside its chain."""


class KnownFlights:
    """What flights said, by their keys. Of one `HelloFactory`: what may be answered depends on what was offered."""

    __slots__ = ("_facts",)

    def __init__(self) -> None:
        self._facts: Remembered[bytes, HandshakeFacts] = Remembered(_MEMORY)

    def get(self, key: bytes) -> HandshakeFacts | None:
        """What the flight with this key says, the very same object each time; None when it has not been read yet."""
        return self._facts.get(key)

    def keep(self, key: bytes, facts: HandshakeFacts) -> None:
        """``facts`` are what a flight with this key has said, read to its end at depth ``certificate``."""
        self._facts.keep(key, facts, _ENTRY + sum(map(len, facts.certificates)))


def flight_key(offer: Offer, data: bytes) -> bytes | None:
    """32 bytes that are the same for all flights that say the same to this kind of hello (profile, versions, with a name or without).

    ``data`` is everything that the server sent so far. None when that is not a whole flight of the usual shape.
    """
    size = len(data)
    if size < _RECORD_HEADER + _SESSION_ID_AT:
        return None
    kind, length = _read_start(data)
    first = _RECORD_HEADER + length
    if kind != _PLAIN or data[_RECORD_HEADER] != _SERVER_HELLO or first > size:
        return None
    if first < size and data[first] != _HANDSHAKE:
        return _key13(offer, data, first)
    return _key12(offer, data)


def _hash(version: bytes, offer: Offer, *parts: bytes) -> bytes:
    # A name decides on which extensions may be answered.
    return sha256(b"".join((version, b"\x01" if offer.name else b"\x00", *parts))).digest()


# RFC 5246 §7.3
def _key12(offer: Offer, data: bytes) -> bytes | None:
    """All messages are plain; they may share records, or be split among them."""
    flight = _joined(data)
    if flight is None or flight[4:_RANDOM_AT] != _TLS_1_2 or not flight.endswith(_DONE) or len(flight) < _SESSION_ID_AT:
        return None
    mark = _MARKS.get(flight[_MARK_AT:_SESSION_ID_SIZE_AT], b"\x00")
    if mark is None:
        return None
    size = len(flight)
    session_id_size = flight[_SESSION_ID_SIZE_AT]
    behind_session_id = _SESSION_ID_AT + session_id_size
    at = _MESSAGE_HEADER + _read_u16(flight, 2)[0]
    if behind_session_id > at:
        return None
    while at + _MESSAGE_HEADER <= size:
        kind, length = _read_u16_twice(flight, at)
        end = at + _MESSAGE_HEADER + length
        if kind == _SERVER_KEY_EXCHANGE:
            # RFC 8422 §5.4: curve type, group, the size of the public value, that, and a signature.
            if at + 8 > size or flight[at + 4] != _NAMED_CURVE or not _is_ecdhe(_read_u16(flight, behind_session_id)[0]):
                return None
            signed = at + 8 + flight[at + 7]
            if end > size or signed + 4 > size or signed + 4 + _read_u16(flight, signed + 2)[0] != end:
                return None
            before, choice, behind = flight[behind_session_id:at], flight[at + 4 : at + 8], flight[end:]
            # Where it begins is part of it, so that no two flights are joined to the same bytes.
            place = _write_place(session_id_size, at)
            return _hash(_TLS_1_2, offer, flight[:_RANDOM_AT], mark, place, before, choice, flight[signed : signed + 2], behind)
        if kind == _SERVER_HELLO_DONE:  # RSA key exchange: nothing more is new
            place = _write_place(session_id_size, 0)
            return _hash(_TLS_1_2, offer, flight[:_RANDOM_AT], mark, place, flight[behind_session_id:])
        if kind & 0xFF:
            return None
        at = end
    return None


@lru_cache(maxsize=512)
def _is_ecdhe(code: int) -> bool:
    suite = suite_of(code)
    return suite.key_exchange == "ECDHE" and suite.authentication != "PSK"


def _joined(data: bytes) -> bytes | None:
    """What the handshake records of ``data`` hold; None unless it is whole records and nothing else."""
    most = len(data) - _RECORD_HEADER
    fragments: list[bytes] = []
    at = 0
    for _ in range(_MOST_RECORDS):
        kind, length = _read_start(data, at)
        body = at + _RECORD_HEADER
        at = body + length
        if kind != _PLAIN or not 0 < length <= MAX_PLAINTEXT:
            return None
        fragments.append(data[body:at])
        if at > most:
            break
    return b"".join(fragments) if at == len(data) else None


# RFC 8446 §2: ServerHello is plain, and the key to the rest is in it.
def _key13(offer: Offer, data: bytes, first: int) -> bytes | None:
    """``first`` is the end of the first record, which must be a ServerHello and nothing else."""
    hello = data[_RECORD_HEADER:first]
    size = len(hello)
    records = _protected_records(data, first)
    if not records or size < _SESSION_ID_AT or _MESSAGE_HEADER + (_read_u32(hello)[0] & 0xFFFFFF) != size or size > MAX_PLAINTEXT:
        return None
    behind_session_id = _SESSION_ID_AT + hello[_SESSION_ID_SIZE_AT]
    if (
        hello[_SESSION_ID_AT:behind_session_id] != offer.session_id
        or hello[_RANDOM_AT:_SESSION_ID_SIZE_AT] == HELLO_RETRY_REQUEST_RANDOM
    ):
        return None
    share_at = _share_at(hello, behind_session_id + 5)
    if share_at is None:
        return None
    group, public_size = _read_u16_twice(hello, share_at)
    public_at = share_at + 4
    behind_public = public_at + public_size
    share = next((share for share in offer.key_shares if share.group == group), None)
    suite = suite_of(_read_u16(hello, behind_session_id)[0])
    bulk = suite.bulk
    if share is None or bulk is None or not suite.is_tls13:
        return None
    try:
        schedule = KeySchedule(suite.prf_hash, share.exchange(hello[public_at:behind_public]))
        transcript = new_transcript_hash(ProtocolVersion.TLSv1_3, suite.prf_hash)
        transcript.update(offer.message)
        transcript.update(hello)
        secret = schedule.handshake_traffic(b"s", transcript.digest())
        said = _to_certificate(Tls13Protection(bulk, traffic_keys(secret, bulk.key_size, suite.prf_hash)), records)
    except ProtocolError:
        return None  # `handshake` says what is wrong
    if said is None:
        return None
    return _hash(
        _TLS_1_3,
        offer,
        hello[:_RANDOM_AT],
        public_at.to_bytes(4),
        hello[behind_session_id:public_at],
        hello[behind_public:],
        said,
    )


def _protected_records(data: bytes, at: int) -> list[Record] | None:
    """The records behind ServerHello: whole, all of them protected but for one ChangeCipherSpec in front of them."""
    size = len(data)
    if data[at : at + len(_COMPATIBLE)] == _COMPATIBLE:
        at += len(_COMPATIBLE)
    records: list[Record] = []
    while at + _RECORD_HEADER <= size:
        kind, major, length = _read_header(data, at)
        body = at + _RECORD_HEADER
        end = body + length
        if kind != _APPLICATION_DATA or major != 3 or length > MAX_CIPHERTEXT_TLS13 or end > size or len(records) > _MOST_RECORDS:
            return None
        records.append(Record(kind, data[at:body], data[body:end]))
        at = end
    return records if at == size else None


def _share_at(hello: bytes, at: int) -> int | None:
    """Where the KeyShareEntry of a ServerHello begins whose extensions begin at ``at``; None when there is none that fits."""
    size = len(hello)
    while at + 4 <= size:
        kind, length = _read_u16_twice(hello, at)
        body = at + 4
        at = body + length
        if kind == _KEY_SHARE:
            # RFC 8446 §4.2.8: group, size of the public value, that
            fits = length >= 4 and at <= size and 4 + _read_u16(hello, body + 2)[0] == length
            return body if fits else None
    return None


def _to_certificate(protection: Tls13Protection, records: list[Record]) -> bytes | None:
    """The protected messages up to and including Certificate; None when that is not there. Raises ProtocolError."""
    said = b""
    at = 0
    for record in records:
        kind, fragment = protection.unprotect(record)
        if kind != _HANDSHAKE or not fragment:
            return None
        said += fragment
        while at + _MESSAGE_HEADER <= len(said):
            head = _read_u32(said, at)[0]
            end = at + _MESSAGE_HEADER + (head & 0xFFFFFF)
            if end > len(said):
                break
            if head >> 24 == _CERTIFICATE:
                return said[:end]
            at = end
    return None
