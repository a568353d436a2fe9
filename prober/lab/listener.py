"""One listener of the rehearsal ingress: accepts, looks at the ClientHello without reading it, and behaves.

The hello is looked at with MSG_PEEK, as Envoy's tls_inspector does, since a close with unread bytes is what makes the kernel
send RST: the incident that this is a rehearsal of.
"""

from __future__ import annotations

import contextlib
import ssl
from dataclasses import dataclass, field

import trio

from prober.lab.behaviours import Action, Behaviour
from prober.lab.certificates import LabCertificates
from prober.tls.client_hello_parser import parse_client_hello
from prober.tls.errors import DecodeError
from prober.tls.registry import ContentType

__all__ = ["Listener", "bind"]

# A connection that outlives this is a rehearsal that somebody forgot.
_CONNECTION_SECONDS = 60.0
_HELLO_SECONDS = 15.0
# Envoy refuses hellos over 16 KiB too (listener filter's max_client_hello_size).
_MAX_HELLO = 16 * 1024
_MAX_CONNECTIONS = 2000
_BREATH_SECONDS = 0.1
"""Before the next attempt where a connection could not be accepted; as long as Trio's own listeners wait."""


@dataclass(frozen=True, slots=True)
class _Hello:
    """What was found in the receive buffer: a ClientHello and its name, or bytes that are none."""

    is_tls: bool
    server_name: str | None


def bind(host: str, port: int) -> trio.socket.SocketType:
    """A socket that has the port (0 takes a free one) and does not listen on it yet; OSError when it is taken."""
    family = trio.socket.AF_INET6 if ":" in host else trio.socket.AF_INET
    sock = trio.socket.socket(family, trio.socket.SOCK_STREAM)
    try:
        sock.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_REUSEADDR, 1)
        sock._sock.bind((host, port))  # type: ignore[attr-defined]  # binding a literal never blocks
    except OSError:
        sock.close()
        raise
    return sock


@dataclass
class Listener:
    """A named port and the behaviour that it has now; ``flip`` changes it for the connections to come."""

    name: str
    behaviour: Behaviour
    server_names: frozenset[str]
    certificates: LabCertificates
    host: str
    port: int
    connections: int = 0
    """Connections accepted so far."""
    _scope: trio.CancelScope | None = field(default=None, repr=False)
    _flipped: trio.Event = field(default_factory=trio.Event, repr=False)

    def flip(self, behaviour: Behaviour) -> None:
        """Behave otherwise from the next connection on; opens or closes the port where that is the difference."""
        self.behaviour = behaviour
        self._flipped.set()
        self._flipped = trio.Event()

    async def run(self, sock: trio.socket.SocketType, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve for ever on a socket from `bind`; one task a connection, all of them end with this one. Started: it behaves."""
        try:
            async with trio.open_nursery() as nursery:
                if not self._refuses():
                    sock.listen(1024)
                task_status.started()
                while True:
                    flipped = self._flipped
                    if self._refuses():
                        await flipped.wait()
                        continue
                    sock.listen(1024)
                    with trio.CancelScope() as accepting:
                        nursery.start_soon(_cancel_when, flipped, accepting)
                        while not self._refuses():
                            try:
                                stream, _ = await sock.accept()
                            except OSError:  # accept(2): the client has gone already, or this process has no descriptor left
                                await trio.sleep(_BREATH_SECONDS)
                                continue
                            if len(nursery.child_tasks) > _MAX_CONNECTIONS:
                                stream.close()
                                continue
                            self.connections += 1
                            nursery.start_soon(self._serve, stream)
                    if self._refuses():
                        sock = self._close_and_rebind(sock)
        finally:
            sock.close()

    def _refuses(self) -> bool:
        # A call, since `flip` changes the behaviour behind an await.
        return self.behaviour.action is Action.REFUSE

    def _close_and_rebind(self, sock: trio.socket.SocketType) -> trio.socket.SocketType:
        # A listening socket cannot stop listening: it is closed, and the port is taken again at once so that it stays ours.
        sock.close()
        return bind(self.host, self.port)

    async def _serve(self, sock: trio.socket.SocketType) -> None:
        # A client that hangs up is the daily business of a listener.
        with sock, trio.move_on_after(_CONNECTION_SECONDS), contextlib.suppress(OSError, ssl.SSLError, trio.BrokenResourceError):
            behaviour = self.behaviour
            if behaviour.action is Action.PLAIN_HTTP:
                await _plain_http(sock)
                return
            hello = await _peek(sock)
            served = hello.is_tls and (hello.server_name or "").lower() in self.server_names
            if served and not behaviour.everyone:
                await _tls(sock, self.certificates.context("good"), status=200)
                return
            await self._misbehave(sock, behaviour)

    async def _misbehave(self, sock: trio.socket.SocketType, behaviour: Behaviour) -> None:
        match behaviour.action:
            case Action.SERVE:
                await _tls(sock, self.certificates.context(behaviour.certificate), status=behaviour.http_status)
            case Action.DRIBBLE:
                await _tls(sock, self.certificates.context(behaviour.certificate), status=200, pause=0.25)
            case Action.FIN:
                await sock.recv(_MAX_HELLO)
            case Action.TLS_ALERT:
                await sock.recv(_MAX_HELLO)
                # RFC 8446 §5.1, §6: an alert record, fatal
                await sock.send(bytes((ContentType.alert, 3, 3, 0, 2, 2, behaviour.tls_alert)))
            case Action.SILENT:
                await sock.recv(_MAX_HELLO)
                await trio.sleep_forever()
            case Action.RESET_UNREAD | Action.REFUSE | Action.PLAIN_HTTP:
                return  # closed by the caller with the hello unread: RST


async def _cancel_when(event: trio.Event, scope: trio.CancelScope) -> None:
    await event.wait()
    scope.cancel()


async def _peek(sock: trio.socket.SocketType) -> _Hello:
    """Look at the ClientHello without taking it out of the receive buffer."""
    with trio.move_on_after(_HELLO_SECONDS):
        while True:
            seen = await sock.recv(_MAX_HELLO, trio.socket.MSG_PEEK)
            if not seen or seen[0] != ContentType.handshake:
                return _Hello(is_tls=False, server_name=None)
            with contextlib.suppress(DecodeError):
                message = _first_message(seen)
                if message is not None:
                    return _Hello(is_tls=True, server_name=parse_client_hello(message).server_name)
            if len(seen) >= _MAX_HELLO:
                break
            # Readiness cannot tell new bytes from those that were already looked at, so look again after a while.
            await trio.sleep(0.005)
    return _Hello(is_tls=False, server_name=None)


def _first_message(data: bytes) -> bytes | None:
    """The handshake message in one or more records; None while it is incomplete."""
    fragments = bytearray()
    offset = 0
    while offset + 5 <= len(data):
        length = int.from_bytes(data[offset + 3 : offset + 5])
        fragments += data[offset + 5 : offset + 5 + length]
        offset += 5 + length
        if len(fragments) >= 4 and len(fragments) >= 4 + int.from_bytes(fragments[1:4]):
            return bytes(fragments[: 4 + int.from_bytes(fragments[1:4])])
    return None


async def _tls(sock: trio.socket.SocketType, context: ssl.SSLContext, *, status: int, pause: float | None = None) -> None:
    """The server's side of a handshake and of one HTTP request; ``pause`` seconds between single bytes when given."""
    # MemoryBIO rather than trio.SSLStream: a third of the cost, and a prober that leaves after the certificate is no error here.
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_side=True)

    async def flush() -> None:
        data = outgoing.read()
        if pause is None:
            if data:
                await trio.SocketStream(sock).send_all(data)
            return
        for byte in data:
            await sock.send(bytes((byte,)))
            await trio.sleep(pause)

    async def more() -> bool:
        data = await sock.recv(65536)
        if data:
            incoming.write(data)
        return bool(data)

    while True:
        try:
            tls.do_handshake()
        except ssl.SSLWantReadError:
            await flush()
            if not await more():
                return
        except ssl.SSLError:
            await flush()  # the alert that says why
            raise
        else:
            break
    await flush()
    request = b""
    while b"\r\n\r\n" not in request and len(request) < 16384:
        try:
            data = tls.read(16384)
            if not data:
                return  # close_notify: a client that came for the handshake alone
            request += data
        except ssl.SSLWantReadError:
            if not await more():
                return
    tls.write(_response(status))
    with contextlib.suppress(ssl.SSLWantReadError):
        tls.unwrap()
    await flush()


def _response(status: int) -> bytes:
    body, reason = (b"prober lab\n", "OK") if status == 200 else (b"", "Not Found")
    return (
        f"HTTP/1.1 {status} {reason}\r\nserver: prober-lab\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n".encode()
        + body
    )


async def _plain_http(sock: trio.socket.SocketType) -> None:
    await sock.recv(_MAX_HELLO)
    await sock.send(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
