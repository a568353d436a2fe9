"""Certificates of any kind: loaded in silence, or refused with the one error that there is."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prober.tls.certificate_loading import load_certificate
from tests.pki import self_signed

DER = self_signed("api.example.test").der


def test_a_negative_serial_number_is_no_reason_for_noise() -> None:
    """It is disallowed and happens; warnings are errors in these tests."""
    place = DER.index(b"\x02\x04", 8)

    certificate = load_certificate(DER[:place] + b"\x02\x04\x80\x00\x00\x01" + DER[place + 6 :])
    assert certificate.subject.rfc4514_string() == "CN=api.example.test"


def test_an_unknown_version_is_a_value_error() -> None:
    """Cryptography has a class of its own for it, which is no ValueError."""
    place = DER.index(b"\xa0\x03\x02\x01\x02")
    with pytest.raises(ValueError, match="version"):
        load_certificate(DER[: place + 4] + b"\x07" + DER[place + 5 :])


@settings(max_examples=200)
@given(st.integers(0, len(DER) - 1), st.binary(min_size=1, max_size=3))
def test_damage_is_a_value_error_or_a_certificate(place: int, patch: bytes) -> None:
    """Never anything else, and never a warning."""
    with suppress(ValueError):
        load_certificate(DER[:place] + patch + DER[place + len(patch) :])
