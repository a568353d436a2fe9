"""The client's side of TLS 1.0 to 1.3, without I/O: bytes in, events out.

A handshake begins with an `Offer`, which a `HelloFactory` makes from a profile (`profiles`, `client_hello`). A
`ClientHandshake` then takes whatever the server sends, in pieces of any size. `records` cuts the bytes into records and
joins their fragments to messages, `transitions` is the table that says which message may come in which state, and the
handlers of that table (`server_hello`, `handshake12`, `handshake13`) parse it (`messages`, `messages12`, `messages13`) and
act on it. `keys`, `protection` and `signatures` are the cryptography; the primitives are those of the package cryptography.

Two depths. ``certificate`` reads the server's first flight up to the Certificate message, which in TLS 1.3 means to agree
on keys and to decrypt it, and verifies nothing: what the server *presents* is the question. In TLS <= 1.2 the rest of that
flight is read too, since the group and the request for a client certificate follow the certificate. ``finished`` verifies
the signature over the key exchange and both Finished messages, answers a CertificateRequest with an empty Certificate, and
says goodbye with close_notify, so that nothing in the server's log looks like an attack.

Whatever a server sends ends in events or in one `ProtocolError`, which says what was expected, what came and where. Work and
memory are bounded: 256 KiB and 4096 records of handshake, 32 records without a message, records of the RFC's sizes. Time and
entropy are arguments. The checks are those that clients in use make: an unregistered extension or code point is a finding, not
an error.

Not implemented: resumption and pre-shared keys, early data, renegotiation, client certificates, certificate compression, ECH,
anonymous and static Diffie-Hellman, the ciphers ARIA, Camellia-GCM and IDEA, SSLv3 and before. A handshake at depth
``finished`` that negotiates one of these ciphers or key exchanges still yields its certificate, and `unfinished_reason` says the
rest.
Whether a certificate is valid is not judged here, and nothing here resists side channels: a probe has no secrets to keep.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prober.tls.client_hello import HelloFactory, Offer
    from prober.tls.errors import DecodeError, NotTLS, PeerMisbehaved, ProtocolError, UnexpectedMessage
    from prober.tls.events import (
        ApplicationData,
        CertificateReceived,
        CloseNotifyReceived,
        Event,
        HandshakeFinished,
        HelloRetryRequested,
        Progress,
        ServerHelloReceived,
        SessionTicketReceived,
        TlsAlertReceived,
    )
    from prober.tls.facts import HandshakeFacts, TlsAlert, TranscriptEntry
    from prober.tls.handshake import ClientHandshake
    from prober.tls.key_exchange import KeySharePool
    from prober.tls.profiles import PROFILES

__all__ = [
    "PROFILES",
    "ApplicationData",
    "CertificateReceived",
    "ClientHandshake",
    "CloseNotifyReceived",
    "DecodeError",
    "Event",
    "HandshakeFacts",
    "HandshakeFinished",
    "HelloFactory",
    "HelloRetryRequested",
    "KeySharePool",
    "NotTLS",
    "Offer",
    "PeerMisbehaved",
    "Progress",
    "ProtocolError",
    "ServerHelloReceived",
    "SessionTicketReceived",
    "TlsAlert",
    "TlsAlertReceived",
    "TranscriptEntry",
    "UnexpectedMessage",
]

# The names are loaded when they are asked for: `prober.model` needs the facts alone, and cryptography takes 0.1 s to import.
_MODULES = {
    "PROFILES": "profiles",
    "ApplicationData": "events",
    "CertificateReceived": "events",
    "ClientHandshake": "handshake",
    "CloseNotifyReceived": "events",
    "DecodeError": "errors",
    "Event": "events",
    "HandshakeFacts": "facts",
    "HandshakeFinished": "events",
    "HelloFactory": "client_hello",
    "HelloRetryRequested": "events",
    "KeySharePool": "key_exchange",
    "NotTLS": "errors",
    "Offer": "client_hello",
    "PeerMisbehaved": "errors",
    "Progress": "events",
    "ProtocolError": "errors",
    "ServerHelloReceived": "events",
    "SessionTicketReceived": "events",
    "TlsAlert": "facts",
    "TlsAlertReceived": "events",
    "TranscriptEntry": "facts",
    "UnexpectedMessage": "errors",
}


def __getattr__(name: str) -> object:
    module = _MODULES.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{module}"), name)
