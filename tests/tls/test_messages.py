"""The server's messages: vectors of RFC 8448, round trips, truncation, and arbitrary bytes."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prober.tls.errors import DecodeError
from prober.tls.messages import HELLO_RETRY_REQUEST_RANDOM, ServerHello, parse_alpn, parse_key_share
from prober.tls.messages12 import Certificate12, EcdheServerKeyExchange
from prober.tls.messages13 import Certificate13, KeyUpdate
from prober.tls.registry import CipherSuite, ExtensionType, NamedGroup, ProtocolVersion
from tests.tls.recorded import trace
from tests.tls.sample_messages import KINDS, Kind


def parsed_or_refused(kind: Kind, message: bytes) -> object:
    """What it parses to, or the one error that parsing may raise."""
    try:
        return kind.parse(message)
    except DecodeError as error:
        return error


kinds = pytest.mark.parametrize("name", KINDS)


@kinds
def test_a_sample_survives_the_round_trip(name: str) -> None:
    """What was serialised is parsed as what it was."""
    kind = KINDS[name]

    assert kind.parse(kind.sample.serialise()) == kind.sample


@kinds
def test_every_value_survives_the_round_trip(name: str) -> None:
    """For any content of its fields."""
    kind = KINDS[name]

    @settings(max_examples=40)
    @given(kind.strategy)
    def round_trip(message: object) -> None:
        wire = message.serialise()  # type: ignore[attr-defined]
        assert kind.parse(wire) == message
        assert wire[1:4] == (len(wire) - 4).to_bytes(3)

    round_trip()


@kinds
def test_every_proper_prefix_is_malformed_or_another_message(name: str) -> None:
    """A truncated message never parses to the same value, and never raises anything but DecodeError."""
    kind = KINDS[name]
    wire = kind.sample.serialise()
    for size in range(4, len(wire)):
        parsed = parsed_or_refused(kind, wire[:size])
        if isinstance(parsed, DecodeError):
            assert parsed.offset is not None
            assert 4 <= parsed.offset <= size
        else:
            # ServerHello without extensions, and an anonymous key exchange without signature, are messages too.
            assert parsed != kind.sample
            assert name in ("ServerHello", "EcdheServerKeyExchange", "EcdheServerKeyExchange of TLS 1.1", "DheServerKeyExchange")


@kinds
def test_a_byte_too_many_is_malformed(name: str) -> None:
    """Nothing may follow the last field."""
    kind = KINDS[name]
    with pytest.raises(DecodeError):
        kind.parse(kind.sample.serialise() + b"\0")


@kinds
def test_arbitrary_bytes_raise_decode_errors_alone(name: str) -> None:
    """Noise, and samples with noise in them."""
    kind = KINDS[name]
    wire = kind.sample.serialise()

    @settings(max_examples=60)
    @given(st.binary(max_size=120), st.integers(0, len(wire) - 5), st.binary(min_size=1, max_size=6))
    def survive(noise: bytes, place: int, patch: bytes) -> None:
        for message in (wire[:4] + noise, wire[: 4 + place] + patch + wire[4 + place + len(patch) :]):
            parsed_or_refused(kind, message)

    survive()


def test_the_server_hello_of_rfc_8448() -> None:
    """Section 3: what the RFC says that it contains."""
    message = trace("3-simple-1rtt")["server_hello"][5:]

    hello = ServerHello.parse(message)

    assert hello.version == ProtocolVersion.TLSv1_3
    assert hello.legacy_version == ProtocolVersion.TLSv1_2
    assert hello.cipher_suite == CipherSuite.TLS_AES_128_GCM_SHA256
    assert hello.session_id == b""
    assert not hello.is_hello_retry_request
    group, public = parse_key_share(hello.extensions[ExtensionType.key_share])
    assert group == NamedGroup.x25519
    assert public.hex() == "c9828876112095fe66762bdbf7c672e156d6cc253b833df1dd69b1b04e751f0f"
    assert hello.serialise() == message


def test_the_hello_retry_request_of_rfc_8448() -> None:
    """Section 5: told apart by its random."""
    message = trace("5-hello-retry-request")["hello_retry_request"][5:]

    hello = ServerHello.parse(message)

    assert hello.is_hello_retry_request
    assert hello.random == HELLO_RETRY_REQUEST_RANDOM
    assert hello.name == "HelloRetryRequest"
    assert list(hello.extensions) == [ExtensionType.key_share, ExtensionType.cookie, ExtensionType.supported_versions]
    assert hello.serialise() == message


def test_a_server_hello_may_end_before_its_extensions() -> None:
    """RFC 5246 section 7.4.1.3: the whole field may be absent."""
    hello = ServerHello(0x0301, bytes(32), b"", 0x002F, 0, {})

    assert len(hello.serialise()) == 4 + 38
    assert ServerHello.parse(hello.serialise()) == hello


def test_an_extension_that_comes_twice_is_malformed() -> None:
    """RFC 8446 section 4.2; the error names it and points at the second."""
    wire = ServerHello(0x0303, bytes(32), b"", 0xC02F, 0, {0x0017: b""}).serialise()
    twice = wire[:-6] + b"\x00\x08" + wire[-4:] * 2

    with pytest.raises(DecodeError, match="extended_master_secret comes twice") as caught:
        ServerHello.parse(twice)
    assert caught.value.offset == len(twice) - 4


@pytest.mark.parametrize(
    ("data", "reason"), [("000017", "an extension needs 4 bytes"), ("0017000500", "needs 5 bytes, 1 are left")]
)
def test_a_truncated_extension_is_malformed(data: str, reason: str) -> None:
    """Inside its block, whatever follows the block."""
    body = bytes.fromhex(data)
    message = ServerHello(0x0303, bytes(32), b"", 0xC02F, 0, {}).serialise() + len(body).to_bytes(2) + body
    with pytest.raises(DecodeError, match=reason):
        ServerHello.parse(message)


@pytest.mark.parametrize("wire", ["0b000006000003000000", "0b000009000000050000000000"])
def test_a_certificate_of_no_bytes_is_malformed(wire: str) -> None:
    """ASN1Cert<1..2^24-1> has at least one; TLS 1.2's message first, then TLS 1.3's."""
    message = bytes.fromhex(wire)
    parse = Certificate12.parse if len(message) == 10 else Certificate13.parse
    with pytest.raises(DecodeError, match="a certificate of no bytes"):
        parse(message)


def test_an_explicit_curve_is_refused() -> None:
    """RFC 8422 section 5.4 deprecates all but named curves."""
    with pytest.raises(DecodeError, match="curve_type 1 is not named_curve"):
        EcdheServerKeyExchange.parse(b"\x0c\x00\x00\x01\x01", 0x0303)


def test_a_key_update_is_requested_or_not() -> None:
    """Any other value is malformed (RFC 8446 section 4.6.3)."""
    with pytest.raises(DecodeError, match="request_update is 2"):
        KeyUpdate.parse(b"\x18\x00\x00\x01\x02")


@pytest.mark.parametrize("data", ["", "0000", "000100", "000201", "0003026832ff", "0006026832026833", "00020268"])
def test_an_alpn_answer_names_exactly_one_protocol(data: str) -> None:
    """RFC 7301 section 3.1."""
    assert parse_alpn(bytes.fromhex("0003026832")) == b"h2"
    with pytest.raises(DecodeError):
        parse_alpn(bytes.fromhex(data))


@pytest.mark.parametrize("size", [0, 1, 3])
def test_supported_versions_of_a_server_has_two_bytes(size: int) -> None:
    """RFC 8446 section 4.2.1."""
    hello = ServerHello(0x0303, bytes(32), b"", 0x1301, 0, {ExtensionType.supported_versions: bytes(size)})
    with pytest.raises(DecodeError, match="supported_versions"):
        _ = hello.version
