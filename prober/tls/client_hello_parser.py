"""Reading ClientHello messages (RFC 8446 §4.1.2): from captures of real clients, and our own for their fingerprint."""

from __future__ import annotations

from enum import IntEnum
from functools import lru_cache
from typing import Final, NamedTuple, TypeVar

from prober.tls.errors import DecodeError
from prober.tls.extensions import extension, opaque8, opaque16, u16_list
from prober.tls.registry import (
    CipherSuite,
    ExtensionType,
    HandshakeType,
    NamedGroup,
    ProtocolVersion,
    SignatureScheme,
)
from prober.tls.wire import Reader

__all__ = ["ClientHello", "parse_client_hello", "printable"]

_Code = TypeVar("_Code", bound=IntEnum)

NAME = "ClientHello"


class ClientHello(NamedTuple):
    """A ClientHello as it stood on the wire; fields of extensions that were not sent are empty."""

    legacy_version: ProtocolVersion
    random: bytes
    session_id: bytes
    cipher_suites: tuple[CipherSuite, ...]
    compression_methods: bytes
    extensions: tuple[tuple[ExtensionType, bytes], ...]
    """In wire order, bodies as they are."""
    has_extension_block: bool = True
    """False for a hello that ends after the compression methods (RFC 5246 §7.4.1.2)."""
    server_name: str | None = None
    """The first host_name, as `printable` text."""
    alpn: tuple[bytes, ...] = ()
    supported_versions: tuple[ProtocolVersion, ...] = ()
    groups: tuple[NamedGroup, ...] = ()
    point_formats: tuple[int, ...] = ()
    signature_schemes: tuple[SignatureScheme, ...] = ()
    key_shares: tuple[tuple[NamedGroup, bytes], ...] = ()

    @property
    def encrypted_client_hello(self) -> bool:
        """Whether the true server name may be hidden (RFC 9849)."""
        return any(kind == ExtensionType.encrypted_client_hello for kind, _ in self.extensions)

    def encode(self) -> bytes:
        """The handshake message, its four-byte header included, byte for byte as it was parsed."""
        body = (
            self.legacy_version.to_bytes(2)
            + self.random
            + opaque8(self.session_id)
            + u16_list(self.cipher_suites)
            + opaque8(self.compression_methods)
        )
        if self.has_extension_block:
            body += opaque16(b"".join(extension(kind, data) for kind, data in self.extensions))
        return HandshakeType.client_hello.to_bytes(1) + len(body).to_bytes(3) + body


def parse_client_hello(message: bytes) -> ClientHello:
    """Parse one complete handshake message, its four-byte header included; DecodeError when it is no ClientHello."""
    reader = Reader(message, NAME)
    kind = reader.u8("message type")
    if kind != HandshakeType.client_hello:
        raise DecodeError(f"message type is {HandshakeType(kind).name}", message=NAME, offset=0)
    hello = reader.vector24(NAME)
    reader.expect_end(NAME)
    version = ProtocolVersion(hello.u16("legacy_version"))
    random = hello.take(32, "random")
    session_id = hello.opaque8("legacy_session_id")
    suites = _registered(CipherSuite, hello.u16_list("cipher_suites"))
    compression = hello.opaque8("legacy_compression_methods")
    if not hello.remaining:
        return ClientHello(version, random, session_id, suites, compression, (), has_extension_block=False)
    block = hello.vector16("extensions")
    hello.expect_end(NAME)
    bodies: dict[ExtensionType, Reader] = {}
    raw: list[tuple[ExtensionType, bytes]] = []
    while block.remaining:
        start = block.offset
        extension_type = ExtensionType(block.u16("extension type"))
        if extension_type in bodies:
            # RFC 8446 §4.2
            raise DecodeError(f"extension {extension_type.name} stands twice", message=NAME, offset=start)
        body = block.vector16(extension_type.name)
        raw.append((extension_type, message[body.offset : body.offset + body.remaining]))
        bodies[extension_type] = body
    return ClientHello(
        legacy_version=version,
        random=random,
        session_id=session_id,
        cipher_suites=suites,
        compression_methods=compression,
        extensions=tuple(raw),
        server_name=_server_name(bodies),
        alpn=_alpn(bodies),
        supported_versions=_supported_versions(bodies),
        groups=_registered(NamedGroup, _u16s(bodies, ExtensionType.supported_groups)),
        point_formats=_point_formats(bodies),
        signature_schemes=_registered(SignatureScheme, _u16s(bodies, ExtensionType.signature_algorithms)),
        key_shares=_key_shares(bodies),
    )


_REMEMBERED: Final = 256
"""Code points of a list that is remembered; a client has at most some hundred cipher suites. A hello may hold eight thousand that nobody
has registered, 3 MB of objects: remembered a thousand times, they would fill a machine from a capture of 16 MB."""


def _registered(registry: type[_Code], codes: tuple[int, ...]) -> tuple[_Code, ...]:
    return _known(registry, codes) if len(codes) <= _REMEMBERED else tuple(map(registry, codes))


# A capture has the same few clients' lists a hundred thousand times, and looking a code point up costs a microsecond.
@lru_cache(maxsize=1024)
def _known(registry: type[_Code], codes: tuple[int, ...]) -> tuple[_Code, ...]:
    return tuple(map(registry, codes))


def printable(text: bytes) -> str:
    r"""A peer's bytes as text that is safe on a terminal: all but visible ASCII is escaped as ``\xNN``."""
    return "".join([chr(byte) if 0x21 <= byte <= 0x7E else f"\\x{byte:02x}" for byte in text])


def _u16s(bodies: dict[ExtensionType, Reader], kind: ExtensionType) -> tuple[int, ...]:
    body = bodies.get(kind)
    if body is None:
        return ()
    values = body.u16_list(kind.name)
    body.expect_end(kind.name)
    return values


# RFC 6066 §3
def _server_name(bodies: dict[ExtensionType, Reader]) -> str | None:
    body = bodies.get(ExtensionType.server_name)
    if body is None:
        return None
    names = body.vector16("server_name_list")
    body.expect_end("server_name")
    found: str | None = None
    while names.remaining:
        name_type = names.u8("name_type")
        name = names.opaque16("host_name")
        if name_type == 0 and found is None:
            found = printable(name)
    return found


# RFC 7301 §3.1
def _alpn(bodies: dict[ExtensionType, Reader]) -> tuple[bytes, ...]:
    body = bodies.get(ExtensionType.application_layer_protocol_negotiation)
    if body is None:
        return ()
    names = body.vector16("protocol_name_list")
    body.expect_end("application_layer_protocol_negotiation")
    protocols = []
    while names.remaining:
        protocols.append(names.opaque8("protocol_name"))
    return tuple(protocols)


# RFC 8446 §4.2.1
def _supported_versions(bodies: dict[ExtensionType, Reader]) -> tuple[ProtocolVersion, ...]:
    body = bodies.get(ExtensionType.supported_versions)
    if body is None:
        return ()
    versions = body.vector8("versions")
    body.expect_end("supported_versions")
    found = []
    while versions.remaining:
        found.append(ProtocolVersion(versions.u16("version")))
    return tuple(found)


# RFC 8422 §5.1.2
def _point_formats(bodies: dict[ExtensionType, Reader]) -> tuple[int, ...]:
    body = bodies.get(ExtensionType.ec_point_formats)
    if body is None:
        return ()
    formats = body.opaque8("ec_point_format_list")
    body.expect_end("ec_point_formats")
    return tuple(formats)


# RFC 8446 §4.2.8
def _key_shares(bodies: dict[ExtensionType, Reader]) -> tuple[tuple[NamedGroup, bytes], ...]:
    body = bodies.get(ExtensionType.key_share)
    if body is None:
        return ()
    shares = body.vector16("client_shares")
    body.expect_end("key_share")
    found = []
    while shares.remaining:
        found.append((NamedGroup(shares.u16("group")), shares.opaque16("key_exchange")))
    return tuple(found)
