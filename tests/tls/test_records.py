"""Records and handshake fragments: what is complete comes out, however it was cut, and the limits hold at the headers."""

from __future__ import annotations

import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prober.tls.errors import DecodeError, NotTLS, PeerMisbehaved, ProtocolError
from prober.tls.records import (
    FLIGHT_LIMIT,
    MAX_CIPHERTEXT_TLS13,
    MAX_PLAINTEXT,
    HandshakeReader,
    Record,
    RecordReader,
    plain_records,
)
from prober.tls.registry import AlertDescription
from tests.tls.recorded import trace

HELLO = trace("3-simple-1rtt")["server_hello"]


def read_all(reader: RecordReader, pieces: list[bytes]) -> list[Record]:
    """All records that the pieces complete."""
    return [record for piece in pieces for record in reader.receive(piece)]


def cut(data: bytes, places: list[int]) -> list[bytes]:
    """``data`` cut at these places."""
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:end] for start, end in pairwise(edges) if end > start]


def test_a_record_is_its_type_header_and_fragment() -> None:
    """RFC 8448 section 3: the ServerHello's record."""
    (record,) = RecordReader().receive(HELLO)

    assert record == Record(0x16, bytes.fromhex("160303005a"), HELLO[5:])


@pytest.mark.parametrize("size", range(len(HELLO)))
def test_every_proper_prefix_needs_more(size: int) -> None:
    """No record, no error, and the rest completes it."""
    reader = RecordReader()

    assert list(reader.receive(HELLO[:size])) == []
    assert reader.pending == size
    assert [record.fragment for record in reader.receive(HELLO[size:])] == [HELLO[5:]]
    assert reader.pending == 0


@given(
    fragments=st.lists(st.tuples(st.integers(0x14, 0x18), st.binary(max_size=40)), min_size=1, max_size=6),
    places=st.lists(st.integers(min_value=0), max_size=12),
)
def test_records_written_are_read_again_however_they_are_cut(fragments: list[tuple[int, bytes]], places: list[int]) -> None:
    """Round trip, over any segmentation."""
    wire = b"".join(plain_records(kind, 0x0303, fragment) for kind, fragment in fragments)

    records = read_all(RecordReader(), cut(wire, places))

    assert [(record.content_type, record.fragment) for record in records] == fragments


@given(st.binary(max_size=200), st.lists(st.integers(min_value=0), max_size=5))
def test_arbitrary_bytes_raise_documented_errors_alone_and_the_same_however_cut(data: bytes, places: list[int]) -> None:
    """ProtocolError or nothing; the kind of error does not depend on the segmentation."""

    def outcome(pieces: list[bytes]) -> tuple[list[Record], str | None]:
        reader = RecordReader()
        records: list[Record] = []
        try:
            for piece in pieces:
                records.extend(reader.receive(piece))
            reader.receive_eof()
        except NotTLS as error:
            return records, f"not TLS: {error.guess}"
        except ProtocolError as error:
            return records, str(error)
        return records, None

    assert outcome([data] if data else []) == outcome(cut(data, places))


def test_a_large_payload_is_written_as_several_records() -> None:
    """RFC 8446 section 5.1: at most 2^14 bytes each."""
    wire = plain_records(0x16, 0x0303, bytes(40_000))

    sizes = [len(record.fragment) for record in RecordReader().receive(wire)]

    assert sizes == [MAX_PLAINTEXT, MAX_PLAINTEXT, 40_000 - 2 * MAX_PLAINTEXT]


def test_a_fragment_beyond_the_limit_is_refused_at_its_header() -> None:
    """2^14 + 1 in clear, 2^14 + 256 + 1 protected: the five bytes suffice."""
    reader = RecordReader()
    with pytest.raises(PeerMisbehaved, match="16385 bytes") as caught:
        list(reader.receive(b"\x16\x03\x03\x40\x01"))
    assert caught.value.implies == AlertDescription.record_overflow

    reader = RecordReader()
    reader.limit = MAX_CIPHERTEXT_TLS13
    assert list(reader.receive(b"\x17\x03\x03\x41\x00")) == []
    reader = RecordReader()
    reader.limit = MAX_CIPHERTEXT_TLS13
    with pytest.raises(PeerMisbehaved):
        list(reader.receive(b"\x17\x03\x03\x41\x01"))


@pytest.mark.parametrize(
    ("header", "offset", "reason"), [("1903030001", 0, "no content type"), ("1602000001", 1, "major version")]
)
def test_a_later_record_that_is_none_is_malformed_not_another_protocol(header: str, offset: int, reason: str) -> None:
    """After the first record it is TLS, and its error says where it broke."""
    reader = RecordReader()
    list(reader.receive(HELLO))

    with pytest.raises(DecodeError, match=reason) as caught:
        list(reader.receive(bytes.fromhex(header)))
    assert caught.value.offset == offset


def test_a_record_before_a_broken_one_is_still_handed_out() -> None:
    """An alert that is followed by garbage in the same segment is an alert."""
    records = []
    with pytest.raises(DecodeError):
        for record in RecordReader().receive(HELLO + b"garbage"):
            records.append(record)  # noqa: PERF402 - what came before the error

    assert [record.fragment for record in records] == [HELLO[5:]]


MESSAGES = [b"\x02\x00\x00\x03abc", b"\x0e\x00\x00\x00", b"\x0b\x00\x00\x05defgh"]


@given(st.lists(st.integers(min_value=0), max_size=8))
def test_messages_come_out_however_they_share_and_span_fragments(places: list[int]) -> None:
    """RFC 8446 section 5.1: several in one record, and one over several."""
    reader = HandshakeReader()

    messages = [message for fragment in cut(b"".join(MESSAGES), places) for message in reader.receive(fragment)]

    assert messages == MESSAGES
    assert reader.pending == 0


def test_pending_counts_what_follows_the_message_that_was_handed_out() -> None:
    """That is how a message that spans a change of keys is found."""
    reader = HandshakeReader()
    pending = []
    for _ in reader.receive(MESSAGES[0] + MESSAGES[1] + b"\x0b\x00"):
        pending.append(reader.pending)  # noqa: PERF401 - it changes while the loop runs

    assert pending == [6, 2]
    assert reader.pending == 2


def test_a_message_beyond_the_flight_limit_is_refused_at_its_header() -> None:
    """Four bytes suffice; 16 MiB are never waited for."""
    reader = HandshakeReader()
    with pytest.raises(DecodeError, match=f"at most {FLIGHT_LIMIT}"):
        list(reader.receive(b"\x0b\xff\xff\xff"))


def test_the_messages_of_a_flight_are_limited_together() -> None:
    """Many small messages cannot exceed it either; a new flight counts anew."""
    reader = HandshakeReader()
    message = b"\x0b\x00\x40\x00" + bytes(0x4000)
    for _ in range(FLIGHT_LIMIT // len(message)):
        list(reader.receive(message))
    with pytest.raises(DecodeError, match="at most"):
        list(reader.receive(message))

    reader.forget_flight()
    assert list(reader.receive(message)) == [message]


def test_an_empty_fragment_is_malformed() -> None:
    """RFC 8446 section 5.1 forbids it; it would be a way to keep us busy."""
    with pytest.raises(DecodeError, match="empty"):
        list(HandshakeReader().receive(b""))


def test_a_flight_that_arrives_byte_by_byte_costs_linear_time() -> None:
    """256 KiB in single bytes: far below a second, where quadratic copying would take minutes."""
    wire = plain_records(0x16, 0x0303, b"\x0b\x03\xff\x00" + bytes(0x3FF00))
    records, messages = RecordReader(), HandshakeReader()
    began = time.process_time()

    read = [
        message
        for place in range(len(wire))
        for record in records.receive(wire[place : place + 1])
        for message in messages.receive(record.fragment)
    ]

    assert [len(message) for message in read] == [0x3FF04]
    assert time.process_time() - began < 5
