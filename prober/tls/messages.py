"""The server's handshake messages, one NamedTuple each: here what all versions share, the rest in `messages12`, `messages13`.

Each has ``parse``, from a message with its four-byte header, and ``serialise``, back to the same bytes. ``parse`` raises
DecodeError alone, with the offset from the start of the message. It checks shape, not sense: whether a value was offered
is the handshake's business.
"""

from __future__ import annotations

from collections.abc import Mapping
from struct import Struct
from typing import Final, NamedTuple, Self

from prober.tls.errors import DecodeError
from prober.tls.registry import ExtensionType, HandshakeType
from prober.tls.wire import Reader, Writer

__all__ = [
    "HELLO_RETRY_REQUEST_RANDOM",
    "ServerHello",
    "handshake_message",
    "parse_alpn",
    "parse_key_share",
    "read_certificate",
    "read_extensions",
    "write_extensions",
]

_SUPPORTED_VERSIONS: Final = ExtensionType.supported_versions.value

_SESSION_ID_AT: Final = 4 + 2 + 32 + 1
"""Of a ServerHello: behind header, version, random and the length of the session id."""

_read_server_hello: Final = Struct(">H32sB").unpack_from
_read_choices: Final = Struct(">HBH").unpack_from
_read_u16_twice: Final = Struct(">HH").unpack_from

# What a NamedTuple's own constructor does, at half its price.
_new_tuple: Final = tuple.__new__

# RFC 8446 §4.1.3: SHA-256 of "HelloRetryRequest"
HELLO_RETRY_REQUEST_RANDOM: Final = bytes.fromhex("CF21AD74E59A6111BE1D8C021E65B891C2A211167ABB8C5E079E09E2C8A8339C")


def handshake_message(kind: int, body: bytes) -> bytes:
    """A handshake message: type, 24-bit length, body (RFC 8446 §4)."""
    return kind.to_bytes(1) + len(body).to_bytes(3) + body


# RFC 8446 §4.2
def read_extensions(reader: Reader, message: str) -> dict[int, bytes]:
    """A vector of extensions by type, in the order of the wire; an extension that comes twice is a DecodeError."""
    offset, end = reader.span16("extensions")
    return _extensions_between(reader.data, offset, end, message)


def _extensions_between(data: bytes, offset: int, end: int, message: str) -> dict[int, bytes]:
    extensions: dict[int, bytes] = {}
    while offset < end:
        body = offset + 4
        if body > end:
            raise DecodeError(f"an extension needs 4 bytes, {end - offset} are left", message=message, offset=offset)
        kind, length = _read_u16_twice(data, offset)
        next_offset = body + length
        if next_offset > end:
            name = ExtensionType(kind).name
            raise DecodeError(
                f"extension {name} needs {next_offset - body} bytes, {end - body} are left", message=message, offset=body
            )
        if kind in extensions:
            raise DecodeError(f"extension {ExtensionType(kind).name} comes twice", message=message, offset=offset)
        extensions[kind] = data[body:next_offset]
        offset = next_offset
    return extensions


def write_extensions(writer: Writer, extensions: Mapping[int, bytes]) -> None:
    """A vector of extensions."""
    with writer.vector16():
        for kind, data in extensions.items():
            writer.u16(kind)
            with writer.vector16():
                writer.raw(data)


# RFC 8446 §4.1.3; RFC 5246 §7.4.1.3
class ServerHello(NamedTuple):
    """A ServerHello of any version, or a HelloRetryRequest. ``extensions`` are in the order of the wire."""

    legacy_version: int
    random: bytes
    session_id: bytes
    cipher_suite: int
    compression_method: int
    extensions: Mapping[int, bytes]

    @property
    def is_hello_retry_request(self) -> bool:
        """RFC 8446 §4.1.3: told apart by the value of random alone."""
        return self.random == HELLO_RETRY_REQUEST_RANDOM

    @property
    def name(self) -> str:
        """The message's name in errors and transcripts."""
        return "HelloRetryRequest" if self.is_hello_retry_request else "ServerHello"

    @property
    def version(self) -> int:
        """The version that the server selected (RFC 8446 §4.2.1). Raises DecodeError for a malformed supported_versions."""
        selected = self.extensions.get(_SUPPORTED_VERSIONS)
        if selected is None:
            return self.legacy_version
        if len(selected) != 2:
            at = self.extension_at(_SUPPORTED_VERSIONS)
            raise DecodeError(f"supported_versions has {len(selected)} bytes, not 2", message=self.name, offset=at)
        return int.from_bytes(selected)

    @property
    def cipher_suite_at(self) -> int:
        """Where in the message it stands; compression_method is two bytes behind."""
        return _SESSION_ID_AT + len(self.session_id)

    @property
    def extensions_at(self) -> int:
        """Where in the message the first extension begins."""
        return self.cipher_suite_at + 5

    def extension_at(self, kind: int) -> int:
        """Where in the message the body of an extension that is there begins."""
        at = self.extensions_at
        for each, data in self.extensions.items():
            if each == kind:
                break
            at += 4 + len(data)
        return at + 4

    @classmethod
    def parse(cls, message: bytes) -> Self:
        """From the whole message; DecodeError."""
        # What is well-formed is read by arithmetic alone, a third of the work; a reader says of the rest what is amiss, and where.
        size = len(message)
        if size < _SESSION_ID_AT:
            return cls._read(message)
        version, random, session_id_size = _read_server_hello(message, 4)
        after_session_id = _SESSION_ID_AT + session_id_size
        extensions_at = after_session_id + 5
        if extensions_at > size:
            return cls._read(message)
        suite, compression, extensions_size = _read_choices(message, after_session_id)
        if extensions_at + extensions_size != size:
            return cls._read(message)
        extensions = _extensions_between(message, extensions_at, size, "ServerHello")
        return _new_tuple(cls, (version, random, message[_SESSION_ID_AT:after_session_id], suite, compression, extensions))

    @classmethod
    def _read(cls, message: bytes) -> Self:
        reader = Reader(message, "ServerHello", 4)
        legacy_version = reader.u16("legacy_version")
        random = reader.take(32, "random")
        session_id = reader.opaque8("session_id")
        cipher_suite = reader.u16("cipher_suite")
        compression_method = reader.u8("compression_method")
        # RFC 5246 §7.4.1.3: the extensions may be absent as a whole, length included.
        extensions = read_extensions(reader, "ServerHello") if reader.remaining else {}
        reader.expect_end("ServerHello")
        return cls(legacy_version, random, session_id, cipher_suite, compression_method, extensions)

    def serialise(self) -> bytes:
        """The message; without extensions, the field is left out as TLS <= 1.2 allows."""
        writer = Writer()
        writer.u16(self.legacy_version)
        writer.raw(self.random)
        with writer.vector8():
            writer.raw(self.session_id)
        writer.u16(self.cipher_suite)
        writer.u8(self.compression_method)
        if self.extensions:
            write_extensions(writer, self.extensions)
        return handshake_message(HandshakeType.server_hello, writer.getvalue())


# RFC 8446 §4.2.8: KeyShareServerHello
def parse_key_share(data: bytes) -> tuple[int, bytes]:
    """The group and the public value of a ServerHello's key_share."""
    reader = Reader(data, "key_share")
    group, public = reader.u16("group"), reader.opaque16("key_exchange")
    reader.expect_end("key_share")
    return group, public


# RFC 7301 §3.1
def parse_alpn(data: bytes) -> bytes:
    """The one protocol that a server's ALPN extension names."""
    reader = Reader(data, "application_layer_protocol_negotiation")
    names = reader.vector16("protocol_name_list")
    reader.expect_end("protocol_name_list")
    name = names.opaque8("protocol_name")
    names.expect_end("the only protocol_name")
    if not name:
        raise DecodeError("protocol_name is empty", message="application_layer_protocol_negotiation", offset=2)
    return name


def read_certificate(message: bytes, offset: int, end: int) -> tuple[bytes, int]:
    """The certificate (DER) at ``offset`` of a certificate_list that ends at ``end``, and the offset behind it."""
    body = offset + 3
    next_offset = body + int.from_bytes(message[offset:body])
    if body > end or next_offset > end:
        raise DecodeError(
            f"a certificate of {next_offset - body} bytes, {end - body} are left", message="Certificate", offset=offset
        )
    if next_offset == body:
        raise DecodeError("a certificate of no bytes", message="Certificate", offset=offset)
    return message[body:next_offset], next_offset
