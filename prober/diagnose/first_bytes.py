"""What a client's first bytes are: the first TLS handshake message, or another protocol by its name. Pure."""

from __future__ import annotations

import re

from prober.tls.registry import ContentType

__all__ = [
    "PROXY_PROTOCOL",
    "first_message",
    "past_connect",
    "past_connect_answer",
    "past_proxy_header",
    "spoken_by",
    "tls_in_connect",
]

PROXY_PROTOCOL = "proxy protocol"
# "The PROXY protocol", versions 1 and 2: sections 2.1 (a line of 107 characters at most) and 2.2 (a length behind signature and command).
_V1, _V1_LONGEST, _V2 = b"PROXY ", 107, b"\r\n\r\n\0\r\nQUIT\n"
# RFC 9110 §9.3.6. A proxy that wants a password answers the first request with 407, and is asked again on the same connection.
_CONNECT, _LONGEST_REQUEST, _MOST_REQUESTS = b"CONNECT ", 8192, 4
_TUNNEL_STANDS = re.compile(rb"HTTP/1\.[01] 2[0-9][0-9][^\r\n]{0,200}\r\n(?:[^\r\n]{1,1000}\r\n){0,50}\r\n")

_CLIENTS_SAY = (
    (b"GET ", "http"),
    (b"HEAD ", "http"),
    (b"POST ", "http"),
    (b"PUT ", "http"),
    (b"DELETE ", "http"),
    (b"OPTIONS ", "http"),
    (b"CONNECT ", "http"),
    (b"PRI * HTTP/2", "http2"),
    (b"SSH-", "ssh"),
    (_V1, PROXY_PROTOCOL),
    (_V2, PROXY_PROTOCOL),
    (b"EHLO ", "smtp"),
    (b"\x03\x00\x00", "rdp"),
)


def spoken_by(data: bytes) -> str:
    """The protocol that a client speaks which begins like this; ``unknown`` when no row fits."""
    return next((protocol for prefix, protocol in _CLIENTS_SAY if data.startswith(prefix)), "unknown")


def past_proxy_header(data: bytes) -> bytes | None:
    """What a client says behind a PROXY header, as a load balancer puts it before the client's own bytes; ``data`` where there is none.

    None while the header is incomplete.
    """
    if data.startswith(_V1):
        end = data.find(b"\n", 0, _V1_LONGEST)
        return data[end + 1 :] if end >= 0 else None if len(data) < _V1_LONGEST else data
    if data.startswith(_V2):
        return None if len(data) < 16 or len(data) < (end := 16 + int.from_bytes(data[14:16])) else data[end:]
    return data


def past_connect(data: bytes) -> bytes | None:
    """What a client says through an HTTP proxy, behind its CONNECT requests; ``data`` where there is none, None while one is incomplete."""
    for _ in range(_MOST_REQUESTS):
        if not data.startswith(_CONNECT):
            break
        end = data.find(b"\r\n\r\n", 0, _LONGEST_REQUEST)
        if end < 0:
            return None if len(data) < _LONGEST_REQUEST else data
        data = data[end + 4 :]
    return data


def tls_in_connect(data: bytes) -> bytes | None:
    """A client's records behind its CONNECT requests; None where it sent no such request, or no TLS behind it."""
    behind = past_connect(data)
    return None if behind is None or behind is data or behind[0:1] != b"\x16" else behind


def past_connect_answer(data: bytes) -> bytes | None:
    """What comes through an HTTP proxy, behind the answer that the tunnel stands; None where it does not."""
    found = _TUNNEL_STANDS.search(data)
    return None if found is None else data[found.end() :]


def first_message(data: bytes) -> bytes | None:
    """The first handshake message of a client's records; None while it is incomplete."""
    fragments, offset = b"", 0
    while offset + 5 <= len(data) and data[offset] == ContentType.handshake:
        length = data[offset + 3] << 8 | data[offset + 4]
        fragments += data[offset + 5 : offset + 5 + length]
        offset += 5 + length
        if len(fragments) >= 4 and len(fragments) - 4 >= (size := int.from_bytes(fragments[1:4])):
            return fragments[: 4 + size]
    return None
