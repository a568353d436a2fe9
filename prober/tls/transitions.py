"""The handshake as a table: which message may come in which state, who handles it, and which state follows."""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from typing import Final, NamedTuple, TypeAlias

from prober.tls import handshake12, handshake13
from prober.tls.errors import PeerMisbehaved
from prober.tls.negotiation import Negotiation
from prober.tls.registry import HandshakeType, handshake_type_name
from prober.tls.server_hello import hello_retry_request

__all__ = ["TRANSITIONS", "Message", "State", "Transition", "expected_in", "message_name"]


class State(IntEnum):
    """What was read last, hence what may come next."""

    CLIENT_HELLO = 0
    HELLO_RETRY_REQUEST = 1
    TLS12_SERVER_HELLO = 2
    TLS12_CERTIFICATE = 3
    TLS12_CERTIFICATE_STATUS = 4
    TLS12_SERVER_KEY_EXCHANGE = 5
    TLS12_CERTIFICATE_REQUEST = 6
    TLS12_SERVER_HELLO_DONE = 7
    TLS12_NEW_SESSION_TICKET = 8
    TLS12_CHANGE_CIPHER_SPEC = 9
    TLS12_FINISHED = 10
    TLS13_SERVER_HELLO = 11
    TLS13_ENCRYPTED_EXTENSIONS = 12
    TLS13_CERTIFICATE_REQUEST = 13
    TLS13_CERTIFICATE = 14
    TLS13_CERTIFICATE_VERIFY = 15
    TLS13_FINISHED = 16


class Message(IntEnum):
    """What the table tells apart: handshake types, with the three meanings of server_hello, and ChangeCipherSpec."""

    HelloRequest = HandshakeType.hello_request
    ServerHello = HandshakeType.server_hello
    ServerHello13 = 0x102
    HelloRetryRequest = 0x202
    NewSessionTicket = HandshakeType.new_session_ticket
    EncryptedExtensions = HandshakeType.encrypted_extensions
    Certificate = HandshakeType.certificate
    ServerKeyExchange = HandshakeType.server_key_exchange
    CertificateRequest = HandshakeType.certificate_request
    ServerHelloDone = HandshakeType.server_hello_done
    CertificateVerify = HandshakeType.certificate_verify
    Finished = HandshakeType.finished
    CertificateStatus = HandshakeType.certificate_status
    KeyUpdate = HandshakeType.key_update
    CompressedCertificate = HandshakeType.compressed_certificate
    ChangeCipherSpec = 0x114


Handler: TypeAlias = Callable[[Negotiation, bytes], None]


class Transition(NamedTuple):
    """One row of the table: the handler checks the message and acts on it, then the state changes."""

    handle: Handler
    next_state: State


def _compressed_certificate(_n: Negotiation, _message: bytes) -> None:
    raise PeerMisbehaved("compress_certificate was not offered", message="CompressedCertificate")


_M, _S = Message, State

_TLS12_REQUEST: Final = Transition(handshake12.certificate_request, _S.TLS12_CERTIFICATE_REQUEST)
_TLS12_DONE: Final = Transition(handshake12.server_hello_done, _S.TLS12_SERVER_HELLO_DONE)
_TLS12_KEY_EXCHANGE: Final = Transition(handshake12.server_key_exchange, _S.TLS12_SERVER_KEY_EXCHANGE)
_TLS12_CHANGE: Final = Transition(handshake12.change_cipher_spec, _S.TLS12_CHANGE_CIPHER_SPEC)
_TLS13_CERTIFICATE: Final = Transition(handshake13.certificate, _S.TLS13_CERTIFICATE)
_TLS13_COMPRESSED: Final = Transition(_compressed_certificate, _S.TLS13_CERTIFICATE)


def _ignore_hello_request(state: State) -> dict[int, Transition]:
    return {_M.HelloRequest: Transition(handshake12.hello_request, state)}


# RFC 8446 appendix A.1; RFC 5246 §7.3
TRANSITIONS: Final[dict[State, dict[int, Transition]]] = {
    _S.CLIENT_HELLO: {
        _M.ServerHello: Transition(handshake12.server_hello, _S.TLS12_SERVER_HELLO),
        _M.ServerHello13: Transition(handshake13.server_hello, _S.TLS13_SERVER_HELLO),
        _M.HelloRetryRequest: Transition(hello_retry_request, _S.HELLO_RETRY_REQUEST),
        **_ignore_hello_request(_S.CLIENT_HELLO),
    },
    _S.HELLO_RETRY_REQUEST: {
        _M.ServerHello13: Transition(handshake13.server_hello, _S.TLS13_SERVER_HELLO),
    },
    _S.TLS12_SERVER_HELLO: {
        _M.Certificate: Transition(handshake12.certificate, _S.TLS12_CERTIFICATE),
        **_ignore_hello_request(_S.TLS12_SERVER_HELLO),
    },
    _S.TLS12_CERTIFICATE: {
        _M.CertificateStatus: Transition(handshake12.certificate_status, _S.TLS12_CERTIFICATE_STATUS),
        _M.ServerKeyExchange: _TLS12_KEY_EXCHANGE,
        _M.CertificateRequest: _TLS12_REQUEST,
        _M.ServerHelloDone: _TLS12_DONE,
        **_ignore_hello_request(_S.TLS12_CERTIFICATE),
    },
    _S.TLS12_CERTIFICATE_STATUS: {
        _M.ServerKeyExchange: _TLS12_KEY_EXCHANGE,
        _M.CertificateRequest: _TLS12_REQUEST,
        _M.ServerHelloDone: _TLS12_DONE,
        **_ignore_hello_request(_S.TLS12_CERTIFICATE_STATUS),
    },
    _S.TLS12_SERVER_KEY_EXCHANGE: {
        _M.CertificateRequest: _TLS12_REQUEST,
        _M.ServerHelloDone: _TLS12_DONE,
        **_ignore_hello_request(_S.TLS12_SERVER_KEY_EXCHANGE),
    },
    _S.TLS12_CERTIFICATE_REQUEST: {
        _M.ServerHelloDone: _TLS12_DONE,
        **_ignore_hello_request(_S.TLS12_CERTIFICATE_REQUEST),
    },
    _S.TLS12_SERVER_HELLO_DONE: {
        _M.NewSessionTicket: Transition(handshake12.new_session_ticket, _S.TLS12_NEW_SESSION_TICKET),
        _M.ChangeCipherSpec: _TLS12_CHANGE,
        **_ignore_hello_request(_S.TLS12_SERVER_HELLO_DONE),
    },
    _S.TLS12_NEW_SESSION_TICKET: {
        _M.ChangeCipherSpec: _TLS12_CHANGE,
    },
    _S.TLS12_CHANGE_CIPHER_SPEC: {
        _M.Finished: Transition(handshake12.finished, _S.TLS12_FINISHED),
    },
    # A server that asks for renegotiation here gets no answer, as RFC 5246 §7.4.1.1 allows.
    _S.TLS12_FINISHED: {
        **_ignore_hello_request(_S.TLS12_FINISHED),
    },
    _S.TLS13_SERVER_HELLO: {
        _M.EncryptedExtensions: Transition(handshake13.encrypted_extensions, _S.TLS13_ENCRYPTED_EXTENSIONS),
    },
    _S.TLS13_ENCRYPTED_EXTENSIONS: {
        _M.CertificateRequest: Transition(handshake13.certificate_request, _S.TLS13_CERTIFICATE_REQUEST),
        _M.Certificate: _TLS13_CERTIFICATE,
        _M.CompressedCertificate: _TLS13_COMPRESSED,
    },
    _S.TLS13_CERTIFICATE_REQUEST: {
        _M.Certificate: _TLS13_CERTIFICATE,
        _M.CompressedCertificate: _TLS13_COMPRESSED,
    },
    _S.TLS13_CERTIFICATE: {
        _M.CertificateVerify: Transition(handshake13.certificate_verify, _S.TLS13_CERTIFICATE_VERIFY),
    },
    _S.TLS13_CERTIFICATE_VERIFY: {
        _M.Finished: Transition(handshake13.finished, _S.TLS13_FINISHED),
    },
    _S.TLS13_FINISHED: {
        _M.NewSessionTicket: Transition(handshake13.new_session_ticket, _S.TLS13_FINISHED),
        _M.KeyUpdate: Transition(handshake13.key_update, _S.TLS13_FINISHED),
    },
}


def message_name(kind: int) -> str:
    """The RFC's name of a `Message` or of any other handshake type: ``ServerHello``; ``0x1E`` for an unregistered one."""
    if kind in Message.__members__.values():
        return Message(kind).name.removesuffix("13")
    return handshake_type_name(kind)


def expected_in(state: State) -> str:
    """The messages that a state takes, for people."""
    names = [message_name(kind) for kind in TRANSITIONS[state] if kind not in (_M.HelloRequest, _M.CompressedCertificate)]
    return " or ".join(dict.fromkeys(names)) or "no handshake message"
