"""http_sd, asked at a real HTTP server."""

from __future__ import annotations

import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import h11
import pytest
import trio

from prober.discovery import http
from prober.discovery.http import HttpWatcher
from prober.sources import HttpAccess, HttpSource, SourceError
from tests.discovery.told import Told
from tests.pki import Authority

GROUPS = [{"targets": ["203.0.113.1:443", "203.0.113.2:443"], "labels": {"__server_names": "a.example", "team": "blue"}}]


@dataclass
class Lists:
    """A server of one list."""

    url: str = ""
    body: bytes = json.dumps(GROUPS).encode()
    status: int = 200
    kind: str = "application/json; charset=utf-8"
    silent: bool = False
    requests: list[dict[str, str]] = field(default_factory=list)

    async def serve(self, stream: trio.abc.Stream) -> None:
        """One request, one answer."""
        connection = h11.Connection(h11.SERVER)
        try:
            while not isinstance(event := connection.next_event(), h11.Request):
                connection.receive_data(await stream.receive_some(4096))
            self.requests.append({name.decode(): value.decode() for name, value in event.headers})
            if self.silent:
                await trio.sleep_forever()
            fields = [("Content-Type", self.kind), ("Content-Length", str(len(self.body))), ("Connection", "close")]
            for part in (h11.Response(status_code=self.status, headers=fields), h11.Data(self.body), h11.EndOfMessage()):
                await stream.send_all(connection.send(part) or b"")
        except trio.BrokenResourceError:
            pass
        finally:
            await trio.aclose_forcefully(stream)


@asynccontextmanager
async def lists(tls: ssl.SSLContext | None = None) -> AsyncIterator[Lists]:
    server = Lists()
    async with trio.open_nursery() as nursery:
        (door,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        port = door.socket.getsockname()[1]
        server.url = f"{'https' if tls else 'http'}://127.0.0.1:{port}/list"
        listener = trio.SSLListener(door, tls, https_compatible=True) if tls else door
        nursery.start_soon(trio.serve_listeners, server.serve, [listener])
        yield server
        nursery.cancel_scope.cancel()


async def failure(server: Lists, access: HttpAccess | None = None, seconds: float = 10.0) -> str:
    """What the watcher says of the server's answer."""
    with pytest.raises(SourceError) as refused:
        await HttpWatcher(HttpSource(url=server.url, timeout=seconds, access=access or HttpAccess())).run(Told())
    return str(refused.value)


async def test_changes_are_seen_at_the_next_refresh() -> None:
    """Groups become label sets; Prometheus's header says how often we come."""
    async with lists() as server, trio.open_nursery() as nursery:
        told = Told()
        nursery.start_soon(HttpWatcher(HttpSource(url=server.url, refresh=0.05)).run, told)
        await told.until(lambda: told.served == {"203.0.113.1:443": "a.example", "203.0.113.2:443": "a.example"})
        assert told.found[0]["team"] == "blue"
        server.body = b'[{"targets": ["203.0.113.2:443"]}]'
        await told.until(lambda: told.served == {"203.0.113.2:443": ""})
        assert server.requests[0]["x-prometheus-refresh-interval-seconds"] == "0.05"
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("status", "kind", "body", "said"),
    [
        (500, "application/json", b"[]", "answered 500"),
        (200, "text/html", b"[]", "answered text/html"),
        (200, "application/json", b"{}", "it is no list"),
        (200, "application/json", b'[{"targets": "a"}]', "[0].targets is no list of strings"),
        (200, "application/json", b'[{"targets": [], "labels": {"a": 1}}]', "[0].labels is no object of strings"),
        (200, "application/json", b'[{"targets": [', "no list of target groups"),
    ],
)
async def test_what_is_no_list_is_refused_as_a_whole(status: int, kind: str, body: bytes, said: str) -> None:
    """It says what is wrong with it."""
    async with lists() as server:
        server.status, server.kind, server.body = status, kind, body
        assert said in await failure(server)


async def test_a_server_that_hangs_is_given_up() -> None:
    """One deadline for the whole answer."""
    async with lists() as server:
        server.silent = True
        assert "did not answer within 0.2 s" in await failure(server, seconds=0.2)


async def test_secrets_are_read_for_each_request(tmp_path: Path) -> None:
    """A password and a token, from files; a file that is gone is told by its name, not by its content."""
    secret = tmp_path / "secret"
    secret.write_text("hunter2\n")
    async with lists() as server:
        server.status = 403
        for access in (
            HttpAccess(username="prober", password_file=str(secret)),
            HttpAccess(credentials_file=str(secret)),
        ):
            assert "hunter2" not in await failure(server, access)
        assert [request["authorization"] for request in server.requests] == ["Basic cHJvYmVyOmh1bnRlcjI=", "Bearer hunter2"]
        secret.unlink()
        assert "cannot be read" in await failure(server, HttpAccess(credentials_file=str(secret)))


async def test_the_server_proves_itself_by_the_authority_that_is_written(tmp_path: Path) -> None:
    """With ca_file it is trusted, without it is not."""
    authority = Authority.root()
    files = authority.issue("127.0.0.1").write(tmp_path)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(files.certificate, files.key)
    async with lists(tls) as server:
        server.status = 404
        trusted = HttpAccess(ca_file=str(authority.write(tmp_path)))
        assert "answered 404" in await failure(server, trusted)


def test_an_authority_that_is_none_is_named(tmp_path: Path) -> None:
    """The file's path, in one line."""
    file = tmp_path / "ca.pem"
    file.write_text("nothing")
    with pytest.raises(SourceError, match=r"ca\.pem: cannot be used"):
        http.client(HttpAccess(ca_file=str(file)))
