"""Which product behaves like this? What the three hellos of a differential have in common with known ingresses.

The rows were measured against real servers, or read in their sources and issue trackers. None of them proves a product: a reset
of clients without SNI is what Envoy does, and what IIS does, too. So they are worded "as X does", and serve as a next step.
"""

from __future__ import annotations

from dataclasses import dataclass

from prober.judge.certificates import CertificateFacts
from prober.judge.names import COMMON_NAME, ORGANIZATION, ORGANIZATIONAL_UNIT
from prober.model import Outcome
from prober.tls.registry import AlertDescription

__all__ = [
    "DEFAULT_CERTIFICATES",
    "SIGNATURES",
    "DefaultCertificate",
    "Signature",
    "default_certificate",
    "recognise",
]

ANY = "*"
"""In a row: whatever happened, or the hello was not sent."""


@dataclass(frozen=True, slots=True)
class Signature:
    """One row: what a client with a known name, with none and with an unknown one sees, and who is known for it."""

    id: str
    known: str
    none: str
    unknown: str
    products: str
    """Completes "as ...": with a verb."""
    advice: str
    """What to do if clients without SNI are to be served (or, for an ingress that serves nobody, to be looked at)."""

    def matches(self, known: str | None, none: str | None, unknown: str | None) -> bool:
        """Does the row describe these behaviours? None is a hello that was not sent."""
        if none is None and self.serves_nobody:
            none = self.none
        return all(
            row in {ANY, seen} for row, seen in ((self.known, known), (self.none, none), (self.unknown, unknown or self.unknown))
        )

    @property
    def serves_nobody(self) -> bool:
        """Of a row that is no matter of SNI: a known name tells as much as both hellos do."""
        return self.known == self.none != _CERTIFICATE


_CERTIFICATE = Outcome.CERTIFICATE.value
_RESET = Outcome.RESET.value
_CLOSED = Outcome.CLOSED.value
_NOT_TLS = Outcome.NOT_TLS.value
_TIMEOUT = Outcome.TIMEOUT.value
_UNRECOGNIZED_NAME = f"alert {AlertDescription.unrecognized_name:d}"
_INTERNAL_ERROR = f"alert {AlertDescription.internal_error:d}"
_HANDSHAKE_FAILURE = f"alert {AlertDescription.handshake_failure:d}"
_PROTOCOL_VERSION = f"alert {AlertDescription.protocol_version:d}"

SIGNATURES = (
    # The ingress serves known names: what differs is the client without one.
    Signature(
        "envoy",
        _CERTIFICATE,
        _RESET,
        _RESET,
        "Envoy, Istio and Apigee hybrid do without a wildcard route",
        "add one (on Apigee with enableNonSniClient)",
    ),
    Signature(
        "reset-without-sni",
        _CERTIFICATE,
        _RESET,
        ANY,
        "a rule against a missing server name does",
        "look for that rule, and add a default certificate",
    ),
    Signature(
        "sni-router",
        _CERTIFICATE,
        _CLOSED,
        _CLOSED,
        "SNI routers (HAProxy tcp, nginx stream) and Envoy behind a TCP proxy do",
        "add a default backend or wildcard route",
    ),
    Signature(
        "closed-without-sni",
        _CERTIFICATE,
        _CLOSED,
        ANY,
        "a rule against a missing server name does",
        "look for that rule, and add a default backend",
    ),
    Signature(
        "strict-sni",
        _CERTIFICATE,
        _UNRECOGNIZED_NAME,
        ANY,
        "nginx ssl_reject_handshake, HAProxy strict-sni and Traefik sniStrict do",
        "turn that off",
    ),
    Signature(
        "caddy",
        _CERTIFICATE,
        _INTERNAL_ERROR,
        ANY,
        "Caddy without default_sni and Go servers do",
        "configure a default certificate",
    ),
    Signature(
        "cdn",
        _CERTIFICATE,
        _HANDSHAKE_FAILURE,
        ANY,
        "sniproxy, Cloudflare and CDNs do",
        "add a default certificate or a fallback, or bypass them",
    ),
    Signature("caddy-default-sni", _CERTIFICATE, _CERTIFICATE, _INTERNAL_ERROR, "Caddy with default_sni does", ""),
    Signature("default-certificate", _CERTIFICATE, _CERTIFICATE, _CERTIFICATE, "an ingress with a default certificate does", ""),
    # The ingress serves nobody: not a matter of SNI.
    Signature(
        "resets-all",
        _RESET,
        _RESET,
        ANY,
        "servers do that lack a backend or expect a PROXY header",
        "check load and backends",
    ),
    Signature(
        "closes-all",
        _CLOSED,
        _CLOSED,
        ANY,
        "TCP proxies do without a healthy backend",
        "check backends and PROXY protocol",
    ),
    Signature("no-tls", _NOT_TLS, _NOT_TLS, ANY, "a port without TLS does", "check the port, and that TLS is on"),
    Signature(
        "version",
        _PROTOCOL_VERSION,
        _PROTOCOL_VERSION,
        ANY,
        "servers of other TLS versions do",
        "compare --tls with the server's",
    ),
    Signature(
        "handshake-failure",
        _HANDSHAKE_FAILURE,
        _HANDSHAKE_FAILURE,
        ANY,
        "servers do without a certificate or common suite",
        "check them both",
    ),
    Signature("silent", _TIMEOUT, _TIMEOUT, ANY, "hung servers and filters do", "check backends and firewalls"),
)
"""More particular rows first."""


def recognise(known: str | None, none: str | None, unknown: str | None) -> tuple[Signature, ...]:
    """All rows that describe these behaviours (see `Answer.behaviour`), the most particular one first."""
    return tuple(row for row in SIGNATURES if row.matches(known, none, unknown))


@dataclass(frozen=True, slots=True)
class DefaultCertificate:
    """A certificate that a product presents when it has no other: never one that somebody chose."""

    product: str
    subject: tuple[tuple[bytes, str], ...]
    """Attributes that the end-entity's subject has, type and value."""


DEFAULT_CERTIFICATES = (
    DefaultCertificate("ingress-nginx", ((COMMON_NAME, "Kubernetes Ingress Controller Fake Certificate"),)),
    DefaultCertificate("Traefik", ((COMMON_NAME, "TRAEFIK DEFAULT CERT"),)),
    # A bare CN=localhost is everybody's test certificate; Kong's also names its organization.
    DefaultCertificate("Kong", ((COMMON_NAME, "localhost"), (ORGANIZATION, "Kong"))),
    DefaultCertificate(
        "Google's front end",
        ((COMMON_NAME, "invalid2.invalid"), (ORGANIZATIONAL_UNIT, "No SNI provided; please fix your client.")),
    ),
    DefaultCertificate("Plesk", ((COMMON_NAME, "Plesk"), (ORGANIZATION, "Plesk"))),
)


def default_certificate(facts: CertificateFacts) -> DefaultCertificate | None:
    """The product whose default certificate this is."""
    if facts.certificate is None:
        return None
    subject = facts.certificate.subject
    return next((row for row in DEFAULT_CERTIFICATES if all(subject.first(oid) == value for oid, value in row.subject)), None)
