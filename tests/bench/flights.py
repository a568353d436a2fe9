"""The first flight of a real TLS 1.2 server, for servers that only replay it."""

from __future__ import annotations

import ssl
from pathlib import Path

from prober.tls.client_hello import HelloFactory
from prober.tls.profiles import PROFILES
from tests.pki import Authority

__all__ = ["SERVER_NAME", "record"]

SERVER_NAME = "api.example.com"


def record(directory: Path) -> tuple[Path, Path]:
    """The flight (ServerHello to ServerHelloDone, an intermediate and a P-256 end-entity) and its authority's certificate as files."""
    root = Authority.root()
    issued = root.intermediate().issue(SERVER_NAME)
    files = issued.write(directory)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(files.certificate, files.key)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = context.wrap_bio(incoming, outgoing, server_side=True)
    incoming.write(HelloFactory(PROFILES["modern"], entropy=lambda size: bytes(range(1, size + 1))).offer(SERVER_NAME).wire)
    try:
        server.do_handshake()
    except ssl.SSLWantReadError:
        flight = directory / "flight.bin"
        flight.write_bytes(outgoing.read())
        return flight, root.write(directory)
    message = "the server finished a handshake that nobody answered"
    raise AssertionError(message)
