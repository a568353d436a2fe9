"""Reading DER: what is read, and that nothing else than its own error comes out of bytes."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prober.judge import der, x509
from tests.judge import forge
from tests.pki import Authority

LEAF = Authority.root().issue("api.example.test", "192.0.2.1").der


@pytest.mark.parametrize(
    ("tag", "text", "wanted"),
    [
        (0x17, "260102030405Z", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
        (0x17, "491231235959Z", datetime(2049, 12, 31, 23, 59, 59, tzinfo=UTC)),
        (0x17, "500101000000Z", datetime(1950, 1, 1, tzinfo=UTC)),
        (0x17, "2601020304Z", datetime(2026, 1, 2, 3, 4, tzinfo=UTC)),
        (0x17, "260102030405+0130", datetime(2026, 1, 2, 1, 34, 5, tzinfo=UTC)),
        (0x18, "99991231235959Z", datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)),
        (0x18, "20500102030405.5Z", datetime(2050, 1, 2, 3, 4, 5, tzinfo=UTC)),
    ],
)
def test_times_are_read_as_the_rfc_and_the_field_write_them(tag: int, text: str, wanted: datetime) -> None:
    """UTCTime's two digits, GeneralizedTime's four, and what sloppy issuers leave out or add."""
    assert der.time(der.only(forge.tlv(tag, text.encode()))) == wanted


@pytest.mark.parametrize(
    "text", ["", "Z", "261302990405Z", "26010203Z", "260102030405X", "00000101000000Z", "9" * 40, "260102030405+9999"]
)
def test_what_is_no_time_is_an_error(text: str) -> None:
    """And no exception of the calendar's own."""
    for tag in (0x17, 0x18):
        with pytest.raises(der.DerError):
            der.time(der.only(forge.tlv(tag, text.encode())))


@pytest.mark.parametrize("dotted", ["1.2.840.113549.1.1.11", "2.5.4.3", "0.9.2342.19200300.100.1.25", "2.999.1"])
def test_object_identifiers_are_written_in_dots(dotted: str) -> None:
    """The first octet holds two arcs, the root 2 as many as it likes."""
    assert der.dotted(der.only(forge.oid(dotted)).value) == dotted


@given(st.integers(-(2**70), 2**70))
def test_integers_of_any_sign_and_size_are_read(value: int) -> None:
    """Serial numbers have twenty octets, and some are negative."""
    assert der.integer(der.only(forge.integer(value))) == value


def test_every_proper_prefix_of_a_certificate_is_refused() -> None:
    """A truncated certificate is never taken for a shorter one."""
    for length in range(len(LEAF)):
        with pytest.raises(der.DerError):
            x509.parse(LEAF[:length])
        with pytest.raises(der.DerError):
            x509.subject_encoding(LEAF[:length])


@given(st.lists(st.tuples(st.integers(0, len(LEAF) - 1), st.integers(0, 255)), min_size=1, max_size=5))
def test_a_damaged_certificate_is_read_or_refused(flips: list[tuple[int, int]]) -> None:
    """Nothing but DerError comes out, and what is read can be shown."""
    damaged = bytearray(LEAF)
    for position, value in flips:
        damaged[position] = value
    try:
        certificate = x509.parse(bytes(damaged))
    except der.DerError:
        return
    assert str(certificate.subject).isprintable()
    assert all(str(name).isprintable() for name in certificate.alternative_names or ())


@given(st.binary(max_size=200))
def test_arbitrary_bytes_raise_only_the_documented_error(data: bytes) -> None:
    """In every reader."""
    for read in (x509.parse, x509.subject_encoding, der.only, der.first, der.dotted):
        try:
            read(data)
        except der.DerError:
            continue


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"\x30", "truncated at offset 0"),
        (b"\x30\x80\x00\x00", "an indefinite length at offset 0"),
        (b"\x3f\x01\x00", "a tag number above 30 at offset 0"),
        (b"\x30\x85\x00\x00\x00\x00\x00", "a length that does not fit at offset 0"),
        (b"\x30\x05\x00", "5 bytes announced at offset 0, 1 there"),
        (b"\x05\x00\x00", "1 bytes after the end"),
    ],
)
def test_errors_say_what_and_where(data: bytes, why: str) -> None:
    """A person with a hex dump finds the place."""
    with pytest.raises(der.DerError) as raised:
        der.only(data)
    assert str(raised.value) == why
