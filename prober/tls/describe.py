"""Handshake messages decoded for people: the lines of ``prober once --verbose``.

A description never fails: what cannot be decoded is said to be malformed, since the handshake itself reports the error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from prober.tls.certificate_loading import load_certificate
from prober.tls.client_hello_parser import parse_client_hello
from prober.tls.describe_hello import describe_client_hello
from prober.tls.errors import DecodeError
from prober.tls.facts import TranscriptEntry
from prober.tls.messages import HELLO_RETRY_REQUEST_RANDOM, ServerHello, parse_alpn
from prober.tls.messages12 import (
    Certificate12,
    CertificateRequest12,
    CertificateStatus,
    DheServerKeyExchange,
    EcdheServerKeyExchange,
    NewSessionTicket12,
    Signature,
)
from prober.tls.messages13 import (
    Certificate13,
    CertificateRequest13,
    CertificateVerify,
    EncryptedExtensions,
    KeyUpdate,
    NewSessionTicket13,
)
from prober.tls.registry import (
    AlertDescription,
    AlertLevel,
    CertificateType,
    CipherSuite,
    ContentType,
    ExtensionType,
    HandshakeType,
    NamedGroup,
    ProtocolVersion,
    SignatureScheme,
    handshake_type_name,
)
from prober.tls.wire import Reader

__all__ = ["describe_received", "describe_record", "describe_sent"]

_TLS_1_3: Final = ProtocolVersion.TLSv1_3.value


def describe_received(message: bytes, version: int) -> TranscriptEntry:
    """A message from the server; ``version`` is the negotiated one, 0 before ServerHello."""
    return _describe("<", message, version)


def describe_sent(message: bytes) -> TranscriptEntry:
    """A message of ours; the name says all, apart from ClientHello."""
    return _describe(">", message, 0)


def describe_record(direction: str, content_type: int, payload: bytes) -> TranscriptEntry:
    """A record that carries no handshake message: an alert or a ChangeCipherSpec."""
    if content_type == ContentType.alert:
        pairs = zip(payload[::2], payload[1::2], strict=False)
        lines = tuple(f"{AlertLevel(level).name} {AlertDescription(code).name} ({code})" for level, code in pairs)
        return TranscriptEntry(direction, "Alert", len(payload), lines)
    return TranscriptEntry(direction, "ChangeCipherSpec", len(payload), ())


def _describe(direction: str, message: bytes, version: int) -> TranscriptEntry:
    kind = message[0]
    name = handshake_type_name(kind)
    if kind == HandshakeType.server_hello and message[6:38] == HELLO_RETRY_REQUEST_RANDOM:
        name = "HelloRetryRequest"
    try:
        lines = tuple(_lines(kind, message, version)) if direction == "<" or kind == HandshakeType.client_hello else ()
    except DecodeError as error:
        lines = (f"malformed: {error}",)
    return TranscriptEntry(direction, name, len(message), lines)


def _lines(kind: int, message: bytes, version: int) -> Iterable[str]:
    describe = (_TLS13_LINES if version == _TLS_1_3 else _TLS12_LINES).get(kind)
    return () if describe is None else describe(message, version)


# Values


def _names(kind: type[NamedGroup | CipherSuite | SignatureScheme | ProtocolVersion], codes: Iterable[int]) -> str:
    return ", ".join(kind(code).name for code in codes)


def _signature(signed: Signature | None) -> Iterable[str]:
    if signed is None:
        return ["not signed"]
    scheme = "" if signed.scheme is None else f" {SignatureScheme(signed.scheme).name}"
    return [f"signature{scheme}, {len(signed.signature)} bytes"]


def _extension_lines(extensions: Mapping[int, bytes]) -> Iterable[str]:
    for kind, data in extensions.items():
        yield f"extension {ExtensionType(kind).name}: {_extension_value(kind, data)}"


def _extension_value(kind: int, data: bytes) -> str:
    if not data:
        return "empty"
    try:
        if kind == ExtensionType.supported_versions:
            return ProtocolVersion(int.from_bytes(data)).label
        if kind == ExtensionType.key_share:
            group = NamedGroup(int.from_bytes(data[:2])).name
            return group if len(data) == 2 else f"{group}, {len(data) - 4} bytes"
        if kind == ExtensionType.application_layer_protocol_negotiation:
            return parse_alpn(data).decode("ascii", "backslashreplace")
        if kind == ExtensionType.signature_algorithms:
            return _names(SignatureScheme, Reader(data, "signature_algorithms").u16_list())
        if kind == ExtensionType.supported_groups:
            return _names(NamedGroup, Reader(data, "supported_groups").u16_list())
    except DecodeError as error:
        return f"malformed: {error}"
    return data.hex() if len(data) <= 32 else f"{len(data)} bytes"


def _certificate_lines(certificates: Iterable[bytes]) -> Iterable[str]:
    for number, der in enumerate(certificates):
        try:
            certificate = load_certificate(der)
            subject, issuer = certificate.subject.rfc4514_string(), certificate.issuer.rfc4514_string()
        except ValueError as error:
            yield f"certificate {number}: {len(der)} bytes, cannot be read: {error}"
        else:
            yield f"certificate {number}: {len(der)} bytes, subject {subject or 'empty'}, issuer {issuer or 'empty'}"


# Messages


def _client_hello(message: bytes, _: int) -> Iterable[str]:
    return describe_client_hello(parse_client_hello(message))


def _server_hello(message: bytes, _: int) -> Iterable[str]:
    hello = ServerHello.parse(message)
    yield f"version {ProtocolVersion(hello.version).label}"
    yield f"random {hello.random.hex()}"
    yield f"session_id {hello.session_id.hex() or 'empty'}"
    yield f"cipher_suite {CipherSuite(hello.cipher_suite).name}"
    yield from _extension_lines(hello.extensions)


def _certificate12(message: bytes, _: int) -> Iterable[str]:
    return _certificate_lines(Certificate12.parse(message).certificates)


def _certificate_status(message: bytes, _: int) -> Iterable[str]:
    return [f"OCSP response, {len(CertificateStatus.parse(message).response)} bytes"]


def _server_key_exchange(message: bytes, version: int) -> Iterable[str]:
    # Which of the two it is says the suite, which is not known here; an elliptic curve begins with the byte 3.
    if message[4:5] == b"\x03":
        curve = EcdheServerKeyExchange.parse(message, version)
        return [f"group {NamedGroup(curve.group).name}, {len(curve.public)} bytes", *_signature(curve.signed)]
    prime = DheServerKeyExchange.parse(message, version)
    return [f"prime of {8 * len(prime.prime)} bits", *_signature(prime.signed)]


def _certificate_request12(message: bytes, version: int) -> Iterable[str]:
    request = CertificateRequest12.parse(message, version)
    yield f"certificate_types {', '.join(CertificateType(kind).name for kind in request.certificate_types)}"
    if request.signature_schemes is not None:
        yield f"signature_algorithms {_names(SignatureScheme, request.signature_schemes)}"
    yield f"{len(request.authorities)} certificate_authorities"


def _new_session_ticket12(message: bytes, _: int) -> Iterable[str]:
    ticket = NewSessionTicket12.parse(message)
    return [f"lifetime {ticket.lifetime} s, {len(ticket.ticket)} bytes"]


def _encrypted_extensions(message: bytes, _: int) -> Iterable[str]:
    return _extension_lines(EncryptedExtensions.parse(message).extensions)


def _certificate13(message: bytes, _: int) -> Iterable[str]:
    return _certificate_lines(Certificate13.parse(message).certificates)


def _certificate_request13(message: bytes, _: int) -> Iterable[str]:
    return _extension_lines(CertificateRequest13.parse(message).extensions)


def _certificate_verify(message: bytes, _: int) -> Iterable[str]:
    verify = CertificateVerify.parse(message)
    return _signature(Signature(verify.scheme, verify.signature))


def _new_session_ticket13(message: bytes, _: int) -> Iterable[str]:
    ticket = NewSessionTicket13.parse(message)
    return [f"lifetime {ticket.lifetime} s, {len(ticket.ticket)} bytes"]


def _key_update(message: bytes, _: int) -> Iterable[str]:
    return ["update requested" if KeyUpdate.parse(message).request_update else "update not requested"]


_TLS12_LINES: Final[Mapping[int, Callable[[bytes, int], Iterable[str]]]] = {
    HandshakeType.client_hello: _client_hello,
    HandshakeType.server_hello: _server_hello,
    HandshakeType.new_session_ticket: _new_session_ticket12,
    HandshakeType.certificate: _certificate12,
    HandshakeType.server_key_exchange: _server_key_exchange,
    HandshakeType.certificate_request: _certificate_request12,
    HandshakeType.certificate_status: _certificate_status,
}

_TLS13_LINES: Final[Mapping[int, Callable[[bytes, int], Iterable[str]]]] = {
    HandshakeType.client_hello: _client_hello,
    HandshakeType.server_hello: _server_hello,
    HandshakeType.new_session_ticket: _new_session_ticket13,
    HandshakeType.encrypted_extensions: _encrypted_extensions,
    HandshakeType.certificate: _certificate13,
    HandshakeType.certificate_request: _certificate_request13,
    HandshakeType.certificate_verify: _certificate_verify,
    HandshakeType.key_update: _key_update,
}
