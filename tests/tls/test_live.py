"""Whole handshakes with OpenSSL: every version, group, suite and kind of key that both sides know, to Finished and beyond."""

from __future__ import annotations

import ssl
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import dsa

from prober.tls.events import Progress, SessionTicketReceived
from prober.tls.profiles import PROFILES
from prober.tls.registry import CipherSuite, ExtensionType, NamedGroup, SignatureScheme
from prober.tls.suites import suite_of
from tests.pki import VALID_FROM, VALID_UNTIL, Issued, long_chain, name, self_signed
from tests.servers.material import FFDHE2048
from tests.tls.live import Conversation, context, handshake_for

SERVER_NAME = "api.example.test"
VERSIONS = {"1.0": "TLSv1", "1.1": "TLSv1.1", "1.2": "TLSv1.2", "1.3": "TLSv1.3"}
versions = pytest.mark.parametrize("tls", VERSIONS)


@pytest.fixture(scope="module")
def chains() -> dict[str, Issued]:
    """One self-signed certificate for each kind of key."""
    return {kind: self_signed(SERVER_NAME, key=kind) for kind in ("rsa2048", "p256", "p384", "p521", "ed25519", "ed448")}


def assert_finished(conversation: Conversation, issued: Issued) -> None:
    """Both sides finished, agree on what they chose, and hear each other, in both directions and at the end."""
    assert conversation.server_error is None
    assert conversation.server_finished
    facts = conversation.handshake.facts()
    assert facts.finished
    assert conversation.handshake.unfinished_reason is None
    assert facts.certificates == issued.ders
    cipher = conversation.server.cipher()
    assert cipher is not None
    assert facts.tls_version == {"TLSv1": "TLSv1.0"}.get(str(conversation.server.version()), conversation.server.version())
    assert conversation.ask(b"hello " * 100) == b"hello " * 100
    assert conversation.ask(b"x" * 10_000) == b"x" * 10_000
    assert conversation.farewell()


@versions
@pytest.mark.parametrize("kind", ["rsa2048", "p256", "p384", "p521", "ed25519", "ed448"])
def test_every_version_with_every_kind_of_key(tls: str, kind: str, chains: dict[str, Issued], tmp_path: Path) -> None:
    """The Edwards curves came with TLS 1.2; before it the server has no suite for them."""
    conversation = Conversation(handshake_for(tls=tls), context(chains[kind], tmp_path)).run()

    if kind.startswith("ed") and tls in ("1.0", "1.1"):
        alert = conversation.handshake.facts().tls_alert
        assert alert is not None
        assert alert.description == "handshake_failure"
        assert conversation.handshake.progress is Progress.ALERT
        return
    assert_finished(conversation, chains[kind])
    assert conversation.server.version() == VERSIONS[tls]


CURVES = {"X25519": "x25519", "X448": "x448", "prime256v1": "secp256r1", "secp384r1": "secp384r1", "secp521r1": "secp521r1"}
FFDHE = {"ffdhe2048": "ffdhe2048", "ffdhe3072": "ffdhe3072"}


@pytest.mark.parametrize(
    ("tls", "group", "iana"),
    [("1.2", *pair) for pair in CURVES.items()] + [("1.3", *pair) for pair in (CURVES | FFDHE).items()],
)
def test_every_group_also_by_hello_retry_request(
    tls: str, group: str, iana: str, chains: dict[str, Issued], tmp_path: Path
) -> None:
    """The hello has a share of X25519 alone, hence every other group of TLS 1.3 takes a retry."""
    conversation = Conversation(handshake_for(tls=tls), context(chains["p256"], tmp_path, group=group)).run()

    assert_finished(conversation, chains["p256"])
    facts = conversation.handshake.facts()
    assert facts.group == iana
    assert facts.hello_retry_request == (tls == "1.3" and iana != "x25519")


SUITES12 = [
    suite
    for suite in CipherSuite
    if suite.name.startswith(("TLS_ECDHE_RSA_", "TLS_ECDHE_ECDSA_", "TLS_DHE_RSA_", "TLS_RSA_WITH_AES", "TLS_RSA_WITH_CAMELLIA"))
    and ("_AES_" in suite.name or "CHACHA20" in suite.name or ("_CAMELLIA_" in suite.name and "_CBC_" in suite.name))
]


@pytest.mark.parametrize("suite", SUITES12, ids=lambda suite: suite.name)
def test_every_suite_of_tls_1_2_that_can_be_finished(suite: CipherSuite, chains: dict[str, Issued], tmp_path: Path) -> None:
    """ECDHE, DHE and RSA key exchange; GCM, CCM, ChaCha20 and CBC (of AES and Camellia), which OpenSSL encrypts before the MAC."""
    issued = chains["p256" if "ECDSA" in suite.name else "rsa2048"]
    server = context(issued, tmp_path)
    (tmp_path / "dh.pem").write_text(FFDHE2048)
    server.load_dh_params(str(tmp_path / "dh.pem"))
    profile = replace(PROFILES["tls12-only"], cipher_suites=(suite,))

    conversation = Conversation(handshake_for(profile), server).run()

    assert_finished(conversation, issued)
    facts = conversation.handshake.facts()
    assert facts.cipher_suite == suite.name
    assert facts.group == {"ECDH": "x25519", "DHE_": "ffdhe2048", "RSA_": None}[suite.name[4:8]]


@pytest.mark.parametrize("tls", ["1.0", "1.1", "1.2"])
@pytest.mark.parametrize(
    "suite", ["TLS_RSA_WITH_AES_128_CBC_SHA", "TLS_DHE_RSA_WITH_AES_256_CBC_SHA", "TLS_RSA_WITH_CAMELLIA_256_CBC_SHA"]
)
@pytest.mark.parametrize("without", [(), (ExtensionType.encrypt_then_mac,), (ExtensionType.extended_master_secret,)])
def test_cbc_in_every_version_with_and_without_its_extensions(
    tls: str, suite: str, without: tuple[ExtensionType, ...], chains: dict[str, Issued], tmp_path: Path
) -> None:
    """MAC-then-encrypt and encrypt-then-MAC, the plain and the extended master secret."""
    server = context(chains["rsa2048"], tmp_path)
    (tmp_path / "dh.pem").write_text(FFDHE2048)
    server.load_dh_params(str(tmp_path / "dh.pem"))
    modern = PROFILES["modern"]
    extensions = tuple(kind for kind in modern.extensions if kind not in without)
    profile = replace(modern, cipher_suites=(CipherSuite[suite],), extensions=extensions)

    assert_finished(Conversation(handshake_for(profile, tls), server).run(), chains["rsa2048"])


@pytest.mark.parametrize("suite", ["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"])
def test_every_suite_of_tls_1_3_that_servers_have(suite: str, chains: dict[str, Issued], tmp_path: Path) -> None:
    """The CCM suites, which they have only if asked, are tried with ``openssl s_server``."""
    profile = replace(PROFILES["tls13-only"], cipher_suites=(CipherSuite[suite],))
    conversation = Conversation(handshake_for(profile), context(chains["rsa2048"], tmp_path)).run()

    assert_finished(conversation, chains["rsa2048"])
    assert conversation.handshake.facts().cipher_suite == suite
    assert SessionTicketReceived() in conversation.events


@pytest.mark.parametrize("tls", ["1.2", "1.3"])
@pytest.mark.parametrize(
    "scheme",
    [
        "rsa_pss_rsae_sha256",
        "rsa_pss_rsae_sha384",
        "rsa_pss_rsae_sha512",
        "rsa_pkcs1_sha256",
        "rsa_pkcs1_sha512",
        "rsa_pkcs1_sha1",
    ],
)
def test_every_way_for_an_rsa_key_to_sign(tls: str, scheme: str, chains: dict[str, Issued], tmp_path: Path) -> None:
    """TLS 1.3 allows PSS alone; a server that can sign in no way that was offered says so with an alert."""
    profile = replace(PROFILES["modern"], signature_schemes=(SignatureScheme[scheme],))
    conversation = Conversation(handshake_for(profile, tls), context(chains["rsa2048"], tmp_path)).run()

    if tls == "1.3" and "pkcs1" in scheme:
        assert conversation.handshake.facts().tls_alert is not None
    else:
        assert_finished(conversation, chains["rsa2048"])


@pytest.mark.parametrize(
    ("tls", "suite"), [("1.0", "TLS_DHE_DSS_WITH_AES_128_CBC_SHA"), ("1.2", "TLS_DHE_DSS_WITH_AES_256_GCM_SHA384")]
)
def test_dsa_is_verified_too(tls: str, suite: str, chains: dict[str, Issued], tmp_path: Path) -> None:
    """Nobody should have it any more; an appliance may."""
    server = context(chains["rsa2048"], tmp_path)
    server.load_cert_chain(_dsa_certificate(tmp_path))
    (tmp_path / "dh.pem").write_text(FFDHE2048)
    server.load_dh_params(str(tmp_path / "dh.pem"))
    schemes = (SignatureScheme.dsa_sha256, SignatureScheme.dsa_sha1)
    profile = replace(PROFILES["modern"], cipher_suites=(CipherSuite[suite],), signature_schemes=schemes)

    conversation = Conversation(handshake_for(profile, tls), server).run()

    assert conversation.server_error is None
    assert conversation.handshake.facts().finished
    assert conversation.ask(b"hello") == b"hello"


def _dsa_certificate(directory: Path) -> Path:
    key = dsa.generate_private_key(1024)
    builder = x509.CertificateBuilder().subject_name(name("dsa")).issuer_name(name("dsa")).serial_number(1)
    builder = builder.not_valid_before(VALID_FROM).not_valid_after(VALID_UNTIL).public_key(key.public_key())
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path = directory / "dsa.pem"
    path.write_bytes(private + builder.sign(key, hashes.SHA256()).public_bytes(pem))
    return path


@versions
@pytest.mark.parametrize("mode", [ssl.CERT_OPTIONAL, ssl.CERT_REQUIRED])
def test_a_client_certificate_is_asked_for(tls: str, mode: ssl.VerifyMode, chains: dict[str, Issued], tmp_path: Path) -> None:
    """Optional: the handshake finishes. Required: the certificate was read all the same, and the refusal has its name."""
    server = context(chains["p256"], tmp_path)
    server.verify_mode = mode
    conversation = Conversation(handshake_for(tls=tls), server).run()
    facts = conversation.handshake.facts()

    assert facts.client_certificate_requested
    assert facts.certificates == chains["p256"].ders
    if mode is ssl.CERT_OPTIONAL:
        assert_finished(conversation, chains["p256"])
    else:
        assert facts.tls_alert is not None
        assert facts.tls_alert.description == ("certificate_required" if tls == "1.3" else "handshake_failure")
        assert facts.finished == (tls == "1.3")


@versions
def test_a_chain_of_several_records(tls: str, tmp_path: Path) -> None:
    """26 KB of intermediates: the Certificate message is fragmented."""
    _, issued = long_chain(SERVER_NAME, size=26_000)
    conversation = Conversation(handshake_for(tls=tls), context(issued, tmp_path)).run()

    assert len(max(conversation.flights, key=len)) > 1 << 14
    assert_finished(conversation, issued)


def test_a_chosen_protocol_is_known(chains: dict[str, Issued], tmp_path: Path) -> None:
    """In TLS 1.3 from EncryptedExtensions, in TLS 1.2 from ServerHello."""
    server = context(chains["p256"], tmp_path)
    server.set_alpn_protocols(["h2", "http/1.1"])
    for tls in ("1.2", "1.3"):
        conversation = Conversation(handshake_for("curl", tls), server).run()
        assert conversation.handshake.facts().alpn == conversation.server.selected_alpn_protocol() == "h2"


@pytest.mark.parametrize("profile", PROFILES)
def test_every_profile_finishes(profile: str, chains: dict[str, Issued], tmp_path: Path) -> None:
    """Whatever it offers, and whatever OpenSSL chooses from it."""
    assert_finished(Conversation(handshake_for(profile), context(chains["rsa2048"], tmp_path)).run(), chains["rsa2048"])


def test_no_profile_offers_a_suite_of_tls_1_3_that_cannot_be_decrypted() -> None:
    """Its certificate could not be read."""
    offered = {suite for profile in PROFILES.values() for suite in profile.cipher_suites}

    assert all(suite_of(suite).bulk for suite in offered if suite_of(suite).is_tls13)


def test_groups_are_those_of_the_hello() -> None:
    """A guard for the parametrisation above: X25519 is the only share of ``modern``."""
    assert PROFILES["modern"].key_shares == (NamedGroup.x25519,)
