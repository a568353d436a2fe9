"""The certificates that the servers of the tests present, by role, and the files that they read them from.

The names under example.test play these parts: `KNOWN` is what the ingress serves and what a client with SNI asks for,
`SECOND` another name that it serves, and the default certificate is for a name that no client asks for.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from tests.pki import Authority, CertificateFiles, Issued, long_chain, name, self_signed

__all__ = ["FFDHE2048", "KNOWN", "SECOND", "Material", "make_material"]

KNOWN = "api.example.test"
SECOND = "shop.example.test"
DEFAULT = "default.example.test"
LONG_CHAIN = 26_000
"""Bytes: more than one TLS record (2^14) holds, so that the Certificate message is fragmented."""

_FAKE = name("Kubernetes Ingress Controller Fake Certificate", organization_name="Acme Co")


@dataclass(frozen=True)
class Material:
    """Everything that a server may be told to present or to trust."""

    roots: tuple[Authority, ...]
    issued: dict[str, Issued]
    """By role."""
    files: dict[str, CertificateFiles]
    """By role."""
    ca_file: Path
    """The roots of all end-entity certificates but the self-signed ones."""
    dh_file: Path
    """Diffie-Hellman parameters for TLS 1.2's DHE suites: ffdhe2048 of RFC 7919."""

    def crt(self, role: str) -> Path:
        """PEM file of the chain that ``role`` presents."""
        return self.files[role].certificate

    def key(self, role: str) -> Path:
        """PEM file of the private key of ``role``."""
        return self.files[role].key

    def fill(self, text: str, **more: object) -> str:
        """``text`` with ``<api.crt>``, ``<api.key>``, ``<api.pem>`` (both), ``<ca>``, ``<dh>`` and ``<more>`` replaced."""
        paths = {"ca": self.ca_file, "dh": self.dh_file, **more}
        for role, files in self.files.items():
            paths |= {f"{role}.crt": files.certificate, f"{role}.key": files.key, f"{role}.pem": files.combined}
        return re.sub(r"<([\w.-]+)>", lambda match: str(paths[match[1]]), text)

    def role_of(self, der: bytes) -> str:
        """The role that presents this end-entity certificate, or ``unknown``."""
        return next((role for role, issued in self.issued.items() if issued.der == der), "unknown")


def make_material(directory: Path) -> Material:
    """Make all certificates and write them below ``directory``. Takes about 0.5 s, most of it for the RSA keys."""
    root = Authority.root()
    issuer = root.intermediate()
    long_root, long_issued = long_chain(KNOWN, size=LONG_CHAIN)
    without = issuer.issue(KNOWN)
    issued = {
        "api": issuer.issue(KNOWN),
        "shop": issuer.issue(SECOND),
        "default": issuer.issue(DEFAULT),
        "wide": issuer.issue(DEFAULT, KNOWN, SECOND),
        "expired": issuer.issue(KNOWN, expired=True),
        "future": issuer.issue(KNOWN, not_yet_valid=True),
        "default-expired": issuer.issue(DEFAULT, KNOWN, expired=True),
        "fake": self_signed("ingress.local", subject=_FAKE),
        "self-signed": self_signed(KNOWN),
        "no-intermediate": Issued(without.certificate, without.key),
        "long": long_issued,
        "rsa": issuer.issue(KNOWN, key="rsa2048"),
        "p384": issuer.issue(KNOWN, key="p384"),
        "p521": issuer.issue(KNOWN, key="p521"),
        "ed25519": issuer.issue(KNOWN, key="ed25519"),
        "ed448": issuer.issue(KNOWN, key="ed448"),
    }
    files = {role: holder.write(directory, role) for role, holder in issued.items()}
    dh_file = directory / "ffdhe2048.pem"
    dh_file.write_text(FFDHE2048)
    ca_file = directory / "ca.pem"
    ca_file.write_bytes(root.pem + long_root.pem)
    return Material((root, long_root), issued, files, ca_file, dh_file)


# RFC 7919 Appendix A.1, as PKCS #3 DHParameter.
FFDHE2048 = """\
-----BEGIN DH PARAMETERS-----
MIIBCAKCAQEA//////////+t+FRYortKmq/cViAnPTzx2LnFg84tNpWp4TZBFGQz
+8yTnc4kmz75fS/jY2MMddj2gbICrsRhetPfHtXV/WVhJDP1H18GbtCFY2VVPe0a
87VXE15/V8k1mE8McODmi3fipona8+/och3xWKE2rec1MKzKT0g6eXq8CrGCsyT7
YdEIqUuyyOP7uWrat2DX9GgdT0Kj3jlN9K5W7edjcrsZCwenyO4KbXCeAvzhzffi
7MA0BM0oNC9hkXL+nOmFg/+OTxIy7vKBg8P+OxtMb61zO7X8vC7CIAXFjvGDfRaD
ssbzSibBsu/6iGtCOGEoXJf//////////wIBAg==
-----END DH PARAMETERS-----
"""
