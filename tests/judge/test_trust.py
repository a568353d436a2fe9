"""Trust stores: what is taken from PEM text, and which block is bad."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from prober.judge.certificates import certificate_facts
from prober.judge.trust import NO_TRUST, TrustError, TrustStore
from tests.judge import forge, witness
from tests.pki import Authority

ONE, TWO = Authority.root("One"), Authority.root("Two")


def test_anchors_are_taken_from_any_text_around_them() -> None:
    """Bundles have comments, other objects, CRLF and duplicates."""
    text = b"# One\r\n" + ONE.pem.replace(b"\n", b"\r\n") + b"subject=Two\n" + TWO.pem + ONE.pem
    key = ONE.issue("a.test").key_pem
    trust = TrustStore.strict(text + key, origin="ca.pem")
    assert len(trust) == 2
    assert certificate_facts(ONE.der) in trust
    assert certificate_facts(Authority.root("One").der) not in trust


def test_openssls_trusted_certificates_are_read(openssl: str, tmp_path: Path) -> None:
    """The label TRUSTED CERTIFICATE, with OpenSSL's settings after the certificate."""
    command = [openssl, "x509", "-in", ONE.write(tmp_path), "-trustout", "-addtrust", "serverAuth"]
    text = subprocess.run(command, check=True, capture_output=True).stdout
    assert b"BEGIN TRUSTED CERTIFICATE" in text
    assert certificate_facts(ONE.der) in TrustStore.strict(text, origin="ca.pem")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (b"", "ca.pem: no PEM certificate in it; expected -----BEGIN CERTIFICATE-----"),
        (ONE.der, "ca.pem: no PEM certificate in it; convert it with: openssl x509 -inform der -in FILE"),
        (
            ONE.pem + b"-----BEGIN CERTIFICATE-----\nAAAA",
            "ca.pem: certificate 2: no -----END CERTIFICATE-----; remove the block or export it again",
        ),
        (
            ONE.pem.replace(b"-----END CERTIFICATE-----\n", b"") + TWO.pem,
            "ca.pem: certificate 1: no -----END CERTIFICATE-----; remove the block or export it again",
        ),
        (
            ONE.pem + witness.pem([b"\x30\x03\x02\x01\x01"]),
            "ca.pem: certificate 2: Certificate: expected tag 0x30, got 0x02 at offset 2; remove the block or export it again",
        ),
    ],
)
def test_a_bad_block_is_named_by_its_number(text: bytes, complaint: str) -> None:
    """An operator finds it in a bundle of a hundred."""
    complaint = complaint.replace("Certificate: expected", "TBSCertificate: expected")
    with pytest.raises(TrustError) as raised:
        TrustStore.strict(text, origin="ca.pem")
    assert str(raised.value) == complaint


def test_no_base64_is_said_to_be_that() -> None:
    """What remains of a certificate after a mail program."""
    with pytest.raises(TrustError, match=r"^ca\.pem: certificate 1: no base64 \("):
        TrustStore.strict(b"-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n", origin="ca.pem")


def test_a_lenient_store_leaves_out_what_it_cannot_read() -> None:
    """One odd anchor of the system's must not cost the others."""
    trust = TrustStore(witness.pem([b"nothing"]) + ONE.pem + witness.pem([b"\x30\x00"]))
    assert len(trust) == 1
    assert certificate_facts(ONE.der) in trust


def test_stores_are_the_same_by_content_and_origin() -> None:
    """A reload of the same file keeps what is known about chains; the origin is in the sentences."""
    assert TrustStore(ONE.pem, origin="a").identity == TrustStore(ONE.pem, origin="a").identity
    assert len({TrustStore(ONE.pem, origin="a").identity, TrustStore(ONE.pem, origin="b").identity, NO_TRUST.identity}) == 3


def test_anchors_are_found_by_a_name_that_is_written_differently() -> None:
    """Octets first, then as RFC 5280 §7.1 compares."""
    odd = forge.forge(subject=forge.name(forge.attribute("2.5.4.3", "ONE", tag=0x13)))
    name = certificate_facts(odd).certificate
    assert name is not None
    assert [facts.sha256 for facts in TrustStore(ONE.pem).named(name.subject)] == [certificate_facts(ONE.der).sha256]
    assert TrustStore(TWO.pem).named(name.subject) == ()
