"""Python's `ssl` as a server, in a thread: its ``sni_callback`` can refuse a client with any fatal alert there is.

One listener an alert. The client that asks for the known name is served; every other gets the alert, in clear, before the
server has chosen anything.
"""

from __future__ import annotations

import selectors
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from prober.model import Endpoint, Verdict
from tests.servers.listeners import Fleet, Listener, alert, cert
from tests.servers.material import KNOWN, Material
from tests.servers.ports import IPV4

__all__ = ["LISTENERS", "python_ssl"]

# RFC 8446 §6.2 and the registry; without those that OpenSSL does not send: 0 and 90, which are no errors, and 41.
_ALERTS = (
    *(10, 20, 21, 22, 30, 40, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, 60, 70, 71, 80, 86),
    *(100, 109, 110, 111, 112, 113, 114, 115, 116, 120),
)
_IN_EVERY_VERSION = (40, 80, 112)

LISTENERS = {
    f"alert-{code}": Listener(
        name=f"alert-{code}",
        config=str(code),
        known=cert("api"),
        none=alert(code),
        unknown=alert(code),
        verdict=Verdict.NON_SNI_REJECTED,
        offers=("auto", "1.2", "1.3") if code in _IN_EVERY_VERSION else ("auto",),
    )
    for code in _ALERTS
}

_PATIENCE = 10.0
"""Seconds for which one slow client may hold up the others."""


@contextmanager
def python_ssl(directory: Path, material: Material) -> Iterator[Fleet]:
    """One thread that serves all `LISTENERS`, one connection after the other."""
    with selectors.DefaultSelector() as selector:
        endpoints = {}
        try:
            for listener in LISTENERS.values():
                door = socket.create_server((IPV4, 0), backlog=64)
                selector.register(door, selectors.EVENT_READ, _context(material, int(listener.config)))
                endpoints[listener.name] = Endpoint(*door.getsockname())
            wake, woken = socket.socketpair()
            selector.register(woken, selectors.EVENT_READ, None)
            thread = threading.Thread(target=_serve, args=(selector,), name="python-ssl", daemon=True)
            thread.start()
            try:
                yield Fleet("python_ssl", LISTENERS, endpoints, directory)
            finally:
                wake.close()
                thread.join(_PATIENCE)
        finally:
            for key in list(selector.get_map().values()):
                selector.unregister(key.fileobj)
                key.fileobj.close()  # type: ignore[union-attr]


def _context(material: Material, code: int) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(material.crt("api"), material.key("api"))

    def choose(_connection: ssl.SSLObject, server_name: str | None, _context: ssl.SSLContext) -> int | None:
        return None if server_name == KNOWN else code

    context.sni_callback = choose
    return context


def _serve(selector: selectors.BaseSelector) -> None:
    while True:
        for key, _ in selector.select():
            if key.data is None:
                return
            connection, _ = key.fileobj.accept()  # type: ignore[union-attr]
            connection.settimeout(_PATIENCE)
            with suppress(OSError), key.data.wrap_socket(connection, server_side=True) as served:
                served.recv(1)
            connection.close()
