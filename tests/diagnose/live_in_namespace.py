"""Runs in a network namespace of its own, whose loopback nobody else uses: prints as JSON what watching it said.

unshare --net python -m tests.diagnose.live_in_namespace
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading

from prober.tls.client_hello import HelloFactory
from prober.tls.profiles import PROFILES

CLIENTS = 20


def reset_each(listener: socket.socket) -> None:
    """Close connections with the hello unread."""
    for _ in range(CLIENTS):
        connection, _ = listener.accept()
        connection.recv(1, socket.MSG_PEEK)
        connection.close()


def main() -> None:
    """Watch, let clients be reset, read what is told meanwhile, end it as Ctrl-C does."""
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    factory = HelloFactory(PROFILES["openssl-3.0"], entropy=os.urandom)
    endings: list[str] = []
    command = [sys.executable, "-m", "prober", "diagnose", "capture", "--live", "lo", "--json"]
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as watching,
    ):
        assert watching.stderr is not None
        first = watching.stderr.readline()
        threading.Thread(target=reset_each, args=(listener,), daemon=True).start()
        for _ in range(CLIENTS):
            with socket.create_connection(listener.getsockname(), timeout=5) as client:
                client.send(factory.offer(None).wire)
                try:
                    client.recv(1)
                except ConnectionResetError as error:
                    endings.append(type(error).__name__)
        told = watching.stderr.readline()
        while f"({CLIENTS} so far)" not in told:
            told = watching.stderr.readline()
        watching.send_signal(signal.SIGINT)
        try:
            out, _ = watching.communicate(timeout=20)
        finally:
            watching.kill()
    print(json.dumps({"first": first, "endings": endings, "told": told, "document": json.loads(out)}))


if __name__ == "__main__":
    main()
