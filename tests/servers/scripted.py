"""Peers that misbehave to order: a listener whose every connection follows a script of small steps.

    with scripted(read_hello(), send(b"HTTP/1.1 400"), reset()) as peer:
        ...  # peer.endpoint is where to connect
        assert peer.next_ending() == "rst"  # how the client went, as its peer saw it

Each connection runs in a thread of its own, so that a script may block; leaving the context ends all of them. A script that
ends closes its connection in the ordinary way.
"""

from __future__ import annotations

import queue
import select
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from prober.model import Endpoint

__all__ = [
    "Connection",
    "ScriptedPeer",
    "Step",
    "close_unread",
    "dribble",
    "fin",
    "hold",
    "pause",
    "read",
    "read_hello",
    "reset",
    "scripted",
    "see_end",
    "send",
    "send_flight",
]

PATIENCE = 20.0
"""Seconds after which a test that waits for a peer has failed."""

_ABORT = struct.pack("ii", 1, 0)


@dataclass(slots=True)
class Connection:
    """One accepted connection, as its script sees it."""

    sock: socket.socket
    peer: ScriptedPeer
    received: bytes = b""

    def receive(self, size: int = 65536) -> bytes:
        """What came next, also kept in ``received``; b"" is the client's FIN."""
        data = self.sock.recv(size)
        self.received += data
        return data


Step = Callable[[Connection], None]


@dataclass(slots=True)
class ScriptedPeer:
    """A running listener."""

    endpoint: Endpoint
    connections: queue.Queue[Connection] = field(default_factory=queue.Queue)
    """Those whose script is over, with all that they received."""
    stopping: threading.Event = field(default_factory=threading.Event)
    accepted: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    done: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    _endings: queue.Queue[str] = field(default_factory=queue.Queue)

    def next_ending(self) -> str:
        """How the next client went, as `see_end` saw it: ``fin`` or ``rst``."""
        return self._endings.get(timeout=PATIENCE)

    def ended(self, how: str) -> None:
        """For `see_end`."""
        self._endings.put(how)

    def next_received(self) -> bytes:
        """All bytes of the next connection whose script is over."""
        return self.connections.get(timeout=PATIENCE).received

    def wait_done(self) -> None:
        """Block until one more script is over and its connection closed."""
        assert self.done.acquire(timeout=PATIENCE)


# -- steps -----------------------------------------------------------------------------------------------------------------


def read_hello() -> Step:
    """Read one whole TLS record."""

    def step(connection: Connection) -> None:
        while len(connection.received) < 5 or len(connection.received) < 5 + int.from_bytes(connection.received[3:5]):
            if not connection.receive():
                return

    return step


def read(size: int) -> Step:
    """Read until ``size`` bytes have come."""

    def step(connection: Connection) -> None:
        while len(connection.received) < size and connection.receive():
            pass

    return step


def send(data: bytes) -> Step:
    """Send all of ``data``."""
    return lambda connection: connection.sock.sendall(data)


def send_flight(context: ssl.SSLContext, *, cut: Callable[[bytes], bytes] = bytes) -> Step:
    """Answer the hello that was read with what OpenSSL answers, or with the part of it that ``cut`` leaves."""

    def step(connection: Connection) -> None:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        incoming.write(connection.received)
        with suppress(ssl.SSLError):  # it wants to read on; or it refuses, and the alert is its answer
            context.wrap_bio(incoming, outgoing, server_side=True).do_handshake()
        connection.sock.sendall(cut(outgoing.read()))

    return step


def dribble(data: bytes, *, every: float) -> Step:
    """Send byte by byte, one every ``every`` seconds."""

    def step(connection: Connection) -> None:
        connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in data:
            connection.sock.sendall(bytes((byte,)))
            if connection.peer.stopping.wait(every):
                return

    return step


def pause(seconds: float) -> Step:
    """Do nothing for a while."""
    return lambda connection: _ignore(connection.peer.stopping.wait(seconds))


def hold() -> Step:
    """Do nothing until the test is over."""
    return lambda connection: _ignore(connection.peer.stopping.wait(PATIENCE))


def fin() -> Step:
    """Close our direction."""
    return lambda connection: connection.sock.shutdown(socket.SHUT_WR)


def reset() -> Step:
    """Close with a RST, whatever was read."""

    def step(connection: Connection) -> None:
        connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABORT)
        connection.sock.close()

    return step


def close_unread() -> Step:
    """Wait for the client's first bytes and close with them unread: the kernel sends a RST, as for Envoy without a filter chain."""

    def step(connection: Connection) -> None:
        connection.sock.recv(1, socket.MSG_PEEK)
        connection.sock.close()

    return step


def see_end() -> Step:
    """Read until the client closes, and note how: `ScriptedPeer.next_ending`."""

    def step(connection: Connection) -> None:
        try:
            while connection.receive():
                pass
        except ConnectionResetError:
            connection.peer.ended("rst")
        else:
            connection.peer.ended("fin")

    return step


def _ignore(_: object) -> None:
    pass


# -- the listener ----------------------------------------------------------------------------------------------------------


@contextmanager
def scripted(*script: Step, ip: str = "127.0.0.1", receive_buffer: int | None = None) -> Iterator[ScriptedPeer]:
    """A listener on ``ip`` whose connections follow ``script``; ``receive_buffer``: its SO_RCVBUF."""
    family = socket.AF_INET6 if ":" in ip else socket.AF_INET
    threads: list[threading.Thread] = []
    sockets: list[socket.socket] = []
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        if receive_buffer is not None:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        listener.bind((ip, 0))
        listener.listen(256)
        peer = ScriptedPeer(Endpoint(ip, listener.getsockname()[1]))

        def accept() -> None:
            while not peer.stopping.is_set():
                if not select.select([listener], [], [], 0.05)[0]:
                    continue
                sock, _ = listener.accept()
                sockets.append(sock)
                peer.accepted.release()
                thread = threading.Thread(target=follow, args=(Connection(sock, peer),), daemon=True)
                threads.append(thread)
                thread.start()

        def follow(connection: Connection) -> None:
            with connection.sock, suppress(OSError):
                for step in script:
                    step(connection)
            peer.connections.put(connection)
            peer.done.release()

        accepting = threading.Thread(target=accept, daemon=True)
        accepting.start()
        try:
            yield peer
        finally:
            peer.stopping.set()
            accepting.join(PATIENCE)
            for sock in sockets:
                with suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)  # ends whatever read or write a script waits in
            for thread in threads:
                thread.join(PATIENCE)
