"""Signatures of the key exchange: every scheme that a server may use, and every way of being wrong."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, padding, rsa, utils, x25519
from cryptography.hazmat.primitives.serialization import Encoding

from prober.tls.errors import PeerMisbehaved
from prober.tls.registry import AlertDescription, ProtocolVersion, SignatureScheme
from prober.tls.signatures import CannotVerify, certificate_verify_content, public_key_of, verify, verify_legacy
from tests.pki import VALID_FROM, VALID_UNTIL, name, private_key, self_signed

S = SignatureScheme
TLS_1_2, TLS_1_3 = ProtocolVersion.TLSv1_2, ProtocolVersion.TLSv1_3
CONTENT = b"what is signed"

_HASHES = {"sha1": hashes.SHA1(), "sha256": hashes.SHA256(), "sha384": hashes.SHA384(), "sha512": hashes.SHA512()}


def _pss(kind: str) -> padding.PSS:
    return padding.PSS(padding.MGF1(_HASHES[kind]), _HASHES[kind].digest_size)


def _rsa() -> rsa.RSAPrivateKey:
    key = private_key("rsa2048")
    assert isinstance(key, rsa.RSAPrivateKey)
    return key


def _ec(kind: str) -> ec.EllipticCurvePrivateKey:
    key = private_key(kind)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return key


@pytest.fixture(scope="module")
def dsa_key() -> dsa.DSAPrivateKey:
    """DSA parameters take a while, so there is one key."""
    return dsa.generate_private_key(1024)


def _sign_rsa(pad: object, kind: str) -> Callable[[], tuple[rsa.RSAPublicKey, bytes]]:
    def sign() -> tuple[rsa.RSAPublicKey, bytes]:
        key = _rsa()
        return key.public_key(), key.sign(CONTENT, pad, _HASHES[kind])  # type: ignore[arg-type]

    return sign


def _sign_ec(curve: str, kind: str) -> Callable[[], tuple[ec.EllipticCurvePublicKey, bytes]]:
    def sign() -> tuple[ec.EllipticCurvePublicKey, bytes]:
        key = _ec(curve)
        return key.public_key(), key.sign(CONTENT, ec.ECDSA(_HASHES[kind]))

    return sign


def _sign_ed25519() -> tuple[ed25519.Ed25519PublicKey, bytes]:
    key = private_key("ed25519")
    assert isinstance(key, ed25519.Ed25519PrivateKey)
    return key.public_key(), key.sign(CONTENT)


def _sign_ed448() -> tuple[ed448.Ed448PublicKey, bytes]:
    key = private_key("ed448")
    assert isinstance(key, ed448.Ed448PrivateKey)
    return key.public_key(), key.sign(CONTENT)


SIGNERS: dict[SignatureScheme, Callable[[], tuple[object, bytes]]] = {
    S.rsa_pkcs1_sha1: _sign_rsa(padding.PKCS1v15(), "sha1"),
    S.rsa_pkcs1_sha256: _sign_rsa(padding.PKCS1v15(), "sha256"),
    S.rsa_pkcs1_sha512: _sign_rsa(padding.PKCS1v15(), "sha512"),
    S.rsa_pss_rsae_sha256: _sign_rsa(_pss("sha256"), "sha256"),
    S.rsa_pss_rsae_sha384: _sign_rsa(_pss("sha384"), "sha384"),
    S.rsa_pss_rsae_sha512: _sign_rsa(_pss("sha512"), "sha512"),
    S.rsa_pss_pss_sha256: _sign_rsa(_pss("sha256"), "sha256"),
    S.rsa_pss_pss_sha512: _sign_rsa(_pss("sha512"), "sha512"),
    S.ecdsa_sha1: _sign_ec("p256", "sha1"),
    S.ecdsa_secp256r1_sha256: _sign_ec("p256", "sha256"),
    S.ecdsa_secp384r1_sha384: _sign_ec("p384", "sha384"),
    S.ecdsa_secp521r1_sha512: _sign_ec("p521", "sha512"),
    S.ed25519: _sign_ed25519,
    S.ed448: _sign_ed448,
}
schemes = pytest.mark.parametrize("scheme", SIGNERS)


@schemes
def test_a_right_signature_passes_and_a_wrong_one_does_not(scheme: SignatureScheme) -> None:
    """In TLS 1.2, which allows all of them; a changed signature and changed content are both decrypt_error."""
    key, signature = SIGNERS[scheme]()

    verify(key, scheme, signature, CONTENT, version=TLS_1_2, message="M")  # type: ignore[arg-type]

    for wrong, content in ((signature[:-1] + bytes([signature[-1] ^ 1]), CONTENT), (signature, b"other"), (b"", CONTENT)):
        with pytest.raises(PeerMisbehaved, match=scheme.name) as caught:
            verify(key, scheme, wrong, content, version=TLS_1_2, message="M")  # type: ignore[arg-type]
        assert caught.value.implies == AlertDescription.decrypt_error


@schemes
def test_tls_1_3_allows_neither_pkcs1_nor_sha1(scheme: SignatureScheme) -> None:
    """RFC 8446 section 4.4.3."""
    key, signature = SIGNERS[scheme]()
    if "pkcs1" in scheme.name or "sha1" in scheme.name:
        with pytest.raises(PeerMisbehaved, match=r"TLS 1\.3 allows no signature"):
            verify(key, scheme, signature, CONTENT, version=TLS_1_3, message="M")  # type: ignore[arg-type]
    else:
        verify(key, scheme, signature, CONTENT, version=TLS_1_3, message="M")  # type: ignore[arg-type]


def test_in_tls_1_3_the_scheme_names_the_curve() -> None:
    """RFC 8446 section 4.2.3; in TLS 1.2 it names the hash alone."""
    key = _ec("p256")
    signature = key.sign(CONTENT, ec.ECDSA(hashes.SHA384()))

    verify(key.public_key(), S.ecdsa_secp384r1_sha384, signature, CONTENT, version=TLS_1_2, message="M")
    with pytest.raises(PeerMisbehaved, match="by a key on secp256r1"):
        verify(key.public_key(), S.ecdsa_secp384r1_sha384, signature, CONTENT, version=TLS_1_3, message="M")


@schemes
def test_a_scheme_for_another_kind_of_key_is_misbehaviour(scheme: SignatureScheme) -> None:
    """The server cannot have made this signature with this key."""
    key = _rsa().public_key() if "rsa" not in scheme.name else _ec("p256").public_key()
    with pytest.raises(PeerMisbehaved, match="by a key of type"):
        verify(key, scheme, b"signature", CONTENT, version=TLS_1_2, message="M")


def test_an_unknown_scheme_gives_no_verdict() -> None:
    """Nothing is wrong with the server; prober cannot tell."""
    with pytest.raises(CannotVerify, match="mldsa44"):
        verify(_rsa().public_key(), S.mldsa44, b"", CONTENT, version=TLS_1_3, message="M")


def test_dsa_is_verified(dsa_key: dsa.DSAPrivateKey) -> None:
    """With SHA-1 before TLS 1.2, with any hash in it."""
    key = dsa_key.public_key()

    verify(key, S.dsa_sha256, dsa_key.sign(CONTENT, hashes.SHA256()), CONTENT, version=TLS_1_2, message="M")
    verify_legacy(key, dsa_key.sign(CONTENT, hashes.SHA1()), CONTENT, message="M")
    with pytest.raises(PeerMisbehaved):
        verify_legacy(key, dsa_key.sign(CONTENT, hashes.SHA256()), CONTENT, message="M")


def test_ecdsa_before_tls_1_2_is_over_sha1() -> None:
    """RFC 4492 section 5.4."""
    key = _ec("p256")

    verify_legacy(key.public_key(), key.sign(CONTENT, ec.ECDSA(hashes.SHA1())), CONTENT, message="M")
    with pytest.raises(PeerMisbehaved, match="wrong"):
        verify_legacy(key.public_key(), key.sign(CONTENT, ec.ECDSA(hashes.SHA256())), CONTENT, message="M")


def test_rsa_before_tls_1_2_is_over_md5_and_sha1() -> None:
    """RFC 4346 section 7.4.3: 36 bytes without DigestInfo, so a signature over SHA-1 alone is wrong."""
    key = _rsa()
    digests = hashlib.md5(CONTENT).digest() + hashlib.sha1(CONTENT).digest()
    numbers = key.private_numbers()
    size = key.key_size // 8
    encoded = b"\x00\x01" + b"\xff" * (size - 3 - len(digests)) + b"\x00" + digests
    public = numbers.public_numbers
    signature = pow(int.from_bytes(encoded), numbers.d, public.n).to_bytes(size)

    verify_legacy(key.public_key(), signature, CONTENT, message="M")
    sha1_alone = key.sign(hashlib.sha1(CONTENT).digest(), padding.PKCS1v15(), utils.Prehashed(hashes.SHA1()))
    for wrong in (sha1_alone, signature[:-1] + b"\0", b"", bytes(size)):
        with pytest.raises(PeerMisbehaved, match="wrong"):
            verify_legacy(key.public_key(), wrong, CONTENT, message="M")


def test_edwards_curves_did_not_exist_before_tls_1_2() -> None:
    """RFC 8422 section 5.10."""
    key, signature = _sign_ed25519()
    with pytest.raises(PeerMisbehaved, match=r"before TLS 1\.2"):
        verify_legacy(key, signature, CONTENT, message="M")


def test_what_is_signed_names_its_purpose() -> None:
    """RFC 8446 section 4.4.3: 64 spaces, a context, a zero, the hash."""
    assert certificate_verify_content(b"\x01" * 32) == b" " * 64 + b"TLS 1.3, server CertificateVerify\0" + b"\x01" * 32


def test_the_key_of_a_certificate_is_found() -> None:
    """From DER; what is no certificate, or holds no signing key, gives no verdict."""
    issued = self_signed("a.example", key="p256")

    assert isinstance(public_key_of(issued.der), ec.EllipticCurvePublicKey)
    with pytest.raises(CannotVerify, match="cannot be read"):
        public_key_of(b"no certificate")


def test_a_key_that_cannot_sign_gives_no_verdict() -> None:
    """An X25519 certificate is legal, and no use in TLS."""
    builder = x509.CertificateBuilder().subject_name(name("x")).issuer_name(name("x")).serial_number(1)
    builder = builder.not_valid_before(VALID_FROM).not_valid_after(VALID_UNTIL)
    builder = builder.public_key(x25519.X25519PrivateKey.generate().public_key())
    certificate = builder.sign(_ec("p256"), hashes.SHA256())
    with pytest.raises(CannotVerify, match="X25519PublicKey"):
        public_key_of(certificate.public_bytes(Encoding.DER))
