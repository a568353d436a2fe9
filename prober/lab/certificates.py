"""The rehearsal ingress's own certification authority and the certificates that its listeners present.

Made afresh at each start and valid for 90 days, by an authority whose key is never written: a forgotten directory is worth nothing.
"""

from __future__ import annotations

import datetime
import ssl
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

__all__ = ["LabCertificates"]

# Beyond the 21 days from which on a certificate counts as expiring: a rehearsal must not raise an alert of its own.
_LIFETIME = datetime.timedelta(days=90)
_SIGNS_CERTIFICATES = x509.KeyUsage(
    digital_signature=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=True,
    encipher_only=False,
    decipher_only=False,
)


@dataclass(frozen=True, slots=True)
class _Issued:
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


class LabCertificates:
    """Server-side TLS contexts by the certificate that they present: ``good``, ``other`` and ``expired``.

    ``ca_file`` is the PEM file of the authority, for ``prober once --ca-file``. Keys are P-256: signing is what a rehearsal
    with hundreds of listeners spends its time on.
    """

    def __init__(self, directory: Path, server_names: tuple[str, ...], now: datetime.datetime) -> None:
        authority = _authority(now)
        self.ca_file = directory / "ca.pem"
        self.ca_file.write_bytes(authority.certificate.public_bytes(serialization.Encoding.PEM))
        yesterday = now - datetime.timedelta(days=1)
        issued = {
            "good": _issue(authority, server_names, now - datetime.timedelta(hours=1), now + _LIFETIME),
            "other": _issue(authority, ("other.lab.test",), now - datetime.timedelta(hours=1), now + _LIFETIME),
            "expired": _issue(authority, server_names, yesterday - _LIFETIME, yesterday),
        }
        self._contexts = {name: _context(directory / f"{name}.pem", each) for name, each in issued.items()}

    def context(self, certificate: str) -> ssl.SSLContext:
        """The context that presents ``good``, ``other`` or ``expired``."""
        return self._contexts[certificate]


def _builder(subject: str, not_before: datetime.datetime, not_after: datetime.datetime) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
        .serial_number(x509.random_serial_number())
        .not_valid_before(not_before)
        .not_valid_after(not_after)
    )


def _authority(now: datetime.datetime) -> _Issued:
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = (
        # The authority is older than the expired certificate, so that expiry is the only thing wrong with that one.
        _builder("prober lab authority", now - 3 * _LIFETIME, now + _LIFETIME)
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "prober lab authority")]))
        .public_key(key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_SIGNS_CERTIFICATES, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return _Issued(certificate, key)


def _issue(authority: _Issued, names: tuple[str, ...], not_before: datetime.datetime, not_after: datetime.datetime) -> _Issued:
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = (
        _builder(names[0], not_before, not_after)
        .issuer_name(authority.certificate.subject)
        .public_key(key.public_key())
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        # RFC 5280 §4.2.1.1 wants it, and so does the default of Python 3.13.
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key()), critical=False)
        .sign(authority.key, hashes.SHA256())
    )
    return _Issued(certificate, key)


def _context(path: Path, issued: _Issued) -> ssl.SSLContext:
    pem = issued.key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ) + issued.certificate.public_bytes(serialization.Encoding.PEM)
    path.touch(mode=0o600)
    path.write_bytes(pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    context.set_alpn_protocols(["http/1.1"])
    return context
