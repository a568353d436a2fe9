"""What a client's first bytes are: the first TLS handshake message, or another protocol by its name. Pure."""

from __future__ import annotations

from prober.tls.registry import ContentType

__all__ = ["first_message", "spoken_by"]

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
    (b"PROXY ", "proxy protocol"),
    (b"\r\n\r\n\0\r\nQUIT\n", "proxy protocol"),
    (b"EHLO ", "smtp"),
    (b"\x03\x00\x00", "rdp"),
)


def spoken_by(data: bytes) -> str:
    """The protocol that a client speaks which begins like this; ``unknown`` when no row fits."""
    return next((protocol for prefix, protocol in _CLIENTS_SAY if data.startswith(prefix)), "unknown")


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
