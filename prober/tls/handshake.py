"""The client's handshake as a state machine without I/O: bytes in, events and bytes out.

Here records become messages, and messages find their row in the table of `transitions`. What the table does not name is
refused with an error that says what would have been taken.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from prober.tls.describe import describe_received, describe_record
from prober.tls.describe_offer import describe_offer
from prober.tls.errors import DecodeError, NotTLS, ProtocolError, UnexpectedMessage
from prober.tls.events import ApplicationData, Event, Progress
from prober.tls.facts import HandshakeFacts, TlsAlert, TranscriptEntry
from prober.tls.messages import HELLO_RETRY_REQUEST_RANDOM, ServerHello
from prober.tls.negotiation import Negotiation
from prober.tls.records import Record
from prober.tls.registry import AlertDescription, AlertLevel, ContentType, ProtocolVersion
from prober.tls.transitions import TRANSITIONS, Message, State, expected_in, message_name

if TYPE_CHECKING:
    from prober.tls.client_hello import Offer

__all__ = ["ClientHandshake"]

_TLS_1_3: Final = ProtocolVersion.TLSv1_3.value
_CHANGE_CIPHER_SPEC: Final = ContentType.change_cipher_spec.value
_ALERT: Final = ContentType.alert.value
_HANDSHAKE: Final = ContentType.handshake.value
_APPLICATION_DATA: Final = ContentType.application_data.value
_SERVER_HELLO: Final = Message.ServerHello.value
_SERVER_HELLO_13: Final = Message.ServerHello13.value
_HELLO_RETRY_REQUEST: Final = Message.HelloRetryRequest.value

_IDLE_RECORDS: Final = 32
"""Most records that a handshake takes without a message in them (warnings, ChangeCipherSpec, empty data); OpenSSL's number."""


class ClientHandshake:
    """One handshake, from a ClientHello that was made to the depth that was asked for.

    ``depth`` is ``certificate`` (stop when the server's certificate was read; in TLS <= 1.2 when its flight is complete) or
    ``finished`` (verify, and complete the handshake). With ``hello_sent`` the caller has sent ``offer.wire`` itself. With
    ``transcript`` every message is decoded for people. With ``close_when_finished`` a close_notify follows our Finished.
    """

    __slots__ = ("_half_alert", "_handed_out", "_idle_records", "_negotiation", "_state")

    def __init__(
        self,
        offer: Offer,
        *,
        depth: str = "certificate",
        hello_sent: bool = False,
        transcript: bool = False,
        close_when_finished: bool = True,
        entropy: Callable[[int], bytes] | None = None,
    ) -> None:
        """``entropy`` is for the keys of TLS <= 1.2 at depth ``finished``; by default it is the offer's."""
        if depth not in ("certificate", "finished"):
            raise ValueError(f"depth is 'certificate' or 'finished', not {depth!r}")
        self._state = State.CLIENT_HELLO
        self._idle_records = 0
        self._half_alert = b""
        self._handed_out = int(hello_sent)
        """Entries of the transcript when data was handed out last: what was to be sent since then was not."""
        n = self._negotiation = Negotiation(
            offer,
            to_finish=depth == "finished",
            entropy=offer.factory.entropy if entropy is None else entropy,
            close_when_finished=close_when_finished,
        )
        if transcript:
            n.log = [describe_offer(offer)]
        if not hello_sent:
            n.outgoing.append(offer.wire)

    # Bytes

    def data_to_send(self) -> bytes:
        """What is to be sent now; it is handed out once."""
        n = self._negotiation
        if not n.outgoing:
            return b""
        data = b"".join(n.outgoing)
        n.outgoing.clear()
        if n.log is not None:
            self._handed_out = len(n.log)
        return data

    def receive_data(self, data: bytes) -> list[Event]:
        """Take bytes from the server. Raises ProtocolError (and leaves the alert that it implies in `data_to_send`).

        What comes after the handshake is over (depth reached, fatal alert, error) is ignored.
        """
        n = self._negotiation
        events = n.events = []
        if self.closed or not data:
            return events
        try:
            for record in n.records.receive(data):
                if record[0] == _HANDSHAKE and n.read_protection is None and not self._half_alert:
                    self._read_messages(n, record[2])
                else:
                    self._read_record(n, record)
                if n.closed:
                    break
        except ProtocolError as error:
            self._give_up(n, error)
            raise
        return events

    def receive_eof(self) -> list[Event]:
        """No byte will come any more, whatever the reason (FIN, RST, deadline). Raises NotTLS if what came is no TLS."""
        n = self._negotiation
        events = n.events = []
        if not n.closed:
            n.closed = True
            n.records.receive_eof()
        return events

    def send_application_data(self, data: bytes) -> None:
        """Queue ``data`` for `data_to_send`. RuntimeError unless the handshake is finished and not closed."""
        n = self._negotiation
        if not n.finished or n.sent_close_notify:
            raise RuntimeError("application data needs a finished handshake that is not closed")
        n.send_record(_APPLICATION_DATA, data)

    def close(self) -> None:
        """Queue a close_notify; once, and only after the handshake."""
        if self._negotiation.finished:
            self._negotiation.send_close_notify()

    # Findings

    @property
    def progress(self) -> Progress:
        """How far it is."""
        return self._negotiation.progress

    @property
    def state(self) -> State:
        """What was read last."""
        return self._state

    @property
    def closed(self) -> bool:
        """Whether nothing that still comes can change anything."""
        return self._negotiation.closed

    @property
    def unfinished_reason(self) -> str | None:
        """Depth ``finished``: why what was negotiated cannot be finished; None if it can."""
        return self._negotiation.unfinished_reason

    @property
    def waiting_for(self) -> str:
        """The message that did not come, or not in full: ``ServerHello or HelloRetryRequest``."""
        n = self._negotiation
        part = n.messages.pending or n.records.pending
        expected = expected_in(self._state)
        return f"{expected} ({part} bytes of it came)" if part else expected

    @property
    def transcript_entries(self) -> tuple[TranscriptEntry, ...]:
        """All messages so far, decoded; empty unless ``transcript`` was asked for. What nobody took to send it is no part of it."""
        log, sent = self._negotiation.log or (), self._handed_out
        return tuple(entry for number, entry in enumerate(log) if entry.direction == "<" or number < sent)

    def facts(self) -> HandshakeFacts:
        """All that is known by now."""
        return self._negotiation.facts()

    # Records

    def _read_record(self, n: Negotiation, record: Record) -> None:
        content_type, _, fragment = record
        is_tls13 = n.version == _TLS_1_3
        protection = n.read_protection
        if protection is not None and (not is_tls13 or content_type == _APPLICATION_DATA):
            content_type, fragment = protection.unprotect(record)
            if is_tls13 and content_type == _CHANGE_CIPHER_SPEC:
                raise UnexpectedMessage(expected=expected_in(self._state), got="a protected ChangeCipherSpec", message="record")
        elif protection is not None and content_type == _HANDSHAKE:
            raise UnexpectedMessage(expected="protected records", got="a plain handshake record", message="record")
        if content_type == _ALERT:
            self._read_alerts(n, fragment)
        elif self._half_alert:
            raise UnexpectedMessage(expected="the rest of an alert", got=ContentType(content_type).name, message="record")
        elif content_type == _HANDSHAKE:
            self._read_messages(n, fragment)
        elif n.messages.pending:
            # RFC 8446 §5.1: no other type of record between the fragments of a message
            got = ContentType(content_type).name
            raise UnexpectedMessage(expected="the rest of a handshake message", got=got, message="record")
        elif content_type == _CHANGE_CIPHER_SPEC:
            self._read_change_cipher_spec(n, fragment)
        elif content_type == _APPLICATION_DATA and n.finished:
            self._count_idle_record()
            if fragment:
                self._idle_records = 0
                n.records.forget_flight()
                n.events.append(ApplicationData(fragment))
        else:
            raise UnexpectedMessage(expected=expected_in(self._state), got=ContentType(content_type).name, message="record")

    def _count_idle_record(self) -> None:
        self._idle_records += 1
        if self._idle_records > _IDLE_RECORDS:
            raise UnexpectedMessage(expected=expected_in(self._state), got=f"{_IDLE_RECORDS} idle records", message="record")

    def _read_change_cipher_spec(self, n: Negotiation, fragment: bytes) -> None:
        self._count_idle_record()
        if n.log is not None:
            n.log.append(describe_record("<", _CHANGE_CIPHER_SPEC, fragment))
        transition = TRANSITIONS[self._state].get(Message.ChangeCipherSpec)
        if transition is not None:
            transition.handle(n, fragment)
            self._state = transition.next_state
            return
        # RFC 8446 §5, §D.4: to please middleboxes, until the server's Finished; it means nothing.
        compatible = n.version == _TLS_1_3 or (not n.version and _TLS_1_3 in n.offer.factory.versions)
        if not compatible or n.finished or fragment != b"\x01":
            raise UnexpectedMessage(expected=expected_in(self._state), got="ChangeCipherSpec", message="record")

    # RFC 8446 §6; RFC 5246 §7.2
    def _read_alerts(self, n: Negotiation, fragment: bytes) -> None:
        # A plain alert after ServerHello is named, too: a server that fails there may not have its keys yet.
        if not fragment:
            raise DecodeError("an alert of 0 bytes", message="Alert", offset=0)
        fragment = self._half_alert + fragment
        odd = len(fragment) % 2
        if odd and n.version == _TLS_1_3:
            # RFC 8446 §5.1 forbids what RFC 5246 §6.2.1 allows: an alert in two records.
            raise DecodeError(f"an alert of {len(fragment)} bytes", message="Alert", offset=0)
        self._half_alert = fragment[-1:] if odd else b""
        fragment = fragment[: len(fragment) - odd]
        if n.log is not None and fragment:
            n.log.append(describe_record("<", _ALERT, fragment))
        for start in range(0, len(fragment), 2):
            self._count_idle_record()
            level, code = fragment[start], fragment[start + 1]
            if level not in (AlertLevel.warning, AlertLevel.fatal):
                raise DecodeError(f"alert level {level}", message="Alert", offset=start)
            # RFC 8446 §6: in TLS 1.3 the level means nothing, all but two alerts are fatal.
            is_tls13 = n.version == _TLS_1_3
            if code == AlertDescription.close_notify and (is_tls13 or level == AlertLevel.warning):
                n.close_notify_received()
                return
            fatal = code != AlertDescription.user_canceled if is_tls13 else level == AlertLevel.fatal
            n.alert_received(TlsAlert("fatal" if fatal else "warning", code, AlertDescription(code).name))
            if fatal:
                return

    # Messages

    def _read_messages(self, n: Negotiation, fragment: bytes) -> None:
        for message in n.messages.receive(fragment):
            kind: int = message[0]
            if kind == _SERVER_HELLO:
                kind = _kind_of_server_hello(n, message)
            transition = TRANSITIONS[self._state].get(kind)
            if transition is None:
                raise UnexpectedMessage(expected=expected_in(self._state), got=message_name(kind))
            if n.log is not None:
                n.log.append(describe_received(message, n.version))
            handle, next_state = transition
            handle(n, message)
            self._state = next_state
            if n.closed:
                break

    def _give_up(self, n: Negotiation, error: ProtocolError) -> None:
        n.closed = True
        if not isinstance(error, NotTLS) and not n.sent_close_notify:
            n.send_alert(AlertLevel.fatal, error.implies)


def _kind_of_server_hello(n: Negotiation, message: bytes) -> int:
    """Which of the three meanings of a server_hello this one has; it is parsed on the way."""
    hello = n.server_hello = ServerHello.parse(message)
    if hello.random == HELLO_RETRY_REQUEST_RANDOM:
        return _HELLO_RETRY_REQUEST
    return _SERVER_HELLO_13 if hello.version == _TLS_1_3 else _SERVER_HELLO
