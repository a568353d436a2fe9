"""One handshake in flight: the step machine around its socket. What the peer's bytes mean is `exchange`'s.

A flight never waits: the engine calls `advance` when the poller saw something, or when its alarm went off. Times are
`time.perf_counter` seconds.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable
from math import inf
from time import perf_counter
from typing import Final

from prober.model import Close, Observation, Outcome
from prober.probing.attempt import Attempt
from prober.probing.dial import Socket, close_socket, endpoint_of, is_connected_to_itself, open_socket, socket_address
from prober.probing.errnos import connect_outcome, errno_detail, errno_name, standing_outcome
from prober.probing.exchange import Exchange, Next
from prober.probing.findings import Findings
from prober.probing.host import Host
from prober.probing.poller import BROKEN, CLOSING, READABLE, WRITABLE
from prober.probing.proxy_protocol import PROXY_HEADERS
from prober.probing.receive_clock import ANCILLARY_SIZE
from prober.probing.steps import GRACE, LEAVE, LISTEN, Step
from prober.tls.client_hello import Offer

__all__ = ["Flight"]

_CHUNK: Final = 32 * 1024
_CHUNKS: Final = 8
"""Reads before others get their turn: a flight is at most 256 KiB, and a peer that floods must not delay the rest."""

_NO_STAMPS: Final[list[tuple[int, int, bytes]]] = []

# Python 3.11 takes 0.15 µs to look a member up in its enumeration, and a handshake does that thirty times.
_NEW, _CONNECTING, _EXCHANGING, _LISTENING, _LEAVING, _OVER = Step
_GO_ON, _HURRY, _LISTEN, _LEAVE, _FINISH = Next
_RESET, _TIMEOUT = Outcome.RESET, Outcome.TIMEOUT
_MISBEHAVED: Final = (Outcome.PROTOCOL_ERROR, Outcome.NOT_TLS)
_CLOSE_NONE, _CLOSE_FIN, _CLOSE_RST = Close.NONE, Close.FIN, Close.RST


class Flight:
    """One attempt, from connect() to the observation."""

    __slots__ = (
        "_ancillary",
        "_changes",
        "_deadline",
        "_exchange",
        "_fd",
        "_findings",
        "_host",
        "_latched",
        "_offer",
        "_sock",
        "_stamping",
        "_unsent",
        "alarm",
        "attempt",
        "events",
        "observation",
        "queued",
        "quiet_at",
        "seen",
        "seen_after",
        "sink",
        "step",
        "woken",
    )

    def __init__(self, attempt: Attempt, sink: Callable[[Observation], None] | None, host: Host) -> None:
        self.attempt = attempt
        self.sink = sink
        self.observation: Observation | None = None
        """What came of it; None while it is in flight."""
        self.step = _NEW

        # For the engine: what happened since the last `advance`. It was seen by the poll at `seen` and cannot have escaped us
        # before `seen_after`; the poll at `quiet_at` had not seen it.
        self.events = 0
        self.seen = 0.0
        self.seen_after = 0.0
        self.quiet_at = 0.0
        self.woken = False
        self.queued = False
        self.alarm = inf

        self._host = host
        self._findings = Findings()
        self._sock: Socket | None = None
        self._fd = -1
        self._deadline = inf
        self._changes = 0
        """The events that `advance` is working on."""
        self._offer: Offer | None = None
        self._exchange: Exchange | None = None
        """From the peer's first byte on."""
        self._unsent: bytes = b""
        self._latched = 0
        """The first errno that the connection gave: the kernel tells it once, and pretends an orderly end from then on."""
        self._stamping = False
        self._ancillary = _NO_STAMPS

    @property
    def started(self) -> float:
        """When connect() was called; 0.0 before."""
        return self._findings.started

    @property
    def ja4(self) -> str:
        """The JA4 of the hello, whether or not it came to be sent."""
        if self._offer is not None:
            return self._offer.ja4
        return self.attempt.factory.ja4(self.attempt.server_name is not None)

    def cancel(self) -> None:
        """Close now. The sink is not called any more; ``observation`` is a `local_error`. Idempotent."""
        self.sink = None
        self.abandon("cancelled")

    # -- for the engine ------------------------------------------------------------------------------------------------

    def advance(self) -> None:
        """Do what the events ask for. Whatever this raises is a bug of ours."""
        self._changes = changes = self.events
        step = self.step
        if changes:
            self.events = 0
            if step is _CONNECTING:
                self._after_connect()
            elif step is not _OVER:
                self._after_change()
        elif step is _NEW:
            self._start()
        # What came in time counts, also when this process was late to look: therefore the alarm is heard last.
        if self.woken:
            self.woken = False
            self._wake()

    def abandon(self, detail: str) -> None:
        """End now, as `local_error`: cancelled, or a bug of ours."""
        if self.step is _OVER:
            return
        self._exchange = self._offer = None  # it may be these that are broken
        self._findings.decide(Outcome.LOCAL_ERROR, perf_counter(), 0.0, detail=detail)
        self._end(_CLOSE_NONE)

    # -- connecting ----------------------------------------------------------------------------------------------------

    def _start(self) -> None:
        attempt, findings = self.attempt, self._findings
        now = perf_counter()
        self._deadline = now + attempt.timeout - (attempt.resolve_seconds or 0.0)
        if self._deadline <= now:
            detail = "resolution took all the time that there was"
            findings.decide(Outcome.RESOLVE_FAILED, now, 0.0, errno="ETIMEDOUT", detail=detail)
            self._end(_CLOSE_NONE)
            return
        self.step = _CONNECTING
        try:
            address = socket_address(attempt.endpoint)
            self._sock = sock = open_socket(attempt.endpoint.ip)
        except OSError as error:
            # if_nametoindex() sets no errno for an interface that does not exist.
            self._fail(error.errno or errno.ENODEV, Outcome.LOCAL_ERROR)
            return
        fd = sock.fileno()
        if fd >= self._host.ceiling:
            self._fail(errno.EMFILE, Outcome.LOCAL_ERROR)
            return
        findings.started = perf_counter()
        code = sock.connect_ex(address)
        if code not in (errno.EINPROGRESS, 0):
            self._connect_failed(code)
            return
        try:
            self._host.watch(self, fd)
        except OSError as error:
            self._fail(error.errno or errno.ENOSPC, Outcome.LOCAL_ERROR)
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
        self._findings.connected = self.seen
        self.step = _EXCHANGING
        self._send_hello()

    def _connect_failed(self, code: int) -> None:
        outcome = connect_outcome(code)
        if outcome is not _RESET:
            self._fail(code, outcome)
            return
        # The connection stood, and was torn down before we looked. What the peer said before that can still be read.
        self._findings.connected = self.seen or perf_counter()
        self._latched = code
        self.step = _EXCHANGING
        self._offer = self.attempt.factory.offer(self.attempt.server_name)
        self._read()
        if self.step is _EXCHANGING:
            self._broken(code)

    def _fail(self, code: int, outcome: Outcome) -> None:
        """The connection never stood."""
        detail = None if outcome is Outcome.REFUSED else errno_detail(code)
        at, uncertainty = (self.seen, self.seen - self.seen_after) if self.seen else (perf_counter(), 0.0)
        self._findings.decide(outcome, at, uncertainty, errno=errno_name(code), detail=detail)
        self._end(_CLOSE_NONE)

    # -- exchanging ----------------------------------------------------------------------------------------------------

    def _send_hello(self) -> None:
        attempt = self.attempt
        self._offer = offer = attempt.factory.offer(attempt.server_name)
        data = offer.wire
        if attempt.proxy_protocol is not None:
            assert self._sock is not None
            source = endpoint_of(self._sock.getsockname())
            data = PROXY_HEADERS[attempt.proxy_protocol](source, attempt.endpoint) + data
        self._findings.sent = perf_counter()
        self._send(data)
        if self.step is _EXCHANGING and self._changes & (READABLE | CLOSING):
            self._read()

    def _send(self, data: bytes) -> None:
        """Send what the kernel takes now; the rest goes when it is writable again."""
        assert self._sock is not None
        try:
            count = self._sock.send(data)
        except BlockingIOError:
            count = 0
        except OSError as error:
            self._unsent = b""
            self._latched = self._latched or error.errno or errno.EPIPE
            # What the peer said before it tore the connection down decides, if it said anything.
            self._read()
            if self.step is _EXCHANGING:
                self._broken(self._latched)
            return
        self._unsent = data[count:]

    def _after_change(self) -> None:
        if self._unsent and self._changes & WRITABLE:
            self._send(self._unsent)
        if self._changes & (READABLE | CLOSING) and self.step is not _OVER:
            self._read()

    def _read(self) -> None:
        """Read until the kernel has no more, or the flight is over."""
        sock = self._sock
        assert sock is not None
        if not self._stamping and not self._changes & BROKEN and self._host.clock.available:
            # Only now: a connection that is reset never needs it.
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
                self._broken(error.errno or errno.ECONNRESET)
                return
            if not data:
                self._peer_closed()
                return
            if self.step is _EXCHANGING:
                self._take(data)
            elif self.step is _LEAVING:
                self._take_goodbye(data)
            if self.step is _OVER:
                return
            if len(data) < _CHUNK and not self._changes & CLOSING and not self._latched:
                return
        self.events = self._changes
        self._host.again(self)

    def _take(self, data: bytes) -> None:
        """Bytes from the peer, while the outcome, or the rest of its flight, is still open."""
        exchange = self._exchange
        assert self._sock is not None
        if exchange is None:
            assert self._offer is not None
            self._exchange = exchange = Exchange(self.attempt, self._offer, self._findings)
        following = exchange.take(data, *self._when())
        if following is _FINISH:
            self._end(_CLOSE_NONE)
        elif following is _LISTEN:
            if self._findings.outcome in _MISBEHAVED and is_connected_to_itself(self._sock, self.attempt.endpoint):
                self._refused_after_all()
            else:
                self._listen()
        elif following is _LEAVE:
            self._leave(exchange)
        else:
            if following is _HURRY:
                self._host.alarm(self, min(self._deadline, perf_counter() + GRACE))
            # What a peer said that was gone before we looked is behind no hello of ours, and none is sent behind it.
            if self._findings.sent is not None and (answer := exchange.data_to_send()):
                self._send(self._unsent + answer)

    def _refused_after_all(self) -> None:
        """What came is our own hello: nobody listens there."""
        assert self._sock is not None
        # Not in order: a TIME_WAIT would keep the port from the server that is to listen there.
        close_socket(self._sock, orderly=False)
        self._sock = self._exchange = None
        findings = self._findings
        findings.connected = findings.sent = None
        findings.bytes_received = 0
        self._fail(errno.ECONNREFUSED, Outcome.REFUSED)

    def _peer_closed(self) -> None:
        """The peer's FIN; or, once an error was latched, the end that the kernel shows from then on."""
        if self._latched:
            self._broken(self._latched)
            return
        if self._findings.outcome is None:
            self._decide_without_answer(Outcome.CLOSED, *self._when_ended())
        self._end(_CLOSE_FIN)

    def _broken(self, code: int) -> None:
        """The connection died by ``code``."""
        code = self._latched or code
        outcome = standing_outcome(code)
        if self._findings.outcome is None:
            self._decide_without_answer(outcome, *self._when_ended(), code)
        self._end(_CLOSE_RST if outcome is _RESET else Close.TIMEOUT if outcome is _TIMEOUT else _CLOSE_NONE)

    def _decide_without_answer(self, outcome: Outcome, at: float, uncertainty: float, code: int = 0) -> None:
        """Nothing more will come, and what came was no answer."""
        name = errno_name(code) if code else None
        if self._exchange is not None:
            self._exchange.broke_off(outcome, at, uncertainty, name)
            return
        detail = errno_detail(code) if code and outcome is not _RESET else None
        self._findings.decide(outcome, at, uncertainty, errno=name, detail=detail)

    def _when(self) -> tuple[float, float]:
        """When the chunk that was just read arrived, and by how much that may be late."""
        if self._ancillary:
            stamp = self._host.clock.read(self._ancillary, self.quiet_at)
            if stamp is not None:
                return stamp, 0.0
        return self.seen, self.seen - self.seen_after

    def _when_ended(self) -> tuple[float, float]:
        """When the peer's RST or FIN arrived, and by how much that may be late."""
        packet_clock, sock = self._host.packet_clock, self._sock
        if packet_clock is not None and sock is not None:
            stamp = packet_clock.ended(self.attempt.endpoint, sock.getsockname()[1], self.quiet_at)
            if stamp is not None:
                return stamp, 0.0
        return self.seen, self.seen - self.seen_after

    # -- after the decision --------------------------------------------------------------------------------------------

    def _listen(self) -> None:
        # Nothing is sent from now on, not even the alert that a client owes: a peer that closes with it unread sends a RST
        # in the place of its FIN, and that would be our doing.
        self.step = _LISTENING
        self._unsent = b""
        self._host.alarm(self, min(self._deadline, perf_counter() + LISTEN))

    def _leave(self, exchange: Exchange) -> None:
        """Depth ``finished``: say goodbye, and let the peer close first."""
        self.step = _LEAVING
        self._host.alarm(self, min(self._deadline, perf_counter() + LEAVE))
        self._send(self._unsent + exchange.data_to_send())

    def _take_goodbye(self, data: bytes) -> None:
        """Bytes from the peer after the handshake: the outcome stands."""
        assert self._exchange is not None
        if self._exchange.take_after_finished(data):
            # RFC 8446 §6.1 lets either side close the transport first, and some servers wait for us to do it.
            self._host.alarm(self, min(self._deadline, perf_counter() + LISTEN))

    def _wake(self) -> None:
        """The alarm went off."""
        now = perf_counter()
        step = self.step
        if step is _CONNECTING:
            self._findings.decide(Outcome.CONNECT_TIMEOUT, now, 0.0)
            self._end(_CLOSE_NONE)
        elif step is _EXCHANGING:
            if self._findings.outcome is None:
                self._decide_without_answer(_TIMEOUT, now, 0.0)
            self._end(Close.TIMEOUT if now >= self._deadline else _CLOSE_NONE)
        elif step is not _OVER:
            self._end(_CLOSE_NONE)

    def _end(self, close: Close) -> None:
        """Make the observation, and close the socket as the moment asks for."""
        handshake = None if self._exchange is None else self._exchange.handshake
        self.observation = self._findings.observation(close, self.attempt, self._offer, handshake)
        # The peer is gone, or is to find an orderly end, or was never there: else nothing may be left behind.
        orderly = close is _CLOSE_FIN or close is _CLOSE_RST or self.step is _LEAVING or self._findings.connected is None
        self.step = _OVER
        sock, self._sock = self._sock, None
        if sock is not None:
            close_socket(sock, orderly=orderly)
        self._exchange = None
        self._host.ended(self, self._fd)
