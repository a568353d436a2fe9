"""IANA code points as open enumerations.

A code point that is not listed here is a finding, not an error: ``CipherSuite(0x1A1A)`` is a value that prints as
``0x1A1A`` and compares equal to its integer. Therefore compare registry values with ``==``, never with ``is``.

Sources: the IANA "TLS Parameters" and "TLS ExtensionType Values" registries; RFC 8446 appendix B, RFC 5246 appendix A.
"""

from __future__ import annotations

from prober.tls.cipher_suite_registry import CipherSuite
from prober.tls.open_enum import OpenIntEnum

__all__ = [
    "AlertDescription",
    "AlertLevel",
    "CertificateType",
    "CipherSuite",
    "ContentType",
    "ExtensionType",
    "HandshakeType",
    "NamedGroup",
    "ProtocolVersion",
    "SignatureScheme",
    "handshake_type_name",
    "is_grease",
]


class _OpenByteEnum(OpenIntEnum):
    @classmethod
    def _unregistered_name(cls, value: int) -> str:
        return f"0x{value:02X}"


def is_grease(code: int) -> bool:
    """Whether a 16-bit code point is one of the reserved values of RFC 8701 §2 (0x0A0A, 0x1A1A, ... 0xFAFA)."""
    return code & 0x0F0F == 0x0A0A and code >> 8 == code & 0xFF


# RFC 8446 §5.1
class ContentType(_OpenByteEnum):
    change_cipher_spec = 0x14
    alert = 0x15
    handshake = 0x16
    application_data = 0x17
    heartbeat = 0x18


# RFC 8446 §4.1.2, §4.2.1
class ProtocolVersion(OpenIntEnum):
    SSLv2 = 0x0002
    SSLv3 = 0x0300
    TLSv1_0 = 0x0301
    TLSv1_1 = 0x0302
    TLSv1_2 = 0x0303
    TLSv1_3 = 0x0304

    @property
    def label(self) -> str:
        """The version as prober prints it: ``TLSv1.2``; an unregistered one as hexadecimal."""
        return self.name.replace("_", ".") if self.name.startswith("TLS") else self.name


# RFC 8446 §4; RFC 5246 §7.4; RFC 8879
class HandshakeType(_OpenByteEnum):
    hello_request = 0
    client_hello = 1
    server_hello = 2
    hello_verify_request = 3
    new_session_ticket = 4
    end_of_early_data = 5
    encrypted_extensions = 8
    certificate = 11
    server_key_exchange = 12
    certificate_request = 13
    server_hello_done = 14
    certificate_verify = 15
    client_key_exchange = 16
    finished = 20
    certificate_url = 21
    certificate_status = 22
    supplemental_data = 23
    key_update = 24
    compressed_certificate = 25
    message_hash = 254


def handshake_type_name(kind: int) -> str:
    """A handshake type as the RFCs write the message: ``ServerHello``; an unregistered one is hexadecimal."""
    name = HandshakeType(kind).name
    return name if name.startswith("0x") else name.title().replace("_", "")


# RFC 8446 §6
class AlertLevel(_OpenByteEnum):
    warning = 1
    fatal = 2

    @classmethod
    def _unregistered_name(cls, value: int) -> str:
        return f"level_{value}"


# RFC 8446 §6, with the values that older RFCs registered
class AlertDescription(_OpenByteEnum):
    close_notify = 0
    unexpected_message = 10
    bad_record_mac = 20
    decryption_failed = 21
    record_overflow = 22
    decompression_failure = 30
    handshake_failure = 40
    no_certificate = 41
    bad_certificate = 42
    unsupported_certificate = 43
    certificate_revoked = 44
    certificate_expired = 45
    certificate_unknown = 46
    illegal_parameter = 47
    unknown_ca = 48
    access_denied = 49
    decode_error = 50
    decrypt_error = 51
    too_many_cids_requested = 52
    export_restriction = 60
    protocol_version = 70
    insufficient_security = 71
    internal_error = 80
    inappropriate_fallback = 86
    user_canceled = 90
    no_renegotiation = 100
    missing_extension = 109
    unsupported_extension = 110
    certificate_unobtainable = 111
    unrecognized_name = 112
    bad_certificate_status_response = 113
    bad_certificate_hash_value = 114
    unknown_psk_identity = 115
    certificate_required = 116
    general_error = 117
    no_application_protocol = 120
    ech_required = 121

    @classmethod
    def _unregistered_name(cls, value: int) -> str:
        return f"alert_{value}"


# IANA "TLS ExtensionType Values"
class ExtensionType(OpenIntEnum):
    server_name = 0
    max_fragment_length = 1
    client_certificate_url = 2
    trusted_ca_keys = 3
    truncated_hmac = 4
    status_request = 5
    user_mapping = 6
    client_authz = 7
    server_authz = 8
    cert_type = 9
    supported_groups = 10
    ec_point_formats = 11
    srp = 12
    signature_algorithms = 13
    use_srtp = 14
    heartbeat = 15
    application_layer_protocol_negotiation = 16
    status_request_v2 = 17
    signed_certificate_timestamp = 18
    client_certificate_type = 19
    server_certificate_type = 20
    padding = 21
    encrypt_then_mac = 22
    extended_master_secret = 23
    token_binding = 24
    cached_info = 25
    compress_certificate = 27
    record_size_limit = 28
    delegated_credential = 34
    session_ticket = 35
    pre_shared_key = 41
    early_data = 42
    supported_versions = 43
    cookie = 44
    psk_key_exchange_modes = 45
    certificate_authorities = 47
    oid_filters = 48
    post_handshake_auth = 49
    signature_algorithms_cert = 50
    key_share = 51
    transparency_info = 52
    connection_id = 54
    external_id_hash = 55
    external_session_id = 56
    quic_transport_parameters = 57
    ticket_request = 58
    application_settings = 17513
    encrypted_client_hello = 0xFE0D
    renegotiation_info = 0xFF01


# RFC 8446 §4.2.7; RFC 8422; RFC 7919; draft-ietf-tls-ecdhe-mlkem
class NamedGroup(OpenIntEnum):
    sect163k1 = 0x0001
    secp192r1 = 0x0013
    secp224r1 = 0x0015
    secp256k1 = 0x0016
    secp256r1 = 0x0017
    secp384r1 = 0x0018
    secp521r1 = 0x0019
    brainpoolP256r1 = 0x001A
    brainpoolP384r1 = 0x001B
    brainpoolP512r1 = 0x001C
    x25519 = 0x001D
    x448 = 0x001E
    brainpoolP256r1tls13 = 0x001F
    brainpoolP384r1tls13 = 0x0020
    brainpoolP512r1tls13 = 0x0021
    ffdhe2048 = 0x0100
    ffdhe3072 = 0x0101
    ffdhe4096 = 0x0102
    ffdhe6144 = 0x0103
    ffdhe8192 = 0x0104
    MLKEM512 = 0x0200
    MLKEM768 = 0x0201
    MLKEM1024 = 0x0202
    SecP256r1MLKEM768 = 0x11EB
    X25519MLKEM768 = 0x11EC
    SecP384r1MLKEM1024 = 0x11ED


# RFC 8446 §4.2.3; the pairs of RFC 5246 §7.4.1.4.1 that TLS 1.3 does not name keep hash_signature names
class SignatureScheme(OpenIntEnum):
    rsa_pkcs1_md5 = 0x0101
    rsa_pkcs1_sha1 = 0x0201
    dsa_sha1 = 0x0202
    ecdsa_sha1 = 0x0203
    rsa_pkcs1_sha224 = 0x0301
    dsa_sha224 = 0x0302
    ecdsa_sha224 = 0x0303
    rsa_pkcs1_sha256 = 0x0401
    dsa_sha256 = 0x0402
    ecdsa_secp256r1_sha256 = 0x0403
    rsa_pkcs1_sha384 = 0x0501
    dsa_sha384 = 0x0502
    ecdsa_secp384r1_sha384 = 0x0503
    rsa_pkcs1_sha512 = 0x0601
    dsa_sha512 = 0x0602
    ecdsa_secp521r1_sha512 = 0x0603
    rsa_pss_rsae_sha256 = 0x0804
    rsa_pss_rsae_sha384 = 0x0805
    rsa_pss_rsae_sha512 = 0x0806
    ed25519 = 0x0807
    ed448 = 0x0808
    rsa_pss_pss_sha256 = 0x0809
    rsa_pss_pss_sha384 = 0x080A
    rsa_pss_pss_sha512 = 0x080B
    ecdsa_brainpoolP256r1tls13_sha256 = 0x081A
    ecdsa_brainpoolP384r1tls13_sha384 = 0x081B
    ecdsa_brainpoolP512r1tls13_sha512 = 0x081C
    mldsa44 = 0x0904
    mldsa65 = 0x0905
    mldsa87 = 0x0906


# RFC 5246 §7.4.4
class CertificateType(_OpenByteEnum):
    rsa_sign = 1
    dss_sign = 2
    rsa_fixed_dh = 3
    dss_fixed_dh = 4
    ecdsa_sign = 64
    rsa_fixed_ecdh = 65
    ecdsa_fixed_ecdh = 66
