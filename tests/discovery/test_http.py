"""http_sd, asked at a real HTTP server."""

from __future__ import annotations

import gzip
import json
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h11
import pytest
import trio
from cryptography.x509.oid import ExtendedKeyUsageOID

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
    more: dict[str, str] = field(default_factory=dict)
    """Further fields of the answer."""
    tag: str | None = None
    """Who knows the list by this ETag is answered 304."""
    requests: list[dict[str, str]] = field(default_factory=list)
    clients: list[str | None] = field(default_factory=list)
    """The names in the clients' certificates."""

    async def serve(self, stream: trio.abc.Stream) -> None:
        """One request, one answer."""
        connection = h11.Connection(h11.SERVER)
        try:
            while not isinstance(event := connection.next_event(), h11.Request):
                connection.receive_data(await stream.receive_some(4096))
            self.requests.append({name.decode(): value.decode() for name, value in event.headers})
            certificate = stream.getpeercert() if isinstance(stream, trio.SSLStream) else None
            self.clients.append(certificate["subjectAltName"][0][1] if certificate else None)
            if self.silent:
                await trio.sleep_forever()
            same = self.tag is not None and self.requests[-1].get("if-none-match") == self.tag
            status, body = (304, b"") if same else (self.status, self.body)
            fields = [
                ("Content-Type", self.kind),
                ("Content-Length", str(len(body))),
                ("Connection", "close"),
                *self.more.items(),
            ]
            fields += [("ETag", self.tag)] if self.tag else []
            for part in (h11.Response(status_code=status, headers=fields), h11.Data(body), h11.EndOfMessage()):
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
        (200, "application/json", b'[{"targets": false}]', "[0].targets is no list of strings"),
        (200, "application/json", b"[null]", "[0] is no object"),
        (200, "application/json", b'[{"targets": [], "labels": {"a": 1}}]', "[0].labels is no object of strings"),
        (200, "application/json", b'[{"targets": [', "no list of target groups"),
    ],
)
async def test_what_is_no_list_is_refused_as_a_whole(status: int, kind: str, body: bytes, said: str) -> None:
    """It says what is wrong with it."""
    async with lists() as server:
        server.status, server.kind, server.body = status, kind, body
        assert said in await failure(server)


async def test_null_is_nothing_and_no_error() -> None:
    """Go writes a list that nobody filled as null, or leaves it out, and Prometheus takes it so."""
    async with lists() as server, trio.open_nursery() as nursery:
        server.body = b'[{"labels": {}}, {"targets": null}, {"targets": ["203.0.113.1:443"], "labels": {"a": null, "b": "c"}}]'
        told = Told()
        nursery.start_soon(HttpWatcher(HttpSource(url=server.url, refresh=0.05)).run, told)
        await told.until(lambda: told.served == {"203.0.113.1:443": ""})
        assert (told.found[0]["a"], told.found[0]["b"]) == ("", "c")
        server.body = b"null"
        await told.until(lambda: told.served == {} and not told.problems)
        nursery.cancel_scope.cancel()


async def test_a_server_that_hangs_is_given_up() -> None:
    """One deadline for the whole answer."""
    async with lists() as server:
        server.silent = True
        assert "did not answer within 0.2 s" in await failure(server, seconds=0.2)


async def test_why_there_is_no_connection_is_said() -> None:
    """The HTTP client says that all attempts failed, and not of what."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    assert (await failure(Lists(url=f"http://127.0.0.1:{port}/list"))) == f"http://127.0.0.1:{port}/list: Connection refused"
    assert (await failure(Lists(url=f"https://127.0.0.1:{port}/list"))).endswith(": Connection refused")


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


def tls_of(authority: Authority, directory: Path) -> ssl.SSLContext:
    """Of a server that takes client certificates of the same authority, and clients that have none."""
    files = authority.issue("127.0.0.1").write(directory)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(files.certificate, files.key)
    tls.load_verify_locations(authority.write(directory))
    tls.verify_mode = ssl.CERT_OPTIONAL
    return tls


async def test_the_server_proves_itself_by_the_authority_that_is_written(tmp_path: Path) -> None:
    """With its ca_file it is trusted; without, or with another, it is refused before it hears a request, and it is said why."""
    authority = Authority.root()
    (tmp_path / "other").mkdir()
    (tmp_path / "secret").write_text("hunter2")
    secret = str(tmp_path / "secret")
    other = str(Authority.root().write(tmp_path / "other"))
    async with lists(tls_of(authority, tmp_path)) as server:
        server.status = 404
        for ca_file in (None, other):
            said = await failure(server, HttpAccess(ca_file=ca_file, credentials_file=secret))
            assert "the server's certificate is not accepted: " in said
        assert server.requests == []
        assert "answered 404" in await failure(server, HttpAccess(ca_file=str(tmp_path / "ca.pem")))


async def test_certificates_of_private_authorities_need_no_key_identifiers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As for curl, Go and kubectl, and also where Python is 3.13, whose default demands them. An intermediate may be trusted by itself."""
    default = ssl.create_default_context

    def strict(*args: Any, **options: Any) -> ssl.SSLContext:
        context = default(*args, **options)
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        context.verify_flags &= ~ssl.VERIFY_X509_PARTIAL_CHAIN
        return context

    monkeypatch.setattr(ssl, "create_default_context", strict)
    intermediate = Authority.root().intermediate()
    files = intermediate.issue("127.0.0.1").write(tmp_path)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(files.certificate, files.key)
    async with lists(tls) as server:
        server.status = 404
        assert "answered 404" in await failure(server, HttpAccess(ca_file=str(intermediate.write(tmp_path))))


@pytest.mark.parametrize("place", ["keys", "nowhere/keys"])
async def test_keys_of_connections_are_written_nowhere(place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever SSLKEYLOGFILE says: who debugs a browser wants no secrets of ours, and a file that cannot be written hinders nothing."""
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / place))
    async with lists(tls_of(Authority.root(), tmp_path)) as server:
        server.status = 404
        assert "answered 404" in await failure(server, HttpAccess(ca_file=str(tmp_path / "ca.pem")))
    assert not (tmp_path / place).exists()


async def test_a_client_certificate_is_shown(tmp_path: Path) -> None:
    """It is read anew for each request, so that a rotated one is used."""
    authority = Authority.root()
    files = authority.issue("prober", extended_key_usage=[ExtendedKeyUsageOID.CLIENT_AUTH]).write(tmp_path, "client")
    async with lists(tls_of(authority, tmp_path)) as server, trio.open_nursery() as nursery:
        access = HttpAccess(ca_file=str(tmp_path / "ca.pem"), cert_file=str(files.certificate), key_file=str(files.key))
        told = Told()
        nursery.start_soon(HttpWatcher(HttpSource(url=server.url, refresh=0.05, access=access)).run, told)
        await told.until(lambda: len(told.found) == 2)
        authority.issue("rotated", extended_key_usage=[ExtendedKeyUsageOID.CLIENT_AUTH]).write(tmp_path, "client")
        await told.until(lambda: server.clients[-1] == "rotated")
        assert server.clients[0] == "prober"
        nursery.cancel_scope.cancel()


async def test_a_list_that_is_what_it_was_is_not_sent_again() -> None:
    """By ETag: the source is as alive as with a list, and a new list is seen."""
    async with lists() as server, trio.open_nursery() as nursery:
        server.tag = '"one"'
        told = Told()
        nursery.start_soon(HttpWatcher(HttpSource(url=server.url, refresh=0.05)).run, told)
        await told.until(lambda: told.count >= 3)
        assert len(told.found) == 2
        assert [request.get("if-none-match") for request in server.requests[:3]] == [None, '"one"', '"one"']
        server.tag, server.body = '"two"', b'[{"targets": ["203.0.113.9:443"]}]'
        await told.until(lambda: told.served == {"203.0.113.9:443": ""})
        nursery.cancel_scope.cancel()


async def test_an_unusable_list_is_not_remembered_by_its_tag() -> None:
    """Else 304 would make the last good one stand for it."""
    async with lists() as server:
        server.tag, server.body = '"bad"', b"{}"
        watcher = HttpWatcher(HttpSource(url=server.url))
        for _ in range(2):
            with pytest.raises(SourceError, match="it is no list"):
                await watcher.run(Told())
        assert [request.get("if-none-match") for request in server.requests] == [None, None]


async def test_credentials_do_not_follow_a_redirect_to_another_server(tmp_path: Path) -> None:
    """Neither a password nor a certificate; another path of the same server gets them."""
    secret = tmp_path / "secret"
    secret.write_text("hunter2")
    authority = Authority.root()
    files = authority.issue("prober", extended_key_usage=[ExtendedKeyUsageOID.CLIENT_AUTH]).write(tmp_path, "client")
    access = HttpAccess(
        credentials_file=str(secret),
        ca_file=str(tmp_path / "ca.pem"),
        cert_file=str(files.certificate),
        key_file=str(files.key),
    )
    tls = tls_of(authority, tmp_path)
    async with lists(tls) as server, lists(tls) as other, trio.open_nursery() as nursery:
        server.status, server.more = 302, {"Location": other.url}
        told = Told()
        nursery.start_soon(HttpWatcher(HttpSource(url=server.url, access=access)).run, told)
        await told.until(lambda: len(told.found) == 2)
        assert (server.requests[0]["authorization"], server.clients) == ("Bearer hunter2", ["prober"])
        assert "authorization" not in other.requests[0]
        assert other.clients == [None]
        nursery.cancel_scope.cancel()


async def test_redirects_end(tmp_path: Path) -> None:
    """After ten of them, with the same credentials on the same server; and they do not lead out of TLS."""
    secret = tmp_path / "secret"
    secret.write_text("hunter2")
    async with lists() as server:
        server.status, server.more = 307, {"Location": "/elsewhere"}
        assert "redirects more than 10 times" in await failure(server, HttpAccess(credentials_file=str(secret)))
        assert {request["authorization"] for request in server.requests} == {"Bearer hunter2"}
    async with lists(tls_of(Authority.root(), tmp_path)) as server, lists() as plain:
        server.status, server.more = 302, {"Location": plain.url}
        assert "redirects to http://" in await failure(server, HttpAccess(ca_file=str(tmp_path / "ca.pem")))
        assert plain.requests == []


async def test_a_redirect_to_what_no_resolver_takes_is_told() -> None:
    """A name with an empty part is no bug of ours."""
    async with lists() as server:
        server.status, server.more = 302, {"Location": "http://sd..example/"}
        assert "its host is no name that can be looked up" in await failure(server)


async def test_a_token_in_the_url_is_in_no_label() -> None:
    """``labelmap`` with ``__meta_(.+)`` would put it into series, alerts and notifications."""
    async with lists() as server, trio.open_nursery() as nursery:
        told = Told()
        nursery.start_soon(HttpWatcher(HttpSource(url=f"{server.url}?token=hunter2")).run, told)
        await told.until(lambda: told.found)
        assert {labels["__meta_url"] for labels in told.found} == {f"{server.url}?***"}
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("compressed", [False, True])
async def test_a_list_has_a_size_limit(compressed: bool) -> None:
    """Sixteen MiB after decompression: a small answer may be a large one."""
    group = b'{"targets": ["203.0.113.1:443"]}'
    async with lists() as server:
        server.body = b"[" + b" " * (http.SIZE_LIMIT - len(group) - 1) + group + b"]"
        if compressed:
            server.body, server.more = gzip.compress(server.body), {"Content-Encoding": "gzip"}
            assert len(server.body) < 100_000
        assert "answered more than 16 MiB" in await failure(server)
        server.body, server.more = b"[" + b" " * (http.SIZE_LIMIT - len(group) - 2) + group + b"]", {}
        told = Told()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(HttpWatcher(HttpSource(url=server.url)).run, told)
            await told.until(lambda: told.served == {"203.0.113.1:443": ""})
            nursery.cancel_scope.cancel()


@pytest.mark.parametrize(("seconds", "text"), [(60.0, "60"), (0.05, "0.05"), (2_592_000.0, "2592000"), (1.5, "1.5")])
async def test_the_interval_is_written_as_prometheus_writes_it(seconds: float, text: str) -> None:
    """A decimal number without exponent."""
    async with lists() as server:
        server.status = 404
        with pytest.raises(SourceError):
            await HttpWatcher(HttpSource(url=server.url, refresh=seconds)).run(Told())
        assert server.requests[0]["x-prometheus-refresh-interval-seconds"] == text
        assert server.requests[0]["user-agent"].startswith("prober/")


def test_an_authority_that_is_none_is_named(tmp_path: Path) -> None:
    """The file's path, in one line."""
    file = tmp_path / "ca.pem"
    file.write_text("nothing")
    with pytest.raises(SourceError, match=r"ca\.pem: cannot be used"):
        http.client(HttpAccess(ca_file=str(file)))
