"""The server's flight in TLS 1.3, message by message, and our answer to it (RFC 8446 §2, §4)."""

from __future__ import annotations

import hmac
from typing import Final

from prober.tls.errors import DecodeError, PeerMisbehaved, ProtocolError
from prober.tls.events import SessionTicketReceived
from prober.tls.keys import KeySchedule, TranscriptHash, finished_mac, next_traffic_secret, traffic_keys
from prober.tls.messages import handshake_message, parse_key_share
from prober.tls.messages13 import (
    Certificate13,
    CertificateRequest13,
    CertificateVerify,
    EncryptedExtensions,
    KeyUpdate,
    NewSessionTicket13,
)
from prober.tls.negotiation import Negotiation
from prober.tls.presented_chains import presented_chain13
from prober.tls.protection import Tls13Protection
from prober.tls.records import MAX_CIPHERTEXT_TLS13
from prober.tls.registry import AlertDescription, ContentType, ExtensionType, HandshakeType, NamedGroup
from prober.tls.server_hello import accept_alpn, accept_server_hello, check_extensions
from prober.tls.signatures import CannotVerify, certificate_verify_content, public_key_of, verify
from prober.tls.suites import Suite

__all__ = [
    "Secrets13",
    "certificate",
    "certificate_request",
    "certificate_verify",
    "encrypted_extensions",
    "finished",
    "key_update",
    "new_session_ticket",
    "server_hello",
]

_KEY_SHARE: Final = ExtensionType.key_share.value


class Secrets13:
    """The key schedule and the traffic secrets in use. The client's stay empty at depth ``certificate``."""

    __slots__ = ("client_traffic", "request_context", "schedule", "server_traffic", "suite")

    def __init__(self, suite: Suite, schedule: KeySchedule, server_traffic: bytes) -> None:
        self.suite = suite
        self.schedule = schedule
        self.server_traffic = server_traffic
        self.client_traffic = b""
        self.request_context: bytes | None = None
        """certificate_request_context of a CertificateRequest; None: there was none."""

    def protection(self, traffic_secret: bytes) -> Tls13Protection:
        """Record protection under ``traffic_secret``."""
        bulk = self.suite.bulk
        assert bulk is not None
        return Tls13Protection(bulk, traffic_keys(traffic_secret, bulk.key_size, self.suite.prf_hash))


def _secrets(n: Negotiation) -> Secrets13:
    assert n.secrets13 is not None  # the table lets no message of TLS 1.3 precede ServerHello
    return n.secrets13


def _transcript(n: Negotiation) -> TranscriptHash:
    assert n.transcript is not None
    return n.transcript


# RFC 8446 §4.1.3, §4.2.8, §7.1
def server_hello(n: Negotiation, message: bytes) -> None:
    """Derive the server's handshake traffic keys; the client's only if they will be needed."""
    hello = accept_server_hello(n)
    data = hello.extensions.get(_KEY_SHARE)
    if data is None:
        raise PeerMisbehaved("the server sends no key_share", message="ServerHello", implies=AlertDescription.missing_extension)
    group, public = parse_key_share(data)
    for share in n.offer.key_shares:
        if share.group == group:
            break
    else:
        reason = f"a key_share of {NamedGroup(group).name}, of which we sent none"
        raise PeerMisbehaved(reason, message="ServerHello", offset=hello.extension_at(_KEY_SHARE))
    n.group = group
    suite = n.suite
    assert suite is not None
    if suite.bulk is None:
        raise ProtocolError(
            f"the server chose {suite.name}, which prober offers without knowing it",
            message="ServerHello",
            offset=hello.cipher_suite_at,
        )
    schedule = KeySchedule(suite.prf_hash, share.exchange(public))
    hellos = n.start_transcript(suite.prf_hash, message).digest()
    secrets = n.secrets13 = Secrets13(suite, schedule, schedule.handshake_traffic(b"s", hellos))
    if n.to_finish:
        secrets.client_traffic = schedule.handshake_traffic(b"c", hellos)
    n.change_read_keys(secrets.protection(secrets.server_traffic), MAX_CIPHERTEXT_TLS13)


# RFC 8446 §4.3.1
def encrypted_extensions(n: Negotiation, message: bytes) -> None:
    """Check the extensions and take the application protocol."""
    extensions = EncryptedExtensions.parse(message).extensions
    check_extensions(n, extensions, "EncryptedExtensions", 6)
    accept_alpn(n, extensions)
    n.absorb(message)


# RFC 8446 §4.3.2
def certificate_request(n: Negotiation, message: bytes) -> None:
    """Note that a client certificate is asked for; a probe has none."""
    n.client_certificate_requested = True
    _secrets(n).request_context = CertificateRequest13.parse(message).context
    n.absorb(message)


# RFC 8446 §4.4.2
def certificate(n: Negotiation, message: bytes) -> None:
    """Keep the chain. An empty one is a fact about the server, not an error here."""
    chain = presented_chain13(message)
    if chain.context:
        raise PeerMisbehaved("the server's certificate_request_context is not empty", message="Certificate", offset=4)
    n.certificate_received(chain.certificates)
    if n.to_finish:
        n.absorb(message)
    else:
        n.done()


# RFC 8446 §4.4.3
def certificate_verify(n: Negotiation, message: bytes) -> None:
    """Verify that the server holds the end-entity certificate's key."""
    scheme, signature = CertificateVerify.parse(message)
    content = certificate_verify_content(_transcript(n).digest())
    if not n.certificates:
        n.stop_unfinished("the server's chain is empty")
        return
    try:
        key = public_key_of(n.certificates[0])
        verify(key, scheme, signature, content, version=n.version, message="CertificateVerify")
    except CannotVerify as reason:
        n.stop_unfinished(str(reason))
        return
    n.absorb(message)


# RFC 8446 §4.4.4
def finished(n: Negotiation, message: bytes) -> None:
    """Check the server's Finished, send our second flight, and change to the application traffic keys."""
    secrets = _secrets(n)
    transcript = _transcript(n)
    hash_name = secrets.suite.prf_hash
    expected = finished_mac(secrets.server_traffic, transcript.digest(), hash_name)
    if len(message) != 4 + len(expected):
        raise DecodeError(f"verify_data has {len(message) - 4} bytes, not {len(expected)}", message="Finished", offset=4)
    if not hmac.compare_digest(message[4:], expected):
        raise PeerMisbehaved("verify_data is wrong", message="Finished", offset=4, implies=AlertDescription.decrypt_error)
    n.absorb(message)
    to_server_finished = transcript.digest()
    secrets.server_traffic = secrets.schedule.application_traffic(b"s", to_server_finished)
    n.change_read_keys(secrets.protection(secrets.server_traffic), MAX_CIPHERTEXT_TLS13)
    # RFC 8446 §D.4: middleboxes want to see a ChangeCipherSpec before what they take for encrypted data.
    if n.offer.session_id and not n.sent_change_cipher_spec:
        n.send_change_cipher_spec()
    n.write_protection = secrets.protection(secrets.client_traffic)
    if secrets.request_context is not None:
        n.send_handshake(Certificate13(secrets.request_context, ()).serialise())
    verify_data = finished_mac(secrets.client_traffic, transcript.digest(), hash_name)
    n.send_handshake(handshake_message(HandshakeType.finished, verify_data))
    secrets.client_traffic = secrets.schedule.application_traffic(b"c", to_server_finished)
    n.write_protection = secrets.protection(secrets.client_traffic)
    n.handshake_finished()


# RFC 8446 §4.6.1
def new_session_ticket(n: Negotiation, message: bytes) -> None:
    """Report a ticket; it is never used."""
    NewSessionTicket13.parse(message)
    n.events.append(SessionTicketReceived())


# RFC 8446 §4.6.3
def key_update(n: Negotiation, message: bytes) -> None:
    """Follow the server to its next keys, and change ours if it asks for that."""
    update = KeyUpdate.parse(message)
    secrets = _secrets(n)
    hash_name = secrets.suite.prf_hash
    secrets.server_traffic = next_traffic_secret(secrets.server_traffic, hash_name)
    n.change_read_keys(secrets.protection(secrets.server_traffic), MAX_CIPHERTEXT_TLS13)
    if update.request_update and not n.sent_close_notify:
        n.send_record(ContentType.handshake, KeyUpdate(request_update=False).serialise())
        secrets.client_traffic = next_traffic_secret(secrets.client_traffic, hash_name)
        n.write_protection = secrets.protection(secrets.client_traffic)
