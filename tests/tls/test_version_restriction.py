"""Narrowing profiles to one version: nothing is offered that the version does not have."""

from __future__ import annotations

import pytest

from prober.tls.client_hello import HelloFactory
from prober.tls.client_hello_parser import ClientHello, parse_client_hello
from prober.tls.profiles import PROFILES
from prober.tls.registry import CipherSuite, ExtensionType, NamedGroup, ProtocolVersion
from prober.tls.version_restriction import TLS_CHOICES, VersionNotInProfile, first_version, restricted
from tests.tls.counter import CounterEntropy

COMBINATIONS = [
    (name, tls) for name, profile in PROFILES.items() for tls, code in TLS_CHOICES.items() if code in profile.versions
]


def sent(profile: str, tls: str, server_name: str | None = "www.example.com") -> tuple[bytes, ClientHello]:
    """The record header's version, and the hello."""
    offer = HelloFactory(PROFILES[profile], tls=tls, entropy=CounterEntropy()).offer(server_name)
    return offer.wire[1:3], parse_client_hello(offer.message)


@pytest.mark.parametrize(("profile", "tls"), COMBINATIONS)
def test_every_version_of_every_profile_makes_a_consistent_hello(profile: str, tls: str) -> None:
    """One version, in the field that this version reads; suites of that version alone; no extension that it does not know."""
    version = TLS_CHOICES[tls]
    record_version, hello = sent(profile, tls)
    kinds = {kind for kind, _ in hello.extensions}
    assert int.from_bytes(record_version) <= min(version, ProtocolVersion.TLSv1_2)
    assert hello.cipher_suites
    if version == ProtocolVersion.TLSv1_3:
        assert hello.legacy_version == ProtocolVersion.TLSv1_2
        assert hello.supported_versions == (version,)
        assert {first_version(suite) for suite in hello.cipher_suites} == {version}
        assert hello.key_shares
        assert {ExtensionType.encrypt_then_mac, ExtensionType.session_ticket, ExtensionType.renegotiation_info}.isdisjoint(kinds)
    else:
        assert hello.legacy_version == version
        assert hello.session_id == b""
        assert all(first_version(suite) <= version for suite in hello.cipher_suites)
        assert {
            ExtensionType.supported_versions,
            ExtensionType.key_share,
            ExtensionType.psk_key_exchange_modes,
            ExtensionType.post_handshake_auth,
            ExtensionType.cookie,
        }.isdisjoint(kinds)
        assert NamedGroup.X25519MLKEM768 not in hello.groups
        assert (ExtensionType.signature_algorithms in kinds) == (version == ProtocolVersion.TLSv1_2)
    assert hello.server_name is not None


def test_auto_is_the_profile_as_it_is() -> None:
    """Nothing is narrowed without being asked."""
    assert restricted(PROFILES["modern"], "auto") is PROFILES["modern"]


def test_modern_can_be_narrowed_to_any_version() -> None:
    """The default profile never refuses a version, and keeps fitting suites: AEAD from TLS 1.2 on, CBC before."""
    suites = {tls: set(sent("modern", tls)[1].cipher_suites) for tls in TLS_CHOICES}
    assert CipherSuite.TLS_RSA_WITH_AES_128_CBC_SHA in suites["1.0"]
    assert CipherSuite.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 not in suites["1.1"]
    assert CipherSuite.TLS_RSA_WITH_AES_128_CBC_SHA256 not in suites["1.1"]
    assert CipherSuite.TLS_RSA_WITH_AES_128_CCM not in suites["1.1"]
    assert suites["1.0"] == suites["1.1"] < suites["1.2"]
    assert suites["1.2"].isdisjoint(suites["1.3"])


@pytest.mark.parametrize(
    ("suite", "version"),
    [
        (CipherSuite.TLS_AES_128_GCM_SHA256, ProtocolVersion.TLSv1_3),
        (CipherSuite.TLS_ECDHE_ECDSA_WITH_AES_128_CCM_8, ProtocolVersion.TLSv1_2),
        (CipherSuite.TLS_RSA_WITH_AES_256_CBC_SHA256, ProtocolVersion.TLSv1_2),
        (CipherSuite.TLS_DHE_RSA_WITH_CHACHA20_POLY1305_SHA256, ProtocolVersion.TLSv1_2),
        (CipherSuite.TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA, ProtocolVersion.TLSv1_0),
        (CipherSuite.TLS_RSA_WITH_RC4_128_MD5, ProtocolVersion.TLSv1_0),
        (CipherSuite.TLS_EMPTY_RENEGOTIATION_INFO_SCSV, ProtocolVersion.TLSv1_0),
    ],
)
def test_a_suite_knows_the_first_version_that_may_use_it(suite: CipherSuite, version: ProtocolVersion) -> None:
    """Of TLS 1.3 its own; of TLS 1.2 what names its PRF's hash or CCM; of TLS 1.0 the rest."""
    assert first_version(suite) == version


def test_the_brainpool_curves_are_not_offered_for_tls_1_3() -> None:
    """Their code points of TLS 1.2 are reserved in TLS 1.3 (RFC 8446 §4.2.7)."""
    assert NamedGroup.brainpoolP256r1 in sent("modern", "1.2")[1].groups
    assert NamedGroup.brainpoolP256r1 not in sent("modern", "1.3")[1].groups


@pytest.mark.parametrize(
    ("profile", "tls", "complaint"),
    [
        ("tls13-only", "1.2", "the profile tls13-only offers TLS 1.3, not 1.2: choose .*modern"),
        ("legacy-tls10", "1.3", "legacy-tls10 offers TLS 1.0, not 1.3"),
        ("java-17", "1.1", r"java-17 offers TLS 1\.2, 1\.3, not 1\.1"),
        ("modern", "1.4", r"no TLS version '1\.4': choose one of auto, 1\.0, 1\.1, 1\.2, 1\.3"),
    ],
)
def test_a_version_that_a_profile_does_not_have_is_refused_with_what_to_do(profile: str, tls: str, complaint: str) -> None:
    """VersionNotInProfile, a ValueError, names the profile, its versions and the way out."""
    with pytest.raises(VersionNotInProfile, match=complaint) as caught:
        HelloFactory(PROFILES[profile], tls=tls, entropy=CounterEntropy())
    assert isinstance(caught.value, ValueError)
