"""The messages that only servers of TLS 1.3 send (RFC 8446 §4.3, §4.4, §4.6); conventions as in `messages`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Self

from prober.tls.errors import DecodeError
from prober.tls.messages import handshake_message, read_certificate, read_extensions, write_extensions
from prober.tls.registry import HandshakeType
from prober.tls.wire import Reader, Writer

__all__ = [
    "Certificate13",
    "CertificateEntry",
    "CertificateRequest13",
    "CertificateVerify",
    "EncryptedExtensions",
    "KeyUpdate",
    "NewSessionTicket13",
]


# RFC 8446 §4.3.1
class EncryptedExtensions(NamedTuple):
    """The server's first encrypted message."""

    extensions: Mapping[int, bytes]

    @classmethod
    def parse(cls, message: bytes) -> Self:
        """From the whole message; DecodeError."""
        reader = Reader(message, "EncryptedExtensions", 4)
        extensions = read_extensions(reader, "EncryptedExtensions")
        reader.expect_end("EncryptedExtensions")
        return cls(extensions)

    def serialise(self) -> bytes:
        """The message."""
        writer = Writer()
        write_extensions(writer, self.extensions)
        return handshake_message(HandshakeType.encrypted_extensions, writer.getvalue())


# RFC 8446 §4.4.2
class CertificateEntry(NamedTuple):
    """One certificate (DER) of a TLS 1.3 chain with its extensions."""

    certificate: bytes
    extensions: Mapping[int, bytes]


# RFC 8446 §4.4.2
class Certificate13(NamedTuple):
    """A chain as TLS 1.3 sends it, end-entity first."""

    context: bytes
    entries: tuple[CertificateEntry, ...]

    @property
    def certificates(self) -> tuple[bytes, ...]:
        """The certificates alone, as DER."""
        return tuple([entry.certificate for entry in self.entries])

    @classmethod
    def parse(cls, message: bytes) -> Self:
        """From the whole message; DecodeError."""
        reader = Reader(message, "Certificate", 4)
        context = reader.opaque8("certificate_request_context")
        chain = reader.vector24("certificate_list")
        reader.expect_end("Certificate")
        end = chain.offset + chain.remaining
        entries = []
        while chain.offset < end:
            certificate, chain.offset = read_certificate(message, chain.offset, end)
            entries.append(CertificateEntry(certificate, read_extensions(chain, "Certificate")))
        return cls(context, tuple(entries))

    def serialise(self) -> bytes:
        """The message."""
        writer = Writer()
        with writer.vector8():
            writer.raw(self.context)
        with writer.vector24():
            for certificate, extensions in self.entries:
                with writer.vector24():
                    writer.raw(certificate)
                write_extensions(writer, extensions)
        return handshake_message(HandshakeType.certificate, writer.getvalue())


# RFC 8446 §4.3.2
class CertificateRequest13(NamedTuple):
    """What client certificates the server takes; ``context`` is echoed in the answer."""

    context: bytes
    extensions: Mapping[int, bytes]

    @classmethod
    def parse(cls, message: bytes) -> Self:
        """From the whole message; DecodeError."""
        reader = Reader(message, "CertificateRequest", 4)
        context = reader.opaque8("certificate_request_context")
        extensions = read_extensions(reader, "CertificateRequest")
        reader.expect_end("CertificateRequest")
        return cls(context, extensions)

    def serialise(self) -> bytes:
        """The message."""
        writer = Writer()
        with writer.vector8():
            writer.raw(self.context)
        write_extensions(writer, self.extensions)
        return handshake_message(HandshakeType.certificate_request, writer.getvalue())


# RFC 8446 §4.4.3
class CertificateVerify(NamedTuple):
    """The signature over the transcript."""

    scheme: int
    signature: bytes

    @classmethod
    def parse(cls, message: bytes) -> Self:
        """From the whole message; DecodeError."""
        reader = Reader(message, "CertificateVerify", 4)
        scheme, signature = reader.u16("algorithm"), reader.opaque16("signature")
        reader.expect_end("CertificateVerify")
        return cls(scheme, signature)

    def serialise(self) -> bytes:
        """The message."""
        writer = Writer()
        writer.u16(self.scheme)
        with writer.vector16():
            writer.raw(self.signature)
        return handshake_message(HandshakeType.certificate_verify, writer.getvalue())


# RFC 8446 §4.6.1
class NewSessionTicket13(NamedTuple):
    """A ticket that prober never uses; ``lifetime`` is in seconds, ``age_add`` in milliseconds."""

    lifetime: int
    age_add: int
    nonce: bytes
    ticket: bytes
    extensions: Mapping[int, bytes]

    @classmethod
    def parse(cls, message: bytes) -> Self:
        """From the whole message; DecodeError."""
        reader = Reader(message, "NewSessionTicket", 4)
        lifetime, age_add = reader.u32("ticket_lifetime"), reader.u32("ticket_age_add")
        nonce, ticket = reader.opaque8("ticket_nonce"), reader.opaque16("ticket")
        extensions = read_extensions(reader, "NewSessionTicket")
        reader.expect_end("NewSessionTicket")
        return cls(lifetime, age_add, nonce, ticket, extensions)

    def serialise(self) -> bytes:
        """The message."""
        writer = Writer()
        writer.raw(self.lifetime.to_bytes(4))
        writer.raw(self.age_add.to_bytes(4))
        with writer.vector8():
            writer.raw(self.nonce)
        with writer.vector16():
            writer.raw(self.ticket)
        write_extensions(writer, self.extensions)
        return handshake_message(HandshakeType.new_session_ticket, writer.getvalue())


# RFC 8446 §4.6.3
class KeyUpdate(NamedTuple):
    """The sender's next record has new keys; ``request_update`` asks the receiver for the same."""

    request_update: bool

    @classmethod
    def parse(cls, message: bytes) -> Self:
        """From the whole message; DecodeError."""
        reader = Reader(message, "KeyUpdate", 4)
        value = reader.u8("request_update")
        reader.expect_end("KeyUpdate")
        if value > 1:
            raise DecodeError(f"request_update is {value}, not 0 or 1", message="KeyUpdate", offset=4)
        return cls(value == 1)

    def serialise(self) -> bytes:
        """The message."""
        return handshake_message(HandshakeType.key_update, bytes([self.request_update]))
