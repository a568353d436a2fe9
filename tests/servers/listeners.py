"""What a test server's listener is configured to do, and what that means for the three hellos: plain declarative values.

Each server module keeps a table of `Listener` rows, the configuration beside its consequence. The consequence is declared
from the server's documentation and is checked, at test time, against independent witnesses (`tests.real.witness`) before
prober is held to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from prober.model import Endpoint, Outcome, Sni, Verdict
from tests.servers.material import KNOWN
from tests.servers.ports import IPV4, has_ipv6

__all__ = ["CLOSED", "NOT_TLS", "RESET", "TIMEOUT", "Ending", "Fleet", "Listener", "alert", "by_name", "cert", "some_alert"]


class Ending(NamedTuple):
    """What one hello gets."""

    outcome: Outcome
    role: str | None = None
    """The certificate that is presented (a role of `tests.servers.material`); None: any, or none."""
    tls_alert: int | None = None
    """The fatal alert's code; None where the server's version decides it, or where there is none."""


def cert(role: str) -> Ending:
    """A handshake that presents the certificate of ``role``."""
    return Ending(Outcome.CERTIFICATE, role=role)


def alert(code: int) -> Ending:
    """A fatal TLS alert."""
    return Ending(Outcome.TLS_ALERT, tls_alert=code)


some_alert = Ending(Outcome.TLS_ALERT)
RESET = Ending(Outcome.RESET)
CLOSED = Ending(Outcome.CLOSED)
TIMEOUT = Ending(Outcome.TIMEOUT)
NOT_TLS = Ending(Outcome.NOT_TLS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """One listening port: its configuration in the server's own language, and the truth about it."""

    name: str
    config: str
    """Whatever the server's module makes of it; ``<api.crt>`` and the like are filled in by `Material.fill`."""
    known: Ending
    none: Ending
    unknown: Ending
    verdict: Verdict
    """Of the differential with the offer ``auto``, under the policy ``certificate``."""
    ip: str = IPV4
    server_name: str = KNOWN
    """What the hello ``known`` asks for."""
    proxy_protocol: str | None = None
    """The PROXY header that the client must send: ``v1``, ``v2`` or none."""
    offers: tuple[str, ...] = ("auto", "1.2", "1.3")
    """The versions that the matrix offers it, whether it speaks them or not. The three endings above are those of ``auto``."""
    hangs_up: bool = False
    """Closes at once, without waiting for a hello: whether a client meets the FIN or the RST is a race."""
    piecemeal: bool = False
    """Sends its TLS 1.2 flight message by message and slowly: prober, satisfied with a certificate, may not await the rest."""
    silent: bool = False
    """The deadline decides: probers must not wait long."""

    def ending(self, sni: Sni) -> Ending:
        """What the hello ``sni`` gets."""
        return {Sni.KNOWN: self.known, Sni.NONE: self.none, Sni.UNKNOWN: self.unknown}[sni]


def by_name(*listeners: Listener) -> dict[str, Listener]:
    """A server's table by name, without the rows that this machine cannot have: those on IPv6 where there is none."""
    return {listener.name: listener for listener in listeners if ":" not in listener.ip or has_ipv6()}


@dataclass(frozen=True, slots=True)
class Fleet:
    """The running listeners of one server program (or of several of a kind)."""

    server: str
    listeners: Mapping[str, Listener]
    endpoints: Mapping[str, Endpoint]
    """By the listener's name."""
    directory: Path
    """Where the program keeps its files."""
