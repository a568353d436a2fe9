"""The listener by a web configuration file in a directory, for real clients."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import bcrypt
import httpx
import pytest
import trio
from cryptography.x509.oid import ExtendedKeyUsageOID

from prober.config.web_file import load_web_file
from prober.outlets.web import create_app
from prober.outlets.web_server import ServerSide, bind, serve
from prober.service.web_access import WebAccess
from tests.outlets.fleet import FakeService
from tests.pki import Authority, Issued

__all__ = ["CLIENTS", "HASH", "PAIR", "PATIENCE", "USERS", "Place", "get", "listening", "place", "presented", "until"]

HASH = bcrypt.hashpw(b"correct horse", bcrypt.gensalt(4)).decode()
USERS = f"basic_auth_users:\n  alice: {HASH}\n"
PAIR = "tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n"
CLIENTS = PAIR + "  client_ca_file: ca.pem\n  client_auth_type: "
PATIENCE = 30.0


@dataclass
class Place:
    """A directory with a server's certificate and the authority's."""

    path: Path
    root: Authority
    server: Issued

    def write(self, text: str) -> Path:
        """``web.yml``."""
        file = self.path / "web.yml"
        file.write_text(text)
        return file

    def renew(self) -> Issued:
        """Another certificate with another key, in two writes, each of which replaces a file."""
        renewed = self.root.issue("localhost")
        for name, pem in (("server.crt", renewed.chain_pem), ("server.key", renewed.key_pem)):
            (self.path / "new").write_bytes(pem)
            (self.path / "new").replace(self.path / name)
        return renewed

    def trusting(self, client: Issued | None = None) -> ssl.SSLContext:
        """A client's side; with a certificate of its own."""
        context = ssl.create_default_context(cadata=self.root.pem.decode())
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT  # from Python 3.13 on; the authority has no key identifiers
        context.set_alpn_protocols(["http/1.1"])
        if client is not None:
            files = client.write(self.path, "client")
            context.load_cert_chain(files.certificate, files.key)
        return context

    def client(self, *names: str) -> Issued:
        """A certificate for a client."""
        return self.root.issue(*names, extended_key_usage=[ExtendedKeyUsageOID.CLIENT_AUTH])


@pytest.fixture
def place(tmp_path: Path) -> Place:
    root = Authority.root()
    root.write(tmp_path)
    server = root.issue("localhost")
    server.write(tmp_path)
    return Place(tmp_path, root, server)


@asynccontextmanager
async def listening(file: Path) -> AsyncIterator[tuple[str, WebAccess]]:
    """URL and access of a listener by this file."""
    access = WebAccess(load_web_file(file))
    listeners = bind("127.0.0.1:0")
    shutdown = trio.Event()
    app = create_app(FakeService(), users=access.users, headers=access.headers, limit=access.limit)
    tls = ServerSide(access.context, access.admits) if access.has_tls else None
    async with trio.open_nursery() as nursery:
        [url] = await nursery.start(partial(serve, app, listeners, shutdown=shutdown, tls=tls))
        nursery.start_soon(access.run)
        try:
            yield url.replace("127.0.0.1", "localhost"), access
        finally:
            shutdown.set()
            nursery.cancel_scope.cancel()


async def get(url: str, context: ssl.SSLContext, *, auth: tuple[str, str] | None = None, http2: bool = False) -> httpx.Response:
    """One request on a connection of its own."""
    async with httpx.AsyncClient(verify=context, trust_env=False, http2=http2, timeout=PATIENCE) as http:
        return await http.get(url + "/-/healthy", auth=auth)


async def until(holds: Callable[[], bool]) -> None:
    """Return once it does."""
    with trio.fail_after(PATIENCE):
        while not holds():  # noqa: ASYNC110 -- the service has no event for a test
            await trio.sleep(0.01)


async def presented(url: str, context: ssl.SSLContext) -> bytes:
    """The certificate that a new connection is shown."""
    port = int(url.rpartition(":")[2])
    stream = await trio.open_ssl_over_tcp_stream("localhost", port, ssl_context=context)
    await stream.do_handshake()
    certificate: bytes = stream.getpeercert(binary_form=True)
    await trio.aclose_forcefully(stream)
    return certificate
