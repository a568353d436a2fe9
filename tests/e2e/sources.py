"""The four kinds of sources that targets are discovered from, each as a thing that a test fills, ends, and brings back."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Protocol

import trio

from tests.discovery.cluster import APIGEE, SERVICES, apigee_route, kubeconfig, load_balancer
from tests.discovery.test_http import Lists
from tests.servers.dns import DnsServer, dns_server
from tests.servers.kubernetes import ApiServer

__all__ = ["INGRESS", "Found", "Source", "sources"]

INGRESS = "ingress.example.test"

Found = Mapping[str, str]
"""Server name by IP address."""


class Source(Protocol):
    """One source."""

    kind: str
    port: int
    """Of the targets that it leads to; nothing listens there."""

    def section(self) -> dict[str, Any]:
        """Its entry in the configuration."""

    async def put(self, found: Found) -> None:
        """From now on it says this."""

    async def end(self) -> None:
        """It dies."""

    async def begin_again(self) -> None:
        """It is back."""


class Files:
    """A file of Prometheus's form; it dies by being damaged."""

    kind, port = "files", 1

    def __init__(self, directory: Path) -> None:
        self._file = directory / "found.json"
        self._text = "[]"

    def section(self) -> dict[str, Any]:
        return {"files": ["found*.json"]}

    async def put(self, found: Found) -> None:
        self._text = _groups(found, self.port)
        self._file.write_text(self._text)

    async def end(self) -> None:
        self._file.write_text(self._text[:-1])

    async def begin_again(self) -> None:
        self._file.write_text(self._text)


class Names:
    """A DNS server that knows one name; it dies by falling silent."""

    kind, port = "dns", 1

    def __init__(self, server: DnsServer) -> None:
        self._server = server

    def section(self) -> dict[str, Any]:
        host, port = self._server.address
        return {"dns": {"names": [INGRESS], "port": self.port, "servers": [f"{host}:{port}"]}}

    async def put(self, found: Found) -> None:
        assert set(found.values()) == {INGRESS}  # DNS does not say what is served
        self._server.zone[INGRESS, "A"] = list(found)

    async def end(self) -> None:
        self._server.silent = True

    async def begin_again(self) -> None:
        self._server.silent = False


class Door:
    """A TCP port that is closed with all its connections, and opened again."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self._nursery = nursery
        self._port = 0
        self._scope = trio.CancelScope()

    async def open(self, serve: Any) -> str:
        """Listen; the URL."""
        listeners = await trio.open_tcp_listeners(self._port, host="127.0.0.1")
        self._port = listeners[0].socket.getsockname()[1]
        self._scope = trio.CancelScope()
        self._nursery.start_soon(self._serve, serve, listeners)
        return f"http://127.0.0.1:{self._port}"

    async def _serve(self, serve: Any, listeners: list[trio.SocketListener]) -> None:
        with self._scope:
            await trio.serve_listeners(serve, listeners)

    def close(self) -> None:
        """Refuse connections from now on."""
        self._scope.cancel()


class HttpList:
    """A server of http_sd; it dies by refusing connections."""

    kind, port = "http", 1

    def __init__(self, door: Door) -> None:
        self._door = door
        self._lists = Lists(body=b"[]")

    async def begin_again(self) -> None:
        self._lists.url = await self._door.open(self._lists.serve)

    def section(self) -> dict[str, Any]:
        return {"http": {"url": f"{self._lists.url}/", "refresh_interval": "1s", "timeout": "1s"}}

    async def put(self, found: Found) -> None:
        self._lists.body = _groups(found, self.port).encode()

    async def end(self) -> None:
        self._door.close()


class Cluster:
    """An API server with load balancers and ApigeeRoutes; it dies by refusing connections, watches included."""

    kind, port = "kubernetes", 443

    def __init__(self, door: Door, directory: Path) -> None:
        self._door = door
        self._directory = directory
        self._server = ApiServer()
        self._there: dict[str, str] = {}

    async def begin_again(self) -> None:
        self._server.url = await self._door.open(self._server.serve)

    def section(self) -> dict[str, Any]:
        return {"kubernetes": {"kubeconfig": kubeconfig(self._directory, self._server.url, {"token": "t"})}}

    async def put(self, found: Found) -> None:
        for ip in self._there.keys() - found.keys():
            self._server.delete(SERVICES, "apigee", _label(ip))
            self._server.delete(APIGEE, "apigee", _label(ip))
        for ip, name in found.items():
            if ip not in self._there:
                load_balancer(self._server, _label(ip), ip, {"app": _label(ip)})
            if self._there.get(ip) != name:
                apigee_route(self._server, _label(ip), name, selector={"app": _label(ip)})
        self._there = dict(found)

    async def end(self) -> None:
        self._door.close()


@asynccontextmanager
async def sources(directory: Path) -> AsyncIterator[list[Source]]:
    """All four, living."""
    async with AsyncExitStack() as stack:
        nursery = await stack.enter_async_context(trio.open_nursery())
        names = await stack.enter_async_context(dns_server())
        http, cluster = HttpList(Door(nursery)), Cluster(Door(nursery), directory)
        await http.begin_again()
        await cluster.begin_again()
        yield [Files(directory), Names(names), http, cluster]
        nursery.cancel_scope.cancel()


def _groups(found: Found, port: int) -> str:
    return json.dumps([{"targets": [f"{ip}:{port}"], "labels": {"__server_names": name}} for ip, name in found.items()])


def _label(ip: str) -> str:
    return "lb-" + ip.replace(".", "-")
