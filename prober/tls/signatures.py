"""Whether the server holds its certificate's key: the signatures of ServerKeyExchange and CertificateVerify."""

from __future__ import annotations

import hashlib
import hmac
from typing import Final, NamedTuple, TypeAlias

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, padding, rsa

from prober.tls.certificate_loading import load_certificate
from prober.tls.errors import PeerMisbehaved
from prober.tls.registry import AlertDescription, ProtocolVersion, SignatureScheme

__all__ = ["CannotVerify", "PublicKey", "certificate_verify_content", "public_key_of", "verify", "verify_legacy"]

PublicKey: TypeAlias = (
    rsa.RSAPublicKey | ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey | ed448.Ed448PublicKey | dsa.DSAPublicKey
)


class CannotVerify(Exception):
    """No verdict: prober lacks the algorithm, or the key cannot be read. The text says which."""


class _Scheme(NamedTuple):
    kind: str
    hash: hashes.HashAlgorithm
    curve: str = ""
    """The curve that the scheme names in TLS 1.3."""
    tls13: bool = False
    """Whether TLS 1.3 allows it in a CertificateVerify."""


_SHA1 = hashes.SHA1()  # noqa: S303 - servers of TLS 1.0 and 1.1 sign with nothing else
_SHA224, _SHA256, _SHA384, _SHA512 = hashes.SHA224(), hashes.SHA256(), hashes.SHA384(), hashes.SHA512()

# RFC 8446 §4.2.3; RFC 5246 §7.4.1.4.1; RFC 8734
_SCHEMES: Final = {
    SignatureScheme.rsa_pkcs1_sha1.value: _Scheme("rsa_pkcs1", _SHA1),
    SignatureScheme.dsa_sha1.value: _Scheme("dsa", _SHA1),
    SignatureScheme.ecdsa_sha1.value: _Scheme("ecdsa", _SHA1),
    SignatureScheme.rsa_pkcs1_sha224.value: _Scheme("rsa_pkcs1", _SHA224),
    SignatureScheme.dsa_sha224.value: _Scheme("dsa", _SHA224),
    SignatureScheme.ecdsa_sha224.value: _Scheme("ecdsa", _SHA224),
    SignatureScheme.rsa_pkcs1_sha256.value: _Scheme("rsa_pkcs1", _SHA256),
    SignatureScheme.dsa_sha256.value: _Scheme("dsa", _SHA256),
    SignatureScheme.ecdsa_secp256r1_sha256.value: _Scheme("ecdsa", _SHA256, "secp256r1", tls13=True),
    SignatureScheme.rsa_pkcs1_sha384.value: _Scheme("rsa_pkcs1", _SHA384),
    SignatureScheme.dsa_sha384.value: _Scheme("dsa", _SHA384),
    SignatureScheme.ecdsa_secp384r1_sha384.value: _Scheme("ecdsa", _SHA384, "secp384r1", tls13=True),
    SignatureScheme.rsa_pkcs1_sha512.value: _Scheme("rsa_pkcs1", _SHA512),
    SignatureScheme.dsa_sha512.value: _Scheme("dsa", _SHA512),
    SignatureScheme.ecdsa_secp521r1_sha512.value: _Scheme("ecdsa", _SHA512, "secp521r1", tls13=True),
    SignatureScheme.rsa_pss_rsae_sha256.value: _Scheme("rsa_pss", _SHA256, tls13=True),
    SignatureScheme.rsa_pss_rsae_sha384.value: _Scheme("rsa_pss", _SHA384, tls13=True),
    SignatureScheme.rsa_pss_rsae_sha512.value: _Scheme("rsa_pss", _SHA512, tls13=True),
    SignatureScheme.ed25519.value: _Scheme("ed25519", _SHA512, tls13=True),
    SignatureScheme.ed448.value: _Scheme("ed448", _SHA512, tls13=True),
    SignatureScheme.rsa_pss_pss_sha256.value: _Scheme("rsa_pss", _SHA256, tls13=True),
    SignatureScheme.rsa_pss_pss_sha384.value: _Scheme("rsa_pss", _SHA384, tls13=True),
    SignatureScheme.rsa_pss_pss_sha512.value: _Scheme("rsa_pss", _SHA512, tls13=True),
    SignatureScheme.ecdsa_brainpoolP256r1tls13_sha256.value: _Scheme("ecdsa", _SHA256, "brainpoolP256r1", tls13=True),
    SignatureScheme.ecdsa_brainpoolP384r1tls13_sha384.value: _Scheme("ecdsa", _SHA384, "brainpoolP384r1", tls13=True),
    SignatureScheme.ecdsa_brainpoolP512r1tls13_sha512.value: _Scheme("ecdsa", _SHA512, "brainpoolP512r1", tls13=True),
}


def public_key_of(certificate: bytes) -> PublicKey:
    """The key of a certificate (DER). CannotVerify for one that cannot be read or of a kind that TLS does not sign with."""
    try:
        key = load_certificate(certificate).public_key()
    except (ValueError, UnsupportedAlgorithm) as error:
        raise CannotVerify(f"the certificate's key cannot be read: {error}") from error
    if not isinstance(key, PublicKey):
        raise CannotVerify(f"the certificate has a key of type {type(key).__name__}")
    return key


# RFC 8446 §4.4.3
def certificate_verify_content(transcript_digest: bytes) -> bytes:
    """What the server's CertificateVerify signs."""
    return b" " * 64 + b"TLS 1.3, server CertificateVerify\0" + transcript_digest


def verify(key: PublicKey, scheme: int, signature: bytes, content: bytes, *, version: int, message: str) -> None:
    """Check a TLS >= 1.2 signature. PeerMisbehaved when it is wrong or does not fit the key; CannotVerify."""
    known = _SCHEMES.get(scheme)
    name = SignatureScheme(scheme).name
    if known is None:
        raise CannotVerify(f"the signature scheme {name} is not implemented")
    is_tls13 = version >= ProtocolVersion.TLSv1_3
    if is_tls13 and not known.tls13:
        raise PeerMisbehaved(f"TLS 1.3 allows no signature with {name}", message=message)
    try:
        if (isinstance(key, ed25519.Ed25519PublicKey) and known.kind == "ed25519") or (
            isinstance(key, ed448.Ed448PublicKey) and known.kind == "ed448"
        ):
            key.verify(signature, content)
        elif isinstance(key, ec.EllipticCurvePublicKey) and known.kind == "ecdsa":
            if is_tls13 and key.curve.name != known.curve:
                raise PeerMisbehaved(f"a signature {name} by a key on {key.curve.name}", message=message)
            key.verify(signature, content, ec.ECDSA(known.hash))
        elif isinstance(key, rsa.RSAPublicKey) and known.kind == "rsa_pss":
            salt = known.hash.digest_size
            key.verify(signature, content, padding.PSS(padding.MGF1(known.hash), salt), known.hash)
        elif isinstance(key, rsa.RSAPublicKey) and known.kind == "rsa_pkcs1":
            key.verify(signature, content, padding.PKCS1v15(), known.hash)
        elif isinstance(key, dsa.DSAPublicKey) and known.kind == "dsa":
            key.verify(signature, content, known.hash)
        else:
            raise PeerMisbehaved(f"a signature {name} by a key of type {type(key).__name__}", message=message)
    except InvalidSignature:
        raise _wrong_signature(name, message) from None
    except (UnsupportedAlgorithm, ValueError) as error:
        raise CannotVerify(f"a signature {name} cannot be checked: {error}") from error


# RFC 4346 §7.4.3; RFC 4492 §5.4
def verify_legacy(key: PublicKey, signature: bytes, content: bytes, *, message: str) -> None:
    """Check a signature of TLS 1.0 or 1.1, which depends on the kind of key alone. PeerMisbehaved; CannotVerify."""
    try:
        if isinstance(key, rsa.RSAPublicKey):
            _verify_md5_sha1(key, signature, content)
        elif isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(signature, content, ec.ECDSA(_SHA1))
        elif isinstance(key, dsa.DSAPublicKey):
            key.verify(signature, content, _SHA1)
        else:
            raise PeerMisbehaved(f"a key of type {type(key).__name__} before TLS 1.2", message=message)
    except InvalidSignature:
        raise _wrong_signature("of TLS 1.0 or 1.1", message) from None
    except (UnsupportedAlgorithm, ValueError) as error:
        raise CannotVerify(f"the signature cannot be checked: {error}") from error


def _verify_md5_sha1(key: rsa.RSAPublicKey, signature: bytes, content: bytes) -> None:
    """Both digests are signed as they are, without DigestInfo, hence recovered and compared. InvalidSignature."""
    digests = hashlib.md5(content, usedforsecurity=False).digest() + hashlib.sha1(content, usedforsecurity=False).digest()
    if not hmac.compare_digest(key.recover_data_from_signature(signature, padding.PKCS1v15(), None), digests):
        raise InvalidSignature


def _wrong_signature(name: str, message: str) -> PeerMisbehaved:
    return PeerMisbehaved(f"the signature {name} is wrong", message=message, implies=AlertDescription.decrypt_error)
