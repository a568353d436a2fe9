"""ClientHello profiles: which shape a hello has on the wire, as data.

The captured ones (`openssl-3.0`, `curl`, `node-tls`, `java-17`, `gnutls-3.7`, `python-3.11`) reproduce what these clients send,
since an ingress may treat a client by its fingerprint; the tests compare them with the captures byte by byte.
"""

from __future__ import annotations

from dataclasses import replace

from prober.tls.cipher_suite_lists import (
    GNUTLS_SUITES,
    JAVA_SUITES,
    LEGACY_SUITES,
    MODERN_SUITES,
    NODE_SUITES,
    OPENSSL_SUITES,
    PYTHON_SUITES,
)
from prober.tls.profile import Padding, Profile
from prober.tls.registry import ExtensionType, NamedGroup, ProtocolVersion, SignatureScheme
from prober.tls.server_name import ServerNameForm
from prober.tls.version_restriction import restricted

__all__ = ["PROFILES", "Padding", "Profile"]

X = ExtensionType
S = SignatureScheme
G = NamedGroup
V = ProtocolVersion


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
        G.ffdhe6144,
        G.ffdhe8192,
        G.brainpoolP256r1,
        G.brainpoolP384r1,
        G.brainpoolP512r1,
        # Last and without a share: a server that insists asks for one with a HelloRetryRequest.
        G.X25519MLKEM768,
        G.SecP256r1MLKEM768,
        G.SecP384r1MLKEM1024,
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

_PQ = replace(
    _MODERN,
    name="pq",
    description="modern with an X25519MLKEM768 share: a hello longer than one TCP segment, as browsers send it",
    groups=(G.X25519MLKEM768, *(group for group in _MODERN.groups if group != G.X25519MLKEM768)),
    key_shares=(G.X25519MLKEM768, G.x25519),
)

_LEGACY = Profile(
    name="legacy-tls10",
    description="a client of about 2005: TLS 1.0, no elliptic curves, no extension but the server name",
    versions=(V.TLSv1_0,),
    cipher_suites=LEGACY_SUITES,
    extensions=(X.server_name,),
    session_id_size=0,
)

_IP_LITERAL = replace(
    _MODERN,
    name="sni-ip-literal",
    description="modern with an IP address as server name, which RFC 6066 forbids and old stacks send",
    server_name_form=ServerNameForm.IP_LITERAL,
)

_TRAILING_DOT = replace(
    _MODERN,
    name="sni-trailing-dot",
    description="modern with a dot after the server name, which RFC 6066 forbids and some resolvers' users send",
    server_name_form=ServerNameForm.TRAILING_DOT,
)

PROFILES: dict[str, Profile] = {
    profile.name: profile
    for profile in (
        _MODERN,
        replace(restricted(_MODERN, "1.2"), name="tls12-only", description="modern without TLS 1.3 and without TLS 1.1 and 1.0"),
        replace(restricted(_MODERN, "1.3"), name="tls13-only", description="modern with TLS 1.3 alone"),
        _PQ,
        _OPENSSL,
        _CURL,
        _NODE,
        _JAVA,
        _GNUTLS,
        _PYTHON,
        _LEGACY,
        _IP_LITERAL,
        _TRAILING_DOT,
    )
}
"""Profiles by the name that ``--hello`` and ``modules[].hello`` take; the first is the default."""
