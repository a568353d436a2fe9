"""Certificates that no decent library would make: built by hand from DER, signed with real keys."""

from __future__ import annotations

from collections.abc import Sequence

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.pki import PrivateKey, private_key

__all__ = ["attribute", "extension", "forge", "integer", "name", "oid", "tlv", "utc"]


def tlv(tag: int, *parts: bytes) -> bytes:
    """One DER element."""
    body = b"".join(parts)
    if len(body) < 0x80:
        return bytes([tag, len(body)]) + body
    length = len(body).to_bytes((len(body).bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length)]) + length + body


def oid(dotted: str) -> bytes:
    """An OBJECT IDENTIFIER, tag included."""
    first, second, *arcs = map(int, dotted.split("."))
    out = b""
    for arc in (40 * first + second, *arcs):
        septets = [arc & 0x7F]
        while arc := arc >> 7:
            septets.append(arc & 0x7F | 0x80)
        out += bytes(reversed(septets))
    return tlv(0x06, out)


def integer(value: int) -> bytes:
    """An INTEGER."""
    return tlv(0x02, value.to_bytes((value + (value < 0)).bit_length() // 8 + 1, "big", signed=True))


def attribute(dotted: str, text: str | bytes, tag: int = 0x0C) -> bytes:
    """One AttributeTypeAndValue; ``tag`` is the string type."""
    return tlv(0x30, oid(dotted), tlv(tag, text.encode() if isinstance(text, str) else text))


def name(*rdns: Sequence[bytes] | bytes) -> bytes:
    """A Name of RDNs in encoding order; an RDN is one attribute, or several."""
    return tlv(0x30, *(tlv(0x31, *([rdn] if isinstance(rdn, bytes) else rdn)) for rdn in rdns))


def utc(text: str) -> bytes:
    """A UTCTime."""
    return tlv(0x17, text.encode())


def extension(dotted: str, value: bytes, *, critical: bool = False) -> bytes:
    """One Extension with any bytes as its value."""
    return tlv(0x30, oid(dotted), *([b"\x01\x01\xff"] if critical else []), tlv(0x04, value))


COMMON_NAME = "2.5.4.3"
_ECDSA_SHA256 = tlv(0x30, oid("1.2.840.10045.4.3.2"))
_RSA = {
    "sha1": (tlv(0x30, oid("1.2.840.113549.1.1.5"), b"\x05\x00"), hashes.SHA1()),
    "md5": (tlv(0x30, oid("1.2.840.113549.1.1.4"), b"\x05\x00"), hashes.MD5()),
    "sha256": (tlv(0x30, oid("1.2.840.113549.1.1.11"), b"\x05\x00"), hashes.SHA256()),
}


def forge(
    *,
    subject: bytes | None = None,
    issuer: bytes | None = None,
    serial: bytes | None = None,
    not_before: bytes | None = None,
    not_after: bytes | None = None,
    extensions: Sequence[bytes] | None = (),
    key: PrivateKey | None = None,
    issuer_key: PrivateKey | None = None,
    version: int = 3,
    rsa_hash: str = "sha256",
    algorithm: bytes | None = None,
) -> bytes:
    """A certificate as DER, signed by ``issuer_key`` (default: itself). Everything is used as it comes."""
    key = key or private_key()
    signer = issuer_key or key
    subject = subject if subject is not None else name(attribute(COMMON_NAME, "forged"))
    rsa_algorithm, digest = _RSA[rsa_hash]
    signed_with = algorithm or (rsa_algorithm if isinstance(signer, rsa.RSAPrivateKey) else _ECDSA_SHA256)
    tbs = tlv(
        0x30,
        tlv(0xA0, integer(version - 1)) if version > 1 else b"",
        serial if serial is not None else integer(0x1234),
        signed_with,
        issuer if issuer is not None else subject,
        tlv(0x30, not_before or utc("240101000000Z"), not_after or utc("440101000000Z")),
        subject,
        key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        tlv(0xA3, tlv(0x30, *extensions)) if extensions else b"",
    )
    if isinstance(signer, rsa.RSAPrivateKey):
        signature = signer.sign(tbs, padding.PKCS1v15(), digest)
    else:
        assert isinstance(signer, ec.EllipticCurvePrivateKey)
        signature = signer.sign(tbs, ec.ECDSA(hashes.SHA256()))
    return tlv(0x30, tbs, signed_with, tlv(0x03, b"\x00", signature))
