"""Is a certificate signed by a key? RFC 5280 §4.1.1.2 with the algorithms of RFC 4055, 5758 and 8410.

SHA-1 is accepted, as ``openssl verify`` does at its default level: private authorities still use it, and whether that is
wise is not what a prober is asked. MD5 and older are not.
"""

from __future__ import annotations

from enum import Enum, auto

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa

from prober.judge import der
from prober.judge.x509 import Certificate

__all__ = ["SignatureCheck", "check_signature"]


class SignatureCheck(Enum):
    """What came of checking one signature with one key."""

    VALID = auto()
    INVALID = auto()
    WEAK = auto()
    UNSUPPORTED = auto()


_PKCS1 = "2a864886f70d0101"  # 1.2.840.113549.1.1
_X962 = "2a8648ce3d04"  # 1.2.840.10045.4

_RSA_PKCS1_V15: dict[bytes, hashes.HashAlgorithm] = {
    bytes.fromhex(_PKCS1 + "05"): hashes.SHA1(),  # noqa: S303  # verified only; see the module's docstring
    bytes.fromhex(_PKCS1 + "0e"): hashes.SHA224(),
    bytes.fromhex(_PKCS1 + "0b"): hashes.SHA256(),
    bytes.fromhex(_PKCS1 + "0c"): hashes.SHA384(),
    bytes.fromhex(_PKCS1 + "0d"): hashes.SHA512(),
}
_ECDSA: dict[bytes, hashes.HashAlgorithm] = {
    bytes.fromhex(_X962 + "01"): hashes.SHA1(),  # noqa: S303
    bytes.fromhex(_X962 + "0301"): hashes.SHA224(),
    bytes.fromhex(_X962 + "0302"): hashes.SHA256(),
    bytes.fromhex(_X962 + "0303"): hashes.SHA384(),
    bytes.fromhex(_X962 + "0304"): hashes.SHA512(),
}
_RSASSA_PSS = bytes.fromhex(_PKCS1 + "0a")
_EDDSA = {bytes.fromhex("2b6570"), bytes.fromhex("2b6571")}  # 1.3.101.112 and .113
_WEAK = {bytes.fromhex(_PKCS1 + code) for code in ("02", "03", "04")}  # RSA with MD2, MD4, MD5

# RFC 4055 §2.1: the hash functions of RSASSA-PSS-params.
_HASHES: dict[bytes, hashes.HashAlgorithm] = {
    bytes.fromhex("2b0e03021a"): hashes.SHA1(),  # noqa: S303
    bytes.fromhex("608648016503040204"): hashes.SHA224(),
    bytes.fromhex("608648016503040201"): hashes.SHA256(),
    bytes.fromhex("608648016503040202"): hashes.SHA384(),
    bytes.fromhex("608648016503040203"): hashes.SHA512(),
}


def check_signature(certificate: Certificate, public_key: bytes) -> SignatureCheck:
    """Check the certificate's signature with a SubjectPublicKeyInfo."""
    try:
        parts = _parts(der.only(certificate.signature_algorithm).expect(der.SEQUENCE, "AlgorithmIdentifier"))
        algorithm = parts[0].expect(der.OBJECT_IDENTIFIER, "algorithm").value
        if algorithm in _WEAK:
            return SignatureCheck.WEAK
        from cryptography.hazmat.primitives.serialization import load_der_public_key  # 10 ms

        key = load_der_public_key(public_key)
        signature, signed = certificate.signature, certificate.tbs
        match key:
            case rsa.RSAPublicKey() if algorithm in _RSA_PKCS1_V15:
                key.verify(signature, signed, padding.PKCS1v15(), _RSA_PKCS1_V15[algorithm])
            case rsa.RSAPublicKey() if algorithm == _RSASSA_PSS:
                scheme, digest = _pss(parts[1:])
                key.verify(signature, signed, scheme, digest)
            case ec.EllipticCurvePublicKey() if algorithm in _ECDSA:
                key.verify(signature, signed, ec.ECDSA(_ECDSA[algorithm]))
            case ed25519.Ed25519PublicKey() | ed448.Ed448PublicKey() if algorithm in _EDDSA:
                key.verify(signature, signed)
            case _ if algorithm in _KNOWN:
                # An RSA signature under an elliptic-curve key: a different key than the one that signed.
                return SignatureCheck.INVALID
            case _:
                return SignatureCheck.UNSUPPORTED
    except InvalidSignature:
        return SignatureCheck.INVALID
    except (ValueError, IndexError, KeyError, OverflowError, UnsupportedAlgorithm):
        return SignatureCheck.UNSUPPORTED
    return SignatureCheck.VALID


_KNOWN = {*_RSA_PKCS1_V15, *_ECDSA, _RSASSA_PSS, *_EDDSA}


def _pss(parameters: list[der.Element]) -> tuple[padding.PSS, hashes.HashAlgorithm]:
    """RSASSA-PSS-params (RFC 4055 §3.1); an absent field is SHA-1, MGF1 with SHA-1, 20. Raises what `check_signature` expects."""
    digest: hashes.HashAlgorithm = hashes.SHA1()  # noqa: S303
    mask: hashes.HashAlgorithm = hashes.SHA1()  # noqa: S303
    salt = 20
    for field in der.children(parameters[0]) if parameters else ():
        inner = der.only(field.value)
        match field.tag & 0x1F:
            case 0:
                digest = _HASHES[_parts(inner)[0].value]
            case 1:
                mask = _HASHES[_parts(_parts(inner)[1])[0].value]
            case 2:
                salt = der.integer(inner)
            case _:
                pass
    return padding.PSS(padding.MGF1(mask), salt), digest


def _parts(element: der.Element) -> list[der.Element]:
    # A list: where one part is missing that is an IndexError, and from next() it would be a StopIteration, which nobody expects.
    return list(der.children(element))
