"""The client of Kubernetes' API: credentials, trust, pages, limits, watches."""

from __future__ import annotations

import json
import ssl
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trio
from cryptography.x509.oid import ExtendedKeyUsageOID

from prober.discovery import exec_plugin, kubernetes_client
from prober.discovery.kubernetes_client import Client, Expired, Object, Silent, Unknown, list_objects
from prober.sources import SourceError
from tests.discovery.cluster import APIGEE, SERVICES, apigee_route, kubeconfig, load_balancer
from tests.discovery.plugins import credential, plugin
from tests.discovery.told import PATIENCE
from tests.pki import Authority
from tests.servers.kubernetes import ApiServer, api_server

ROUTES = ("apigee.cloud.google.com/v1alpha1", "apigeeroutes", "apigee")


async def services(client: Client) -> list[str]:
    found = await list_objects(client, "v1", "services", None)
    assert not isinstance(found, Unknown)
    return [item["metadata"]["name"] for item in found]


# -- lists ----------------------------------------------------------------------------------------------------------------


async def test_lists_come_in_pages(tmp_path: Path) -> None:
    """All of them, of one namespace, with as many requests as there are pages."""
    async with api_server() as server:
        server.page = 2
        for number in range(5):
            apigee_route(server, f"r{number}", f"{number}.example.com")
        found = await list_objects(Client(kubeconfig(tmp_path, server.url)), *ROUTES)
        assert not isinstance(found, Unknown)
        assert [item["metadata"]["name"] for item in found] == [f"r{number}" for number in range(5)]
        assert [request.query.get("limit") for request in server.requests] == ["500"] * 3


async def test_a_list_that_expires_between_two_pages_is_begun_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """410 for the place in it; one that always expires is given up."""
    async with api_server() as server:
        server.page = 1
        for name in ("a", "b"):
            load_balancer(server, name, "203.0.113.1", {"app": name})
        client, parse, compacted = Client(kubeconfig(tmp_path, server.url)), kubernetes_client._parse, 0

        def parse_and_compact(text: bytes, path: str) -> Object:
            nonlocal compacted
            if compacted < times:
                compacted += 1
                server.compact()
            return parse(text, path)

        monkeypatch.setattr(kubernetes_client, "_parse", parse_and_compact)
        times = 1
        assert await services(client) == ["a", "b"]
        times, compacted = 100, 0
        with pytest.raises(SourceError, match="expires before it is read"):
            await services(client)


async def test_what_the_cluster_does_not_show_is_unknown(tmp_path: Path) -> None:
    """403, and 404 as API servers say it of paths that they do not know: as plain text."""
    async with api_server() as server:
        client = Client(kubeconfig(tmp_path, server.url))
        server.missing.add(APIGEE)
        assert await list_objects(client, *ROUTES) == Unknown("no such resource in this cluster (404)", forbidden=False)
        server.forbidden.add(APIGEE)
        assert await list_objects(client, *ROUTES) == Unknown("forbidden (403)", forbidden=True)
        server.forbidden.clear()
        server.missing.clear()
        server.failing.add(APIGEE)
        with pytest.raises(SourceError, match="answered 500"):
            await list_objects(client, *ROUTES)


async def test_a_page_has_a_size_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And so has an event of a watch, whose line would not end."""
    monkeypatch.setattr(kubernetes_client, "_LIMIT", 2000)
    async with api_server() as server:
        client = Client(kubeconfig(tmp_path, server.url))
        assert await services(client) == []
        async with aclosing(client.watch("v1", "services", None, "100")) as events:
            load_balancer(server, "a", "203.0.113.1", {"app": "x" * 63}, *range(1, 200))
            with pytest.raises(SourceError, match="an event is larger than"):
                await anext(events)
        with pytest.raises(SourceError, match="the answer is larger than"):
            await services(client)


async def test_a_list_without_end_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that always promises one more page."""
    monkeypatch.setattr(kubernetes_client, "MOST_PAGES", 3)
    async with api_server() as server:
        server.page = 1
        for number in range(5):
            load_balancer(server, f"s{number}", "203.0.113.1", {"app": "a"})
        with pytest.raises(SourceError, match="no end"):
            await services(Client(kubeconfig(tmp_path, server.url)))


# -- watches --------------------------------------------------------------------------------------------------------------


async def events(client: Client, version: str) -> list[tuple[str, str]]:
    """What a watch brings until the server ends it: types, and versions."""
    async with aclosing(client.watch("v1", "services", None, version)) as stream:
        return [(event["type"], event["object"]["metadata"]["resourceVersion"]) async for event in stream]


async def test_a_watch_brings_what_happened_since_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bookmarks, too; until the server ends it when it was asked to."""
    monkeypatch.setattr(kubernetes_client, "WATCH_SECONDS", 1)
    async with api_server() as server:
        load_balancer(server, "a", "203.0.113.1", {"app": "a"})
        load_balancer(server, "a", "203.0.113.2", {"app": "a"})
        server.delete(SERVICES, "apigee", "a")
        server.bookmark()
        client = Client(kubeconfig(tmp_path, server.url))
        assert await events(client, "101") == [("MODIFIED", "102"), ("DELETED", "103"), ("BOOKMARK", "104")]
        (watch,) = server.watches(SERVICES)
        assert watch.query == {"watch": "1", "allowWatchBookmarks": "true", "resourceVersion": "101", "timeoutSeconds": "1"}


@pytest.mark.parametrize("by_status", [True, False])
async def test_a_version_that_is_forgotten_is_expired(by_status: bool, tmp_path: Path) -> None:
    """410 as the answer's status, or as a Status object within the stream."""
    async with api_server() as server:
        server.gone_by_status = by_status
        server.compact()
        with pytest.raises(Expired):
            await events(Client(kubeconfig(tmp_path, server.url)), "100")


async def test_a_version_that_is_none_is_an_error(tmp_path: Path) -> None:
    """As everything that is neither an answer nor 410."""
    async with api_server() as server:
        with pytest.raises(SourceError, match="answered 400"):
            await events(Client(kubeconfig(tmp_path, server.url)), "")


@pytest.mark.parametrize("mood", ["silent", "mute"])
async def test_silence_ends_a_watch(mood: str, tmp_path: Path) -> None:
    """After the answer's beginning or before it; nobody closed the connection, and afterwards it is closed."""
    async with api_server() as server:
        setattr(server, mood, True)
        with pytest.raises(Silent):
            await events(Client(kubeconfig(tmp_path, server.url), idle=0.3), "100")
        with trio.fail_after(PATIENCE):
            server.silent = False
            while mood == "silent" and server.connections:
                server.bookmark()  # a server notices when it writes
                await trio.sleep(0.05)


# -- credentials ----------------------------------------------------------------------------------------------------------


async def test_a_rotated_token_is_used_at_once(tmp_path: Path) -> None:
    """The file is read again when the server refuses what was in it before; a refusal that stays is told."""
    token = tmp_path / "token"
    token.write_text("first\n")
    async with api_server() as server:
        client = Client(kubeconfig(tmp_path, server.url, {"tokenFile": "token"}))
        server.token = "first"
        assert await services(client) == []
        token.write_text("second\n")
        server.token = "second"
        assert await services(client) == []
        assert [request.authorization for request in server.requests] == ["Bearer first", "Bearer first", "Bearer second"]
        server.token = "third"
        with pytest.raises(SourceError, match=r"does not accept the credentials \(401\)"):
            await services(client)


async def test_a_token_is_read_again_before_anybody_refuses_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Projected tokens are replaced long before their end."""
    monkeypatch.setattr("prober.discovery.kubeconfig.FRESH_SECONDS", 0.0)
    token = tmp_path / "token"
    async with api_server() as server:
        client = Client(kubeconfig(tmp_path, server.url, {"tokenFile": "token"}))
        for text in ("first", "second"):
            token.write_text(text)
            await services(client)
        assert [request.authorization for request in server.requests] == ["Bearer first", "Bearer second"]


def counting(directory: Path, **status: Any) -> dict[str, Any]:
    """A plugin whose token is how often it has run, beginning with 1."""
    count = "import pathlib\nfile = pathlib.Path(__file__).with_name('runs')\n"
    count += "number = int(file.read_text()) + 1 if file.exists() else 1\nfile.write_text(str(number))\n"
    return plugin(directory, count + credential(token="NUMBER", **status).replace("NUMBER", "' + str(number) + '"))


@pytest.mark.parametrize(("seconds", "runs"), [(-5, 2), (None, 1), (3600, 1)])
async def test_a_plugin_is_asked_again_when_its_credentials_end(seconds: int | None, runs: int, tmp_path: Path) -> None:
    """And not for each request, where it says how long they last, or nothing."""
    end = {} if seconds is None else {"expirationTimestamp": (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()}
    async with api_server() as server:
        client = Client(kubeconfig(tmp_path, server.url, {"exec": counting(tmp_path, **end)}))
        await services(client)
        await trio.sleep(1.1)
        await services(client)
        assert [request.authorization for request in server.requests] == ["Bearer 1", f"Bearer {runs}"]


async def test_a_plugin_is_asked_again_when_the_server_refuses_its_token(tmp_path: Path) -> None:
    """At once, whatever it said of its end."""
    async with api_server() as server:
        server.token = "2"
        client = Client(
            kubeconfig(tmp_path, server.url, {"exec": counting(tmp_path, expirationTimestamp="2126-01-01T00:00:00Z")})
        )
        assert await services(client) == []
        assert [request.authorization for request in server.requests] == ["Bearer 1", "Bearer 2"]


async def test_a_plugin_that_hangs_is_waited_for_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By all who need it together, while everything else goes on."""
    monkeypatch.setattr(exec_plugin, "PLUGIN_SECONDS", 1.0)
    runs = "import pathlib, time\npathlib.Path(__file__).with_name('runs').open('a').write('x')\ntime.sleep(50)\n"
    client = Client(kubeconfig(tmp_path, "http://127.0.0.1:9", {"exec": plugin(tmp_path, runs)}))
    refused: list[str] = []
    ticks = 0

    async def ask() -> None:
        with pytest.raises(SourceError) as error:
            await client.namespace()
        refused.append(str(error.value))

    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            for _ in range(9):
                nursery.start_soon(ask)
            while len(refused) < 9:
                await trio.sleep(0.01)
                ticks += 1
    assert ticks > 20
    assert len(set(refused)) == 1
    assert "did not end within 1 s" in refused[0]
    assert (tmp_path / "runs").read_text() == "x"


# -- TLS ------------------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def tls_server(authority: Authority, directory: Path, name: str = "127.0.0.1") -> AsyncIterator[ApiServer]:
    """One that asks for client certificates of the same authority, and answers also those who have none."""
    files = authority.issue(name).write(directory)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.certificate, files.key)
    context.load_verify_locations(authority.write(directory))
    context.verify_mode = ssl.CERT_OPTIONAL
    async with api_server(context) as server:
        yield server


async def test_a_server_that_nobody_vouches_for_is_refused(tmp_path: Path) -> None:
    """By another authority, or by none that is written; and nothing is sent to it, the token least of all."""
    authority = Authority.root()
    (tmp_path / "other").mkdir()
    other = Authority.root().write(tmp_path / "other")
    async with tls_server(authority, tmp_path) as server:
        for trust in ({}, {"certificate-authority": str(other)}):
            with pytest.raises(SourceError, match="the server's certificate is not accepted") as refused:
                await services(Client(kubeconfig(tmp_path, server.url, {"token": "secret"}, **trust)))
            assert "secret" not in str(refused.value)
        assert server.requests == []
        await services(Client(kubeconfig(tmp_path, server.url, **{"certificate-authority": str(tmp_path / "ca.pem")})))
        await services(Client(kubeconfig(tmp_path, server.url, **{"insecure-skip-tls-verify": True})))
        assert len(server.requests) == 2


async def test_the_server_is_known_by_the_name_that_the_kubeconfig_gives(tmp_path: Path) -> None:
    """tls-server-name, for a cluster that is reached through a tunnel."""
    authority = Authority.root()
    async with tls_server(authority, tmp_path, "kubernetes.test") as server:
        trust = {"certificate-authority": str(tmp_path / "ca.pem")}
        with pytest.raises(SourceError, match="the server's certificate is not accepted"):
            await services(Client(kubeconfig(tmp_path, server.url, **trust)))
        assert await services(Client(kubeconfig(tmp_path, server.url, **trust, **{"tls-server-name": "kubernetes.test"}))) == []


@pytest.mark.parametrize("from_plugin", [False, True])
async def test_a_client_certificate_convinces_the_server(from_plugin: bool, tmp_path: Path) -> None:
    """Of a file, or what a plugin printed; over the wire."""
    authority = Authority.root()
    client = authority.issue("prober", extended_key_usage=[ExtendedKeyUsageOID.CLIENT_AUTH]).write(tmp_path, "client")
    user: dict[str, Any] = {"client-certificate": str(client.certificate), "client-key": str(client.key)}
    if from_plugin:
        issued = {"clientCertificateData": client.certificate.read_text(), "clientKeyData": client.key.read_text()}
        user = {"exec": plugin(tmp_path, credential(**issued))}
    async with tls_server(authority, tmp_path) as server:
        file = kubeconfig(tmp_path, server.url, user, **{"certificate-authority": str(tmp_path / "ca.pem")})
        assert await services(Client(file)) == []
        assert [request.client for request in server.requests] == ["prober"]


async def test_what_is_no_header_is_refused_without_being_repeated(tmp_path: Path) -> None:
    """The HTTP client's own complaint would quote the token."""
    for token in ("two\nsecrets", "s\u00e9crets"):
        with pytest.raises(SourceError, match="no HTTP header can have") as refused:
            await services(Client(kubeconfig(tmp_path, "http://127.0.0.1:9", {"token": token})))
        assert "crets" not in str(refused.value)


async def test_objects_that_are_none_are_left_out(tmp_path: Path) -> None:
    """A server that answers something else is an error, one strange item is not."""
    async with api_server() as server:
        server.put(SERVICES, "apigee", "a", valid=False, spec=json.loads('{"ports": 5}'))
        assert await services(Client(kubeconfig(tmp_path, server.url))) == ["a"]


async def test_an_api_server_whose_name_no_resolver_takes_is_told(tmp_path: Path) -> None:
    """A misspelt kubeconfig is no bug of ours."""
    with pytest.raises(SourceError, match="its host is no name that can be looked up"):
        await list_objects(Client(kubeconfig(tmp_path, "http://api..example:6443")), *ROUTES)
