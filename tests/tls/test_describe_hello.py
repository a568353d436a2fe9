"""A ClientHello as people read it in a transcript."""

from __future__ import annotations

import pytest

from prober.tls.client_hello_parser import parse_client_hello
from prober.tls.describe_hello import describe_client_hello
from tests.tls.captures import CAPTURES, capture
from tests.tls.test_client_hello_parser import hello_with


def test_a_captured_hello_reads_line_by_line() -> None:
    """Known answer: the hello of python-3.11 with a name; every extension has its line, in wire order."""
    hello = parse_client_hello(capture("python-3.11-name")[5:])
    lines = describe_client_hello(hello)
    assert lines[0] == "legacy_version: TLSv1.2"
    assert lines[1] == f"random: {hello.random.hex()}"
    assert lines[2] == f"legacy_session_id: {hello.session_id.hex()}"
    assert lines[3].startswith("cipher_suites (18): TLS_AES_256_GCM_SHA384, TLS_CHACHA20_POLY1305_SHA256, ")
    assert lines[4] == "legacy_compression_methods: null"
    assert lines[5:8] == (
        "server_name: example.test",
        "ec_point_formats: 0, 1, 2",
        "supported_groups: x25519, secp256r1, x448, secp521r1, secp384r1, ffdhe2048, ffdhe3072, ffdhe4096, ffdhe6144, ffdhe8192",
    )
    assert lines[8:11] == ("session_ticket", "encrypt_then_mac", "extended_master_secret")
    assert lines[12:] == (
        "supported_versions: TLSv1.3, TLSv1.2",
        "psk_key_exchange_modes: 0101",
        "key_share: x25519 (32 bytes)",
        "padding: 225 bytes",
        "JA4: t13d181100_85036bcba153_d41ae481755e",
    )


@pytest.mark.parametrize("name", CAPTURES)
def test_every_field_and_extension_has_exactly_one_line(name: str) -> None:
    """Five fields, the extensions, and the JA4; no line is empty or broken."""
    hello = parse_client_hello(capture(name)[5:])
    lines = describe_client_hello(hello)
    assert len(lines) == 6 + len(hello.extensions)
    assert all(line.isprintable() and line for line in lines)
    for line, (kind, _) in zip(lines[5:], hello.extensions, strict=False):
        assert line.split(":")[0] == kind.name


def test_what_is_unknown_or_hostile_is_shown_safely() -> None:
    """GREASE is marked, unknown extensions are hexadecimal and cut, and no control character reaches the terminal."""
    message = hello_with(
        (0x0A0A, b""),
        (0x1234, bytes(40)),
        (0, b"\x00\x06\x00\x00\x03\x1b[m"),
        (16, b"\x00\x03\x02h\x07"),
        (10, b"\x00\x02\x1a\x1a"),
        (43, b"\x04\x2a\x2a\x03\x04"),
        (13, b"\x00\x00"),
        (51, b"\x00\x00"),
    )
    lines = describe_client_hello(parse_client_hello(message))
    assert lines[2] == "legacy_session_id: empty"
    assert lines[5:13] == (
        "GREASE 0x0A0A",
        f"0x1234: {'00' * 32}... (40 bytes)",
        r"server_name: \x1b[m",
        r"application_layer_protocol_negotiation: h\x07",
        "supported_groups: GREASE 0x1A1A",
        "supported_versions: GREASE 0x2A2A, TLSv1.3",
        "signature_algorithms: none",
        "key_share: none",
    )
