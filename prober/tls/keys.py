"""Secrets from shared secrets: the TLS 1.3 key schedule (RFC 8446 §7.1) and the PRF of TLS 1.0 to 1.2 (RFC 5246 §5).

``hmac.digest`` is one call into OpenSSL, which makes it four times cheaper here than the HKDF classes of cryptography.
"""

from __future__ import annotations

import hashlib
import hmac
from functools import cache
from typing import Final, NamedTuple, Protocol

from prober.tls.registry import ProtocolVersion

__all__ = [
    "KeyBlock",
    "KeySchedule",
    "TrafficKeys",
    "TranscriptHash",
    "expand_label",
    "finished_mac",
    "key_block",
    "legacy_prf",
    "master_secret",
    "new_transcript_hash",
    "next_traffic_secret",
    "prf",
    "traffic_keys",
    "verify_data12",
]


class TranscriptHash(Protocol):
    """What hashlib's objects can do, as far as the transcript needs it."""

    def update(self, data: bytes, /) -> None:
        """Append a message."""

    def digest(self) -> bytes:
        """The hash of the messages so far; the object can be updated afterwards."""


class _Md5Sha1:
    """RFC 4346 §7.4.9: TLS 1.0 and 1.1 hash the transcript with MD5 and SHA-1, side by side."""

    __slots__ = ("_md5", "_sha1")

    def __init__(self) -> None:
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._sha1 = hashlib.sha1(usedforsecurity=False)

    def update(self, data: bytes, /) -> None:
        self._md5.update(data)
        self._sha1.update(data)

    def digest(self) -> bytes:
        return self._md5.digest() + self._sha1.digest()


def new_transcript_hash(version: int, hash_name: str) -> TranscriptHash:
    """An empty transcript for this protocol version and the suite's hash."""
    return hashlib.new(hash_name) if version >= ProtocolVersion.TLSv1_2 else _Md5Sha1()


# RFC 8446 §7.1: HKDF-Expand-Label, for outputs of at most one hash length, which is all that TLS 1.3 itself asks for
def expand_label(secret: bytes, label: bytes, context: bytes, length: int, hash_name: str) -> bytes:
    """``length`` bytes derived from ``secret``; ``length`` is at most the hash's size."""
    hkdf_label = length.to_bytes(2) + (6 + len(label)).to_bytes(1) + b"tls13 " + label + len(context).to_bytes(1) + context
    return hmac.digest(secret, hkdf_label + b"\x01", hash_name)[:length]


@cache
def _before_handshake_secret(hash_name: str) -> bytes:
    """Derive-Secret(Early Secret, "derived", "") without a pre-shared key: a constant for each hash."""
    zeros = bytes(hashlib.new(hash_name).digest_size)
    early_secret = hmac.digest(zeros, zeros, hash_name)
    return expand_label(early_secret, b"derived", hashlib.new(hash_name).digest(), len(zeros), hash_name)


class TrafficKeys(NamedTuple):
    """RFC 8446 §7.3: what one direction's records are protected with."""

    key: bytes
    iv: bytes


def traffic_keys(secret: bytes, key_size: int, hash_name: str) -> TrafficKeys:
    """The write key and IV of a traffic secret."""
    return TrafficKeys(expand_label(secret, b"key", b"", key_size, hash_name), expand_label(secret, b"iv", b"", 12, hash_name))


# RFC 8446 §7.2
def next_traffic_secret(secret: bytes, hash_name: str) -> bytes:
    """The application traffic secret after a KeyUpdate."""
    return expand_label(secret, b"traffic upd", b"", len(secret), hash_name)


# RFC 8446 §4.4.4
def finished_mac(base_key: bytes, transcript_digest: bytes, hash_name: str) -> bytes:
    """verify_data of a TLS 1.3 Finished."""
    finished_key = expand_label(base_key, b"finished", b"", len(base_key), hash_name)
    return hmac.digest(finished_key, transcript_digest, hash_name)


class KeySchedule:
    """The TLS 1.3 secrets of one handshake without pre-shared key; each is derived when it is asked for."""

    __slots__ = ("_handshake_secret", "hash_name")

    def __init__(self, hash_name: str, shared_secret: bytes) -> None:
        self.hash_name = hash_name
        self._handshake_secret = hmac.digest(_before_handshake_secret(hash_name), shared_secret, hash_name)

    def _derive(self, secret: bytes, label: bytes, digest: bytes) -> bytes:
        return expand_label(secret, label, digest, len(secret), self.hash_name)

    def handshake_traffic(self, side: bytes, hellos: bytes) -> bytes:
        """The handshake traffic secret of ``side`` (``c`` or ``s``); ``hellos`` is the hash of ClientHello..ServerHello."""
        return self._derive(self._handshake_secret, side + b" hs traffic", hellos)

    def master_secret(self) -> bytes:
        """The master secret."""
        derived = self._derive(self._handshake_secret, b"derived", hashlib.new(self.hash_name).digest())
        return hmac.digest(derived, bytes(len(derived)), self.hash_name)

    def application_traffic(self, side: bytes, to_server_finished: bytes) -> bytes:
        """The application traffic secret of ``side``; the hash covers ClientHello..server Finished."""
        return self._derive(self.master_secret(), side + b" ap traffic", to_server_finished)


def _p_hash(secret: bytes, seed: bytes, length: int, hash_name: str) -> bytes:
    output = b""
    a = seed
    while len(output) < length:
        a = hmac.digest(secret, a, hash_name)
        output += hmac.digest(secret, a + seed, hash_name)
    return output[:length]


# RFC 5246 §5
def prf(secret: bytes, label: bytes, seed: bytes, length: int, hash_name: str) -> bytes:
    """The PRF of TLS 1.2."""
    return _p_hash(secret, label + seed, length, hash_name)


# RFC 4346 §5
def legacy_prf(secret: bytes, label: bytes, seed: bytes, length: int) -> bytes:
    """The PRF of TLS 1.0 and 1.1: MD5 over the secret's first half, xor SHA-1 over its second (they share an odd middle)."""
    half = (len(secret) + 1) // 2
    md5 = _p_hash(secret[:half], label + seed, length, "md5")
    sha1 = _p_hash(secret[len(secret) - half :], label + seed, length, "sha1")
    return (int.from_bytes(md5) ^ int.from_bytes(sha1)).to_bytes(length)


def _versioned_prf(version: int, hash_name: str, secret: bytes, label: bytes, seed: bytes, length: int) -> bytes:
    if version >= ProtocolVersion.TLSv1_2:
        return prf(secret, label, seed, length, hash_name)
    return legacy_prf(secret, label, seed, length)


_MASTER_SECRET_SIZE: Final = 48
_VERIFY_DATA_SIZE: Final = 12


# RFC 5246 §8.1; RFC 7627 §4
def master_secret(version: int, hash_name: str, premaster: bytes, *, extended: bool, seed: bytes) -> bytes:
    """48 bytes. ``seed`` is both randoms, client first, or if ``extended`` the hash of all messages to ClientKeyExchange."""
    label = b"extended master secret" if extended else b"master secret"
    return _versioned_prf(version, hash_name, premaster, label, seed, _MASTER_SECRET_SIZE)


class KeyBlock(NamedTuple):
    """RFC 5246 §6.3: the secrets of one direction."""

    mac_key: bytes
    key: bytes
    iv: bytes


def key_block(
    version: int, hash_name: str, master: bytes, randoms: bytes, mac_size: int, key_size: int, iv_size: int
) -> tuple[KeyBlock, KeyBlock]:
    """The client's and the server's write secrets. ``randoms`` is server_random + client_random, the reverse of elsewhere."""
    block = _versioned_prf(version, hash_name, master, b"key expansion", randoms, 2 * (mac_size + key_size + iv_size))
    parts = []
    start = 0
    for size in (mac_size, mac_size, key_size, key_size, iv_size, iv_size):
        parts.append(block[start : start + size])
        start += size
    return KeyBlock(parts[0], parts[2], parts[4]), KeyBlock(parts[1], parts[3], parts[5])


# RFC 5246 §7.4.9
def verify_data12(version: int, hash_name: str, master: bytes, side: bytes, transcript_digest: bytes) -> bytes:
    """verify_data of a Finished of TLS <= 1.2; ``side`` is ``client`` or ``server``."""
    return _versioned_prf(version, hash_name, master, side + b" finished", transcript_digest, _VERIFY_DATA_SIZE)
