"""What speaks when it is no TLS: the guess for real greetings, which does not depend on how they were split."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prober.tls.errors import NotTLS
from prober.tls.first_bytes import MORE_NEEDED, could_be_tls, guess_protocol
from prober.tls.records import RecordReader

GREETINGS = [
    ("http", b"HTTP/1.1 400 Bad Request\r\nServer: nginx\r\n\r\n"),
    ("http", b"<html>\r\n<head><title>400 The plain HTTP request was sent to HTTPS port"),
    ("http", b"<!DOCTYPE html>"),
    ("http2", bytes.fromhex("00001204000000000000030000008000")),
    ("ssh", b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n"),
    ("smtp", b"220 mail.example.com ESMTP Postfix\r\n"),
    ("smtp", b"220-mail.example.com ESMTP Exim\r\n220 ready\r\n"),
    ("smtp", b"554 5.7.1 no\r\n"),
    ("ftp", b"220 (vsFTPd 3.0.3)\r\n"),
    ("ftp", b"220 ProFTPD Server (Debian) [::ffff:10.0.0.1]\r\n"),
    ("smtp or ftp", b"220 welcome\r\n"),
    ("imap", b"* OK [CAPABILITY IMAP4rev1] Dovecot ready.\r\n"),
    ("pop3", b"+OK Dovecot ready.\r\n"),
    ("redis", b"-ERR unknown command\r\n"),
    ("redis", b"-DENIED Redis is running in protected mode\r\n"),
    ("mysql", bytes.fromhex("4a0000000a382e302e333600")),
    ("mysql", bytes.fromhex("45000000ff6a04")),
    ("postgres", bytes.fromhex("4500000085534641")),
    ("rtsp", b"RTSP/1.0 400 Bad Request\r\n"),
    ("sip", b"SIP/2.0 400 Bad Request\r\n"),
    ("xmpp", b"<?xml version='1.0'?><stream:stream"),
    ("amqp", b"AMQP\x00\x00\x09\x01"),
    ("nats", b'INFO {"server_id":"N"}\r\n'),
    ("vnc", b"RFB 003.008\n"),
    ("memcached", b"ERROR\r\n"),
    ("proxy_protocol", b"PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\n"),
    ("proxy_protocol", b"\r\n\r\n\x00\r\nQUIT\n\x21\x11"),
    ("rdp", bytes.fromhex("030000130ed0000012340002")),
    ("telnet", bytes.fromhex("fffd18fffd20fffd23")),
    ("dtls", bytes.fromhex("16feff00000000000000000030")),
    ("sslv2", bytes.fromhex("8411040001000200")),
    ("sslv2", bytes.fromhex("8003000001")),
    (None, b"\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a"),
    (None, b"hello, world\r\n"),
    (None, b"\x80\x00\x00\x00\x00"),
]


def guess_of(pieces: list[bytes]) -> str | None:
    """What the record layer says about these bytes, and then no more."""
    reader = RecordReader()
    with pytest.raises(NotTLS) as caught:
        for piece in pieces:
            list(reader.receive(piece))
        reader.receive_eof()
    assert b"".join(pieces).startswith(caught.value.first_bytes)
    return caught.value.guess


@pytest.mark.parametrize(("protocol", "greeting"), GREETINGS)
def test_a_greeting_is_recognised(protocol: str | None, greeting: bytes) -> None:
    """In one segment, as it usually comes."""
    assert guess_of([greeting]) == protocol


@pytest.mark.parametrize(("protocol", "greeting"), GREETINGS)
def test_a_greeting_is_recognised_byte_by_byte(protocol: str | None, greeting: bytes) -> None:
    """The same guess: as long as more bytes could change it, more are waited for."""
    assert guess_of([greeting[place : place + 1] for place in range(len(greeting))]) == protocol


@pytest.mark.parametrize(("protocol", "greeting"), [(protocol, data) for protocol, data in GREETINGS if protocol])
def test_no_greeting_of_another_protocol_could_be_tls(protocol: str, greeting: bytes) -> None:
    """A guess for something that is TLS would be wrong."""
    assert not could_be_tls(greeting)


@pytest.mark.parametrize("answer", [b"N", b"S"])
def test_a_single_byte_is_postgres_answering_an_ssl_request(answer: bytes) -> None:
    """Only once it is clear that nothing follows."""
    assert guess_of([answer]) == "postgres"


def test_an_endless_greeting_line_is_judged_after_64_bytes() -> None:
    """A server that never ends its line is not waited for."""
    assert guess_of([b"220 " + b"a" * 61]) == "smtp or ftp"


def test_the_first_bytes_are_kept_up_to_64() -> None:
    """For the person who reads the result."""
    with pytest.raises(NotTLS) as caught:
        list(RecordReader().receive(b"HTTP/1.1 " + b"x" * 100))
    assert len(caught.value.first_bytes) == 64
    assert caught.value.first_bytes.startswith(b"HTTP/1.1 x")


@given(st.binary(min_size=1, max_size=80))
def test_a_final_guess_is_final(data: bytes) -> None:
    """A name or None, never "more", whatever the bytes."""
    assert guess_protocol(data, final=True) is not MORE_NEEDED


@given(st.binary(min_size=1, max_size=80), st.binary(max_size=10))
def test_a_decided_guess_does_not_change_with_more_bytes(data: bytes, more: bytes) -> None:
    """What was said of a prefix holds for the whole."""
    guess = guess_protocol(data, final=False)
    if guess is not MORE_NEEDED:
        assert guess_protocol(data + more, final=False) == guess
