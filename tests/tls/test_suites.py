"""Cipher suites taken apart by their names."""

from __future__ import annotations

import pytest

from prober.tls.registry import CipherSuite
from prober.tls.suites import BULK_CIPHERS, suite_of


@pytest.mark.parametrize(
    ("suite", "expected"),
    [
        (CipherSuite.TLS_AES_128_GCM_SHA256, ("", "", "AES_128_GCM", "sha256")),
        (CipherSuite.TLS_AES_256_GCM_SHA384, ("", "", "AES_256_GCM", "sha384")),
        (CipherSuite.TLS_CHACHA20_POLY1305_SHA256, ("", "", "CHACHA20_POLY1305", "sha256")),
        (CipherSuite.TLS_AES_128_CCM_8_SHA256, ("", "", "AES_128_CCM_8", "sha256")),
        (CipherSuite.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, ("ECDHE", "RSA", "AES_128_GCM", "sha256")),
        (CipherSuite.TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA384, ("ECDHE", "ECDSA", "AES_256_CBC", "sha384")),
        (CipherSuite.TLS_RSA_WITH_AES_128_CBC_SHA, ("RSA", "RSA", "AES_128_CBC", "sha1")),
        (CipherSuite.TLS_RSA_WITH_AES_256_CCM_8, ("RSA", "RSA", "AES_256_CCM_8", "sha256")),
        (CipherSuite.TLS_DHE_DSS_WITH_AES_256_CBC_SHA256, ("DHE", "DSS", "AES_256_CBC", "sha256")),
        (CipherSuite.TLS_DH_anon_WITH_AES_128_CBC_SHA, ("DH", "anon", "AES_128_CBC", "sha1")),
        (CipherSuite.TLS_RSA_PSK_WITH_ARIA_256_GCM_SHA384, ("RSA", "PSK", "ARIA_256_GCM", "sha384")),
        (CipherSuite.TLS_RSA_EXPORT_WITH_RC4_40_MD5, ("RSA", "EXPORT", "RC4_40", "md5")),
        (CipherSuite.TLS_PSK_WITH_AES_128_CCM, ("PSK", "PSK", "AES_128_CCM", "sha256")),
    ],
)
def test_a_name_is_taken_apart(suite: CipherSuite, expected: tuple[str, str, str, str]) -> None:
    """Key exchange, authentication, cipher, and the hash of its MAC."""
    parts = suite_of(suite)

    assert (parts.key_exchange, parts.authentication, parts.cipher, parts.mac_hash) == expected
    assert parts.bulk == BULK_CIPHERS.get(expected[2])


@pytest.mark.parametrize("suite", list(CipherSuite))
def test_every_registered_suite_has_a_meaning(suite: CipherSuite) -> None:
    """The PRF's hash is SHA-384 for the suites that say so, SHA-256 for all others (RFC 5246 section 5)."""
    parts = suite_of(suite)

    assert parts.name == suite.name
    assert parts.prf_hash == ("sha384" if suite.name.endswith("SHA384") else "sha256")
    assert parts.is_signal == (suite in (CipherSuite.TLS_EMPTY_RENEGOTIATION_INFO_SCSV, CipherSuite.TLS_FALLBACK_SCSV))
    assert parts.is_tls13 == (suite >> 8 == 0x13)
    assert bool(parts.key_exchange) == (not parts.is_tls13 and not parts.is_signal)


def test_an_unregistered_suite_is_a_finding() -> None:
    """It prints as hexadecimal and has no cipher."""
    parts = suite_of(0x1A1A)

    assert parts.name == "0x1A1A"
    assert parts.bulk is None
    assert not parts.is_tls13
