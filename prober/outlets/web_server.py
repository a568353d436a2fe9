"""The HTTP listener: hypercorn's protocol on sockets and connections that are ours.

hypercorn's own ``serve`` is not used, since it shields every send from cancellation: a client that stops reading in the
middle of ``/metrics`` would keep the process from ending, for ever. Here each connection has a deadline for its headers and for
every send, their number is bounded, and closing the socket under a send ends it.
"""

from __future__ import annotations

import errno
import logging
import os
import resource
import socket
import ssl
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import trio

from prober.model import Endpoint
from prober.whole_numbers import whole_number

if TYPE_CHECKING:
    from hypercorn.trio.worker_context import WorkerContext

__all__ = ["GRACE_SECONDS", "HEADER_SECONDS", "MAX_CONNECTIONS", "ServerSide", "bind", "serve", "url_of"]

HEADER_SECONDS = 9.0
"""From the connection, or the answer before, to the end of a request's headers. 10 s are promised; not an interval that
people scrape at, so that an idle connection is not closed in the moment in which it is used again."""

SEND_SECONDS = 10.0
"""How long one send may wait for a client that does not read."""

GRACE_SECONDS = 1.0
"""How long requests may go on after a shutdown began."""

MAX_CONNECTIONS = 256
"""More than a handful of scrapers, balancers and people need; each may hold a descriptor and a response. Beyond it, the connection on
which nothing has been asked for longest makes room: whoever opens many and says nothing must not keep the others out."""

_BACKLOG = 128
_UNSENT_BYTES = 256 * 1024
"""Trio wakes a sender at 16 KiB of unsent data; a scrape of megabytes would wake the loop thousands of times."""

_logger = logging.getLogger(__name__)


class ServerSide(NamedTuple):
    """How connections are served by TLS. Asked at each of them, so that what is renewed counts at once."""

    context: Callable[[], ssl.SSLContext]
    admits: Callable[[bytes | None], bool] = lambda _: True
    """Whether a client with this certificate (DER; None: it has sent none) may come in, once the handshake is done."""


def bind(listen: str) -> tuple[socket.socket, ...]:
    """Listening sockets for ``IP:PORT``, ``[v6]:PORT``, ``NAME:PORT`` (all its addresses) or ``:PORT`` (all of the host's).

    ``OSError`` says which address cannot be had and what to do. Port 0 lets the kernel choose.
    """
    host, colon, written = listen.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    port = whole_number(written, 0, 65535)
    if not colon or port is None:
        raise OSError(errno.EINVAL, f"cannot listen on {listen!r}: write IP:PORT, [IPv6]:PORT or :PORT")
    try:
        found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except socket.gaierror as error:
        raise OSError(
            errno.EADDRNOTAVAIL, f"cannot listen on {listen!r}: {error.strerror}; write an address of this host"
        ) from None
    listeners: list[socket.socket] = []
    for family, kind, protocol, _, (ip, wanted, *scope) in dict.fromkeys(found):
        # Where the kernel is to choose a port, the other addresses follow its choice for the first.
        followed = wanted or (listeners[0].getsockname()[1] if listeners else 0)
        try:
            listeners.append(_listening(family, kind, protocol, (ip, followed, *scope)))
        except OSError as error:
            # A host without IPv6 has no such socket, or no such address.
            if not host and family == socket.AF_INET6 and error.errno in {errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL}:
                continue
            for each in listeners:
                each.close()
            raise OSError(error.errno, f"cannot listen on {listen!r}: {_advice(error)}") from None
    return tuple(listeners)


def _listening(family: int, kind: int, protocol: int, address: tuple[Any, ...]) -> socket.socket:
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            # Each family has its own socket: the IPv6 one must not take the IPv4 port with it.
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
        listener.setblocking(False)
    except OSError:
        listener.close()
        raise
    return listener


def url_of(listener: socket.socket, *, tls: bool = False) -> str:
    """``http://127.0.0.1:9859`` of a listening socket."""
    host, port = listener.getsockname()[:2]
    return f"{'https' if tls else 'http'}://{Endpoint(host, port)}"


def _advice(error: OSError) -> str:
    reason = os.strerror(error.errno) if error.errno else str(error)
    match error.errno:
        case errno.EADDRINUSE:
            return f"{reason}; another process has this port: stop it, or choose another port with listen"
        case errno.EACCES | errno.EPERM:
            return f"{reason}; ports below 1024 need a privilege: choose a higher port with listen"
        case errno.EADDRNOTAVAIL:
            return f"{reason}; no interface of this host has the address"
        case _:
            return reason


async def serve(
    app: Callable[..., Any],
    listeners: tuple[socket.socket, ...],
    *,
    shutdown: trio.Event,
    tls: ServerSide | None = None,
    task_status: trio.TaskStatus[tuple[str, ...]] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve an ASGI application on sockets from `bind`, until ``shutdown`` is set and the requests under way are done.

    The sockets are closed in any case. ``task_status`` gets the URLs.
    """
    from hypercorn.trio.worker_context import WorkerContext

    context = WorkerContext(None)
    clients = _Connections(app, context, tls)
    accepting = [_Listener(trio.socket.from_stdlib_socket(listener), clients.make_room) for listener in listeners]
    urls = tuple(url_of(listener, tls=tls is not None) for listener in listeners)
    try:
        async with trio.open_nursery() as connections:
            try:
                async with trio.open_nursery() as acceptors:
                    await acceptors.start(partial(trio.serve_listeners, clients.receive, accepting, handler_nursery=connections))
                    task_status.started(urls)
                    await shutdown.wait()
                    acceptors.cancel_scope.cancel()
                await context.terminated.set()  # idle connections close now, the others after their answer
                connections.cancel_scope.deadline = trio.current_time() + GRACE_SECONDS
                await clients.empty()
            finally:
                clients.close()
    finally:
        for listener in accepting:
            listener.socket.close()


class _Listener(trio.abc.Listener[trio.SocketStream]):
    """Accepts also where this process has no descriptor left but those of connections that are quiet: one of them is closed."""

    def __init__(self, socket: trio.socket.SocketType, make_room: Callable[[], bool]) -> None:
        self.socket = socket
        self._listener = trio.SocketListener(socket)
        self._make_room = make_room

    async def accept(self) -> trio.SocketStream:
        """As the socket listener."""
        while True:
            # accept(2) without a descriptor says EMFILE also where nobody has come.
            await trio.lowlevel.wait_readable(self.socket)
            try:
                return await self._listener.accept()
            except OSError as error:
                if error.errno not in {errno.EMFILE, errno.ENFILE} or not self._make_room():
                    raise

    async def aclose(self) -> None:
        """As the socket listener."""
        await self._listener.aclose()


class _Connections:
    """The connections that are open."""

    def __init__(self, app: Callable[..., Any], context: WorkerContext, tls: ServerSide | None) -> None:
        from hypercorn import Config

        self._app = app
        self._context = context
        self._tls = tls
        self._most = _most_connections()
        self._open: set[_BoundedStream] = set()
        self._left = trio.Event()
        self._config = Config()
        self._config.accesslog = None
        self._config.errorlog = _logger
        self._config.include_server_header = False
        self._config.keep_alive_timeout = HEADER_SECONDS
        self._config.ssl_handshake_timeout = HEADER_SECONDS

    async def receive(self, stream: trio.SocketStream) -> None:
        """Serve one connection to its end; one above the limit is closed where none of the others can be."""
        from hypercorn.typing import ConnectionState
        from hypercorn.utils import wrap_app

        from prober.outlets.http2 import Connection, within

        if len(self._open) >= self._most and not self.make_room():
            return
        bounded = _BoundedStream(stream)
        self._open.add(bounded)
        try:
            served: Any = bounded
            if self._tls is not None:
                served = await _handshaken(bounded, self._tls)
                if served is None:
                    return
            app = wrap_app(within(SEND_SECONDS, bounded.counting(self._app), bounded.socket.close), 0, "asgi")
            server = Connection(app, self._config, self._context, ConnectionState({}), served)
            bounded.at_end = server.idle_task.stop
            await server.run()
        except* (trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # the client has gone, or we have closed under a request that took longer than the grace
        except* Exception as errors:
            # hypercorn does not expect everything that a client may send over HTTP/2 (a path that is no ASCII, CONNECT). It costs that
            # client its connection, never the service. The text is not told: it repeats what the client sent.
            _logger.warning("a connection was ended by what its client sent: %s", ", ".join(_kinds(errors)))
            _logger.debug("the HTTP library ended a connection", exc_info=errors)
        finally:
            self._open.discard(bounded)
            self._left.set()

    def make_room(self) -> bool:
        """Close the connection that has been quiet for longest; False where each is being answered."""
        quiet = [stream for stream in self._open if not stream.requests]
        if not quiet:
            return False
        longest = min(quiet, key=lambda stream: stream.quiet_since)
        self._open.discard(longest)
        longest.socket.close()
        return True

    async def empty(self) -> None:
        """Wait until the last connection is closed."""
        while self._open:
            self._left = trio.Event()
            await self._left.wait()

    def close(self) -> None:
        """Close all connections, also under a shielded send."""
        for stream in self._open:
            stream.socket.close()


def _most_connections() -> int:
    """Fewer under a small limit of descriptors: each may bring a `/probe` of three handshakes, and state files and DNS need some, too."""
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return MAX_CONNECTIONS if soft == resource.RLIM_INFINITY else min(MAX_CONNECTIONS, soft // 8)


def _kinds(errors: BaseExceptionGroup[BaseException]) -> list[str]:
    """The names of all exceptions in a group of groups, each once."""
    found: dict[str, None] = {}
    for error in errors.exceptions:
        found |= dict.fromkeys(_kinds(error) if isinstance(error, BaseExceptionGroup) else (type(error).__name__,))
    return list(found)


async def _handshaken(stream: _BoundedStream, tls: ServerSide) -> trio.SSLStream[_BoundedStream] | None:
    """The stream once TLS is spoken on it; None when that does not come about, and when the client is not to be admitted."""
    secured = trio.SSLStream(stream, tls.context(), server_side=True, https_compatible=True)
    with trio.move_on_after(HEADER_SECONDS):
        await secured.do_handshake()
        # The certificate of a resumed session is the one of its first handshake.
        return secured if tls.admits(secured.getpeercert(binary_form=True)) else None
    return None


class _BoundedStream(trio.abc.HalfCloseableStream):
    """A socket stream whose sends have a deadline, so that a client that does not read cannot hold a response for ever."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self.socket = stream.socket
        self.at_end: Callable[[], Awaitable[None]] = trio.lowlevel.checkpoint
        """Called when the client has closed. hypercorn would keep the connection until its idle time is over."""
        self.requests = 0
        """That are being answered."""
        self.quiet_since = trio.current_time()
        """When there was last any, or when it was opened."""
        self._ended = False
        if hasattr(trio.socket, "TCP_NOTSENT_LOWAT"):
            stream.setsockopt(trio.socket.IPPROTO_TCP, trio.socket.TCP_NOTSENT_LOWAT, _UNSENT_BYTES)

    def counting(self, app: Callable[..., Any]) -> Callable[..., Any]:
        """The application, whose requests on this connection are counted."""

        async def counted(scope: Any, receive: Any, send: Any) -> None:
            self.requests += 1
            try:
                await app(scope, receive, send)
            finally:
                self.requests -= 1
                self.quiet_since = trio.current_time()

        return counted

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send everything, or fail when the client does not read for `SEND_SECONDS`."""
        if self._ended:
            # hypercorn ends the connection of a client that has gone while an answer to it is still being sent.
            raise trio.ClosedResourceError("the connection is being ended")
        with trio.move_on_after(SEND_SECONDS) as scope:
            await self._stream.send_all(data)
        if scope.cancelled_caught:
            self.socket.close()
            raise trio.BrokenResourceError(f"the client has not read for {SEND_SECONDS:g} s")

    async def wait_send_all_might_not_block(self) -> None:
        """As the socket stream."""
        await self._stream.wait_send_all_might_not_block()

    async def send_eof(self) -> None:
        """As the socket stream; it is the last that is sent, also while it is under way."""
        self._ended = True
        await self._stream.send_eof()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        """As the socket stream."""
        try:
            received = await self._stream.receive_some(max_bytes)
        except trio.BrokenResourceError:
            await self.at_end()
            raise
        if not received:
            await self.at_end()
        return received

    async def aclose(self) -> None:
        """As the socket stream."""
        await self._stream.aclose()
