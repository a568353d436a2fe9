"""The profiles: captured ones are what these clients send, our own are what they promise."""

from __future__ import annotations

import subprocess
import sys

import pytest

from prober.tls.client_hello import HelloFactory
from prober.tls.client_hello_parser import ClientHello, parse_client_hello
from prober.tls.extensions import BODIES
from prober.tls.key_exchange import SUPPORTED_GROUPS
from prober.tls.profiles import PROFILES
from prober.tls.registry import CipherSuite, ExtensionType, NamedGroup, ProtocolVersion, is_grease
from tests.servers.requirements import require_program
from tests.tls.captures import CAPTURES, capture, without_randomness
from tests.tls.counter import CounterEntropy

PROMISED = {
    "modern",
    "tls12-only",
    "tls13-only",
    "pq",
    "openssl-3.0",
    "node-tls",
    "java-17",
    "gnutls-3.7",
    "python-3.11",
    "legacy-tls10",
    "curl",
    "sni-ip-literal",
    "sni-trailing-dot",
}
# wget's hello is a parser vector only; it is no profile.
SHAPES = [(profile, name) for name in CAPTURES for profile in PROFILES if name.startswith(f"{profile}-")]


def hello(profile: str, server_name: str | None = None, tls: str = "auto") -> ClientHello:
    """What a profile sends."""
    factory = HelloFactory(PROFILES[profile], tls=tls, entropy=CounterEntropy())
    return parse_client_hello(factory.offer(server_name).message)


def test_the_promised_profiles_exist_and_modern_is_the_default() -> None:
    """The names are part of the command line's contract."""
    assert set(PROFILES) == PROMISED
    assert next(iter(PROFILES)) == "modern"
    assert all(name == profile.name and profile.description for name, profile in PROFILES.items())


def test_every_capture_but_that_of_wget_stands_for_a_profile() -> None:
    """No captured client is forgotten by the next test."""
    assert {name for _, name in SHAPES} == {name for name in CAPTURES if name != "wget-ip"}
    assert {profile for profile, _ in SHAPES} == {"openssl-3.0", "curl", "node-tls", "java-17", "gnutls-3.7", "python-3.11"}


@pytest.mark.parametrize(("profile", "name"), SHAPES)
def test_a_captured_client_is_reproduced_byte_for_byte(profile: str, name: str) -> None:
    """But for random, session id and key shares, the record equals the captured one: header, order, suites, padding, all."""
    captured = capture(name)
    server_name = parse_client_hello(captured[5:]).server_name
    ours = HelloFactory(PROFILES[profile], entropy=CounterEntropy()).offer(server_name).wire
    assert without_randomness(ours) == without_randomness(captured)


@pytest.mark.parametrize("profile", PROFILES)
def test_a_profile_offers_only_what_prober_understands(profile: str) -> None:
    """Suites and groups are registered, key shares can be made and are offered as groups in the same order, bodies can be built."""
    shape = PROFILES[profile]
    assert all(not suite.name.startswith("0x") for suite in shape.cipher_suites)
    assert len(set(shape.cipher_suites)) == len(shape.cipher_suites)
    assert len(set(shape.extensions)) == len(shape.extensions)
    assert set(shape.groups) <= SUPPORTED_GROUPS
    assert [group for group in shape.groups if group in shape.key_shares] == list(shape.key_shares)
    elsewhere = {ExtensionType.server_name, ExtensionType.key_share, ExtensionType.padding}
    assert set(shape.extensions) <= set(BODIES) | elsewhere
    assert (ExtensionType.key_share in shape.extensions) == (ProtocolVersion.TLSv1_3 in shape.versions) == bool(shape.key_shares)


def test_modern_offers_every_certificate_bearing_suite_that_openssl_knows() -> None:
    """What ``openssl ciphers ALL:@SECLEVEL=0`` lists is offered, but for anonymous, PSK, SRP and NULL suites."""
    listed = subprocess.run(
        [require_program("openssl"), "ciphers", "-V", "ALL:COMPLEMENTOFALL:@SECLEVEL=0"],
        check=True,
        capture_output=True,
        text=True,
        timeout=30,
    ).stdout
    offered = set(hello("modern").cipher_suites)
    missing = []
    for line in listed.splitlines():
        code, _, _, _, key_exchange, authentication, encryption = line.split()[:7]
        high, low = code.split(",")
        suite = CipherSuite(int(high, 16) << 8 | int(low, 16))
        certificate = authentication in {"Au=RSA", "Au=ECDSA", "Au=DSS", "Au=any"} and not key_exchange.endswith(("PSK", "SRP"))
        if certificate and encryption != "Enc=None" and suite not in offered:
            missing.append(suite.name)
    assert len(listed.splitlines()) > 100
    assert missing == []


def test_modern_offers_nothing_that_could_be_meant_by_accident() -> None:
    """No suite without certificate, without encryption or of export strength, no GREASE, and fewer than a hundred."""
    suites = hello("modern").cipher_suites
    assert len(suites) < 100
    for suite in suites:
        assert not is_grease(suite)
        assert not any(word in suite.name for word in ("anon", "PSK", "SRP", "NULL", "EXPORT", "SCSV"))


def test_modern_lists_good_suites_before_broken_ones() -> None:
    """TLS 1.3 first, then forward secrecy with AEAD; RC4 and SEED at the very end."""
    names = [suite.name for suite in hello("modern").cipher_suites]
    assert [int(suite) for suite in hello("modern").cipher_suites[:5]] == [0x1301, 0x1302, 0x1303, 0x1304, 0x1305]
    rank = {
        word: min(i for i, name in enumerate(names) if word in name)
        for word in ("_ARIA_", "_CAMELLIA_", "_3DES_", "_SEED_", "_RC4_")
    }
    assert list(rank) == sorted(rank, key=lambda word: rank[word])
    assert all(name.startswith(("TLS_ECDHE", "TLS_DHE_RSA")) for name in names[5:30])
    assert all("RC4" in name for name in names[-4:])


def test_modern_has_the_shape_that_was_measured_to_be_cheap_and_acceptable() -> None:
    """One X25519 share; the hybrid groups listed last; all four versions; no ALPN and no session ticket."""
    sent = hello("modern", "www.example.com")
    assert [group for group, _ in sent.key_shares] == [NamedGroup.x25519]
    assert sent.groups[0] == NamedGroup.x25519
    assert sent.groups[-3:] == (NamedGroup.X25519MLKEM768, NamedGroup.SecP256r1MLKEM768, NamedGroup.SecP384r1MLKEM1024)
    assert {NamedGroup.secp256r1, NamedGroup.x448} <= set(sent.groups)
    assert {group for group in NamedGroup if group.name.startswith("ffdhe")} <= set(sent.groups)
    assert [version.label for version in sent.supported_versions] == ["TLSv1.3", "TLSv1.2", "TLSv1.1", "TLSv1.0"]
    assert sent.legacy_version == ProtocolVersion.TLSv1_2
    assert len(sent.session_id) == 32
    kinds = {kind for kind, _ in sent.extensions}
    assert ExtensionType.application_layer_protocol_negotiation not in kinds
    assert ExtensionType.session_ticket not in kinds
    assert {ExtensionType.extended_master_secret, ExtensionType.encrypt_then_mac, ExtensionType.renegotiation_info} <= kinds


@pytest.mark.parametrize("server_name", [None, "www.example.com"])
def test_pq_is_longer_than_one_tcp_segment(server_name: str | None) -> None:
    """With shares of X25519MLKEM768 and X25519 the record exceeds what an Ethernet frame carries (1,460 bytes), name or no name."""
    factory = HelloFactory(PROFILES["pq"], entropy=CounterEntropy())
    offer = factory.offer(server_name)
    assert len(offer.wire) > 1500
    assert [share.group for share in offer.key_shares] == [NamedGroup.X25519MLKEM768, NamedGroup.x25519]
    assert parse_client_hello(offer.message).groups[0] == NamedGroup.X25519MLKEM768


def test_the_single_version_profiles_offer_one_version() -> None:
    """tls12-only and tls13-only are modern, narrowed."""
    twelve, thirteen = hello("tls12-only"), hello("tls13-only")
    assert twelve == hello("modern", tls="1.2")
    assert thirteen == hello("modern", tls="1.3")
    assert (twelve.legacy_version, twelve.supported_versions) == (ProtocolVersion.TLSv1_2, ())
    assert thirteen.supported_versions == (ProtocolVersion.TLSv1_3,)


def test_legacy_speaks_tls_1_0_alone() -> None:
    """TLS 1.0 in record and hello; without a name there is not even an extension block."""
    offer = HelloFactory(PROFILES["legacy-tls10"], entropy=CounterEntropy()).offer(None)
    sent = parse_client_hello(offer.message)
    assert offer.wire[1:3] == b"\x03\x01"
    assert sent.legacy_version == ProtocolVersion.TLSv1_0
    assert not sent.has_extension_block
    assert not any("ECDH" in suite.name for suite in sent.cipher_suites)
    named = hello("legacy-tls10", "example.com")
    assert [kind for kind, _ in named.extensions] == [ExtensionType.server_name]


@pytest.mark.parametrize(("profile", "on_the_wire"), [("sni-ip-literal", "192.0.2.1"), ("sni-trailing-dot", "example.com.")])
def test_the_odd_names_are_the_only_difference_to_modern(profile: str, on_the_wire: str) -> None:
    """The oddity is in the name; without one these hellos are modern's, byte for byte."""
    assert hello(profile, "example.com").server_name == on_the_wire
    assert hello(profile) == hello("modern")
    odd = hello(profile, "example.com").extensions[1:-1]
    assert odd == hello("modern", "example.com").extensions[1:-1]


def test_importing_the_profiles_is_cheap() -> None:
    """`prober --help` shows profile names: importing them must load neither cryptography nor anything of the service."""
    code = "import sys, prober.tls.profiles; print([name for name in ('cryptography', 'trio', 'idna') if name in sys.modules])"
    shown = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60).stdout
    assert shown.strip() == "[]"
