"""What a packet capture shows: each ClientHello and its ending, and the counts of everything, also of what could not be read. Values."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from prober.model import Endpoint

__all__ = ["MAX_HELLOS", "CaptureFacts", "CapturedHello", "Ending"]

MAX_HELLOS = 50_000
"""Hellos with a name that are kept one by one, and as many without one: they are few, and what all is about."""


class Ending(StrEnum):
    """How a flow with a ClientHello ended, seen from the client."""

    ANSWERED = "answered"
    """ServerHello; in TLS 1.3 the certificate behind it is encrypted."""
    CERTIFICATE = "certificate"
    TLS_ALERT = "tls_alert"
    RESET_BY_SERVER = "reset_by_server"
    """RST without a byte, after the hello was acknowledged: the server had it and did not want it."""
    RESET_BEFORE_ACK = "reset_before_ack"
    """RST that came before the server's kernel acknowledged the hello: a middlebox, or a server that was closing already."""
    CLOSED_BY_SERVER = "closed_by_server"
    """FIN without a byte."""
    ABORTED_BY_CLIENT = "aborted_by_client"
    """The client gave up before any answer."""
    UNANSWERED = "unanswered"
    OTHER = "other"
    """Bytes that are no TLS."""
    UNKNOWN = "unknown"
    """The capture ends too early to tell, or has one direction only."""


class CapturedHello(NamedTuple):
    """One ClientHello and what came of it."""

    time: float
    client: str
    client_port: int
    server: str
    server_port: int
    server_name: str | None
    """None: no name was sent. Also the name that stands outside, where the true one is encrypted (`encrypted`)."""
    encrypted: bool
    versions: tuple[str, ...]
    alpn: tuple[str, ...]
    ja4: str
    ending: Ending
    tls_alert: str | None
    delay: float | None
    """Seconds from the hello's last byte to the first answer or the end."""
    rst_ttl_differs: bool
    """The RST came with another TTL than the server's other segments: it may be a middlebox's."""
    rst_options_differ: bool
    """The RST has no timestamps, and the server's other segments have: a weaker sign of the same."""
    via: str | None = None
    """The tunnel that it was captured in."""
    answered_http: bool = False
    """The server answered the hello in plain HTTP: its port speaks no TLS."""
    copies: int = 1
    """Flows in which the same hello was seen: address translation, several interfaces."""

    @property
    def to(self) -> Endpoint:
        """The socket address that it was sent to."""
        return Endpoint(self.server, self.server_port)


@dataclass(slots=True)
class CaptureFacts:
    """Everything that was counted. Clients are IP addresses."""

    frames: int = 0
    segments: int = 0
    first: float | None = None
    last: float | None = None
    unknown_link_types: Counter[int] = field(default_factory=Counter)
    unread: Counter[str] = field(default_factory=Counter)
    """By reason: packets that may hold TCP and could not be read. Where there are any, nothing is said of what they hold."""
    lost_fragments: int = 0
    """Packets whose parts were not all captured."""
    tunnels: Counter[str] = field(default_factory=Counter)
    """By tunnel: segments that came in one."""
    dropped: int = 0
    """Live: packets that came faster than they were read."""
    hellos: list[CapturedHello] = field(default_factory=list)
    """One for each handshake, in the order in which their flows ended; of each kind (with a name, without) the first `MAX_HELLOS`."""
    with_name: Counter[tuple[str, Ending]] = field(default_factory=Counter)
    """By client and ending."""
    without_name: Counter[tuple[str, Ending]] = field(default_factory=Counter)
    names: Counter[tuple[str, Ending]] = field(default_factory=Counter)
    """By server name and ending."""
    not_tls: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By client and guessed protocol: bytes other than TLS, sent to a port that was spoken TLS on."""
    sslv2: Counter[str] = field(default_factory=Counter)
    """By client: hellos in the format of SSL 2.0, which has no place for a name."""
    truncated: int = 0
    """Hellos that the snaplen cut: say ``-s 0``."""
    incomplete: int = 0
    """Flows whose hello began before the capture did, or never ended."""
    one_sided: int = 0
    """Connections of which one direction alone was captured: how they ended is not known, or what they asked for."""
    refused: Counter[str] = field(default_factory=Counter)
    """By server: connections that were refused."""
    unanswered_syn: Counter[str] = field(default_factory=Counter)
    """By server: connections that were never answered."""

    @property
    def unlisted(self) -> int:
        """Hellos that are counted, and not in the list."""
        counted = sum(self.with_name.values()) + sum(self.without_name.values()) - sum(self.sslv2.values())
        return counted - len(self.hellos)

    @property
    def not_read(self) -> int:
        """Packets about which nothing can be said."""
        return sum(self.unread.values()) + sum(self.unknown_link_types.values()) + self.lost_fragments + self.dropped
