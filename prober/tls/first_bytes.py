"""What speaks when it is no TLS: a guess from the first bytes, for the operator who pointed a probe at the wrong port.

A guess does not depend on how the bytes were split: as long as a longer prefix could change it, it is `MORE_NEEDED`, and
the caller asks again with more bytes or, when none will come, with ``final``.
"""

from __future__ import annotations

from typing import Final, NamedTuple

__all__ = ["MORE_NEEDED", "could_be_tls", "guess_protocol"]

MORE_NEEDED: Final = "more bytes needed"

_LINE: Final = 64
"""Bytes after which a greeting's first line is judged even if it goes on."""


class _Signature(NamedTuple):
    protocol: str
    pattern: tuple[int | None, ...]
    """Bytes from the start; None matches any byte."""


def _text(protocol: str, prefix: bytes) -> _Signature:
    return _Signature(protocol, tuple(prefix))


_GREETING: Final = "greeting 220"

_SIGNATURES: Final = (
    _text("http", b"HTTP/"),
    _text("http", b"<html"),
    _text("http", b"<HTML"),
    _text("http", b"<!DOC"),
    _text("http", b"<!doc"),
    # RFC 9113 §6.5: a SETTINGS frame on stream 0 is the first thing that a clear-text HTTP/2 server sends.
    _Signature("http2", (0x00, 0x00, None, 0x04, 0x00, 0x00, 0x00, 0x00, 0x00)),
    _text("ssh", b"SSH-"),
    _text(_GREETING, b"220 "),
    _text(_GREETING, b"220-"),
    _text("smtp", b"421 "),
    _text("smtp", b"554 "),
    _text("imap", b"* OK"),
    _text("imap", b"* BYE"),
    _text("pop3", b"+OK"),
    _text("redis", b"-ERR"),
    _text("redis", b"-DENIED"),
    _text("rtsp", b"RTSP/"),
    _text("sip", b"SIP/"),
    _text("xmpp", b"<?xml"),
    _text("xmpp", b"<stream"),
    _text("amqp", b"AMQP"),
    _text("nats", b"INFO {"),
    _text("vnc", b"RFB "),
    _text("memcached", b"ERROR\r\n"),
    # Protocol::HandshakeV10 and an error packet: payload length (three bytes), sequence number 0, version 10 or 0xFF.
    _Signature("mysql", (None, 0x00, 0x00, 0x00, 0x0A)),
    _Signature("mysql", (None, 0x00, 0x00, 0x00, 0xFF)),
    # An ErrorResponse: the byte E and a 32-bit length.
    _Signature("postgres", (0x45, 0x00, 0x00)),
    _text("proxy_protocol", b"PROXY "),
    _text("proxy_protocol", b"\r\n\r\n\x00\r\nQUIT\n"),
    _text("rdp", b"\x03\x00\x00"),
    _text("telnet", b"\xff\xfb"),
    _text("telnet", b"\xff\xfd"),
    _text("dtls", b"\x16\xfe"),
    _text("dtls", b"\x15\xfe"),
    # draft-hickman-netscape-ssl: a two-byte header with the high bit set, then SERVER-HELLO (4) or ERROR (0).
    _Signature("sslv2", (0x80, None, 0x04)),
    _Signature("sslv2", (0x81, None, 0x04)),
    _Signature("sslv2", (0x82, None, 0x04)),
    _Signature("sslv2", (0x83, None, 0x04)),
    _Signature("sslv2", (0x84, None, 0x04)),
    _Signature("sslv2", (0x80, 0x03, 0x00)),
)


def could_be_tls(data: bytes) -> bool:
    """Whether ``data``, which is not empty, can be the beginning of a TLS record: a content type, and major version 3."""
    return 0x14 <= data[0] <= 0x18 and (len(data) < 2 or data[1] == 3)


def guess_protocol(data: bytes, *, final: bool) -> str | None:
    """The protocol that begins with ``data``: a name, `MORE_NEEDED` (never if ``final``), or None for no idea."""
    undecided = False
    for protocol, pattern in _SIGNATURES:
        if not all(want is None or want == got for want, got in zip(pattern, data, strict=False)):
            continue
        if len(data) < len(pattern):
            undecided = True
        elif protocol is _GREETING:
            return _greeting(data, final=final)
        else:
            return protocol
    if final:
        # The one-byte answers to an SSLRequest, by something that answers everything with them.
        return "postgres" if data in (b"N", b"S") else None
    return MORE_NEEDED if undecided else None


def _greeting(data: bytes, *, final: bool) -> str:
    line, newline, _ = data[:_LINE].partition(b"\n")
    if not newline and len(data) < _LINE and not final:
        return MORE_NEEDED
    upper = line.upper()
    if b"SMTP" in upper:
        return "smtp"
    if b"FTP" in upper:
        return "ftp"
    return "smtp or ftp"
