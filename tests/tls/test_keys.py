"""The key schedule against RFC 8448, and both PRFs against OpenSSL's."""

from __future__ import annotations

import hashlib
import subprocess

import pytest

from prober.tls.keys import (
    KeySchedule,
    expand_label,
    finished_mac,
    key_block,
    legacy_prf,
    master_secret,
    new_transcript_hash,
    next_traffic_secret,
    prf,
    traffic_keys,
    verify_data12,
)
from tests.tls.recorded import trace

# RFC 8448 section 3
ECDHE = bytes.fromhex("8bd4054fb55b9d63fdfbacf9f04b9f0d35e6d63f537563efd46272900f89492d")
CLIENT_HANDSHAKE = "b3eddb126e067f35a780b3abf45e2d8f3b1a950738f52e9600746a0e27a55a21"
SERVER_HANDSHAKE = "b67b7d690cc16c4e75e54213cb2d37b4e9c912bcded9105d42befd59d391ad38"
MASTER = "18df06843d13a08bf2a449844c5f8a478001bc4d4c627984d5a41da8d0402919"


@pytest.fixture
def schedule() -> KeySchedule:
    """The schedule of RFC 8448 section 3."""
    return KeySchedule("sha256", ECDHE)


@pytest.fixture
def hellos() -> bytes:
    """The hash of the two hellos of RFC 8448 section 3."""
    parts = trace("3-simple-1rtt")
    return hashlib.sha256(parts["client_hello"][5:] + parts["server_hello"][5:]).digest()


def test_handshake_traffic_secrets_are_those_of_rfc_8448(schedule: KeySchedule, hellos: bytes) -> None:
    """``c hs traffic`` and ``s hs traffic``."""
    assert schedule.handshake_traffic(b"c", hellos).hex() == CLIENT_HANDSHAKE
    assert schedule.handshake_traffic(b"s", hellos).hex() == SERVER_HANDSHAKE


def test_the_server_s_handshake_keys_are_those_of_rfc_8448() -> None:
    """Key and IV of the flight with the certificate."""
    keys = traffic_keys(bytes.fromhex(SERVER_HANDSHAKE), 16, "sha256")

    assert keys.key.hex() == "3fce516009c21727d0f2e4e86ee403bc"
    assert keys.iv.hex() == "5d313eb2671276ee13000b30"


def test_the_master_secret_is_that_of_rfc_8448(schedule: KeySchedule) -> None:
    """The last step of the ladder."""
    assert schedule.master_secret().hex() == MASTER


def test_finished_is_that_of_rfc_8448() -> None:
    """The client's verify_data of section 3, over the transcript hash that the RFC gives."""
    digest = bytes.fromhex("9608102a0f1ccc6db6250b7b7e417b1a000eaada3daae4777a7686c9ff83df13")

    verify_data = finished_mac(bytes.fromhex(CLIENT_HANDSHAKE), digest, "sha256")

    assert verify_data.hex() == "a8ec436d677634ae525ac1fcebe11a039ec17694fac6e98527b642f2edd5ce61"
    application = KeySchedule("sha256", ECDHE).application_traffic
    assert application(b"c", digest).hex() == "9e40646ce79a7f9dc05af8889bce6552875afa0b06df0087f792ebb7c17504a5"
    assert application(b"s", digest).hex() == "a11af9f05531f856ad47116b45a950328204b4f44bfb6b3a4b4f1f3fcb631643"


@pytest.mark.parametrize(("hash_name", "size"), [("sha256", 32), ("sha384", 48)])
def test_secrets_have_the_size_of_the_hash(hash_name: str, size: int) -> None:
    """Also after a KeyUpdate, which yields another secret."""
    secret = KeySchedule(hash_name, ECDHE).handshake_traffic(b"s", bytes(size))

    updated = next_traffic_secret(secret, hash_name)

    assert len(secret) == len(updated) == size
    assert secret != updated
    assert len(traffic_keys(secret, 32, hash_name).key) == 32


def test_expand_label_agrees_with_openssl(openssl: str) -> None:
    """HKDF-Expand with the label of RFC 8446 section 7.1, by an independent implementation."""
    secret, context = bytes(range(32)), bytes(range(32, 64))
    info = (16).to_bytes(2) + b"\x0btls13 label" + b"\x20" + context
    options = ["digest:SHA256", "mode:EXPAND_ONLY", f"hexkey:{secret.hex()}", f"hexinfo:{info.hex()}"]
    expected = _kdf(openssl, "HKDF", 16, options)

    assert expand_label(secret, b"label", context, 16, "sha256") == expected


@pytest.mark.parametrize("hash_name", ["sha256", "sha384"])
@pytest.mark.parametrize("length", [12, 48, 104])
def test_the_prf_of_tls_1_2_agrees_with_openssl(openssl: str, hash_name: str, length: int) -> None:
    """RFC 5246 section 5."""
    secret, seed = bytes(range(48)), bytes(range(100, 164))
    options = [f"digest:{hash_name}", f"hexsecret:{secret.hex()}", "seed:key expansion", f"hexseed:{seed.hex()}"]

    assert prf(secret, b"key expansion", seed, length, hash_name) == _kdf(openssl, "TLS1-PRF", length, options)


@pytest.mark.parametrize("secret_size", [1, 16, 47, 48])
def test_the_prf_of_tls_1_0_agrees_with_openssl(openssl: str, secret_size: int) -> None:
    """RFC 4346 section 5, also for a secret of odd length, whose halves share a byte."""
    secret, seed = bytes(range(1, secret_size + 1)), bytes(range(100, 164))
    options = ["digest:MD5-SHA1", f"hexsecret:{secret.hex()}", "seed:master secret", f"hexseed:{seed.hex()}"]

    assert legacy_prf(secret, b"master secret", seed, 48) == _kdf(openssl, "TLS1-PRF", 48, options)


def _kdf(openssl: str, kind: str, length: int, options: list[str]) -> bytes:
    arguments = [part for option in options for part in ("-kdfopt", option)]
    done = subprocess.run([openssl, "kdf", "-binary", "-keylen", str(length), *arguments, kind], check=True, capture_output=True)
    return done.stdout


@pytest.mark.parametrize(("version", "labels"), [(0x0303, 3), (0x0302, 3), (0x0301, 3)])
def test_tls_1_2_secrets_differ_by_label_and_version(version: int, labels: int) -> None:
    """Master secret, extended master secret and verify_data are three different things, of 48, 48 and 12 bytes."""
    plain = master_secret(version, "sha256", b"premaster", extended=False, seed=bytes(64))
    extended = master_secret(version, "sha256", b"premaster", extended=True, seed=bytes(64))
    client, server = (verify_data12(version, "sha256", plain, side, bytes(32)) for side in (b"client", b"server"))

    assert len({plain, extended, client}) == labels
    assert client != server
    assert (len(plain), len(extended), len(client)) == (48, 48, 12)


def test_the_key_block_is_cut_in_the_order_of_the_rfc() -> None:
    """RFC 5246 section 6.3: both MAC keys, both keys, both IVs, the client's first."""
    block = prf(bytes(48), b"key expansion", bytes(64), 2 * (20 + 16 + 4), "sha256")

    client, server = key_block(0x0303, "sha256", bytes(48), bytes(64), mac_size=20, key_size=16, iv_size=4)

    assert client.mac_key + server.mac_key + client.key + server.key + client.iv + server.iv == block


def test_the_transcript_of_tls_1_1_is_md5_and_sha1() -> None:
    """RFC 4346 section 7.4.9; TLS 1.2 uses the suite's hash. Both can be read and go on."""
    old, new = new_transcript_hash(0x0302, "sha256"), new_transcript_hash(0x0303, "sha384")
    for transcript in (old, new):
        transcript.update(b"hello")
        transcript.digest()
        transcript.update(b"done")

    assert old.digest() == hashlib.md5(b"hellodone").digest() + hashlib.sha1(b"hellodone").digest()
    assert new.digest() == hashlib.sha384(b"hellodone").digest()
