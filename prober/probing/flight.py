"""One handshake in flight: the step machine between a socket and the TLS core.

  NEW          not started
  CONNECTING   connect() is on its way
  EXCHANGING   the connection stands: the hello goes out, answers come in. A certificate may have been read already, while the
               rest of the server's flight is still wanted.
  LISTENING    the outcome is known; what the peer does next (FIN, RST, nothing) is waited for, briefly
  LEAVING      depth ``finished`` was reached and close_notify sent; the peer may close first
  OVER         closed, told

A flight never waits: the engine calls `advance` when the poller saw something, `wake` when its alarm went off. It decides once
(`_decide` stamps the moment) and ends once (`_end` closes and tells).
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable
from enum import IntEnum
from math import inf
from time import perf_counter
from typing import Final, Protocol

from prober.model import Close, Depth, Observation, Outcome, Seconds, Stage
from prober.probing.attempt import Attempt
from prober.probing.dial import Socket, close_abortively, endpoint_of, open_socket, socket_address
from prober.probing.errnos import connect_outcome, errno_detail, errno_name, standing_outcome
from prober.probing.poller import BROKEN, CLOSING, READABLE, WRITABLE
from prober.probing.proxy_protocol import PROXY_HEADERS
from prober.probing.receive_clock import ANCILLARY_SIZE, ReceiveClock
from prober.tls.client_hello import Offer
from prober.tls.errors import NotTLS, ProtocolError
from prober.tls.events import CloseNotifyReceived, Progress
from prober.tls.facts import NOTHING_SAID, HandshakeFacts
from prober.tls.handshake import ClientHandshake

__all__ = ["Flight", "Host", "Step"]

GRACE: Final = 0.5
"""Seconds that TLS 1.2 has, after the Certificate, to say the group and whether it wants a client certificate."""

LISTEN: Final = 0.1
"""Seconds in which a FIN or RST counts as what followed. A server that closes after an alert does so at once."""

LEAVE: Final = 0.5
"""Seconds in which the peer may answer close_notify by closing first, so that the TIME_WAIT is not ours; then we close."""

_CHUNK: Final = 32 * 1024
_CHUNKS: Final = 8
"""Reads before others get their turn: a flight is at most 256 KiB, and a peer that floods must not delay the rest."""

_FIRST_BYTES: Final = 64


class Step(IntEnum):
    """Where a flight is."""

    NEW = 0
    CONNECTING = 1
    EXCHANGING = 2
    LISTENING = 3
    LEAVING = 4
    OVER = 5


class Host(Protocol):
    """What a flight needs from the engine."""

    ceiling: int
    """The first descriptor number that a handshake may not have."""
    clock: ReceiveClock

    def watch(self, flight: Flight, fd: int) -> None:
        """Call `advance` when ``fd`` changes; OSError when the kernel has no room."""

    def again(self, flight: Flight) -> None:
        """Call `advance` soon: its events are not dealt with yet."""

    def alarm(self, flight: Flight, time: float) -> None:
        """Call `wake` at ``time``, and at no other time."""

    def ended(self, flight: Flight, fd: int) -> None:
        """The flight has its observation; ``fd`` (-1: none) was closed."""


class Flight:
    """One attempt, from connect() to the observation. Times are `time.perf_counter` seconds."""

    __slots__ = (
        "_ancillary",
        "_bytes_received",
        "_certificate",
        "_changes",
        "_connected",
        "_deadline",
        "_decided",
        "_detail",
        "_errno",
        "_fd",
        "_handshake",
        "_host",
        "_latched",
        "_offer",
        "_outcome",
        "_sent",
        "_sock",
        "_stamping",
        "_uncertainty",
        "_unsent",
        "alarm",
        "attempt",
        "events",
        "observation",
        "queued",
        "seen",
        "seen_after",
        "sink",
        "started",
        "step",
        "woken",
    )

    def __init__(self, attempt: Attempt, sink: Callable[[Observation], None] | None, host: Host) -> None:
        self.attempt = attempt
        self.sink = sink
        self.observation: Observation | None = None
        self.step = Step.NEW
        self.started = 0.0
        """When connect() was called."""

        # The engine's: what the poller saw since the last `advance`, and the interval in which it happened.
        self.events = 0
        self.seen = 0.0
        self.seen_after = 0.0
        self.queued = False
        self.woken = False
        self.alarm = inf

        self._host = host
        self._changes = 0
        """The events that `advance` is working on."""
        self._sock: Socket | None = None
        self._fd = -1
        self._deadline = inf
        self._connected: float | None = None
        self._sent: float | None = None
        self._unsent: bytes = b""
        self._latched = 0
        """The first errno that the connection gave; the kernel tells it once and then pretends an orderly end."""
        self._stamping = False
        self._ancillary: list[tuple[int, int, bytes]] = []
        self._bytes_received = 0
        self._offer: Offer | None = None
        self._handshake: ClientHandshake | None = None
        self._certificate = False
        self._decided = 0.0
        self._uncertainty: float | None = None
        self._outcome: Outcome | None = None
        self._errno: str | None = None
        self._detail: str | None = None

    @property
    def ja4(self) -> str:
        """The JA4 of the hello, whether or not it came to be sent."""
        if self._offer is not None:
            return self._offer.ja4
        return self.attempt.factory.ja4(self.attempt.server_name is not None)

    # -- called by the engine ------------------------------------------------------------------------------------------

    def advance(self) -> None:
        """Do what the events ask for. Whatever this raises is a bug of ours."""
        self._changes, self.events = self.events, 0
        step = self.step
        if step is Step.NEW:
            self._start()
        elif step is Step.OVER:
            return
        elif self._changes:
            if step is Step.CONNECTING:
                self._after_connect()
            else:
                self._after_change()
        # Whatever came in time counts, even if this process was late to look: the alarm is heard last.
        if self.woken:
            self.woken = False
            self._wake()

    def abandon(self, detail: str) -> None:
        """End now, as `local_error`: cancelled, or a bug of ours."""
        if self.step is Step.OVER:
            return
        self._handshake = None  # it may be what is broken
        self._decide(Outcome.LOCAL_ERROR, perf_counter(), None, detail=detail)
        self._end(Close.NONE)

    # -- connecting ----------------------------------------------------------------------------------------------------

    def _start(self) -> None:
        attempt = self.attempt
        self.started = perf_counter()
        self._deadline = self.started + attempt.timeout - (attempt.resolve_seconds or 0.0)
        if self._deadline <= self.started:
            self._decide(
                Outcome.RESOLVE_FAILED, self.started, None, code="ETIMEDOUT", detail="resolution took all the time there was"
            )
            self._end(Close.NONE)
            return
        self.step = Step.CONNECTING
        try:
            address = socket_address(attempt.endpoint)
            sock = open_socket(attempt.endpoint.ip)
        except OSError as error:
            # if_nametoindex() sets no errno for an interface that does not exist.
            self._fail(error.errno or errno.ENODEV, Outcome.LOCAL_ERROR)
            return
        self._sock = sock
        fd = sock.fileno()
        if fd >= self._host.ceiling:
            self._fail(errno.EMFILE, Outcome.LOCAL_ERROR)
            return
        self.started = perf_counter()
        code = sock.connect_ex(address)
        if code not in (errno.EINPROGRESS, 0):
            self._connect_failed(code)
            return
        try:
            self._host.watch(self, fd)
        except OSError as error:
            self._fail(error.errno or 0, Outcome.LOCAL_ERROR)
            return
        self._fd = fd
        self._host.alarm(self, self._deadline)

    def _after_connect(self) -> None:
        assert self._sock is not None
        if self._changes & BROKEN:
            code = self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if code:
                self._connect_failed(code)
                return
        elif not self._changes & WRITABLE:
            return
        self._connected = self.seen
        self.step = Step.EXCHANGING
        self._send_hello()

    def _connect_failed(self, code: int) -> None:
        outcome = connect_outcome(code)
        if outcome is not Outcome.RESET:
            self._fail(code, outcome)
            return
        # The connection stood and was torn down before we looked. What the peer said before is still there to be read.
        self._connected = self.seen
        self._latched = code
        self.step = Step.EXCHANGING
        self._offer = self.attempt.factory.offer(self.attempt.server_name)
        self._read()

    def _fail(self, code: int, outcome: Outcome) -> None:
        """The connection never stood."""
        at = self.seen or perf_counter()
        detail = None if outcome is Outcome.REFUSED else errno_detail(code)
        self._decide(outcome, at, at - self.seen_after if self.seen else 0.0, code=errno_name(code), detail=detail)
        self._end(Close.NONE)

    # -- exchanging ----------------------------------------------------------------------------------------------------

    def _send_hello(self) -> None:
        attempt = self.attempt
        self._offer = offer = attempt.factory.offer(attempt.server_name)
        data = offer.wire
        if attempt.proxy_protocol is not None:
            assert self._sock is not None
            source = endpoint_of(self._sock.getsockname())
            data = PROXY_HEADERS[attempt.proxy_protocol](source, attempt.endpoint) + data
        self._sent = perf_counter()
        self._send(data)
        if self.step is Step.EXCHANGING and self._changes & (READABLE | CLOSING):
            self._read()

    def _send(self, data: bytes) -> None:
        assert self._sock is not None
        try:
            count = self._sock.send(data)
        except BlockingIOError:
            count = 0
        except OSError as error:
            self._unsent = b""
            self._send_failed(error.errno or 0)
            return
        self._unsent = data[count:]

    def _send_failed(self, code: int) -> None:
        self._latched = self._latched or code
        # What the peer said before it tore the connection down decides, if it said anything.
        self._read()
        if self.step is Step.EXCHANGING:
            self._broken(code)

    def _after_change(self) -> None:
        if self._unsent and self._changes & WRITABLE:
            data, self._unsent = self._unsent, b""
            self._send(data)
        if self._changes & (READABLE | CLOSING) and self.step is not Step.OVER:
            self._read()

    def _read(self) -> None:
        sock = self._sock
        assert sock is not None
        if not self._stamping and not self._changes & BROKEN and self._host.clock.available:
            # Only now, since a connection that is reset never needs it.
            self._host.clock.want(sock)
            self._stamping = True
        for _ in range(_CHUNKS):
            try:
                if self._stamping:
                    data, self._ancillary, _, _ = sock.recvmsg(_CHUNK, ANCILLARY_SIZE)
                else:
                    data = sock.recv(_CHUNK)
            except BlockingIOError:
                return
            except OSError as error:
                self._ancillary = []
                self._broken(error.errno or 0)
                return
            if not data:
                self._ancillary = []
                self._finish_reading()
                return
            if self.step is Step.EXCHANGING:
                self._take(data)
            elif self.step is Step.LEAVING:
                self._take_after_finished(data)
            if self.step is Step.OVER:
                return
            if len(data) < _CHUNK and not self._changes & CLOSING and not self._latched:
                return
        self.events = self._changes
        self._host.again(self)

    def _take(self, data: bytes) -> None:
        """Bytes from the peer, while the outcome, or the rest of the flight, is still open."""
        self._bytes_received += len(data)
        handshake = self._handshake
        if handshake is None:
            assert self._offer is not None
            self._handshake = handshake = ClientHandshake(
                self._offer, depth=self.attempt.depth, transcript=self.attempt.transcript, hello_sent=True
            )
        try:
            events = handshake.receive_data(data)
        except ProtocolError as error:
            self._misbehaved(error)
            return
        progress = handshake.progress
        if progress is Progress.ALERT:
            if not self._certificate:
                self._decide_now(Outcome.TLS_ALERT)
            self._listen()
            return
        if progress is not Progress.WANT_MORE and not self._certificate:
            self._certificate = True
            self._decide_now(Outcome.CERTIFICATE)
            if progress is Progress.CERTIFICATE and self.attempt.depth is Depth.CERTIFICATE:
                self._host.alarm(self, min(self._deadline, perf_counter() + GRACE))
        if progress is Progress.DONE:
            if self.attempt.depth is Depth.CERTIFICATE or handshake.unfinished_reason is not None:
                self._end(Close.NONE)
            else:
                self._decide_now(Outcome.CERTIFICATE)
                self._leave()
            return
        if any(type(event) is CloseNotifyReceived for event in events):
            if not self._certificate:
                self._decide_now(Outcome.CLOSED, detail="close_notify before a certificate")
            self._listen()
            return
        answer = handshake.data_to_send()
        if answer:
            self._send(self._unsent + answer)

    def _misbehaved(self, error: ProtocolError) -> None:
        if isinstance(error, NotTLS):
            guess = error.guess or "unknown protocol"
            self._decide_now(Outcome.NOT_TLS, detail=f"{guess}: {error.first_bytes[:_FIRST_BYTES]!r}")
        else:
            self._decide_now(Outcome.PROTOCOL_ERROR, detail=str(error))
        self._listen()

    def _finish_reading(self) -> None:
        """The peer's FIN; or, once an error was latched, the end that the kernel shows after having told it."""
        if self._latched:
            self._broken(self._latched)
            return
        if self._outcome is None:
            self._decide_closed()
        self._end(Close.FIN)

    def _decide_closed(self) -> None:
        outcome, detail = Outcome.CLOSED, None
        if self._handshake is not None:
            try:
                self._handshake.receive_eof()
            except NotTLS as error:
                outcome, detail = Outcome.NOT_TLS, f"{error.guess or 'unknown protocol'}: {error.first_bytes[:_FIRST_BYTES]!r}"
            except ProtocolError as error:
                detail = str(error)
        self._decide(outcome, self.seen, self.seen - self.seen_after, detail=detail)

    def _broken(self, code: int) -> None:
        """The connection died by ``code``."""
        code = self._latched or code
        outcome = standing_outcome(code)
        if self._outcome is None:
            detail = None if outcome is Outcome.RESET else errno_detail(code)
            self._decide(outcome, self.seen, self.seen - self.seen_after, code=errno_name(code), detail=detail)
        self._end(Close.RST if outcome is Outcome.RESET else Close.TIMEOUT if outcome is Outcome.TIMEOUT else Close.NONE)

    # -- after the decision --------------------------------------------------------------------------------------------

    def _listen(self) -> None:
        assert self._handshake is not None
        farewell = self._handshake.data_to_send()
        self.step = Step.LISTENING
        if farewell:
            self._send(farewell)
        if self.step is Step.LISTENING:
            self._host.alarm(self, min(self._deadline, perf_counter() + LISTEN))

    def _leave(self) -> None:
        """Depth ``finished``: say goodbye, and let the peer close first."""
        assert self._handshake is not None
        self.step = Step.LEAVING
        self._host.alarm(self, min(self._deadline, perf_counter() + LEAVE))
        self._send(self._unsent + self._handshake.data_to_send())

    def _take_after_finished(self, data: bytes) -> None:
        """Tickets, close_notify, or an alert about our missing client certificate: the outcome stands."""
        assert self._handshake is not None
        self._bytes_received += len(data)
        try:
            events = self._handshake.receive_data(data)
        except ProtocolError as error:
            self._detail = f"after the handshake: {error}"
            return
        if any(type(event) is CloseNotifyReceived for event in events):
            # RFC 8446 §6.1 lets either side close the transport first, and some servers wait for us to do it.
            self._host.alarm(self, min(self._deadline, perf_counter() + LISTEN))

    def _wake(self) -> None:
        """The alarm went off."""
        now = perf_counter()
        late = now >= self._deadline
        match self.step:
            case Step.CONNECTING:
                self._decide(Outcome.CONNECT_TIMEOUT, now, 0.0)
                self._end(Close.NONE)
            case Step.EXCHANGING:
                if self._outcome is None:
                    self._decide(Outcome.TIMEOUT, now, 0.0)
                self._end(Close.TIMEOUT if late else Close.NONE)
            case Step.LISTENING | Step.LEAVING:
                self._end(Close.NONE)
            case _:
                pass

    # -- deciding and ending -------------------------------------------------------------------------------------------

    def _decide_now(self, outcome: Outcome, *, detail: str | None = None) -> None:
        """The chunk that was just read decided."""
        stamp = self._host.clock.read(self._ancillary, self.seen_after) if self._ancillary else None
        if stamp is None:
            self._decide(outcome, self.seen, self.seen - self.seen_after, detail=detail)
        else:
            self._decide(outcome, stamp, 0.0, detail=detail)

    def _decide(
        self, outcome: Outcome, at: float, uncertainty: float | None, *, code: str | None = None, detail: str | None = None
    ) -> None:
        self._outcome = outcome
        self._decided = at
        self._uncertainty = uncertainty
        self._errno = code
        self._detail = detail

    def _stage(self, facts: HandshakeFacts) -> Stage:
        if facts.finished:
            return Stage.FINISHED
        if facts.certificate_read:
            return Stage.CERTIFICATE
        if self._bytes_received:
            return Stage.SERVER_HELLO
        if self._connected is not None:
            return Stage.CLIENT_HELLO
        return Stage.RESOLVE if self._outcome is Outcome.RESOLVE_FAILED else Stage.CONNECT

    def _seconds(self) -> Seconds:
        resolve = self.attempt.resolve_seconds
        # A peer may have answered before it was asked (a greeting, a RST): no time passed then, not a negative one.
        handshake = None if self._sent is None else max(0.0, self._decided - self._sent)
        connect = None if self._connected is None else max(0.0, self._connected - self.started)
        total = (max(0.0, self._decided - self.started) if self.started else 0.0) + (resolve or 0.0)
        uncertainty = self._uncertainty
        if uncertainty is not None and handshake is not None:
            uncertainty = min(uncertainty, handshake)
        return Seconds(resolve, connect, handshake, total, uncertainty)

    def _end(self, close: Close) -> None:
        """Close the socket as the moment asks for, and tell."""
        assert self._outcome is not None
        facts = NOTHING_SAID if self._handshake is None else self._handshake.facts()
        detail = self._detail
        transcript = ()
        if self._handshake is not None:
            transcript = self._handshake.transcript_entries
            if detail is None:
                detail = self._handshake.unfinished_reason
        self.observation = Observation(
            self._outcome,
            self._stage(facts),
            self._errno,
            close,
            self._bytes_received,
            detail,
            self._seconds(),
            facts,
            transcript,
        )
        leaving = self.step is Step.LEAVING
        self.step = Step.OVER
        sock, self._sock = self._sock, None
        if sock is not None:
            if close is Close.FIN or close is Close.RST or leaving or self._connected is None:
                sock.close()
            else:
                close_abortively(sock)
        self._handshake = None
        self._unsent = b""
        self._ancillary = []
        self._host.ended(self, self._fd)
