"""What a server said in one handshake, as plain immutable facts.

NamedTuples, not frozen dataclasses: one of each is made for every handshake, and building a frozen dataclass of this size
costs four times as much (its ``__init__`` goes through ``object.__setattr__`` for each field).
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["NOTHING_SAID", "HandshakeFacts", "TlsAlert", "TranscriptEntry"]


class TlsAlert(NamedTuple):
    """A TLS alert (RFC 8446 §6). ``level`` is ``warning`` or ``fatal``; ``description`` the IANA name or ``alert_<code>``."""

    level: str
    code: int
    description: str


class TranscriptEntry(NamedTuple):
    """One message of a handshake, decoded for people. ``direction`` is ``>`` (sent) or ``<`` (received)."""

    direction: str
    name: str
    size: int
    """Bytes of the message on the wire, its four-byte header included, record framing not."""
    lines: tuple[str, ...]


class HandshakeFacts(NamedTuple):
    """What is known when a handshake ends, however it ends. A step that was not reached leaves its default.

    ``tls_version`` is ``TLSv1.0`` ... ``TLSv1.3``; ``cipher_suite`` and ``group`` are IANA names, an unregistered code point
    is hexadecimal (``0x1A1A``); ``certificates`` is the presented chain as DER, end-entity first.
    """

    tls_version: str | None = None
    cipher_suite: str | None = None
    group: str | None = None
    alpn: str | None = None
    tls_alert: TlsAlert | None = None
    warning_alerts: tuple[TlsAlert, ...] = ()
    client_certificate_requested: bool = False
    hello_retry_request: bool = False
    certificates: tuple[bytes, ...] = ()
    certificate_read: bool = False
    """True once a Certificate message was read, also an empty one."""
    server_answered: bool = False
    """True once a ServerHello or HelloRetryRequest was read."""
    finished: bool = False
    """True once both Finished messages are done (depth ``finished``)."""
    downgrade_sentinel: bool = False
    """True if the server's random says that it can do a higher version, which we offered (RFC 8446 §4.1.3)."""

    @property
    def missed_client_certificate(self) -> bool:
        """Whether a server that does not finish may have ended it for want of a client certificate.

        In TLS 1.3 it is told of the want behind its own Finished (RFC 8446 §2): what ends before that has another reason.
        """
        return self.client_certificate_requested and self.tls_version != "TLSv1.3"


NOTHING_SAID = HandshakeFacts()
"""Shared by all handshakes in which the server sent nothing."""
