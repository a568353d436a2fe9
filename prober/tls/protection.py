"""Record protection: one object for each direction and set of keys, which counts its records.

``unprotect`` takes a record apart and raises PeerMisbehaved (bad_record_mac) alone; ``protect`` makes a whole record.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from functools import cache
from typing import Final, Protocol

from cryptography.exceptions import InvalidTag, UnsupportedAlgorithm
from cryptography.hazmat.decrepit.ciphers.algorithms import ARC4, SEED, Camellia, TripleDES
from cryptography.hazmat.primitives.ciphers import BlockCipherAlgorithm, Cipher, CipherContext, modes
from cryptography.hazmat.primitives.ciphers.aead import AESCCM, AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.ciphers.algorithms import AES

from prober.tls.errors import PeerMisbehaved, ProtocolError
from prober.tls.keys import KeyBlock, TrafficKeys
from prober.tls.records import MAX_PLAINTEXT, Record
from prober.tls.registry import AlertDescription, ContentType, ProtocolVersion
from prober.tls.suites import BulkCipher

__all__ = ["Aead12Protection", "Cbc12Protection", "Protection", "Stream12Protection", "Tls13Protection", "supports"]

_APPLICATION_DATA: Final = ContentType.application_data.value
_TLS_1_2: Final = ProtocolVersion.TLSv1_2.to_bytes(2)
_BLOCK_CIPHERS: Final[dict[str, Callable[[bytes], BlockCipherAlgorithm]]] = {
    "AES": AES,
    "Camellia": Camellia,
    "SEED": SEED,
    "TripleDES": TripleDES,
}


class Protection(Protocol):
    """What protects the records of one direction."""

    def unprotect(self, record: Record) -> tuple[int, bytes]:
        """The content type and the plaintext of ``record``; ProtocolError."""

    def protect(self, content_type: int, payload: bytes) -> bytes:
        """A record with ``payload``, which has at most 2^14 bytes."""


class _Aead(Protocol):
    def encrypt(self, nonce: bytes, data: bytes, associated_data: bytes | None) -> bytes: ...
    def decrypt(self, nonce: bytes, data: bytes, associated_data: bytes | None) -> bytes: ...


def _new_aead(cipher: BulkCipher, key: bytes) -> _Aead:
    if cipher.kind == "gcm":
        return AESGCM(key)
    if cipher.kind == "chacha20":
        return ChaCha20Poly1305(key)
    return AESCCM(key, tag_length=cipher.tag_size)


def _new_stream(key: bytes) -> CipherContext:
    return Cipher(ARC4(key), None).encryptor()


@cache
def supports(cipher: BulkCipher) -> bool:
    """Whether the installed library computes this cipher: some builds lack those that nobody should use any more."""
    key = bytes(range(cipher.key_size))
    try:
        if cipher.kind == "stream":
            _new_stream(key)
        elif cipher.kind == "cbc":
            Cipher(_BLOCK_CIPHERS[cipher.algorithm](key), modes.CBC(bytes(cipher.fixed_iv))).encryptor()
    except UnsupportedAlgorithm:
        return False
    return True


def _bad_record() -> PeerMisbehaved:
    return PeerMisbehaved(
        "a protected record does not decrypt", message="record", offset=5, implies=AlertDescription.bad_record_mac
    )


def _check_size(plaintext: bytes) -> None:
    if len(plaintext) > MAX_PLAINTEXT:
        raise PeerMisbehaved(
            f"a record of {len(plaintext)} bytes of plaintext, at most {MAX_PLAINTEXT} are allowed",
            message="record",
            implies=AlertDescription.record_overflow,
        )


# RFC 8446 §5.2, §5.3
class Tls13Protection:
    """TLSCiphertext: the content type is inside, behind the plaintext and before any padding."""

    __slots__ = ("_aead", "_iv", "_sequence", "_tag_size")

    def __init__(self, cipher: BulkCipher, keys: TrafficKeys) -> None:
        self._aead = _new_aead(cipher, keys.key)
        self._iv = int.from_bytes(keys.iv)
        self._tag_size = cipher.tag_size
        self._sequence = 0

    def unprotect(self, record: Record) -> tuple[int, bytes]:
        """The inner content type and plaintext."""
        nonce = (self._iv ^ self._sequence).to_bytes(12)
        self._sequence += 1
        try:
            padded = self._aead.decrypt(nonce, record.fragment, record.header)
        except (InvalidTag, ValueError):
            raise _bad_record() from None
        inner = padded.rstrip(b"\0")
        if not inner:
            raise ProtocolError("a protected record without content type", message="record")
        plaintext = inner[:-1]
        _check_size(plaintext)
        return inner[-1], plaintext

    def protect(self, content_type: int, payload: bytes) -> bytes:
        """A record, without padding."""
        header = b"\x17\x03\x03" + (len(payload) + 1 + self._tag_size).to_bytes(2)
        nonce = (self._iv ^ self._sequence).to_bytes(12)
        self._sequence += 1
        return header + self._aead.encrypt(nonce, payload + content_type.to_bytes(1), header)


# RFC 5246 §6.2.3.3; RFC 5288 §3; RFC 6655 §3; RFC 7905 §2
class Aead12Protection:
    """GenericAEADCipher of TLS 1.2: GCM and CCM send half of the nonce with the record, ChaCha20 counts."""

    __slots__ = ("_aead", "_explicit_nonce", "_iv", "_sequence", "_tag_size")

    def __init__(self, cipher: BulkCipher, keys: KeyBlock) -> None:
        self._aead = _new_aead(cipher, keys.key)
        self._iv = keys.iv
        self._explicit_nonce = len(keys.iv) == 4
        self._tag_size = cipher.tag_size
        self._sequence = 0

    def _additional_data(self, content_type: int, size: int) -> bytes:
        data = self._sequence.to_bytes(8) + content_type.to_bytes(1) + _TLS_1_2 + size.to_bytes(2)
        self._sequence += 1
        return data

    def unprotect(self, record: Record) -> tuple[int, bytes]:
        """The plaintext; the content type stays as it is."""
        content_type, _, fragment = record
        if self._explicit_nonce:
            nonce, sealed = self._iv + fragment[:8], fragment[8:]
        else:
            nonce, sealed = self._counted_nonce(), fragment
        size = len(sealed) - self._tag_size
        if size < 0:
            raise _bad_record()
        try:
            plaintext = self._aead.decrypt(nonce, sealed, self._additional_data(content_type, size))
        except (InvalidTag, ValueError):
            raise _bad_record() from None
        _check_size(plaintext)
        return content_type, plaintext

    def _counted_nonce(self) -> bytes:
        return (int.from_bytes(self._iv) ^ self._sequence).to_bytes(12)

    def protect(self, content_type: int, payload: bytes) -> bytes:
        """A record; the explicit nonce is the sequence number, which is unique for these keys."""
        explicit = self._sequence.to_bytes(8) if self._explicit_nonce else b""
        nonce = self._iv + explicit if self._explicit_nonce else self._counted_nonce()
        sealed = explicit + self._aead.encrypt(nonce, payload, self._additional_data(content_type, len(payload)))
        return content_type.to_bytes(1) + _TLS_1_2 + len(sealed).to_bytes(2) + sealed


class _Mac12:
    """RFC 5246 §6.2.3.1: the MAC of a record counts it."""

    __slots__ = ("_mac_hash", "_mac_key", "_sequence", "_version")

    def __init__(self, version: int, keys: KeyBlock, mac_hash: str) -> None:
        self._version = version.to_bytes(2)
        self._mac_key = keys.mac_key
        self._mac_hash = mac_hash
        self._sequence = 0

    def _mac(self, content_type: int, data: bytes) -> bytes:
        head = self._sequence.to_bytes(8) + content_type.to_bytes(1) + self._version + len(data).to_bytes(2)
        self._sequence += 1
        return hmac.digest(self._mac_key, head + data, self._mac_hash)

    def _without_mac(self, content_type: int, opened: bytes) -> bytes:
        """The content in front of its MAC."""
        mac_size = len(self._mac_key)
        content, mac = opened[:-mac_size], opened[-mac_size:]
        if len(mac) != mac_size or not hmac.compare_digest(mac, self._mac(content_type, content)):
            raise _bad_record()
        _check_size(content)
        return content


# RFC 5246 §6.2.3.1
class Stream12Protection(_Mac12):
    """GenericStreamCipher with RC4, whose key stream goes on from record to record: MAC, then encrypt."""

    __slots__ = ("_stream",)

    def __init__(self, version: int, keys: KeyBlock, mac_hash: str) -> None:
        super().__init__(version, keys, mac_hash)
        self._stream = _new_stream(keys.key)

    def unprotect(self, record: Record) -> tuple[int, bytes]:
        """The plaintext; the content type stays as it is."""
        content_type, _, fragment = record
        return content_type, self._without_mac(content_type, self._stream.update(fragment))

    def protect(self, content_type: int, payload: bytes) -> bytes:
        """A record."""
        sealed = self._stream.update(payload + self._mac(content_type, payload))
        return content_type.to_bytes(1) + self._version + len(sealed).to_bytes(2) + sealed


# RFC 5246 §6.2.3.2; RFC 2246 §6.2.3.2; RFC 7366
class Cbc12Protection(_Mac12):
    """GenericBlockCipher: MAC then encrypt or, if negotiated, encrypt then MAC.

    TLS 1.0 chains the IV from record to record; TLS 1.1 and 1.2 send it. A padding oracle has nothing to tell here: the
    only secrets that these records carry are a probe's own.
    """

    __slots__ = ("_block", "_encrypt_then_mac", "_entropy", "_iv", "_key")

    def __init__(
        self,
        version: int,
        keys: KeyBlock,
        mac_hash: str,
        *,
        encrypt_then_mac: bool,
        entropy: Callable[[int], bytes],
        algorithm: str = "AES",
    ) -> None:
        super().__init__(version, keys, mac_hash)
        self._key = _BLOCK_CIPHERS[algorithm](keys.key)
        self._block = self._key.block_size // 8
        self._encrypt_then_mac = encrypt_then_mac
        self._entropy = entropy
        self._iv = keys.iv if version == ProtocolVersion.TLSv1_0 else None

    def _decrypt(self, data: bytes) -> bytes:
        if self._iv is None:
            iv, body = data[: self._block], data[self._block :]
        else:
            iv, body, self._iv = self._iv, data, data[-self._block :]
        if not body or len(body) % self._block:
            raise _bad_record()
        decryptor = Cipher(self._key, modes.CBC(iv)).decryptor()
        padded = decryptor.update(body) + decryptor.finalize()
        padding = padded[-1]
        if padding >= len(padded) or padded[-1 - padding :] != bytes([padding]) * (padding + 1):
            raise _bad_record()
        return padded[: -1 - padding]

    def _encrypt(self, data: bytes) -> bytes:
        padding = self._block - 1 - len(data) % self._block
        padded = data + bytes([padding]) * (padding + 1)
        iv = self._entropy(self._block) if self._iv is None else self._iv
        encryptor = Cipher(self._key, modes.CBC(iv)).encryptor()
        body = encryptor.update(padded) + encryptor.finalize()
        if self._iv is None:
            return iv + body
        self._iv = body[-self._block :]
        return body

    def unprotect(self, record: Record) -> tuple[int, bytes]:
        """The plaintext; the content type stays as it is."""
        content_type, _, fragment = record
        if not self._encrypt_then_mac:
            return content_type, self._without_mac(content_type, self._decrypt(fragment))
        mac_size = len(self._mac_key)
        sealed, mac = fragment[:-mac_size], fragment[-mac_size:]
        if not hmac.compare_digest(mac, self._mac(content_type, sealed)):
            raise _bad_record()
        plaintext = self._decrypt(sealed)
        _check_size(plaintext)
        return content_type, plaintext

    def protect(self, content_type: int, payload: bytes) -> bytes:
        """A record with the least padding."""
        if self._encrypt_then_mac:
            sealed = self._encrypt(payload)
            sealed += self._mac(content_type, sealed)
        else:
            sealed = self._encrypt(payload + self._mac(content_type, payload))
        return content_type.to_bytes(1) + self._version + len(sealed).to_bytes(2) + sealed
