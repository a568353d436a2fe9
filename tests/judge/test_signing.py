"""Signatures on certificates."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from prober.judge import x509
from prober.judge.signing import SignatureCheck, check_signature
from prober.judge.trust import TrustStore
from tests.judge import forge
from tests.pki import Authority, private_key
from tests.servers.requirements import require_module


def checked_with_itself(data: bytes) -> SignatureCheck:
    certificate = x509.parse(data)
    return check_signature(certificate, certificate.public_key)


def pss(field: bytes) -> bytes:
    """AlgorithmIdentifier of RSASSA-PSS with one field of RSASSA-PSS-params (RFC 4055 §3.1)."""
    return forge.tlv(0x30, forge.oid("1.2.840.113549.1.1.10"), forge.tlv(0x30, field))


def test_the_public_authorities_signed_themselves() -> None:
    """A hundred real certificates with the algorithms of three decades."""
    certifi = require_module("certifi")
    store = TrustStore(Path(certifi.where()).read_bytes())
    roots = [x509.parse(anchor) for anchors in store._by_subject.values() for anchor in anchors]
    assert len(roots) > 50
    for root in roots:
        assert root.flaws == ()
        assert root.self_issued
        assert check_signature(root, root.public_key) is SignatureCheck.VALID, root.title


def test_a_key_that_is_for_rsassa_pss_alone_is_used(openssl: str, tmp_path: Path) -> None:
    """Its SubjectPublicKeyInfo says id-RSASSA-PSS (RFC 4055), which the tests' own authority cannot make."""
    command = [openssl, "req", "-x509", "-newkey", "rsa-pss", "-nodes", "-keyout", tmp_path / "key.pem", "-subj", "/CN=pss"]
    subprocess.run([*command, "-outform", "der", "-out", tmp_path / "c.der"], check=True, capture_output=True)
    assert checked_with_itself((tmp_path / "c.der").read_bytes()) is SignatureCheck.VALID


@pytest.mark.parametrize(
    ("kind", "digest", "wanted"),
    [
        ("rsa2048", "sha256", SignatureCheck.VALID),
        ("rsa2048", "sha1", SignatureCheck.VALID),
        ("rsa2048", "md5", SignatureCheck.WEAK),
    ],
)
def test_sha1_is_accepted_and_md5_is_not(kind: str, digest: str, wanted: SignatureCheck) -> None:
    """As `openssl verify` has it by default for the former; nobody has it for the latter."""
    assert checked_with_itself(forge.forge(key=private_key(kind), rsa_hash=digest)) is wanted


@pytest.mark.parametrize(
    "algorithm",
    [
        b"",
        b"\x05\x00",
        forge.tlv(0x30),
        forge.tlv(0x30, b"\x05\x00"),
        pss(forge.tlv(0xA0)),
        pss(forge.tlv(0xA0, forge.tlv(0x30))),
        pss(forge.tlv(0xA1, forge.tlv(0x30))),
        pss(forge.tlv(0xA1, forge.tlv(0x30, forge.oid("1.2.840.113549.1.1.8"), forge.tlv(0x30)))),
        pss(forge.tlv(0xA2, forge.tlv(0x02, b"\xff"))),
        pss(forge.tlv(0xA2, forge.tlv(0x02, b"\x7f" * 40))),
    ],
)
def test_a_malformed_algorithm_cannot_be_checked(algorithm: bytes) -> None:
    """A value, not an exception."""
    certificate = x509.parse(Authority.root(key="rsa2048").der)
    assert (
        check_signature(replace(certificate, signature_algorithm=algorithm), certificate.public_key) is SignatureCheck.UNSUPPORTED
    )


def test_a_key_that_cannot_be_read_cannot_check() -> None:
    """Garbage in place of the SubjectPublicKeyInfo."""
    certificate = x509.parse(Authority.root().der)
    assert check_signature(certificate, b"\x30\x00") is SignatureCheck.UNSUPPORTED
    assert check_signature(certificate, b"") is SignatureCheck.UNSUPPORTED


def test_a_signature_by_another_kind_of_key_is_wrong() -> None:
    """Not unsupported: both kinds are known."""
    certificate = x509.parse(Authority.root(key="p256").der)
    other = x509.parse(Authority.root(key="ed25519").der)
    assert check_signature(certificate, other.public_key) is SignatureCheck.INVALID
    assert check_signature(other, certificate.public_key) is SignatureCheck.INVALID
