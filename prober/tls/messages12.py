"""The messages that only servers of TLS 1.0 to 1.2 send (RFC 5246 §7.4, RFC 8422 §5.4); conventions as in `messages`."""

from __future__ import annotations

from struct import Struct
from typing import Final, NamedTuple, Self

from prober.tls.errors import DecodeError
from prober.tls.messages import handshake_message, read_certificate
from prober.tls.registry import HandshakeType, ProtocolVersion
from prober.tls.wire import Reader, Writer

__all__ = [
    "Certificate12",
    "CertificateRequest12",
    "CertificateStatus",
    "DheServerKeyExchange",
    "EcdheServerKeyExchange",
    "NewSessionTicket12",
    "Signature",
]

_read_curve: Final = Struct(">BHB").unpack_from
_read_u16_twice: Final = Struct(">HH").unpack_from

# What a NamedTuple's own constructor does, at half its price.
_new_tuple: Final = tuple.__new__

_NAMED_CURVE: Final = 3
_TLS_1_2: Final = ProtocolVersion.TLSv1_2.value


# RFC 5246 §7.4.2
class Certificate12(NamedTuple):
    """A chain as TLS <= 1.2 sends it: DER, end-entity first."""

    certificates: tuple[bytes, ...]

    @classmethod
    def parse(cls, message: bytes) -> Self:
        """From the whole message; DecodeError."""
        reader = Reader(message, "Certificate", 4)
        offset, end = reader.span24("certificate_list")
        reader.expect_end("Certificate")
        certificates = []
        while offset < end:
            certificate, offset = read_certificate(message, offset, end)
            certificates.append(certificate)
        return cls(tuple(certificates))

    def serialise(self) -> bytes:
        """The message."""
        writer = Writer()
        with writer.vector24():
            for certificate in self.certificates:
                with writer.vector24():
                    writer.raw(certificate)
        return handshake_message(HandshakeType.certificate, writer.getvalue())


# RFC 6066 §8; RFC 6961 §2.2
class CertificateStatus(NamedTuple):
    """A stapled OCSP response (status_type 1), or several (2); the content is kept as it is."""

    status_type: int
    response: bytes

    @classmethod
    def parse(cls, message: bytes) -> Self:
        """From the whole message; DecodeError."""
        reader = Reader(message, "CertificateStatus", 4)
        status_type, response = reader.u8("status_type"), reader.opaque24("response")
        reader.expect_end("CertificateStatus")
        return cls(status_type, response)

    def serialise(self) -> bytes:
        """The message."""
        writer = Writer()
        writer.u8(self.status_type)
        with writer.vector24():
            writer.raw(self.response)
        return handshake_message(HandshakeType.certificate_status, writer.getvalue())


# RFC 5246 §4.7
class Signature(NamedTuple):
    """A digitally-signed element. TLS < 1.2 names no scheme: None."""

    scheme: int | None
    signature: bytes


def _read_signature(reader: Reader, version: int) -> Signature | None:
    """None where an anonymous key exchange ends without one."""
    if not reader.remaining:
        return None
    scheme = reader.u16("signature scheme") if version >= _TLS_1_2 else None
    return Signature(scheme, reader.opaque16("signature"))


def _write_signature(writer: Writer, signed: Signature | None) -> None:
    if signed is None:
        return
    if signed.scheme is not None:
        writer.u16(signed.scheme)
    with writer.vector16():
        writer.raw(signed.signature)


# RFC 8422 §5.4
class EcdheServerKeyExchange(NamedTuple):
    """The server's ephemeral share on a named group. ``params`` are the bytes that the signature covers."""

    group: int
    public: bytes
    signed: Signature | None

    @property
    def params(self) -> bytes:
        """ServerECDHParams as they are signed."""
        writer = Writer()
        writer.u8(_NAMED_CURVE)
        writer.u16(self.group)
        with writer.vector8():
            writer.raw(self.public)
        return writer.getvalue()

    @classmethod
    def parse(cls, message: bytes, version: int) -> Self:
        """From the whole message, which looks different in ``version`` 1.2 and before; DecodeError."""
        # As in ServerHello.parse: arithmetic for what is well-formed.
        size = len(message)
        if size < 8 or version < _TLS_1_2:
            return cls._read(message, version)
        curve_type, group, public_size = _read_curve(message, 4)
        signed_at = 8 + public_size
        signature_at = signed_at + 4
        if curve_type != _NAMED_CURVE or signature_at > size:
            return cls._read(message, version)
        scheme, signature_size = _read_u16_twice(message, signed_at)
        if signature_at + signature_size != size:
            return cls._read(message, version)
        signed = _new_tuple(Signature, (scheme, message[signature_at:]))
        return _new_tuple(cls, (group, message[8:signed_at], signed))

    @classmethod
    def _read(cls, message: bytes, version: int) -> Self:
        reader = Reader(message, "ServerKeyExchange", 4)
        curve_type = reader.u8("curve_type")
        if curve_type != _NAMED_CURVE:
            raise DecodeError(f"curve_type {curve_type} is not named_curve (3)", message="ServerKeyExchange", offset=4)
        group, public = reader.u16("named_curve"), reader.opaque8("public")
        signed = _read_signature(reader, version)
        reader.expect_end("ServerKeyExchange")
        return cls(group, public, signed)

    def serialise(self) -> bytes:
        """The message."""
        writer = Writer()
        writer.raw(self.params)
        _write_signature(writer, self.signed)
        return handshake_message(HandshakeType.server_key_exchange, writer.getvalue())


# RFC 5246 §7.4.3
class DheServerKeyExchange(NamedTuple):
    """The server's finite-field share: prime, generator and public value as big-endian bytes."""

    prime: bytes
    generator: bytes
    public: bytes
    signed: Signature | None

    @property
    def params(self) -> bytes:
        """ServerDHParams as they are signed."""
        writer = Writer()
        for value in (self.prime, self.generator, self.public):
            with writer.vector16():
                writer.raw(value)
        return writer.getvalue()

    @classmethod
    def parse(cls, message: bytes, version: int) -> Self:
        """From the whole message, which looks different in ``version`` 1.2 and before; DecodeError."""
        reader = Reader(message, "ServerKeyExchange", 4)
        prime, generator, public = reader.opaque16("dh_p"), reader.opaque16("dh_g"), reader.opaque16("dh_Ys")
        signed = _read_signature(reader, version)
        reader.expect_end("ServerKeyExchange")
        return cls(prime, generator, public, signed)

    def serialise(self) -> bytes:
        """The message."""
        writer = Writer()
        writer.raw(self.params)
        _write_signature(writer, self.signed)
        return handshake_message(HandshakeType.server_key_exchange, writer.getvalue())


# RFC 5246 §7.4.4
class CertificateRequest12(NamedTuple):
    """What client certificates the server takes. ``signature_schemes`` is None before TLS 1.2, which has no such field."""

    certificate_types: bytes
    signature_schemes: tuple[int, ...] | None
    authorities: tuple[bytes, ...]
    """Distinguished names, DER."""

    @classmethod
    def parse(cls, message: bytes, version: int) -> Self:
        """From the whole message, which looks different in ``version`` 1.2 and before; DecodeError."""
        reader = Reader(message, "CertificateRequest", 4)
        certificate_types = reader.opaque8("certificate_types")
        schemes = reader.u16_list("supported_signature_algorithms") if version >= _TLS_1_2 else None
        names = reader.vector16("certificate_authorities")
        reader.expect_end("CertificateRequest")
        authorities = []
        while names.remaining:
            authorities.append(names.opaque16("distinguished name"))
        return cls(certificate_types, schemes, tuple(authorities))

    def serialise(self) -> bytes:
        """The message."""
        writer = Writer()
        with writer.vector8():
            writer.raw(self.certificate_types)
        if self.signature_schemes is not None:
            with writer.vector16():
                for scheme in self.signature_schemes:
                    writer.u16(scheme)
        with writer.vector16():
            for name in self.authorities:
                with writer.vector16():
                    writer.raw(name)
        return handshake_message(HandshakeType.certificate_request, writer.getvalue())


# RFC 5077 §3.3
class NewSessionTicket12(NamedTuple):
    """A ticket that prober never uses; ``lifetime`` is in seconds."""

    lifetime: int
    ticket: bytes

    @classmethod
    def parse(cls, message: bytes) -> Self:
        """From the whole message; DecodeError."""
        reader = Reader(message, "NewSessionTicket", 4)
        lifetime, ticket = reader.u32("ticket_lifetime_hint"), reader.opaque16("ticket")
        reader.expect_end("NewSessionTicket")
        return cls(lifetime, ticket)

    def serialise(self) -> bytes:
        """The message."""
        writer = Writer()
        writer.raw(self.lifetime.to_bytes(4))
        with writer.vector16():
            writer.raw(self.ticket)
        return handshake_message(HandshakeType.new_session_ticket, writer.getvalue())
