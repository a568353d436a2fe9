"""The five proofs for the ClientHello parser; its input is a complete message, so the fourth is that nothing may follow it."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prober.tls.client_hello_parser import parse_client_hello, printable
from prober.tls.errors import DecodeError
from prober.tls.registry import CipherSuite, ExtensionType, NamedGroup, ProtocolVersion, SignatureScheme
from tests.tls.captures import CAPTURES, capture


def hello_with(*extensions: tuple[int, bytes]) -> bytes:
    """A small ClientHello message with these extensions."""
    block = b"".join(kind.to_bytes(2) + len(body).to_bytes(2) + body for kind, body in extensions)
    body = b"\x03\x03" + bytes(32) + b"\x00" + b"\x00\x02\x13\x01" + b"\x01\x00" + len(block).to_bytes(2) + block
    return b"\x01" + len(body).to_bytes(3) + body


def test_a_captured_hello_is_read_field_by_field() -> None:
    """Vector: what curl sent for https://example.test."""
    record = capture("curl-name")
    hello = parse_client_hello(record[5:])
    assert hello.legacy_version == ProtocolVersion.TLSv1_2
    assert hello.random == record[11:43]
    assert hello.session_id == record[44:76]
    assert len(hello.cipher_suites) == 31
    assert hello.cipher_suites[0] == CipherSuite.TLS_AES_256_GCM_SHA384
    assert hello.cipher_suites[-1] == CipherSuite.TLS_EMPTY_RENEGOTIATION_INFO_SCSV
    assert hello.compression_methods == b"\0"
    assert [int(kind) for kind, _ in hello.extensions] == [0, 11, 10, 16, 22, 23, 49, 13, 43, 45, 51, 21]
    assert hello.server_name == "example.test"
    assert hello.alpn == (b"h2", b"http/1.1")
    assert [int(version) for version in hello.supported_versions] == [0x0304, 0x0303, 0x0302, 0x0301]
    assert hello.groups[:2] == (NamedGroup.x25519, NamedGroup.secp256r1)
    assert hello.point_formats == (0, 1, 2)
    assert hello.signature_schemes[0] == SignatureScheme.ecdsa_secp256r1_sha256
    assert [(group.name, len(share)) for group, share in hello.key_shares] == [("x25519", 32)]
    assert not hello.encrypted_client_hello


@pytest.mark.parametrize("name", CAPTURES)
def test_what_is_parsed_encodes_to_the_same_bytes(name: str) -> None:
    """Round trip: every captured hello comes back byte for byte."""
    message = capture(name)[5:]
    assert parse_client_hello(message).encode() == message


@pytest.mark.parametrize("name", CAPTURES)
def test_every_proper_prefix_is_an_error(name: str) -> None:
    """Cut anywhere, with the message's length as it was and with a length that fits, a hello is refused or shorter by a block.

    The one legal cut is after the compression methods: a hello without extensions (RFC 5246 §7.4.1.2).
    """
    message = capture(name)[5:]
    without_extensions = 4 + 2 + 32 + 1 + 32 + 2 + 2 * len(parse_client_hello(message).cipher_suites) + 2
    for length in range(len(message)):
        with pytest.raises(DecodeError):
            parse_client_hello(message[:length])
        if length >= 4 and length != without_extensions:
            with pytest.raises(DecodeError):
                parse_client_hello(b"\x01" + (length - 4).to_bytes(3) + message[4:length])
    short = parse_client_hello(b"\x01" + (without_extensions - 4).to_bytes(3) + message[4:without_extensions])
    assert not short.has_extension_block
    assert short.extensions == ()
    assert short.encode()[4:] == message[4:without_extensions]


def test_what_follows_the_message_is_an_error() -> None:
    """One byte after the message, and one inside it after the extensions, are refused at their offset."""
    message = hello_with()
    with pytest.raises(DecodeError, match="1 bytes follow") as caught:
        parse_client_hello(message + b"\0")
    assert caught.value.offset == len(message)
    with pytest.raises(DecodeError, match="1 bytes follow"):
        parse_client_hello(b"\x01" + (len(message) - 3).to_bytes(3) + message[4:] + b"\0")


@given(st.binary(max_size=400))
def test_arbitrary_bytes_raise_only_the_documented_error(data: bytes) -> None:
    """Alone, and as the body of a ClientHello, arbitrary bytes parse or raise DecodeError."""
    for message in (data, b"\x01" + len(data).to_bytes(3) + data):
        try:
            hello = parse_client_hello(message)
        except DecodeError:
            continue
        assert hello.encode() == message


@given(st.lists(st.tuples(st.integers(0, 60) | st.integers(0, 0xFFFF), st.binary(max_size=60)), unique_by=lambda entry: entry[0]))
def test_arbitrary_extensions_round_trip_or_raise_the_documented_error(extensions: list[tuple[int, bytes]]) -> None:
    """Well-framed extensions with arbitrary bodies come back as they were, or a body that the parser decodes is malformed."""
    message = hello_with(*extensions)
    try:
        hello = parse_client_hello(message)
    except DecodeError:
        assert {0, 10, 11, 13, 16, 43, 51} & {kind for kind, _ in extensions}
        return
    assert hello.encode() == message
    assert [(int(kind), body) for kind, body in hello.extensions] == extensions


@given(st.sampled_from(CAPTURES), st.data())
def test_a_damaged_capture_parses_or_raises_the_documented_error(name: str, data: st.DataObject) -> None:
    """Any one byte changed: DecodeError, or a hello that encodes to the damaged bytes."""
    message = bytearray(capture(name)[5:])
    message[data.draw(st.integers(0, len(message) - 1))] = data.draw(st.integers(0, 255))
    try:
        hello = parse_client_hello(bytes(message))
    except DecodeError:
        return
    assert hello.encode() == bytes(message)


@pytest.mark.parametrize(
    ("kind", "body", "complaint"),
    [
        (0, b"", "server_name_list needs 2 bytes|length of server_name_list"),
        (0, b"\x00\x04\x00\x00\x02a", "host_name needs 2 bytes, 1 are left"),
        (0, b"\x00\x05\x00\x00\x02ab!", "1 bytes follow the end of server_name"),
        (10, b"\x00\x03\x00\x17\x00", "supported_groups has an odd length"),
        (11, b"\x02\x00", "ec_point_format_list needs 2 bytes"),
        (13, b"\x00\x02\x04", "signature_algorithms needs 2 bytes"),
        (16, b"\x00\x03\x03h2", "protocol_name needs 3 bytes"),
        (43, b"\x03\x03\x04\x03", "version needs 2 bytes"),
        (51, b"\x00\x05\x00\x1d\x00\x02a", "key_exchange needs 2 bytes"),
    ],
)
def test_a_length_that_lies_is_named(kind: int, body: bytes, complaint: str) -> None:
    """The error says which field is short, and where in the message."""
    with pytest.raises(DecodeError, match=complaint) as caught:
        parse_client_hello(hello_with((kind, body)))
    assert caught.value.message == "ClientHello"
    assert caught.value.offset is not None
    assert caught.value.offset > 45


def test_an_extension_that_stands_twice_is_an_error() -> None:
    """RFC 8446 §4.2 forbids it."""
    with pytest.raises(DecodeError, match="session_ticket stands twice"):
        parse_client_hello(hello_with((35, b""), (23, b""), (35, b"")))


def test_another_message_is_refused_by_its_name() -> None:
    """A ServerHello is no ClientHello."""
    with pytest.raises(DecodeError, match="message type is server_hello"):
        parse_client_hello(b"\x02" + hello_with()[1:])


def test_a_server_name_is_safe_to_print() -> None:
    """Control characters and bytes beyond ASCII are escaped; the first host_name counts, other name types do not."""
    names = b"\x01\x00\x01x" + b"\x00\x00\x08\x1b[31m\xff\r\n" + b"\x00\x00\x01z"
    hello = parse_client_hello(hello_with((0, len(names).to_bytes(2) + names)))
    assert hello.server_name == r"\x1b[31m\xff\x0d\x0a"
    assert printable(b"a b~\x7f") == r"a\x20b~\x7f"


def test_a_hello_without_a_host_name_has_no_server_name() -> None:
    """An empty list of names is not the empty name."""
    assert parse_client_hello(hello_with((0, b"\x00\x00"))).server_name is None
    assert parse_client_hello(hello_with()).server_name is None


def test_an_encrypted_client_hello_is_noticed() -> None:
    """The outer name may then be a decoy, which a diagnosis has to know."""
    assert parse_client_hello(hello_with((ExtensionType.encrypted_client_hello, b"\x00"))).encrypted_client_hello


def test_lists_of_thousands_of_unknown_suites_do_not_stay_in_memory() -> None:
    """A peer chooses how long its lists are: what is remembered of them is bounded by size, not only by number."""

    def parse(first: int) -> None:
        suites = b"".join((first + place & 0xFFFF).to_bytes(2) for place in range(8000))
        body = b"\x03\x03" + bytes(33) + len(suites).to_bytes(2) + suites + b"\x01\0"
        assert len(parse_client_hello(b"\x01" + len(body).to_bytes(3) + body).cipher_suites) == 8000

    parse(0)
    tracemalloc.start()
    try:
        for first in range(1, 6):
            parse(first)
        grown = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert grown < 1_000_000
