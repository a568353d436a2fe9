"""What people see of a certificate."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import datetime

from prober.judge import der, x509
from prober.judge.general_names import Kind
from prober.judge.names import COMMON_NAME
from prober.tls.remembered import Remembered

__all__ = ["CertificateFacts", "certificate_facts", "rfc3339"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateFacts:
    """A certificate, read as far as it can be. What cannot be read is empty (None for dates), and ``problems`` says why."""

    sha256: str
    """Of the DER, lower-case hex."""
    subject: str = ""
    """RFC 4514: ``CN=api.example.com,O=Example``, the most specific part first."""
    issuer: str = ""
    subject_alternative_names: tuple[str, ...] = ()
    """DNS names, IP addresses, URIs and e-mail addresses as they are; the rare others with a prefix (``dirName:``, ``RID:``)."""
    dns_names: tuple[str, ...] = ()
    """The DNS names among them."""
    common_name: str | None = None
    serial_number: str = ""
    """Lower-case hex, whole octets: a leading zero digit stays."""
    not_before: datetime | None = None
    """UTC."""
    not_after: datetime | None = None
    problems: tuple[str, ...] = ()
    certificate: x509.Certificate | None = field(default=None, repr=False)
    """The structure behind the facts; None where nothing could be read."""


_CACHE_BYTES = 64 * 1024 * 1024
"""About ten thousand ordinary certificates with what is read from them."""

_known: Remembered[bytes, CertificateFacts] = Remembered(_CACHE_BYTES)


def certificate_facts(certificate: bytes) -> CertificateFacts:
    """The facts of a DER certificate. Raises nothing, whatever the bytes are; remembered by their SHA-256."""
    digest = hashlib.sha256(certificate).digest()
    facts = _known.get(digest)
    if facts is None:
        # Parsed, a certificate takes some ten times the room of its DER, its names being Python strings.
        facts = _known.keep(digest, _read(certificate, digest.hex()), 2048 + 10 * len(certificate))
    return facts


def _read(data: bytes, sha256: str) -> CertificateFacts:
    try:
        parsed = x509.parse(data)
    except der.DerError as error:
        return CertificateFacts(sha256=sha256, problems=(f"no certificate: {error}",))
    names = parsed.alternative_names or ()
    return CertificateFacts(
        sha256=sha256,
        subject=str(parsed.subject),
        issuer=str(parsed.issuer),
        subject_alternative_names=tuple(map(str, names)),
        dns_names=tuple(str(name) for name in names if name.kind is Kind.DNS),
        common_name=parsed.subject.first(COMMON_NAME),
        serial_number="" if parsed.serial_number is None else _hexadecimal(parsed.serial_number),
        not_before=parsed.not_before,
        not_after=parsed.not_after,
        problems=parsed.flaws,
        certificate=parsed,
    )


def _hexadecimal(number: int) -> str:
    digits = f"{abs(number):x}"
    return ("-" if number < 0 else "") + digits.zfill(len(digits) + len(digits) % 2)


def rfc3339(moment: datetime | None) -> str | None:
    """``2026-01-02T03:04:05Z``; None stays None. `datetime.isoformat` would write the offset as ``+00:00``."""
    return None if moment is None else moment.replace(tzinfo=None).isoformat(timespec="seconds") + "Z"
