"""The values that the parts of prober exchange. Pure: no I/O, no clock, no randomness.

A *target* is what an operator configures; it has *addresses* (a name or an IP literal, and a port). A name resolves to
*endpoints*, one an IP address. A *differential* is one run against one endpoint: one *handshake* for each hello (known
name, no name, unknown name). What one handshake showed is an *observation*; `judge` turns a differential into a *verdict*.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from prober.tls.facts import NOTHING_SAID, HandshakeFacts, TranscriptEntry

__all__ = [
    "Address",
    "Close",
    "Depth",
    "Differential",
    "Endpoint",
    "Handshake",
    "Module",
    "NonSniPolicy",
    "Observation",
    "Outcome",
    "Seconds",
    "Sni",
    "Stage",
    "Target",
    "TlsOffer",
    "Verdict",
]


class Sni(StrEnum):
    """What the ClientHello carries as server name."""

    KNOWN = "known"
    NONE = "none"
    UNKNOWN = "unknown"


class Outcome(StrEnum):
    """How a handshake ended: a fact on the wire, never an opinion. A closed set (metric label and JSON value)."""

    CERTIFICATE = "certificate"
    TLS_ALERT = "tls_alert"
    RESET = "reset"
    CLOSED = "closed"
    TIMEOUT = "timeout"
    REFUSED = "refused"
    CONNECT_TIMEOUT = "connect_timeout"
    UNREACHABLE = "unreachable"
    NOT_TLS = "not_tls"
    PROTOCOL_ERROR = "protocol_error"
    RESOLVE_FAILED = "resolve_failed"
    LOCAL_ERROR = "local_error"


class Stage(StrEnum):
    """The step in which a handshake ended."""

    RESOLVE = "resolve"
    CONNECT = "connect"
    CLIENT_HELLO = "client_hello"
    """Hello sent, no byte came back."""
    SERVER_HELLO = "server_hello"
    """Bytes came, no certificate yet."""
    CERTIFICATE = "certificate"
    FINISHED = "finished"
    """Both Finished messages are done."""


class Close(StrEnum):
    """What followed the decisive bytes, as far as it was seen."""

    NONE = "none"
    FIN = "fin"
    RST = "rst"
    TIMEOUT = "timeout"

    @property
    def goodbye(self) -> str:
        """How the server of a `closed` handshake took its leave: where no FIN was seen, within TLS, whatever TCP did then."""
        return "FIN" if self is Close.FIN else "close_notify"


class Verdict(StrEnum):
    """The judgement of one differential, in order of precedence."""

    INCONCLUSIVE = "inconclusive"
    UNREACHABLE = "unreachable"
    TLS_FAILING = "tls_failing"
    SNI_FAILING = "sni_failing"
    CERTIFICATE_INVALID = "certificate_invalid"
    NON_SNI_RESET = "non_sni_reset"
    NON_SNI_REJECTED = "non_sni_rejected"
    NON_SNI_TIMEOUT = "non_sni_timeout"
    NON_SNI_WRONG_CERTIFICATE = "non_sni_wrong_certificate"
    NON_SNI_FAILING = "non_sni_failing"
    NON_SNI_SERVED = "non_sni_served"
    OK = "ok"


class NonSniPolicy(StrEnum):
    """What a target expects to happen to a client that sends no server name."""

    CERTIFICATE = "certificate"
    REJECTED = "rejected"
    ANY = "any"


class Depth(StrEnum):
    """How far a handshake is carried."""

    CERTIFICATE = "certificate"
    FINISHED = "finished"


class TlsOffer(StrEnum):
    """The protocol version(s) that a hello offers; ``auto`` is what the profile offers."""

    AUTO = "auto"
    TLS_1_0 = "1.0"
    TLS_1_1 = "1.1"
    TLS_1_2 = "1.2"
    TLS_1_3 = "1.3"


@dataclass(frozen=True, slots=True, kw_only=True)
class Module:
    """How to probe: a named set of options that targets share."""

    name: str = "default"
    hello: str = "modern"
    """Name of a ClientHello profile (`prober.tls.profiles.PROFILES`)."""
    tls: TlsOffer = TlsOffer.AUTO
    depth: Depth = Depth.CERTIFICATE
    sni: tuple[Sni, ...] = (Sni.KNOWN, Sni.NONE, Sni.UNKNOWN)
    timeout: float | None = None
    """Seconds for one whole handshake, resolution and TCP connect included; None: the configuration's default."""
    ca_file: str | None = None
    """PEM file of trust anchors; None: the system's."""
    proxy_protocol: str | None = None
    """``v1``, ``v2`` or None."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where to connect, as the operator wrote it: ``host`` is a DNS name or an IP literal without brackets."""

    host: str
    port: int = 443

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What to probe: one ingress under one name, with the server names that it should serve."""

    name: str
    addresses: tuple[Address, ...]
    server_names: tuple[str, ...] = ()
    module: Module = field(default_factory=Module)
    interval: float = 15.0
    """Seconds between two differentials of one endpoint."""
    timeout: float = 5.0
    """Seconds for one whole handshake."""
    non_sni: NonSniPolicy = NonSniPolicy.CERTIFICATE
    labels: Mapping[str, str] = field(default_factory=dict)


class Endpoint(NamedTuple):
    """One socket address: an IP literal without brackets (an IPv6 one may carry ``%scope``), and a port."""

    ip: str
    port: int

    def __str__(self) -> str:
        return f"[{self.ip}]:{self.port}" if ":" in self.ip else f"{self.ip}:{self.port}"


class Seconds(NamedTuple):
    """Durations of one handshake's phases; None for a phase that was not completed.

    ``handshake`` runs from immediately before the first byte of the hello is sent to the last byte (or event) that decided
    the outcome. ``uncertainty`` is the width of the interval in which that event became known, 0.0 where the kernel stamped it.
    """

    resolve: float | None = None
    connect: float | None = None
    handshake: float | None = None
    total: float = 0.0
    uncertainty: float | None = None


class Observation(NamedTuple):
    """What one handshake showed. A NamedTuple for the reason given in `prober.tls.facts`."""

    outcome: Outcome
    stage: Stage
    errno: str | None = None
    """Name of the decisive errno (``ECONNRESET``) or, at stage resolve, of the resolver's code (``EAI_NONAME``)."""
    close: Close = Close.NONE
    bytes_received: int = 0
    detail: str | None = None
    """One line for people: what exactly was malformed, what the first bytes were, why the handshake was not finished."""
    seconds: Seconds = Seconds()
    facts: HandshakeFacts = NOTHING_SAID
    transcript: tuple[TranscriptEntry, ...] = ()
    """Filled only where a transcript was asked for."""


class Handshake(NamedTuple):
    """One hello of a differential and what came of it."""

    sni: Sni
    server_name: str | None
    """The name that was on the wire: None for ``none``, the canary for ``unknown``."""
    profile: str
    ja4: str
    observation: Observation
    started: float = 0.0
    """Unix time at which the handshake was started, in seconds."""


class Differential(NamedTuple):
    """One run against one endpoint: the handshakes in the order known (one a name), none, unknown."""

    target: str
    """The target's name."""
    address: Address
    """The configured address that led to the endpoint."""
    endpoint: Endpoint | None
    """None when the name did not resolve."""
    handshakes: tuple[Handshake, ...]
