"""A ClientHello decoded for people: the lines of a transcript."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import IntEnum

from prober.tls.client_hello_parser import ClientHello, printable
from prober.tls.fingerprint import ja4
from prober.tls.registry import ExtensionType, ProtocolVersion, is_grease

__all__ = ["describe_client_hello"]


def describe_client_hello(hello: ClientHello) -> tuple[str, ...]:
    """One line a field, one line an extension, in wire order, and the JA4. Bytes are lower-case hexadecimal."""
    compression = ", ".join("null" if method == 0 else str(method) for method in hello.compression_methods)
    return (
        f"legacy_version: {hello.legacy_version.label}",
        f"random: {hello.random.hex()}",
        f"legacy_session_id: {hello.session_id.hex() or 'empty'}",
        f"cipher_suites ({len(hello.cipher_suites)}): {_names(hello.cipher_suites)}",
        f"legacy_compression_methods: {compression}",
        *(_extension_line(hello, kind, body) for kind, body in hello.extensions),
        f"JA4: {ja4(hello)}",
    )


def _name(code: IntEnum) -> str:
    if is_grease(code):
        return f"GREASE {code.name}"
    return code.label if isinstance(code, ProtocolVersion) else code.name


def _names(codes: Iterable[IntEnum]) -> str:
    return ", ".join(_name(code) for code in codes) or "none"


def _extension_line(hello: ClientHello, kind: ExtensionType, body: bytes) -> str:
    decode = _DECODED.get(kind)
    if decode is not None:
        return f"{kind.name}: {decode(hello)}"
    if kind == ExtensionType.padding:
        return f"{kind.name}: {len(body)} bytes"
    shown = body.hex() if len(body) <= 32 else f"{body[:32].hex()}... ({len(body)} bytes)"
    return f"{_name(kind)}: {shown}" if body else _name(kind)


def _key_shares(hello: ClientHello) -> str:
    return ", ".join(f"{_name(group)} ({len(share)} bytes)" for group, share in hello.key_shares) or "none"


# The extensions that the parser decodes; every other one is shown as its bytes.
_DECODED: dict[ExtensionType, Callable[[ClientHello], str]] = {
    ExtensionType.server_name: lambda hello: hello.server_name or "empty",
    ExtensionType.supported_groups: lambda hello: _names(hello.groups),
    ExtensionType.ec_point_formats: lambda hello: ", ".join(map(str, hello.point_formats)) or "none",
    ExtensionType.signature_algorithms: lambda hello: _names(hello.signature_schemes),
    ExtensionType.application_layer_protocol_negotiation: lambda hello: ", ".join(map(printable, hello.alpn)) or "none",
    ExtensionType.supported_versions: lambda hello: _names(hello.supported_versions),
    ExtensionType.key_share: _key_shares,
}
