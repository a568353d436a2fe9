"""A receiver of webhooks, and a stand-in for Alertmanager's API: a real HTTP server whose mood a test sets."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

__all__ = ["Call", "Hook", "hook"]


@dataclass(frozen=True)
class Call:
    """One request that was answered with 2xx."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def key(self) -> str:
        """Of the change."""
        return self.headers["idempotency-key"]

    @property
    def document(self) -> Any:
        """The body, read as JSON."""
        return json.loads(self.body)


@dataclass
class Hook:
    """``mood`` says with which status the nth request (from 0) is answered; 0 means never.

    That the prober is late goes by the machine on which the tests run: it is answered, and not counted.
    """

    url: str
    mood: Callable[[int], int] = lambda _: 200
    requests: int = 0
    accepted: list[Call] = field(default_factory=list)
    refused: list[Call] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)
    released: threading.Event = field(default_factory=threading.Event)

    def seen(self) -> list[Call]:
        """What a receiver that knows ``Idempotency-Key`` has taken in: each key once, in the order of arrival."""
        with self.lock:
            return list({call.key: call for call in reversed(self.accepted)}.values())[::-1]


@contextmanager
def hook(tls: ssl.SSLContext | None = None) -> Iterator[Hook]:
    """Run it on a free port of loopback; with ``tls``, as https://localhost."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(size := int(self.headers["content-length"]))
            if len(body) < size:  # the client was killed meanwhile
                self.close_connection = True
                return
            call = Call(self.path, {name.lower(): value for name, value in self.headers.items()}, body)
            if b'"alertname": "ProberLate"' in body and body.startswith(b'{"receiver"'):
                self._answer(200)
                return
            with made.lock:
                number, made.requests = made.requests, made.requests + 1
                status = made.mood(number)
                if status:
                    (made.accepted if status < 300 else made.refused).append(call)
            if not status:
                made.released.wait(60)
                self.close_connection = True
                return
            self._answer(status)

        def _answer(self, status: int) -> None:
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the parent's name
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 64

        def handle_error(self, request: Any, client_address: Any) -> None:
            """Clients are killed here on purpose."""

    with Server(("127.0.0.1", 0), Handler) as server:
        if tls is not None:
            # The handshake is the connection's thread's: one that fails holds up no other.
            server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        made = Hook(f"{'http://127.0.0.1' if tls is None else 'https://localhost'}:{server.server_address[1]}")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield made
        finally:
            made.released.set()
            server.shutdown()
            thread.join()
