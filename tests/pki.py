"""A tiny certificate authority for the tests: real keys, real signatures, any flaw on request.

    root = Authority.root()
    server = root.intermediate().issue("api.example.test", "192.0.2.1")
    server.chain                     # (end-entity, intermediate): what a server presents, without the root
    server.ders                      # the same as DER, as `HandshakeFacts.certificates` has it
    files = server.write(tmp_path)   # files.certificate (chain, PEM), files.key: for nginx, openssl s_server, ...
    root.write(tmp_path)             # ca.pem: for --ca-file and `openssl verify -CAfile`

Validity is wide (`VALID_FROM` .. `VALID_UNTIL`), so that the same certificates hold under a real clock and under `NOW`;
``expired=True`` and ``not_yet_valid=True`` are flaws under both. Keys of one kind are drawn from a small pool, because an RSA key
costs 50 ms: two holders may share a key only if more than eight of that kind are alive, which no test needs.
"""

from __future__ import annotations

import ipaddress
import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

__all__ = [
    "EXPIRED_AT",
    "KEY_KINDS",
    "NOW",
    "NOT_YET_VALID_FROM",
    "VALID_FROM",
    "VALID_UNTIL",
    "Authority",
    "CertificateFiles",
    "Issued",
    "general_name",
    "long_chain",
    "name",
    "private_key",
    "self_signed",
    "usage",
]

VALID_FROM = datetime(2024, 1, 1, tzinfo=UTC)
NOW = datetime(2026, 6, 15, 12, 0, 0, tzinfo=UTC)
"""The injected time of tests that judge."""
VALID_UNTIL = datetime(2044, 1, 1, tzinfo=UTC)
EXPIRED_AT = datetime(2025, 1, 1, tzinfo=UTC)
"""``not_after`` of certificates made with ``expired=True``."""
NOT_YET_VALID_FROM = datetime(2043, 1, 1, tzinfo=UTC)
"""``not_before`` of certificates made with ``not_yet_valid=True``."""

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey

_MAKE_KEY = {
    "rsa2048": lambda: rsa.generate_private_key(65537, 2048),
    "rsa-pss": lambda: rsa.generate_private_key(65537, 2048),
    "rsa4096": lambda: rsa.generate_private_key(65537, 4096),
    "p256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "p384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "p521": lambda: ec.generate_private_key(ec.SECP521R1()),
    "ed25519": ed25519.Ed25519PrivateKey.generate,
    "ed448": ed448.Ed448PrivateKey.generate,
}
KEY_KINDS = tuple(_MAKE_KEY)
"""``rsa-pss`` is an RSA key whose holder signs with RSASSA-PSS; the key itself is an ordinary rsaEncryption key."""

_POOL_SIZE = 8
_turns = {kind: itertools.count() for kind in _MAKE_KEY}
_serial_numbers = itertools.count(0x1000_0001)


@cache
def _pooled(kind: str, turn: int) -> PrivateKey:
    return _MAKE_KEY[kind]()


def private_key(kind: str = "p256") -> PrivateKey:
    """A key of one of `KEY_KINDS`, different from the last seven of that kind."""
    return _pooled(kind, next(_turns[kind]) % _POOL_SIZE)


def name(common_name: str | None, **attributes: str) -> x509.Name:
    """A distinguished name: ``name("x", organization_name="Acme")``; None gives the empty name unless attributes do not."""
    parts = [x509.NameAttribute(getattr(NameOID, key.upper()), value) for key, value in attributes.items()]
    if common_name is not None:
        parts.append(x509.NameAttribute(NameOID.COMMON_NAME, common_name))
    return x509.Name(parts)


def general_name(text: str) -> x509.GeneralName:
    """``192.0.2.1`` and ``2001:db8::1`` become IP addresses, ``a://b`` a URI, ``a@b`` an e-mail address, the rest DNS names."""
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        pass
    if "://" in text:
        return x509.UniformResourceIdentifier(text)
    return x509.RFC822Name(text) if "@" in text else x509.DNSName(text)


def _pem(certificates: Iterable[x509.Certificate]) -> bytes:
    return b"".join(certificate.public_bytes(Encoding.PEM) for certificate in certificates)


def _sign(builder: x509.CertificateBuilder, key: PrivateKey, *, pss: bool) -> x509.Certificate:
    if isinstance(key, (ed25519.Ed25519PrivateKey, ed448.Ed448PrivateKey)):
        return builder.sign(key, None)
    if isinstance(key, rsa.RSAPrivateKey) and pss:
        return builder.sign(key, hashes.SHA256(), rsa_padding=padding.PSS(padding.MGF1(hashes.SHA256()), 32))
    digest = hashes.SHA384() if isinstance(key, ec.EllipticCurvePrivateKey) and key.key_size >= 384 else hashes.SHA256()
    return builder.sign(key, digest)


class CertificateFiles(NamedTuple):
    """Where `Issued.write` put things."""

    certificate: Path
    """PEM: end-entity first, then the intermediates, without the root."""
    key: Path
    """PEM, PKCS #8, no pass phrase."""
    combined: Path
    """Certificate chain and key in one file, as haproxy wants it."""


@dataclass(frozen=True)
class Issued:
    """An end-entity certificate, its key, and the chain that a server would present with it."""

    certificate: x509.Certificate
    key: PrivateKey
    intermediates: tuple[x509.Certificate, ...] = ()

    @property
    def chain(self) -> tuple[x509.Certificate, ...]:
        """What a server presents: end-entity first, without the root."""
        return (self.certificate, *self.intermediates)

    @property
    def ders(self) -> tuple[bytes, ...]:
        """`chain` as DER."""
        return tuple(certificate.public_bytes(Encoding.DER) for certificate in self.chain)

    @property
    def der(self) -> bytes:
        """The end-entity certificate as DER."""
        return self.certificate.public_bytes(Encoding.DER)

    @property
    def sha256(self) -> str:
        """Fingerprint of the end-entity certificate, lower-case hex."""
        return self.certificate.fingerprint(hashes.SHA256()).hex()

    @property
    def chain_pem(self) -> bytes:
        """`chain` as PEM."""
        return _pem(self.chain)

    @property
    def key_pem(self) -> bytes:
        """The key as PKCS #8 PEM without a pass phrase."""
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    def write(self, directory: Path, stem: str = "server") -> CertificateFiles:
        """``<stem>.crt``, ``<stem>.key`` and ``<stem>.pem`` (both) in ``directory``."""
        files = CertificateFiles(directory / f"{stem}.crt", directory / f"{stem}.key", directory / f"{stem}.pem")
        files.certificate.write_bytes(self.chain_pem)
        files.key.write_bytes(self.key_pem)
        files.combined.write_bytes(self.chain_pem + self.key_pem)
        return files


@dataclass(frozen=True)
class Authority:
    """A CA: a root, or an intermediate (then ``intermediates`` is the path up to, not including, the root)."""

    certificate: x509.Certificate
    key: PrivateKey
    intermediates: tuple[x509.Certificate, ...] = ()
    pss: bool = False

    @classmethod
    def root(cls, common_name: str = "Test Root", *, key: str = "p256", **flaws: Any) -> Authority:
        """A self-signed CA certificate. ``flaws`` as in `issue`."""
        holder = private_key(key)
        pss = key == "rsa-pss"
        subject = name(common_name)
        certificate = _certificate(subject, holder, subject, holder, pss=pss, ca=True, **flaws)
        return cls(certificate, holder, pss=pss)

    def intermediate(self, common_name: str = "Test Intermediate", *, key: str = "p256", **flaws: Any) -> Authority:
        """A CA below this one. ``flaws`` as in `issue`."""
        holder = private_key(key)
        certificate = _certificate(name(common_name), holder, self.certificate.subject, self.key, pss=self.pss, ca=True, **flaws)
        return Authority(certificate, holder, (certificate, *self.intermediates), pss=key == "rsa-pss")

    @property
    def is_root(self) -> bool:
        """True for a self-signed CA."""
        return self.certificate.subject == self.certificate.issuer

    def issue(self, *names: str, key: str = "p256", subject: x509.Name | None = None, **flaws: Any) -> Issued:
        """An end-entity certificate for ``names`` (see `general_name`), the first of which is also the common name.

        ``flaws``: ``expired``, ``not_yet_valid``, ``not_before``, ``not_after``, ``serial_number``, ``ca`` (True: a CA
        certificate), ``path_length``, ``key_usage`` (an `x509.KeyUsage`), ``extended_key_usage`` (object identifiers;
        default serverAuth), ``name_constraints``, ``extensions`` (more of them: pairs of extension and critical).
        """
        holder = private_key(key)
        sans = [general_name(text) for text in names]
        own = subject if subject is not None else name(names[0][:64] if names else None)
        certificate = _certificate(own, holder, self.certificate.subject, self.key, pss=self.pss, sans=sans, **flaws)
        return Issued(certificate, holder, self.intermediates)

    def cross_sign(self, other: Authority, **flaws: Any) -> x509.Certificate:
        """A certificate for ``other``'s name and key, issued by this authority."""
        subject = other.certificate.subject
        return _certificate(subject, other.key, self.certificate.subject, self.key, pss=self.pss, ca=True, **flaws)

    @property
    def pem(self) -> bytes:
        """The CA certificate as PEM."""
        return _pem([self.certificate])

    @property
    def der(self) -> bytes:
        """The CA certificate as DER."""
        return self.certificate.public_bytes(Encoding.DER)

    def write(self, directory: Path, stem: str = "ca") -> Path:
        """``<stem>.pem`` in ``directory``: the CA certificate alone."""
        path = directory / f"{stem}.pem"
        path.write_bytes(self.pem)
        return path


def self_signed(*names: str, key: str = "p256", subject: x509.Name | None = None, **flaws: Any) -> Issued:
    """A self-signed end-entity certificate, as servers make for themselves (no basicConstraints). Arguments as `issue`."""
    holder = private_key(key)
    own = subject if subject is not None else name(names[0][:64] if names else None)
    sans = [general_name(text) for text in names]
    return Issued(_certificate(own, holder, own, holder, pss=key == "rsa-pss", sans=sans, **flaws), holder)


def long_chain(server_name: str, *, size: int = 26_000, key: str = "p256") -> tuple[Authority, Issued]:
    """A root, and an end-entity certificate of at least ``size`` bytes: as many names as that takes."""
    root = Authority.root("Test Root of a long chain", key=key)
    filler = [f"name-{number:04d}.filler.example.test" for number in range(size // 31 + 1)]
    return root, root.issue(server_name, *filler, key=key)


def _certificate(
    subject: x509.Name,
    key: PrivateKey,
    issuer: x509.Name,
    issuer_key: PrivateKey,
    *,
    pss: bool = False,
    ca: bool | None = None,
    sans: Sequence[x509.GeneralName] = (),
    expired: bool = False,
    not_yet_valid: bool = False,
    not_before: datetime | None = None,
    not_after: datetime | None = None,
    serial_number: int | None = None,
    path_length: int | None = None,
    key_usage: x509.KeyUsage | None = None,
    extended_key_usage: Sequence[x509.ObjectIdentifier] | None = None,
    name_constraints: x509.NameConstraints | None = None,
    extensions: Sequence[tuple[x509.ExtensionType, bool]] = (),
) -> x509.Certificate:
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(next(_serial_numbers) if serial_number is None else serial_number)
        .not_valid_before(not_before or (NOT_YET_VALID_FROM if not_yet_valid else VALID_FROM))
        .not_valid_after(not_after or (EXPIRED_AT if expired else VALID_UNTIL))
    )
    if ca is not None:
        builder = builder.add_extension(x509.BasicConstraints(ca=ca, path_length=path_length), critical=True)
    if sans:
        builder = builder.add_extension(x509.SubjectAlternativeName(sans), critical=not list(subject))
    if key_usage is None and ca:
        key_usage = usage(key_cert_sign=True, crl_sign=True)
    if key_usage is not None:
        builder = builder.add_extension(key_usage, critical=True)
    if extended_key_usage is None and not ca:
        extended_key_usage = (ExtendedKeyUsageOID.SERVER_AUTH,)
    if extended_key_usage:
        builder = builder.add_extension(x509.ExtendedKeyUsage(extended_key_usage), critical=False)
    if name_constraints is not None:
        builder = builder.add_extension(name_constraints, critical=True)
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical=critical)
    return _sign(builder, issuer_key, pss=pss)


def usage(**bits: bool) -> x509.KeyUsage:
    """A keyUsage extension with the named bits set and all others clear."""
    names = (
        "digital_signature",
        "content_commitment",
        "key_encipherment",
        "data_encipherment",
        "key_agreement",
        "key_cert_sign",
        "crl_sign",
        "encipher_only",
        "decipher_only",
    )
    return x509.KeyUsage(**{bit: bits.get(bit, False) for bit in names})
