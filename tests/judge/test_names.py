"""Distinguished names as RFC 4514 writes them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from cryptography import x509 as cx509
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from prober.judge import der
from prober.judge.names import canonical, parse_name, rfc4514
from tests.judge import forge
from tests.judge.forge import attribute, name


def shown(encoded: bytes) -> str:
    return rfc4514(parse_name(der.only(encoded)))


@pytest.mark.parametrize(
    ("encoded", "text"),
    [
        (name(), ""),
        (
            name(attribute("2.5.4.6", "CH"), attribute("2.5.4.10", "Acme"), attribute("2.5.4.3", "a.test")),
            "CN=a.test,O=Acme,C=CH",
        ),
        (name([attribute("2.5.4.3", "a"), attribute("2.5.4.11", "b")], attribute("2.5.4.10", "c")), "O=c,CN=a+OU=b"),
        (name(attribute("2.5.4.10", 'Sue, "Grab" & Run; <1>+\\')), 'O=Sue\\, \\"Grab\\" & Run\\; \\<1\\>\\+\\\\'),
        (name(attribute("2.5.4.10", "#1 ")), "O=\\#1\\ "),
        (name(attribute("2.5.4.10", " ")), "O=\\ "),
        (name(attribute("2.5.4.3", "Lučić")), "CN=Lučić"),
        (name(attribute("2.5.4.3", "a\x00b\r\n\x1b[31m")), "CN=a\\00b\\0D\\0A\\1B[31m"),
        (name(attribute("2.5.4.3", "Lučić".encode("utf-16-be"), tag=0x1E)), "CN=Lučić"),
        (name(attribute("2.5.4.3", b"Z\xfcrich", tag=0x14)), "CN=Zürich"),
        (name(attribute("2.5.4.3", b"\xff\xfe")), "CN=#0c02fffe"),
        (name(attribute("1.3.6.1.4.1.1466.0", b"Hi", tag=0x04)), "1.3.6.1.4.1.1466.0=#04024869"),
        (name(attribute("1.2.3.4", "x")), "1.2.3.4=#0c0178"),
        (name(attribute("0.9.2342.19200300.100.1.25", "test", tag=0x16)), "DC=test"),
    ],
)
def test_names_are_written_as_rfc_4514_has_them(encoded: bytes, text: str) -> None:
    """Order, escapes, multi-valued parts, unknown types, and nothing that a terminal would act on."""
    assert shown(encoded) == text


@pytest.mark.parametrize(
    "kind", ["COMMON_NAME", "ORGANIZATION_NAME", "ORGANIZATIONAL_UNIT_NAME", "LOCALITY_NAME", "STREET_ADDRESS"]
)
@given(
    text=st.text(
        st.characters(codec="utf-8", exclude_categories=["Cc", "Cf", "Co", "Cs", "Cn", "Zl", "Zp", "Zs"], include_characters=" "),
        min_size=1,
        max_size=40,
    )
)
def test_another_library_writes_the_same(kind: str, text: str) -> None:
    """For every text that prints; `cryptography` leaves the others as they are."""
    encoded = cx509.Name([cx509.NameAttribute(getattr(NameOID, kind), text)])
    assert shown(encoded.public_bytes()) == encoded.rfc4514_string()


def test_openssl_writes_the_same(openssl: str, tmp_path: Path) -> None:
    """A second witness, for a name with everything that people use."""
    subject = name(
        attribute("2.5.4.6", "CH", tag=0x13),
        attribute("2.5.4.8", "Zug"),
        attribute("2.5.4.7", "Baar, centre"),
        attribute("2.5.4.10", "Acme + Sons"),
        attribute("1.2.840.113549.1.9.1", "ops@example.test", tag=0x16),
        attribute("2.5.4.3", "api.example.test"),
    )
    path = tmp_path / "c.der"
    path.write_bytes(forge.forge(subject=subject))
    command = [openssl, "x509", "-inform", "der", "-in", path, "-noout", "-subject", "-nameopt", "RFC2253"]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    assert printed == f"subject={shown(subject)}"


def test_names_that_differ_in_case_space_and_string_type_are_compared_as_equal() -> None:
    """RFC 5280 §7.1; a different word is a different name."""
    one = name(attribute("2.5.4.3", "Sloppy  Root ", tag=0x13))
    two = name(attribute("2.5.4.3", "sloppy root", tag=0x0C))
    three = name(attribute("2.5.4.3", "sloppyroot", tag=0x0C))
    first, second, third = (canonical(parse_name(der.only(encoded))) for encoded in (one, two, three))
    assert first == second != third
