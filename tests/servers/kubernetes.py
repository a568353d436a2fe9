"""An API server stand-in: lists in pages, watches in chunks, bookmarks, 410 in both its forms, 401, 403, missing kinds, silence.

It speaks HTTP/1.1 through h11 over a Trio listener, and keeps what Kubernetes keeps: objects with resource versions, and a history of
events that can be forgotten (compaction).
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import h11
import trio

__all__ = ["ApiServer", "Request", "api_server"]

KINDS = {
    "/api/v1/services": "Service",
    "/api/v1/pods": "Pod",
    "/apis/networking.k8s.io/v1/ingresses": "Ingress",
    "/apis/gateway.networking.k8s.io/v1/gateways": "Gateway",
    "/apis/gateway.networking.k8s.io/v1/httproutes": "HTTPRoute",
    "/apis/networking.istio.io/v1/gateways": "Gateway",
    "/apis/apigee.cloud.google.com/v1alpha1/apigeeroutes": "ApigeeRoute",
}


@dataclass(frozen=True)
class Request:
    """One request as it came."""

    path: str
    query: dict[str, str]
    authorization: str | None

    @property
    def watches(self) -> bool:
        """Whether it is a watch."""
        return self.query.get("watch") == "1"


@dataclass
class ApiServer:
    """The cluster's state; tests change it while clients watch."""

    url: str = ""
    token: str | None = None
    """Only requests with this bearer token are answered."""
    forbidden: set[str] = field(default_factory=set)
    """Paths that are answered 403."""
    missing: set[str] = field(default_factory=set)
    """Paths that are answered 404: the CRD is not installed."""
    page: int = 1000
    silent: bool = False
    """Watches say nothing more, and stay open: a half-open connection."""
    gone_by_status: bool = False
    """410 as the status of a watch, and not within its stream."""
    requests: list[Request] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._version = 100
        self._objects: dict[str, dict[tuple[str, str], dict[str, Any]]] = {path: {} for path in KINDS}
        self._events: list[tuple[int, str, dict[str, Any]]] = []
        self._oldest = 0
        self._moved = trio.Event()
        self._streams: set[trio.SocketStream] = set()

    def put(self, path: str, namespace: str, name: str, **content: Any) -> None:
        """Create or replace an object; ``metadata`` in the content is merged."""
        self._version += 1
        metadata = {**content.pop("metadata", {}), "namespace": namespace, "name": name, "resourceVersion": str(self._version)}
        item = {"metadata": metadata, **content}
        kind = "MODIFIED" if (namespace, name) in self._objects[path] else "ADDED"
        self._objects[path][namespace, name] = item
        self._emit(path, kind, item)

    def delete(self, path: str, namespace: str, name: str) -> None:
        """Delete an object."""
        self._version += 1
        item = self._objects[path].pop((namespace, name))
        item = {**item, "metadata": {**item["metadata"], "resourceVersion": str(self._version)}}
        self._emit(path, "DELETED", item)

    def bookmark(self) -> None:
        """Tell all watches a newer version, as the server does about once a minute."""
        self._version += 1
        for path, kind in KINDS.items():
            self._emit(path, "BOOKMARK", {"kind": kind, "metadata": {"resourceVersion": str(self._version)}})

    def compact(self) -> None:
        """Forget the history: watches from before now are 410."""
        self._version += 1
        self._oldest = self._version
        self._events.clear()

    async def disconnect(self) -> None:
        """Break all connections."""
        for stream in tuple(self._streams):
            await trio.aclose_forcefully(stream)

    def watches(self, path: str) -> list[Request]:
        """The watches of a kind so far."""
        return [one for one in self.requests if one.path == path and one.watches]

    def lists(self, path: str) -> list[Request]:
        """The lists (each page counts) of a kind so far."""
        return [one for one in self.requests if one.path == path and not one.watches]

    def _emit(self, path: str, kind: str, item: dict[str, Any]) -> None:
        self._events.append((self._version, path, {"type": kind, "object": item}))
        self._moved.set()
        self._moved = trio.Event()

    # -- HTTP ----------------------------------------------------------------------------------------------------------

    async def serve(self, stream: trio.SocketStream) -> None:
        """One connection, one request: the answer closes it."""
        self._streams.add(stream)
        connection = h11.Connection(h11.SERVER)
        try:
            event: Any = connection.next_event()
            while not isinstance(event, h11.Request):
                if event is h11.NEED_DATA:
                    connection.receive_data(await stream.receive_some())
                event = connection.next_event()
                if isinstance(event, h11.ConnectionClosed):
                    return
            await self._answer(event, connection, stream)
        except (trio.BrokenResourceError, trio.ClosedResourceError, h11.RemoteProtocolError):
            pass
        finally:
            self._streams.discard(stream)
            await trio.aclose_forcefully(stream)

    async def _answer(self, asked: h11.Request, connection: h11.Connection, stream: trio.SocketStream) -> None:
        parts = urlsplit(asked.target.decode())
        headers = {name.decode(): value.decode() for name, value in asked.headers}
        query = {key: values[0] for key, values in parse_qs(parts.query).items()}
        request = Request(parts.path, query, headers.get("authorization"))
        self.requests.append(request)
        path, namespace = _all_namespaces(parts.path)
        if self.token is not None and request.authorization != f"Bearer {self.token}":
            await self._say(connection, stream, 401, _status(401, "Unauthorized"))
        elif path in self.forbidden:
            await self._say(connection, stream, 403, _status(403, "Forbidden"))
        elif path not in KINDS or path in self.missing:
            await self._say(connection, stream, 404, _status(404, "NotFound"))
        elif request.watches:
            await self._watch(path, namespace, int(query["resourceVersion"]), connection, stream)
        else:
            await self._list(path, namespace, query, connection, stream)

    async def _list(
        self, path: str, namespace: str | None, query: dict[str, str], connection: h11.Connection, stream: trio.SocketStream
    ) -> None:
        version, _, begin = query.get("continue", f"{self._version}/0").partition("/")
        if int(version) < self._oldest:
            await self._say(connection, stream, 410, _status(410, "Expired"))
            return
        items = [item for (where, _), item in sorted(self._objects[path].items()) if namespace in {None, where}]
        size = min(self.page, int(query.get("limit", self.page)))
        end = int(begin) + size
        metadata: dict[str, Any] = {"resourceVersion": version}
        if end < len(items):
            metadata |= {"continue": f"{version}/{end}", "remainingItemCount": len(items) - end}
        body = {"kind": f"{KINDS[path]}List", "apiVersion": "v1", "metadata": metadata, "items": items[int(begin) : end]}
        await self._say(connection, stream, 200, body)

    async def _watch(
        self, path: str, namespace: str | None, after: int, connection: h11.Connection, stream: trio.SocketStream
    ) -> None:
        if after < self._oldest and self.gone_by_status:
            await self._say(connection, stream, 410, _status(410, "Expired"))
            return
        head = h11.Response(status_code=200, headers=[("Content-Type", "application/json"), ("Transfer-Encoding", "chunked")])
        await stream.send_all(connection.send(head) or b"")
        while True:
            if after < self._oldest:
                gone = json.dumps({"type": "ERROR", "object": _status(410, "Expired")}).encode() + b"\n"
                await stream.send_all((connection.send(h11.Data(gone)) or b"") + (connection.send(h11.EndOfMessage()) or b""))
                return
            moved = self._moved
            for version, kind, event in self._events:
                if version <= after or kind != path or self.silent:
                    continue
                after = version
                if namespace in {None, event["object"]["metadata"].get("namespace", namespace)}:
                    line = json.dumps(event).encode() + b"\n"
                    # In two chunks: a line is no chunk, and a chunk is no line.
                    for piece in (line[:10], line[10:]):
                        await stream.send_all(connection.send(h11.Data(piece)) or b"")
            await moved.wait()

    async def _say(self, connection: h11.Connection, stream: trio.SocketStream, status: int, body: Any) -> None:
        text = json.dumps(body).encode()
        fields = [("Content-Type", "application/json"), ("Content-Length", str(len(text))), ("Connection", "close")]
        for event in (h11.Response(status_code=status, headers=fields), h11.Data(text), h11.EndOfMessage()):
            await stream.send_all(connection.send(event) or b"")


@asynccontextmanager
async def api_server() -> AsyncIterator[ApiServer]:
    """A running stand-in on a free port."""
    server = ApiServer()
    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        server.url = f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}"
        nursery.start_soon(trio.serve_listeners, server.serve, listeners)
        yield server
        nursery.cancel_scope.cancel()


def _all_namespaces(path: str) -> tuple[str, str | None]:
    head, separator, tail = path.partition("/namespaces/")
    if not separator:
        return path, None
    namespace, _, plural = tail.partition("/")
    return f"{head}/{plural}", namespace


def _status(code: int, reason: str) -> dict[str, Any]:
    return {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason}
