"""Bodies of the ClientHello extensions, as a table from extension type to the function that builds one from a profile.

What differs between two hellos of one profile (server_name, key_share, cookie, padding) is not here but in `hello_layout`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from prober.tls.profile import Profile
from prober.tls.registry import ExtensionType

__all__ = ["BODIES", "extension", "opaque8", "opaque16", "u16_list"]


def opaque8(data: bytes) -> bytes:
    """A vector ``<0..2^8-1>``."""
    return len(data).to_bytes(1) + data


def opaque16(data: bytes) -> bytes:
    """A vector ``<0..2^16-1>``."""
    return len(data).to_bytes(2) + data


def _u16s(values: Iterable[int]) -> bytes:
    return b"".join(value.to_bytes(2) for value in values)


def u16_list(values: Iterable[int]) -> bytes:
    """A vector ``<0..2^16-1>`` of 16-bit values."""
    return opaque16(_u16s(values))


def extension(kind: int, body: bytes) -> bytes:
    """One Extension structure (RFC 8446 §4.2)."""
    return kind.to_bytes(2) + opaque16(body)


def _empty(_: Profile) -> bytes:
    return b""


BODIES: dict[ExtensionType, Callable[[Profile], bytes]] = {
    # RFC 6066 §8: OCSP, no responder ids, no request extensions
    ExtensionType.status_request: lambda _: b"\x01\x00\x00\x00\x00",
    # RFC 8446 §4.2.7, RFC 8422 §5.1.1
    ExtensionType.supported_groups: lambda profile: u16_list(profile.groups),
    # RFC 8422 §5.1.2
    ExtensionType.ec_point_formats: lambda profile: opaque8(bytes(profile.point_formats)),
    # RFC 8446 §4.2.3
    ExtensionType.signature_algorithms: lambda profile: u16_list(profile.signature_schemes),
    # RFC 7301 §3.1
    ExtensionType.application_layer_protocol_negotiation: lambda profile: opaque16(
        b"".join(opaque8(protocol.encode("ascii")) for protocol in profile.alpn)
    ),
    # RFC 6961 §2.2: one item, ocsp_multi, no responder ids, no request extensions
    ExtensionType.status_request_v2: lambda _: opaque16(b"\x02" + opaque16(b"\x00\x00\x00\x00")),
    # RFC 7366 §2
    ExtensionType.encrypt_then_mac: _empty,
    # RFC 7627 §5.1
    ExtensionType.extended_master_secret: _empty,
    # RFC 8449 §4
    ExtensionType.record_size_limit: lambda profile: profile.record_size_limit.to_bytes(2),
    # RFC 5077 §3.2: no ticket yet
    ExtensionType.session_ticket: _empty,
    # RFC 8446 §4.2.1
    ExtensionType.supported_versions: lambda profile: opaque8(_u16s(profile.versions)),
    # RFC 8446 §4.2.9
    ExtensionType.psk_key_exchange_modes: lambda profile: opaque8(bytes(profile.psk_modes)),
    # RFC 8446 §4.2.6
    ExtensionType.post_handshake_auth: _empty,
    # RFC 8446 §4.2.3; the client that we know to send it repeats its signature_algorithms
    ExtensionType.signature_algorithms_cert: lambda profile: u16_list(profile.signature_schemes),
    # RFC 5746 §3.4: an initial handshake
    ExtensionType.renegotiation_info: lambda _: b"\x00",
}
