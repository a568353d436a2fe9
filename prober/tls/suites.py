"""What a cipher suite means, read from its IANA name: ``TLS_<key exchange>_WITH_<cipher>_<hash>``.

The name is the table: it covers every registered suite, also those that prober can name but not compute.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final, NamedTuple

from prober.tls.registry import CipherSuite

__all__ = ["BULK_CIPHERS", "BulkCipher", "Suite", "suite_of"]


class BulkCipher(NamedTuple):
    """A record cipher: sizes in bytes. ``fixed_iv`` is the part of the nonce, or in CBC the IV, that the key schedule yields."""

    kind: str
    """``gcm``, ``chacha20``, ``ccm`` (AEAD), ``cbc`` or ``stream``."""
    key_size: int
    fixed_iv: int
    tag_size: int
    algorithm: str = "AES"
    """What the cryptography package calls the cipher inside ``cbc`` and ``stream``."""


# RFC 5288, RFC 7905, RFC 6655; RFC 5246 appendix C, RFC 5932, RFC 4162
BULK_CIPHERS: Final = {
    "AES_128_GCM": BulkCipher("gcm", 16, 4, 16),
    "AES_256_GCM": BulkCipher("gcm", 32, 4, 16),
    "CHACHA20_POLY1305": BulkCipher("chacha20", 32, 12, 16),
    "AES_128_CCM": BulkCipher("ccm", 16, 4, 16),
    "AES_256_CCM": BulkCipher("ccm", 32, 4, 16),
    "AES_128_CCM_8": BulkCipher("ccm", 16, 4, 8),
    "AES_256_CCM_8": BulkCipher("ccm", 32, 4, 8),
    "AES_128_CBC": BulkCipher("cbc", 16, 16, 0),
    "AES_256_CBC": BulkCipher("cbc", 32, 16, 0),
    "CAMELLIA_128_CBC": BulkCipher("cbc", 16, 16, 0, "Camellia"),
    "CAMELLIA_256_CBC": BulkCipher("cbc", 32, 16, 0, "Camellia"),
    "SEED_CBC": BulkCipher("cbc", 16, 16, 0, "SEED"),
    "3DES_EDE_CBC": BulkCipher("cbc", 24, 8, 0, "TripleDES"),
    "RC4_128": BulkCipher("stream", 16, 0, 0, "ARC4"),
}

_REGISTERED: Final = frozenset(suite.value for suite in CipherSuite)
_HASHES: Final = {"MD5": "md5", "SHA": "sha1", "SHA256": "sha256", "SHA384": "sha384"}


class Suite(NamedTuple):
    """One suite taken apart. ``key_exchange`` is ``ECDHE``, ``DHE``, ``RSA`` ..., empty for the suites of TLS 1.3."""

    name: str
    key_exchange: str
    authentication: str
    """``RSA``, ``ECDSA``, ``DSS``, ``PSK``, ``anon`` or, where the name says none, empty."""
    cipher: str
    bulk: BulkCipher | None
    """None: prober knows no such cipher."""
    mac_hash: str
    """hashlib's name of the hash of a CBC suite's MAC."""
    prf_hash: str
    """hashlib's name of the hash of the key schedule, TLS 1.2 and later."""

    is_tls13: bool
    """Whether the suite is one of TLS 1.3, and of no other version (RFC 8446 appendix B.4)."""
    is_signal: bool
    """Whether it is a signalling value, which no server may choose (RFC 5746 §3.3, RFC 7507 §2)."""


@lru_cache(maxsize=1024)
def suite_of(code: int) -> Suite:
    """The suite with this code point; one that is not registered has an unknown key exchange and cipher."""
    name = CipherSuite(code).name
    if code not in _REGISTERED:
        return Suite(name, "unknown", "", "unknown", None, "sha256", "sha256", is_tls13=False, is_signal=False)
    stem = name.removeprefix("TLS_")
    exchange, separator, rest = stem.partition("_WITH_")
    if not separator:
        exchange, rest = "", stem
    cipher, _, suffix = rest.rpartition("_")
    if suffix not in _HASHES:  # the CCM suites of RFC 6655 and RFC 7251 leave SHA256 unsaid
        cipher, suffix = rest, "SHA256"
    key_exchange, _, authentication = exchange.partition("_")
    if key_exchange in ("RSA", "PSK") and not authentication:
        authentication = key_exchange
    mac_hash = _HASHES[suffix]
    prf_hash = "sha384" if mac_hash == "sha384" else "sha256"
    is_signal = name.endswith("_SCSV")
    is_tls13 = not separator and not is_signal
    bulk = BULK_CIPHERS.get(cipher)
    return Suite(name, key_exchange, authentication, cipher, bulk, mac_hash, prf_hash, is_tls13=is_tls13, is_signal=is_signal)
