"""ClientHello profiles: which shape a hello has on the wire, as data.

The captured ones (`openssl-3.0`, `curl`, `node-tls`, `java-17`, `gnutls-3.7`, `python-3.11`) reproduce what these clients send,
since an ingress may treat a client by its fingerprint; the tests compare them with the captures byte by byte.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from prober.tls.cipher_suite_lists import (
    GNUTLS_SUITES,
    JAVA_SUITES,
    LEGACY_SUITES,
    MODERN_SUITES,
    NODE_SUITES,
    OPENSSL_SUITES,
    PYTHON_SUITES,
)
from prober.tls.registry import CipherSuite, ExtensionType, NamedGroup, ProtocolVersion, SignatureScheme
from prober.tls.server_name import ServerNameForm

__all__ = ["PROFILES", "Padding", "Profile"]

X = ExtensionType
S = SignatureScheme
G = NamedGroup
V = ProtocolVersion


class Padding(StrEnum):
    """RFC 7685 padding."""

    NONE = "none"
    OUT_OF_256_TO_511 = "out_of_256_to_511"
    """A hello of 256 to 511 bytes is padded to 512: F5 load balancers of old took such a length for SSLv2 and hung (RFC 7685 §1)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """The shape of a ClientHello: everything but random, session id, key shares and server name.

    All sequences are in wire order. Extensions whose content is fixed by RFC have no field of their own.
    """

    name: str
    description: str
    versions: tuple[ProtocolVersion, ...]
    """In order of preference. ``supported_versions`` is sent where `extensions` has it."""
    cipher_suites: tuple[CipherSuite, ...]
    extensions: tuple[ExtensionType, ...]
    """``server_name`` is left out of a hello without a name, ``padding`` where none is needed."""
    groups: tuple[NamedGroup, ...] = ()
    key_shares: tuple[NamedGroup, ...] = ()
    signature_schemes: tuple[SignatureScheme, ...] = ()
    record_version: ProtocolVersion = V.TLSv1_0
    """In the record header of the first hello (RFC 8446 §5.1 wants 0x0301 there)."""
    session_id_size: int = 32
    """32 is the middlebox compatibility of RFC 8446 §D.4."""
    point_formats: tuple[int, ...] = (0, 1, 2)
    alpn: tuple[str, ...] = ()
    psk_modes: tuple[int, ...] = (1,)
    record_size_limit: int = 0x4001
    padding: Padding = Padding.NONE
    server_name_form: ServerNameForm = ServerNameForm.HOST_NAME

    @property
    def max_version(self) -> ProtocolVersion:
        """The highest version offered."""
        return max(self.versions)

    @property
    def legacy_version(self) -> ProtocolVersion:
        """``ClientHello.legacy_version``: TLS 1.3 calls itself 1.2 there (RFC 8446 §4.1.2)."""
        return min(self.max_version, V.TLSv1_2)


_OPENSSL_GROUPS = (G.x25519, G.secp256r1, G.x448, G.secp521r1, G.secp384r1, *(G(code) for code in range(0x0100, 0x0105)))

_OPENSSL_SCHEMES = (
    S.ecdsa_secp256r1_sha256,
    S.ecdsa_secp384r1_sha384,
    S.ecdsa_secp521r1_sha512,
    S.ed25519,
    S.ed448,
    S.rsa_pss_pss_sha256,
    S.rsa_pss_pss_sha384,
    S.rsa_pss_pss_sha512,
    S.rsa_pss_rsae_sha256,
    S.rsa_pss_rsae_sha384,
    S.rsa_pss_rsae_sha512,
    S.rsa_pkcs1_sha256,
    S.rsa_pkcs1_sha384,
    S.rsa_pkcs1_sha512,
    S.ecdsa_sha224,
    S.rsa_pkcs1_sha224,
    S.dsa_sha224,
    S.dsa_sha256,
    S.dsa_sha384,
    S.dsa_sha512,
)

_MODERN = Profile(
    name="modern",
    description="everything that a current client can speak, so that a refusal means the server name",
    versions=(V.TLSv1_3, V.TLSv1_2, V.TLSv1_1, V.TLSv1_0),
    cipher_suites=MODERN_SUITES,
    groups=(
        G.x25519,
        G.secp256r1,
        G.x448,
        G.secp384r1,
        G.secp521r1,
        G.ffdhe2048,
        G.ffdhe3072,
        G.ffdhe4096,
        G.brainpoolP256r1,
        G.brainpoolP384r1,
        G.brainpoolP512r1,
        # Last and without a share: a server that insists asks for it with a HelloRetryRequest.
        G.X25519MLKEM768,
    ),
    # One share alone: each further one costs every handshake 40 us, a HelloRetryRequest costs few servers one round trip.
    key_shares=(G.x25519,),
    signature_schemes=(
        S.ecdsa_secp256r1_sha256,
        S.rsa_pss_rsae_sha256,
        S.rsa_pkcs1_sha256,
        S.ecdsa_secp384r1_sha384,
        S.rsa_pss_rsae_sha384,
        S.rsa_pkcs1_sha384,
        S.ecdsa_secp521r1_sha512,
        S.rsa_pss_rsae_sha512,
        S.rsa_pkcs1_sha512,
        S.ed25519,
        S.ed448,
        S.rsa_pss_pss_sha256,
        S.rsa_pss_pss_sha384,
        S.rsa_pss_pss_sha512,
        S.ecdsa_brainpoolP256r1tls13_sha256,
        S.ecdsa_brainpoolP384r1tls13_sha384,
        S.ecdsa_brainpoolP512r1tls13_sha512,
        S.ecdsa_sha224,
        S.rsa_pkcs1_sha224,
        S.dsa_sha256,
        S.dsa_sha384,
        S.dsa_sha512,
        S.dsa_sha224,
        S.ecdsa_sha1,
        S.rsa_pkcs1_sha1,
        S.dsa_sha1,
    ),
    extensions=(
        X.server_name,
        X.extended_master_secret,
        X.renegotiation_info,
        X.supported_groups,
        X.ec_point_formats,
        X.encrypt_then_mac,
        X.signature_algorithms,
        X.supported_versions,
        X.psk_key_exchange_modes,
        X.key_share,
        X.padding,
    ),
    point_formats=(0,),
    padding=Padding.OUT_OF_256_TO_511,
)

# As captured from openssl s_client 3.0.
_OPENSSL = Profile(
    name="openssl-3.0",
    description="openssl s_client 3.0",
    versions=(V.TLSv1_3, V.TLSv1_2, V.TLSv1_1, V.TLSv1_0),
    cipher_suites=OPENSSL_SUITES,
    groups=_OPENSSL_GROUPS,
    key_shares=(G.x25519,),
    signature_schemes=_OPENSSL_SCHEMES,
    extensions=(
        X.server_name,
        X.ec_point_formats,
        X.supported_groups,
        X.session_ticket,
        X.encrypt_then_mac,
        X.extended_master_secret,
        X.signature_algorithms,
        X.supported_versions,
        X.psk_key_exchange_modes,
        X.key_share,
        X.padding,
    ),
)

_CURL = replace(
    _OPENSSL,
    name="curl",
    description="curl 7.88 with OpenSSL 3.0, offering h2 and http/1.1",
    extensions=(
        X.server_name,
        X.ec_point_formats,
        X.supported_groups,
        X.application_layer_protocol_negotiation,
        X.encrypt_then_mac,
        X.extended_master_secret,
        X.post_handshake_auth,
        X.signature_algorithms,
        X.supported_versions,
        X.psk_key_exchange_modes,
        X.key_share,
        X.padding,
    ),
    alpn=("h2", "http/1.1"),
    padding=Padding.OUT_OF_256_TO_511,
)

_NODE = replace(
    _OPENSSL,
    name="node-tls",
    description="Node.js 20 tls.connect, as node-redis and other database clients use it",
    versions=(V.TLSv1_3, V.TLSv1_2),
    cipher_suites=NODE_SUITES,
)

_PYTHON = replace(
    _OPENSSL,
    name="python-3.11",
    description="Python 3.11 ssl.create_default_context with OpenSSL 3.0",
    versions=(V.TLSv1_3, V.TLSv1_2),
    cipher_suites=PYTHON_SUITES,
    padding=Padding.OUT_OF_256_TO_511,
)

_JAVA = Profile(
    name="java-17",
    description="OpenJDK 17, which sends no name to an IP address or an unqualified host",
    versions=(V.TLSv1_3, V.TLSv1_2),
    cipher_suites=JAVA_SUITES,
    groups=(
        G.x25519,
        G.secp256r1,
        G.secp384r1,
        G.secp521r1,
        G.x448,
        G.ffdhe2048,
        G.ffdhe3072,
        G.ffdhe4096,
        G.ffdhe6144,
        G.ffdhe8192,
    ),
    key_shares=(G.x25519, G.secp256r1),
    signature_schemes=(
        S.ecdsa_secp256r1_sha256,
        S.ecdsa_secp384r1_sha384,
        S.ecdsa_secp521r1_sha512,
        S.ed25519,
        S.ed448,
        S.rsa_pss_rsae_sha256,
        S.rsa_pss_rsae_sha384,
        S.rsa_pss_rsae_sha512,
        S.rsa_pss_pss_sha256,
        S.rsa_pss_pss_sha384,
        S.rsa_pss_pss_sha512,
        S.rsa_pkcs1_sha256,
        S.rsa_pkcs1_sha384,
        S.rsa_pkcs1_sha512,
        S.dsa_sha256,
        S.ecdsa_sha224,
        S.rsa_pkcs1_sha224,
        S.dsa_sha224,
        S.ecdsa_sha1,
        S.rsa_pkcs1_sha1,
        S.dsa_sha1,
    ),
    extensions=(
        X.server_name,
        X.status_request,
        X.supported_groups,
        X.ec_point_formats,
        X.status_request_v2,
        X.extended_master_secret,
        X.session_ticket,
        X.signature_algorithms,
        X.supported_versions,
        X.psk_key_exchange_modes,
        X.signature_algorithms_cert,
        X.key_share,
    ),
    record_version=V.TLSv1_2,
    point_formats=(0,),
)

_GNUTLS = Profile(
    name="gnutls-3.7",
    description="gnutls-cli 3.7",
    versions=(V.TLSv1_3, V.TLSv1_2, V.TLSv1_1, V.TLSv1_0),
    cipher_suites=GNUTLS_SUITES,
    groups=(
        G.secp256r1,
        G.secp384r1,
        G.secp521r1,
        G.x25519,
        G.x448,
        G.ffdhe2048,
        G.ffdhe3072,
        G.ffdhe4096,
        G.ffdhe6144,
        G.ffdhe8192,
    ),
    key_shares=(G.secp256r1, G.x25519),
    signature_schemes=(
        S.rsa_pkcs1_sha256,
        S.rsa_pss_pss_sha256,
        S.rsa_pss_rsae_sha256,
        S.ecdsa_secp256r1_sha256,
        S.ed25519,
        S.rsa_pkcs1_sha384,
        S.rsa_pss_pss_sha384,
        S.rsa_pss_rsae_sha384,
        S.ecdsa_secp384r1_sha384,
        S.ed448,
        S.rsa_pkcs1_sha512,
        S.rsa_pss_pss_sha512,
        S.rsa_pss_rsae_sha512,
        S.ecdsa_secp521r1_sha512,
        S.rsa_pkcs1_sha1,
        S.ecdsa_sha1,
    ),
    extensions=(
        X.status_request,
        X.supported_groups,
        X.ec_point_formats,
        X.signature_algorithms,
        X.encrypt_then_mac,
        X.extended_master_secret,
        X.session_ticket,
        X.key_share,
        X.supported_versions,
        X.renegotiation_info,
        X.server_name,
        X.psk_key_exchange_modes,
        X.record_size_limit,
    ),
    point_formats=(0,),
    psk_modes=(1, 0),
)

PROFILES: dict[str, Profile] = {profile.name: profile for profile in (_MODERN, _OPENSSL, _CURL, _NODE, _JAVA, _GNUTLS, _PYTHON)}
"""Profiles by the name that ``--hello`` and ``modules[].hello`` take; the first is the default."""
