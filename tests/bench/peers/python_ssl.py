"""What Python's own ``ssl`` spends on a complete, verified handshake. ``python_ssl PORT CONCURRENCY TOTAL NAME CA_FILE``.

One thread, non-blocking sockets, one selector: the least that can be put around it. Prints
{"outcomes": {...}, "seconds": S, "cpu": C}: the processor time between the first connect() and the last answer.
"""

from __future__ import annotations

import json
import resource
import selectors
import socket
import ssl
import struct
import sys
import time
from collections import Counter

ABORT = struct.pack("ii", 1, 0)  # struct linger: close with a RST, so that no port waits


class Client:
    """So many handshakes at a time."""

    def __init__(self, port: int, total: int, name: str, authority: str) -> None:
        self.port, self.total, self.name = port, total, name
        self.context = ssl.create_default_context(cafile=authority)
        self.context.verify_flags &= ~ssl.VERIFY_X509_STRICT  # from Python 3.13 on; the authority has no key identifiers
        self.selector = selectors.DefaultSelector()
        self.outcomes: Counter[str] = Counter()
        self.started = 0

    def start(self) -> None:
        """Call the server."""
        plain = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ABORT)
        plain.connect_ex((f"127.0.0.{self.started % 200 + 1}", self.port))
        self.started += 1
        self.selector.register(plain, selectors.EVENT_WRITE)

    def advance(self, key: selectors.SelectorKey) -> None:
        """Go on with one handshake."""
        sock = key.fileobj
        assert isinstance(sock, socket.socket)
        if not isinstance(sock, ssl.SSLSocket):
            self.selector.unregister(sock)
            try:
                sock = self.context.wrap_socket(sock, server_hostname=self.name, do_handshake_on_connect=False)
            except OSError as error:
                sock.close()
                return self.end("reset" if isinstance(error, ConnectionResetError) else "other")
            self.selector.register(sock, selectors.EVENT_READ)
        outcome = "certificate"
        try:
            sock.do_handshake()
        except ssl.SSLWantReadError:
            self.selector.modify(sock, selectors.EVENT_READ)
            return None
        except ssl.SSLWantWriteError:
            self.selector.modify(sock, selectors.EVENT_WRITE)
            return None
        except ConnectionResetError:
            outcome = "reset"
        except OSError as error:
            outcome = "other"
            print(error, file=sys.stderr)
        self.selector.unregister(sock)
        sock.close()
        return self.end(outcome)

    def end(self, outcome: str) -> None:
        """Count, and call again."""
        self.outcomes[outcome] += 1
        if self.started < self.total:
            self.start()

    def run(self, concurrency: int) -> None:
        """Shake hands."""
        for _ in range(min(concurrency, self.total)):
            self.start()
        while self.outcomes.total() < self.total:
            for key, _ in self.selector.select(60):
                self.advance(key)


def main(port: str, concurrency: str, total: str, name: str, authority: str) -> None:
    """Run, and say what it was."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    client = Client(int(port), int(total), name, authority)
    cpu, wall = time.process_time(), time.perf_counter()
    client.run(int(concurrency))
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    print(json.dumps({"outcomes": client.outcomes, "seconds": wall, "cpu": cpu}))


if __name__ == "__main__":
    main(*sys.argv[1:])
