"""What `ClientHandshake.receive_data` reports, in the order in which it was read. A closed union."""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple, TypeAlias

from prober.tls.facts import TlsAlert

__all__ = [
    "ApplicationData",
    "CertificateReceived",
    "CloseNotifyReceived",
    "Event",
    "HandshakeFinished",
    "HelloRetryRequested",
    "Progress",
    "ServerHelloReceived",
    "SessionTicketReceived",
    "TlsAlertReceived",
]


class Progress(IntEnum):
    """How far a handshake is, for a caller that has no use for events."""

    WANT_MORE = 0
    CERTIFICATE = 1
    """The Certificate message was read, and the rest of the server's flight is still wanted."""
    DONE = 2
    """The depth is reached, or `unfinished_reason` says why it cannot be."""
    ALERT = 3
    """The server sent a fatal alert."""


class HelloRetryRequested(NamedTuple):
    """A HelloRetryRequest was read; the second ClientHello is in `data_to_send`."""

    group: int | None
    """The group that the server wants a share of; None: it only wants its cookie back."""


class ServerHelloReceived(NamedTuple):
    """A ServerHello was accepted."""

    version: int
    cipher_suite: int


class CertificateReceived(NamedTuple):
    """The Certificate message was read."""

    certificates: tuple[bytes, ...]
    """DER, end-entity first; may be empty."""


class TlsAlertReceived(NamedTuple):
    """A TLS alert other than close_notify; a fatal one ends the handshake."""

    alert: TlsAlert


class CloseNotifyReceived(NamedTuple):
    """The server will send nothing more (RFC 8446 §6.1): as good as a FIN."""


class HandshakeFinished(NamedTuple):
    """Both Finished messages are done; ours is in `data_to_send`."""


class SessionTicketReceived(NamedTuple):
    """A NewSessionTicket came."""


class ApplicationData(NamedTuple):
    """Decrypted application data."""

    data: bytes


Event: TypeAlias = (
    HelloRetryRequested
    | ServerHelloReceived
    | CertificateReceived
    | TlsAlertReceived
    | CloseNotifyReceived
    | HandshakeFinished
    | SessionTicketReceived
    | ApplicationData
)
