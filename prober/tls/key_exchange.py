"""Ephemeral key shares: the client's half of every key exchange that a certificate-bearing handshake can use.

A share is made from entropy that the caller passes in, so that a handshake is reproducible byte for byte. Making one costs
40 to 190 us; `KeySharePool` lets several handshakes use the same one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import cache
from typing import Literal, NamedTuple, TypeAlias

from cryptography.hazmat.primitives.asymmetric import ec, x448, x25519

from prober.tls.errors import PeerMisbehaved
from prober.tls.ffdhe import FFDHE_GROUPS, FiniteFieldGroup, finite_field_group
from prober.tls.registry import NamedGroup

__all__ = [
    "PUBLIC_SIZES",
    "SUPPORTED_GROUPS",
    "Entropy",
    "EphemeralDh",
    "GroupNotSupported",
    "KeyShare",
    "KeySharePool",
    "generate",
    "require_group",
    "supports",
]

Entropy: TypeAlias = Callable[[int], bytes]
"""``entropy(n)`` is n unpredictable bytes: ``os.urandom`` in production, a counter in tests."""

MESSAGE = "key share"


class GroupNotSupported(ValueError):
    """This installation cannot make a key share of a group; the text says which and what is missing."""


class KeyShare(ABC):
    """One ephemeral key pair. ``public`` is the ``key_exchange`` of RFC 8446 §4.2.8."""

    __slots__ = ("_last", "group", "public")

    def __init__(self, group: NamedGroup, public: bytes) -> None:
        self.group = group
        self.public = public
        self._last = (b"", b"")
        """The last peer's public value, and the secret shared with it."""

    def __repr__(self) -> str:
        return f"<KeyShare {self.group.name}>"  # never the private half

    def exchange(self, peer_public: bytes) -> bytes:
        """The shared secret with the peer's public value; PeerMisbehaved when that value is not valid.

        Asked for the same twice in a row (a flight that turns out not to be known is then read), it is computed once.
        """
        known, secret = self._last
        if peer_public != known or not secret:
            secret = self._exchange(peer_public)
            self._last = (peer_public, secret)
        return secret

    @abstractmethod
    def _exchange(self, peer_public: bytes) -> bytes:
        """Compute it."""


def _wrong_length(group: NamedGroup, expected: int, got: int) -> PeerMisbehaved:
    return PeerMisbehaved(f"a share of {group.name} has {expected} bytes, not {got}", message=MESSAGE)


class _X25519Share(KeyShare):
    __slots__ = ("_private",)

    def __init__(self, group: NamedGroup, entropy: Entropy) -> None:
        self._private = x25519.X25519PrivateKey.from_private_bytes(entropy(32))
        super().__init__(group, self._private.public_key().public_bytes_raw())

    def _exchange(self, peer_public: bytes) -> bytes:
        if len(peer_public) != 32:
            raise _wrong_length(self.group, 32, len(peer_public))
        try:
            return self._private.exchange(x25519.X25519PublicKey.from_public_bytes(peer_public))
        except ValueError as error:
            # RFC 8446 §7.4.2: an all-zero secret, which a point of small order gives, must be refused.
            raise PeerMisbehaved("the share is a point of small order", message=MESSAGE) from error


class _X448Share(KeyShare):
    __slots__ = ("_private",)

    def __init__(self, group: NamedGroup, entropy: Entropy) -> None:
        self._private = x448.X448PrivateKey.from_private_bytes(entropy(56))
        super().__init__(group, self._private.public_key().public_bytes_raw())

    def _exchange(self, peer_public: bytes) -> bytes:
        if len(peer_public) != 56:
            raise _wrong_length(self.group, 56, len(peer_public))
        try:
            return self._private.exchange(x448.X448PublicKey.from_public_bytes(peer_public))
        except ValueError as error:
            raise PeerMisbehaved("the share is a point of small order", message=MESSAGE) from error


_CURVES: dict[NamedGroup, ec.EllipticCurve] = {
    NamedGroup.secp256r1: ec.SECP256R1(),
    NamedGroup.secp384r1: ec.SECP384R1(),
    NamedGroup.secp521r1: ec.SECP521R1(),
    NamedGroup.brainpoolP256r1: ec.BrainpoolP256R1(),
    NamedGroup.brainpoolP384r1: ec.BrainpoolP384R1(),
    NamedGroup.brainpoolP512r1: ec.BrainpoolP512R1(),
}


class _EllipticCurveShare(KeyShare):
    """A point of a short Weierstrass curve, uncompressed (RFC 8446 §4.2.8.2, RFC 8422 §5.4)."""

    __slots__ = ("_curve", "_private")

    def __init__(self, group: NamedGroup, entropy: Entropy) -> None:
        self._curve = _CURVES[group]
        # One bit less than the order: a uniform scalar below it without rejection, at the price of one bit of the key.
        bits = self._curve.key_size - 1
        scalar = int.from_bytes(entropy((bits + 7) // 8)) & (1 << bits) - 1
        self._private = ec.derive_private_key(scalar or 1, self._curve)
        numbers = self._private.public_key().public_numbers()
        size = (self._curve.key_size + 7) // 8
        super().__init__(group, b"\x04" + numbers.x.to_bytes(size) + numbers.y.to_bytes(size))

    def _exchange(self, peer_public: bytes) -> bytes:
        expected = len(self.public)
        if len(peer_public) != expected:
            raise _wrong_length(self.group, expected, len(peer_public))
        # The library would also decode the hybrid forms 06 and 07, which no RFC of TLS allows.
        if peer_public[0] != 0x04:
            raise PeerMisbehaved(f"the share has the point form {peer_public[0]:02x}, not uncompressed", message=MESSAGE)
        try:
            peer = ec.EllipticCurvePublicKey.from_encoded_point(self._curve, peer_public)
        except ValueError as error:
            raise PeerMisbehaved(f"the share is no point of {self.group.name}", message=MESSAGE) from error
        return self._private.exchange(ec.ECDH(), peer)


class EphemeralDh:
    """Diffie-Hellman in a group that the server chose: ServerDHParams of RFC 5246 §7.4.3, RFC 7919 §4.

    ``public`` is ``dh_Yc``. The arithmetic is Python's: nothing that this key protects outlives the probe, hence timing
    tells nobody anything, and a prime of any server's invention needs no validation by a library.
    """

    __slots__ = ("_exponent", "_group", "public")

    def __init__(self, parameters: FiniteFieldGroup, entropy: Entropy) -> None:
        """PeerMisbehaved for a modulus outside 512 to 8192 bits (the work is bounded), an even one or a trivial generator."""
        prime = parameters.prime
        if not 512 <= prime.bit_length() <= 8192 or prime % 2 == 0 or not 1 < parameters.generator < prime - 1:
            raise PeerMisbehaved(f"Diffie-Hellman group of {prime.bit_length()} bits cannot be used", message="ServerKeyExchange")
        self._group = parameters
        self._exponent = int.from_bytes(entropy(parameters.exponent_size)) | 1 << 8 * parameters.exponent_size - 1
        self.public = pow(parameters.generator, self._exponent, prime).to_bytes(parameters.size)

    def exchange(self, peer_public: bytes) -> bytes:
        """The shared secret, padded to the length of the prime; TLS <= 1.2 strips its leading zeros (RFC 5246 §8.1.2)."""
        prime = self._group.prime
        peer = int.from_bytes(peer_public)
        # RFC 7919 §5.1: 1 < dh_Y < dh_p - 1
        if len(peer_public) > self._group.size or not 1 < peer < prime - 1:
            raise PeerMisbehaved("the Diffie-Hellman value is not in its group", message=MESSAGE)
        return pow(peer, self._exponent, prime).to_bytes(self._group.size)


class _FiniteFieldShare(KeyShare):
    __slots__ = ("_dh",)

    def __init__(self, group: NamedGroup, entropy: Entropy) -> None:
        self._dh = EphemeralDh(finite_field_group(group), entropy)
        super().__init__(group, self._dh.public)

    def _exchange(self, peer_public: bytes) -> bytes:
        # RFC 8446 §4.2.8.1: padded to the size of the prime
        if len(peer_public) != len(self.public):
            raise _wrong_length(self.group, len(self.public), len(peer_public))
        return self._dh.exchange(peer_public)


class _Hybrid(NamedTuple):
    curve: NamedGroup
    modulus: Literal[768, 1024]
    """Which ML-KEM."""
    ciphertext: int
    """Bytes of what the server answers to an ML-KEM key (FIPS 203 §8)."""
    curve_first: bool


# draft-ietf-tls-ecdhe-mlkem §4: what NIST approved longest comes first, in the shares and in the secret alike.
_HYBRIDS = {
    NamedGroup.SecP256r1MLKEM768: _Hybrid(NamedGroup.secp256r1, 768, 1088, curve_first=True),
    NamedGroup.X25519MLKEM768: _Hybrid(NamedGroup.x25519, 768, 1088, curve_first=False),
    NamedGroup.SecP384r1MLKEM1024: _Hybrid(NamedGroup.secp384r1, 1024, 1568, curve_first=True),
}


class _HybridShare(KeyShare):
    """A key of ML-KEM and one of a curve, one behind the other."""

    __slots__ = ("_curve", "_hybrid", "_mlkem")

    def __init__(self, group: NamedGroup, entropy: Entropy) -> None:
        try:
            # Imported here: OpenSSL has ML-KEM since 3.5 only, and nobody else needs it.
            from cryptography.exceptions import UnsupportedAlgorithm
            from cryptography.hazmat.primitives.asymmetric import mlkem
        except ImportError as error:
            raise GroupNotSupported(_NO_MLKEM.format(group.name)) from error
        self._hybrid = _HYBRIDS[group]
        kind = mlkem.MLKEM768PrivateKey if self._hybrid.modulus == 768 else mlkem.MLKEM1024PrivateKey
        try:
            self._mlkem = kind.from_seed_bytes(entropy(64))
        except UnsupportedAlgorithm as error:
            raise GroupNotSupported(_NO_MLKEM.format(group.name)) from error
        self._curve = generate(self._hybrid.curve, entropy)
        post_quantum = self._mlkem.public_key().public_bytes_raw()
        classic = self._curve.public
        super().__init__(group, classic + post_quantum if self._hybrid.curve_first else post_quantum + classic)

    def _exchange(self, peer_public: bytes) -> bytes:
        ciphertext, classic = self._hybrid.ciphertext, len(self._curve.public)
        if len(peer_public) != ciphertext + classic:
            raise _wrong_length(self.group, ciphertext + classic, len(peer_public))
        # A wrong ciphertext is no error in ML-KEM: it yields a secret that the Finished message refutes (FIPS 203 §6.3).
        if self._hybrid.curve_first:
            return self._curve.exchange(peer_public[:classic]) + self._mlkem.decapsulate(peer_public[classic:])
        return self._mlkem.decapsulate(peer_public[:ciphertext]) + self._curve.exchange(peer_public[ciphertext:])


_NO_MLKEM = "{} needs ML-KEM, which the installed cryptography package lacks: install cryptography 48 or newer"

_SHARES: dict[NamedGroup, Callable[[NamedGroup, Entropy], KeyShare]] = {
    NamedGroup.x25519: _X25519Share,
    NamedGroup.x448: _X448Share,
    **dict.fromkeys(_CURVES, _EllipticCurveShare),
    **{group: _FiniteFieldShare for group in NamedGroup if group in FFDHE_GROUPS},
    **dict.fromkeys(_HYBRIDS, _HybridShare),
}

SUPPORTED_GROUPS: frozenset[int] = frozenset(_SHARES)
"""The groups of which `generate` makes a share."""


PUBLIC_SIZES: dict[NamedGroup, int] = {
    NamedGroup.x25519: 32,
    NamedGroup.x448: 56,
    **{group: 1 + 2 * ((curve.key_size + 7) // 8) for group, curve in _CURVES.items()},
    **{group: int(group.name.removeprefix("ffdhe")) // 8 for group in NamedGroup if group in FFDHE_GROUPS},
    NamedGroup.SecP256r1MLKEM768: 65 + 1184,
    NamedGroup.X25519MLKEM768: 1184 + 32,
    NamedGroup.SecP384r1MLKEM1024: 97 + 1568,
}
"""Bytes of `KeyShare.public`, known without making a key."""


@cache
def require_group(group: NamedGroup) -> None:
    """GroupNotSupported unless `generate` makes shares of this group here."""
    # Only ML-KEM depends on the library at hand; trying it takes 0.1 ms.
    if group in _HYBRIDS or group not in SUPPORTED_GROUPS:
        generate(group, bytes)


def supports(group: NamedGroup) -> bool:
    """Whether `generate` makes shares of this group here."""
    try:
        require_group(group)
    except GroupNotSupported:
        return False
    return True


def generate(group: NamedGroup, entropy: Entropy) -> KeyShare:
    """A fresh key share; GroupNotSupported when the group is not in `SUPPORTED_GROUPS` or the library lacks it."""
    make = _SHARES.get(group)
    if make is None:
        raise GroupNotSupported(f"no key share can be made for the group {group.name}")
    return make(group, entropy)


class _Pooled:
    __slots__ = ("left", "share")

    def __init__(self, share: KeyShare, left: int) -> None:
        self.share = share
        self.left = left


class KeySharePool:
    """Key shares for many handshakes: each is used ``reuse`` times and then replaced.

    Reuse is safe for a prober: RFC 8446 §4.2.8 wants shares to be independent for forward secrecy, and a probe says nothing
    that would need it. It is bounded all the same, so that a peer cannot watch one key for long.
    """

    __slots__ = ("_current", "_entropy", "_reuse")

    def __init__(self, entropy: Entropy, reuse: int = 64) -> None:
        if reuse < 1:
            raise ValueError(f"a share is used at least once, not {reuse} times")
        self._entropy = entropy
        self._reuse = reuse
        self._current: dict[NamedGroup, _Pooled] = {}

    def take(self, group: NamedGroup) -> KeyShare:
        """A share of ``group``; GroupNotSupported as `generate`."""
        pooled = self._current.get(group)
        if pooled is None or not pooled.left:
            pooled = self._current[group] = _Pooled(generate(group, self._entropy), self._reuse)
        pooled.left -= 1
        return pooled.share
