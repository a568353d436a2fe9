"""What people see of a certificate, checked against `cryptography` and OpenSSL, and with damage."""

from __future__ import annotations

import hashlib
import subprocess
import warnings
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509 as cx509
from hypothesis import given
from hypothesis import strategies as st

from prober.judge.certificates import certificate_facts, rfc3339
from tests.judge import forge
from tests.pki import KEY_KINDS, Authority, long_chain, name, self_signed

ROOT = Authority.root()


@pytest.mark.parametrize("kind", [kind for kind in KEY_KINDS if kind != "rsa4096"])
def test_facts_agree_with_another_library(kind: str) -> None:
    """Names, dates and fingerprint for every kind of key."""
    issued = Authority.root(key=kind).issue("api.example.test", "192.0.2.1", key=kind)
    facts = certificate_facts(issued.der)
    other = cx509.load_der_x509_certificate(issued.der)
    assert facts.problems == ()
    assert facts.sha256 == hashlib.sha256(issued.der).hexdigest()
    assert (facts.subject, facts.issuer) == (other.subject.rfc4514_string(), other.issuer.rfc4514_string())
    assert (facts.not_before, facts.not_after) == (other.not_valid_before_utc, other.not_valid_after_utc)
    assert int(facts.serial_number, 16) == other.serial_number


def test_facts_agree_with_openssl(openssl: str, tmp_path: Path) -> None:
    """Serial number and fingerprint as an operator compares them."""
    issued = ROOT.issue("api.example.test", serial_number=0x0A1B2C)
    path = tmp_path / "c.der"
    path.write_bytes(issued.der)
    command = [openssl, "x509", "-inform", "der", "-in", path, "-noout", "-serial", "-fingerprint", "-sha256"]
    serial, fingerprint = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[0:3:2]
    facts = certificate_facts(issued.der)
    assert serial == f"serial={facts.serial_number.upper()}"
    assert fingerprint.split("=")[-1].replace(":", "").lower() == facts.sha256


def test_alternative_names_are_plain_where_they_speak_for_themselves() -> None:
    """DNS names, addresses, URIs and e-mail addresses; DNS names apart as well."""
    facts = certificate_facts(ROOT.issue("a.test", "*.b.test", "192.0.2.1", "2001:db8::1", "https://c.test/", "d@e.test").der)
    assert facts.subject_alternative_names == ("a.test", "*.b.test", "192.0.2.1", "2001:db8::1", "https://c.test/", "d@e.test")
    assert facts.dns_names == ("a.test", "*.b.test")


def test_rare_alternative_names_carry_their_kind() -> None:
    """Where the text alone would not say what it is."""
    rare = [
        cx509.DirectoryName(name("x", organization_name="Acme")),
        cx509.RegisteredID(cx509.ObjectIdentifier("1.2.3.4")),
        cx509.OtherName(cx509.ObjectIdentifier("1.3.6.1.4.1.311.20.2.3"), b"\x0c\x01u"),
    ]
    issued = self_signed(extensions=[(cx509.SubjectAlternativeName(rare), False)])
    assert certificate_facts(issued.der).subject_alternative_names == (
        "dirName:CN=x,O=Acme",
        "RID:1.2.3.4",
        "otherName:1.3.6.1.4.1.311.20.2.3",
    )


def test_a_name_with_control_characters_cannot_reach_a_terminal() -> None:
    """The NUL of 2009, and escape sequences."""
    names = forge.tlv(0x30, forge.tlv(0x82, b"good.test\x00.evil.test\x1b[2J"), forge.tlv(0x82, b"\xff"), forge.tlv(0x87, b"abc"))
    facts = certificate_facts(forge.forge(extensions=[forge.extension("2.5.29.17", names)]))
    assert facts.subject_alternative_names == ("good.test\\00.evil.test\\1B[2J", "\\xff", "IP:#616263")


@pytest.mark.parametrize(
    ("serial", "text"),
    [(0, "00"), (1, "01"), (0xABC, "0abc"), (0x80, "80"), (-1, "-01"), (-0x8000, "-8000"), (2**159 + 1, "8" + 38 * "0" + "1")],
)
def test_serial_numbers_are_whole_octets_and_any_integer(serial: int, text: str) -> None:
    """Zero and negative ones are forbidden, exist, and raise no warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert certificate_facts(forge.forge(serial=forge.integer(serial))).serial_number == text


def test_a_malformed_extension_does_not_lose_the_rest() -> None:
    """The names are still there when key usage is broken, and the broken one is named."""
    names = forge.extension("2.5.29.17", forge.tlv(0x30, forge.tlv(0x82, b"api.example.test")))
    facts = certificate_facts(forge.forge(extensions=[forge.extension("2.5.29.15", b"\x03\x05\x00"), names]))
    assert facts.subject_alternative_names == ("api.example.test",)
    assert facts.problems == ("malformed extension keyUsage: 5 bytes announced at offset 0, 1 there",)


def test_malformed_names_and_dates_do_not_lose_the_rest() -> None:
    """Each field is read for itself."""
    facts = certificate_facts(
        forge.forge(subject=forge.tlv(0x30, b"\x31\x02\x05\x00"), issuer=forge.name(), not_after=forge.utc("never"))
    )
    assert (facts.subject, facts.serial_number, facts.not_after) == ("", "1234", None)
    assert [problem.split(":")[0] for problem in facts.problems] == ["malformed validity", "malformed subject"]


def test_a_repeated_extension_is_a_problem_and_the_first_one_counts() -> None:
    """RFC 5280 §4.2 forbids it; two readers that disagree about which one counts are an old attack."""
    first, second = (forge.extension("2.5.29.17", forge.tlv(0x30, forge.tlv(0x82, name))) for name in (b"one.test", b"two.test"))
    facts = certificate_facts(forge.forge(extensions=[first, second]))
    assert facts.dns_names == ("one.test",)
    assert facts.problems == ("extension subjectAltName twice",)


def test_bytes_after_the_end_are_a_problem() -> None:
    """Clients refuse them, but the certificate is still shown."""
    facts = certificate_facts(ROOT.issue("a.test").der + b"\x00")
    assert facts.dns_names == ("a.test",)
    assert facts.problems == ("1 bytes after its end",)


@given(st.binary(max_size=100))
def test_what_is_no_certificate_has_a_fingerprint_and_a_problem(data: bytes) -> None:
    """So that it can at least be told from others."""
    facts = certificate_facts(data)
    assert facts.sha256 == hashlib.sha256(data).hexdigest()
    assert facts.problems
    assert facts.certificate is None


def test_facts_are_read_once_for_equal_bytes() -> None:
    """The cache goes by content, not by object."""
    data = ROOT.issue("cached.test").der
    assert certificate_facts(bytes(bytearray(data))) is certificate_facts(data)


def test_a_certificate_of_26_kilobytes_is_read() -> None:
    """Hundreds of names."""
    _, issued = long_chain("api.example.test")
    facts = certificate_facts(issued.der)
    assert len(facts.dns_names) > 800
    assert facts.dns_names[0] == "api.example.test"


def test_dates_are_shown_as_rfc_3339_in_utc() -> None:
    """With a Z, also in the year 9999."""
    assert rfc3339(datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)) == "2026-01-02T03:04:05Z"
    assert rfc3339(datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)) == "9999-12-31T23:59:59Z"
    assert rfc3339(None) is None
