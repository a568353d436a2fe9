"""What the peer's bytes say: the TLS core's answers become findings, and what is to be done next. No socket, no clock.

A flight has one from the first byte that it reads. Times are `time.perf_counter` seconds.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from prober.model import Depth, Outcome
from prober.probing.attempt import Attempt
from prober.probing.findings import Findings
from prober.tls.client_hello import Offer
from prober.tls.errors import NotTLS, ProtocolError
from prober.tls.events import CloseNotifyReceived, Progress
from prober.tls.handshake import ClientHandshake
from prober.tls.known_flights import flight_key

__all__ = ["Exchange", "Next"]


class Next(IntEnum):
    """What is to be done after some bytes were taken."""

    GO_ON = 0
    """Send what there is to send, and read on."""
    HURRY = 1
    """The same, but the certificate was just read, and the rest is worth only a short wait."""
    LISTEN = 2
    """The outcome is known. Send nothing more, and see what the peer does."""
    LEAVE = 3
    """Depth ``finished`` is reached: send what there is to send, close_notify at its end, and let the peer close first."""
    FINISH = 4
    """All that was asked for is known: close."""


_GO_ON, _HURRY, _LISTEN, _LEAVE, _FINISH = Next
_WANT_MORE, _, _DONE, _ALERT = Progress
_CERTIFICATE: Final = Outcome.CERTIFICATE
_DEPTH_CERTIFICATE: Final = Depth.CERTIFICATE


class Exchange:
    """One conversation over a connection that stands, as far as the peer is heard."""

    __slots__ = ("_attempt", "_certificate", "_findings", "_offer", "handshake")

    def __init__(self, attempt: Attempt, offer: Offer, findings: Findings) -> None:
        self.handshake: ClientHandshake | None = None
        """None while nothing came, and when what came was recognised without it."""
        self._attempt = attempt
        self._offer = offer
        self._findings = findings
        self._certificate = False
        """Whether the certificate has decided."""

    def take(self, data: bytes, at: float, uncertainty: float) -> Next:
        """Bytes that came at ``at`` (or ``uncertainty`` seconds earlier), while the outcome, or the rest of the flight, is open."""
        findings, handshake = self._findings, self.handshake
        findings.bytes_received += len(data)
        key = None
        if handshake is None:
            attempt, offer = self._attempt, self._offer
            depth, transcript = attempt.depth, attempt.transcript
            key = None if transcript or depth is not _DEPTH_CERTIFICATE else flight_key(offer, data)
            if key is not None and (known := offer.factory.known_flights.get(key)) is not None:
                findings.known = known
                findings.decide(_CERTIFICATE, at, uncertainty)
                return _FINISH
            # A peer may say something and be gone before our hello was sent.
            hello_sent = findings.sent is not None
            self.handshake = handshake = ClientHandshake(offer, depth=depth, transcript=transcript, hello_sent=hello_sent)
        try:
            events = handshake.receive_data(data)
        except ProtocolError as error:
            return self._misbehaved(handshake, error, at, uncertainty)
        progress = handshake.progress
        if progress is _ALERT:
            if not self._certificate:
                # The certificate may have come in the same chunk as the alert.
                findings.decide(_CERTIFICATE if handshake.facts().certificate_read else Outcome.TLS_ALERT, at, uncertainty)
            return _LISTEN
        following = _GO_ON
        if progress is not _WANT_MORE and not self._certificate:
            self._certificate = True
            findings.decide(_CERTIFICATE, at, uncertainty)
            if self._attempt.depth is _DEPTH_CERTIFICATE:
                following = _HURRY
        if progress is _DONE:
            if self._attempt.depth is not _DEPTH_CERTIFICATE and handshake.unfinished_reason is None:
                findings.decide(_CERTIFICATE, at, uncertainty)
                return _LEAVE
            if key is not None and handshake.unfinished_reason is None:
                self._offer.factory.known_flights.keep(key, handshake.facts())
            return _FINISH
        if any(type(event) is CloseNotifyReceived for event in events):
            if not self._certificate:
                findings.decide(Outcome.CLOSED, at, uncertainty, detail="close_notify before a certificate")
            return _LISTEN
        return following

    def data_to_send(self) -> bytes:
        """What is to be sent now; it is handed out once."""
        return b"" if self.handshake is None else self.handshake.data_to_send()

    def broke_off(self, outcome: Outcome, at: float, uncertainty: float, errno: str | None) -> None:
        """Nothing more will come: ``outcome`` is how it ended, unless what came was no TLS at all."""
        handshake = self.handshake
        assert handshake is not None
        try:
            handshake.receive_eof()
        except NotTLS as error:
            self._findings.decide_misbehaved(error, at, uncertainty)
            return
        self._findings.decide(outcome, at, uncertainty, errno=errno, detail=f"while waiting for {handshake.waiting_for}")

    def take_after_finished(self, data: bytes) -> bool:
        """Tickets, an alert about our missing client certificate, close_notify. Returns whether it was the last of these."""
        handshake = self.handshake
        assert handshake is not None
        self._findings.bytes_received += len(data)
        try:
            events = handshake.receive_data(data)
        except ProtocolError as error:
            self._findings.detail = f"after the handshake: {error}"
            return False
        return any(type(event) is CloseNotifyReceived for event in events)

    def _misbehaved(self, handshake: ClientHandshake, error: ProtocolError, at: float, uncertainty: float) -> Next:
        findings, facts = self._findings, handshake.facts()
        if facts.finished:
            # In another segment it would have come after the goodbye, and how TCP cuts a flight decides nothing.
            findings.decide(_CERTIFICATE, at, uncertainty, detail=f"after the handshake: {error}")
            return _LEAVE
        if self._attempt.depth is not _DEPTH_CERTIFICATE or not facts.certificate_read:
            findings.decide_misbehaved(error, at, uncertainty)
            return _LISTEN
        # What was asked for had come, in this chunk or an earlier one: whether the rest is right is for depth `finished`.
        if not self._certificate:
            self._certificate = True
            findings.decide(_CERTIFICATE, at, uncertainty)
        findings.detail = f"after the certificate: {error}"
        return _LISTEN
