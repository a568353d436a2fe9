"""What one handshake has agreed on so far: the state that the message handlers share, and the writing side of its records.

The handlers in `server_hello`, `handshake12` and `handshake13` are plain functions over a `Negotiation` and one message.
They read, check, then set; `handshake` decides which of them may run.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from prober.tls.describe import describe_record, describe_sent
from prober.tls.errors import UnexpectedMessage
from prober.tls.events import CertificateReceived, CloseNotifyReceived, Event, HandshakeFinished, Progress, TlsAlertReceived
from prober.tls.facts import HandshakeFacts, TlsAlert, TranscriptEntry
from prober.tls.keys import TranscriptHash, new_transcript_hash
from prober.tls.messages import ServerHello
from prober.tls.records import MAX_PLAINTEXT, HandshakeReader, RecordReader, plain_records
from prober.tls.registry import AlertDescription, AlertLevel, CipherSuite, ContentType, NamedGroup, ProtocolVersion

if TYPE_CHECKING:
    from prober.tls.client_hello import Offer
    from prober.tls.handshake12 import Exchange12
    from prober.tls.handshake13 import Secrets13
    from prober.tls.protection import Protection
    from prober.tls.suites import Suite

__all__ = ["Negotiation"]

_HANDSHAKE: Final = ContentType.handshake.value
_TLS_1_2: Final = ProtocolVersion.TLSv1_2.value


# Cached, since each handshake asks; bounded, since the peer chooses.


@lru_cache(maxsize=64)
def _version_label(code: int) -> str:
    return ProtocolVersion(code).label


@lru_cache(maxsize=512)
def _suite_name(code: int) -> str:
    return CipherSuite(code).name


@lru_cache(maxsize=64)
def _group_name(code: int) -> str:
    return NamedGroup(code).name


# What a NamedTuple's own constructor does, at half its price.
_new_tuple: Final = tuple.__new__


class Negotiation:
    """Mutable, and private to one `ClientHandshake`."""

    __slots__ = (
        "alpn",
        "certificate_read",
        "certificates",
        "cipher_suite",
        "client_certificate_requested",
        "close_when_finished",
        "closed",
        "downgrade_sentinel",
        "entropy",
        "events",
        "exchange12",
        "finished",
        "group",
        "hello_retry_request",
        "log",
        "messages",
        "offer",
        "outgoing",
        "progress",
        "read_protection",
        "records",
        "secrets13",
        "sent_change_cipher_spec",
        "sent_close_notify",
        "server_hello",
        "suite",
        "tls_alert",
        "to_finish",
        "transcript",
        "transcript_head",
        "unfinished_reason",
        "version",
        "warning_alerts",
        "write_protection",
    )

    def __init__(self, offer: Offer, *, to_finish: bool, entropy: Callable[[int], bytes], close_when_finished: bool) -> None:
        self.offer = offer
        self.to_finish = to_finish
        self.entropy = entropy
        self.close_when_finished = close_when_finished
        self.progress = Progress.WANT_MORE
        self.closed = False
        """Nothing that still arrives will be looked at."""
        self.events: list[Event] = []
        self.outgoing: list[bytes] = []
        self.records = RecordReader()
        self.messages = HandshakeReader()
        self.read_protection: Protection | None = None
        self.write_protection: Protection | None = None
        self.transcript: TranscriptHash | None = None
        self.transcript_head: tuple[bytes, ...] = ()
        """What precedes ServerHello in the transcript if it is not just the one ClientHello."""
        self.server_hello: ServerHello | None = None
        self.version = 0
        """The negotiated version; 0 until a ServerHello or HelloRetryRequest was accepted."""
        self.cipher_suite: int | None = None
        self.suite: Suite | None = None
        self.group: int | None = None
        self.alpn: str | None = None
        self.certificates: tuple[bytes, ...] = ()
        self.certificate_read = False
        self.client_certificate_requested = False
        self.hello_retry_request = False
        self.downgrade_sentinel = False
        self.tls_alert: TlsAlert | None = None
        self.warning_alerts: tuple[TlsAlert, ...] = ()
        self.finished = False
        self.unfinished_reason: str | None = None
        self.exchange12: Exchange12 | None = None
        self.secrets13: Secrets13 | None = None
        self.sent_change_cipher_spec = False
        self.sent_close_notify = False
        self.log: list[TranscriptEntry] | None = None

    # What was read

    def start_transcript(self, hash_name: str, message: bytes) -> TranscriptHash:
        """Begin the transcript hash, with everything up to and including ServerHello (``message``)."""
        transcript = new_transcript_hash(self.version, hash_name)
        for part in self.transcript_head or (self.offer.message,):
            transcript.update(part)
        transcript.update(message)
        self.transcript = transcript
        return transcript

    def absorb(self, message: bytes) -> None:
        """Append a message to the transcript, if there is one: depth certificate needs none after ServerHello."""
        if self.transcript is not None:
            self.transcript.update(message)

    def change_read_keys(self, protection: Protection, limit: int) -> None:
        """Read from the next record on with ``protection``; RFC 8446 §5.1: no message may span a change of keys."""
        if self.messages.pending:
            raise UnexpectedMessage(expected="the end of the record at a change of keys", got="more of the handshake")
        self.read_protection = protection
        self.records.limit = limit

    def certificate_received(self, certificates: tuple[bytes, ...]) -> None:
        """The Certificate message was read."""
        self.certificates = certificates
        self.certificate_read = True
        self.progress = Progress.CERTIFICATE
        self.events.append(CertificateReceived(certificates))

    def alert_received(self, alert: TlsAlert) -> None:
        """A TLS alert that is not close_notify was read."""
        self.events.append(TlsAlertReceived(alert))
        if alert.level == "warning":
            self.warning_alerts += (alert,)
        else:
            self.tls_alert = alert
            self.progress = Progress.ALERT
            self.closed = True

    def close_notify_received(self) -> None:
        """The server closed its side."""
        self.events.append(CloseNotifyReceived())
        self.closed = True

    # How it ends

    def done(self) -> None:
        """The depth is reached without any need of what the server may still send."""
        self.progress = Progress.DONE
        self.closed = True

    def stop_unfinished(self, reason: str) -> None:
        """What was negotiated cannot be carried further."""
        self.unfinished_reason = self.unfinished_reason or reason
        self.done()

    def handshake_finished(self) -> None:
        """Both Finished messages are done. The connection stays readable."""
        self.finished = True
        self.progress = Progress.DONE
        self.events.append(HandshakeFinished())
        self.messages.forget_flight()
        self.records.forget_flight()
        if self.close_when_finished:
            self.send_close_notify()

    # What is sent

    def send_record(self, content_type: int, payload: bytes) -> None:
        """Queue ``payload`` in as many records as it needs, protected if the keys are there."""
        protection = self.write_protection
        if protection is None:
            self.outgoing.append(plain_records(content_type, min(self.version or _TLS_1_2, _TLS_1_2), payload))
            return
        for start in range(0, len(payload), MAX_PLAINTEXT):
            self.outgoing.append(protection.protect(content_type, payload[start : start + MAX_PLAINTEXT]))

    def send_handshake(self, message: bytes) -> None:
        """Queue a handshake message, and append it to the transcript."""
        self.absorb(message)
        self.send_record(_HANDSHAKE, message)
        if self.log is not None:
            self.log.append(describe_sent(message))

    def send_hello(self, offer: Offer) -> None:
        """Queue a ClientHello, which is not part of the transcript before ServerHello says how to hash it."""
        self.outgoing.append(offer.wire)
        if self.log is not None:
            self.log.append(describe_sent(offer.message))

    def send_change_cipher_spec(self) -> None:
        """Queue a ChangeCipherSpec, never protected itself (RFC 5246 §7.1; RFC 8446 §D.4)."""
        self.sent_change_cipher_spec = True
        self.outgoing.append(plain_records(ContentType.change_cipher_spec, min(self.version, _TLS_1_2), b"\x01"))
        if self.log is not None:
            self.log.append(describe_record(">", ContentType.change_cipher_spec, b"\x01"))

    def send_alert(self, level: AlertLevel, description: AlertDescription) -> None:
        """Queue a TLS alert."""
        payload = bytes([level, description])
        self.send_record(ContentType.alert, payload)
        if self.log is not None:
            self.log.append(describe_record(">", ContentType.alert, payload))

    def send_close_notify(self) -> None:
        """Say goodbye, once."""
        if not self.sent_close_notify:
            self.sent_close_notify = True
            self.send_alert(AlertLevel.warning, AlertDescription.close_notify)

    # What it was

    def facts(self) -> HandshakeFacts:
        """All of it, for those who judge."""
        # In the order of its fields: the constructor's keywords cost as much as all the rest of this.
        return _new_tuple(
            HandshakeFacts,
            (
                _version_label(self.version) if self.version else None,
                None if self.cipher_suite is None else _suite_name(self.cipher_suite),
                None if self.group is None else _group_name(self.group),
                self.alpn,
                self.tls_alert,
                self.warning_alerts,
                self.client_certificate_requested,
                self.hello_retry_request,
                self.certificates,
                self.certificate_read,
                self.version != 0,
                self.finished,
                self.downgrade_sentinel,
            ),
        )
