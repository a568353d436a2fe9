"""What one handshake has shown so far, and the observation that comes of it.

Times are `time.perf_counter` seconds.
"""

from __future__ import annotations

from typing import Final

from prober.model import Close, Depth, Observation, Outcome, Seconds, Stage
from prober.probing.attempt import Attempt
from prober.tls.client_hello import Offer
from prober.tls.errors import NotTLS, ProtocolError
from prober.tls.facts import NOTHING_SAID, HandshakeFacts, TranscriptEntry
from prober.tls.handshake import ClientHandshake

__all__ = ["Findings"]

# What a NamedTuple's own constructor does, at half its price.
_new_tuple: Final = tuple.__new__

_NOTHING: Final[tuple[TranscriptEntry, ...]] = ()

_FIRST_BYTES: Final = 64
"""Of something that is no TLS, how much is shown."""

_ENDS: Final = {Close.NONE: "the end", Close.FIN: "FIN", Close.RST: "RST", Close.TIMEOUT: "silence"}
"""What came in the place of the messages that were awaited."""


class Findings:
    """Collected by a flight; it decides once, or again when the peer goes on to a better or a worse end."""

    __slots__ = (
        "bytes_received",
        "connected",
        "decided",
        "detail",
        "errno",
        "known",
        "outcome",
        "sent",
        "started",
        "uncertainty",
    )

    def __init__(self) -> None:
        self.started = 0.0
        """When connect() was called; 0.0 before."""
        self.connected: float | None = None
        """When the connection stood."""
        self.sent: float | None = None
        """Immediately before the hello was sent."""
        self.bytes_received = 0
        self.outcome: Outcome | None = None
        self.decided = 0.0
        """When what decided the outcome arrived."""
        self.uncertainty = 0.0
        """Seconds by which ``decided`` may be late."""
        self.errno: str | None = None
        self.detail: str | None = None
        self.known = NOTHING_SAID
        """What a flight said that did not need to be read, see `prober.tls.known_flights`."""

    def decide(
        self, outcome: Outcome, at: float, uncertainty: float, *, errno: str | None = None, detail: str | None = None
    ) -> None:
        """The outcome is known since ``at``."""
        self.outcome = outcome
        self.decided = at
        self.uncertainty = uncertainty
        self.errno = errno
        self.detail = detail

    def decide_misbehaved(self, error: ProtocolError, at: float, uncertainty: float) -> None:
        """What the peer sent is no TLS, or wrong."""
        if isinstance(error, NotTLS):
            detail = f"{error.guess or 'unknown protocol'}: {error.first_bytes[:_FIRST_BYTES]!r}"
            self.decide(Outcome.NOT_TLS, at, uncertainty, detail=detail)
        else:
            self.decide(Outcome.PROTOCOL_ERROR, at, uncertainty, detail=str(error))

    def observation(self, close: Close, attempt: Attempt, offer: Offer | None, handshake: ClientHandshake | None) -> Observation:
        """The end of it. ``offer`` is None when no hello was made, ``handshake`` when no byte was read by one."""
        assert self.outcome is not None
        if handshake is None and attempt.transcript and offer is not None and self.sent is not None:
            handshake = ClientHandshake(offer, transcript=True, hello_sent=True)  # shows the hello that got no answer
        facts, detail, said = self.known, self.detail, _NOTHING
        if handshake is not None:
            facts, said = handshake.facts(), handshake.transcript_entries
            if detail is None:
                detail = handshake.unfinished_reason or self._cut_short(close, attempt, handshake, facts)
        return _new_tuple(
            Observation,
            (
                self.outcome,
                self._stage(facts),
                self.errno,
                close,
                self.bytes_received,
                detail,
                self._seconds(attempt.resolve_seconds),
                facts,
                said,
            ),
        )

    def _cut_short(self, close: Close, attempt: Attempt, handshake: ClientHandshake, facts: HandshakeFacts) -> str | None:
        """Depth ``finished``: what the peer did behind its certificate in the place of finishing; None where it finished."""
        if attempt.depth is Depth.CERTIFICATE or facts.finished or self.outcome is not Outcome.CERTIFICATE:
            return None
        alert = facts.tls_alert
        what = _ENDS[close] if alert is None else f"alert {alert.code} {alert.description}"
        # Most often that is all: TLS 1.2 has no word of its own for it, and servers say alert 40.
        why = "; it asked for a client certificate, and got none" if facts.missed_client_certificate else ""
        return f"after the certificate: {what} while waiting for {handshake.waiting_for}{why}"

    def _stage(self, facts: HandshakeFacts) -> Stage:
        if facts.finished:
            return Stage.FINISHED
        if facts.certificate_read:
            return Stage.CERTIFICATE
        if self.bytes_received:
            return Stage.SERVER_HELLO
        if self.connected is not None:
            return Stage.CLIENT_HELLO
        return Stage.RESOLVE if self.outcome is Outcome.RESOLVE_FAILED else Stage.CONNECT

    def _seconds(self, resolve: float | None) -> Seconds:
        started, connected, sent, decided = self.started, self.connected, self.sent, self.decided
        if not started:
            return Seconds(resolve, total=resolve or 0.0)
        # A peer may have answered before it was asked (a greeting, a RST): then no time passed, and not a negative one.
        connect = handshake = None
        most = total = (decided - started if decided > started else 0.0) + (resolve or 0.0)
        if connected is not None:
            connect = connected - started if connected > started else 0.0
        if sent is not None:
            most = handshake = decided - sent if decided > sent else 0.0
        return _new_tuple(Seconds, (resolve, connect, handshake, total, min(self.uncertainty, most)))
