"""An API server stand-in: lists in pages, watches in chunks, bookmarks, 410 in both its forms, 401, 403, missing kinds, silence, TLS.

It speaks HTTP/1.1 through h11 over a Trio listener, and keeps what Kubernetes keeps: objects with resource versions, and a history of
events that can be forgotten (compaction). What it serves is checked with the published schemas; a test that wants to serve something
that no API server serves says so (``valid=False``).
"""

from __future__ import annotations

import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import h11
import trio

from tests.servers.kubernetes_objects import KINDS, all_namespaces, identity_of, status
from tests.servers.kubernetes_schemas import require_valid

__all__ = ["KINDS", "ApiServer", "Request", "api_server"]

_CREATED = "2026-01-02T03:04:05Z"


@dataclass(frozen=True)
class Request:
    """One request as it came."""

    path: str
    query: dict[str, str]
    authorization: str | None
    client: str | None
    """The name in the client's certificate."""
    accept: str | None = None

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
    unwatchable: set[str] = field(default_factory=set)
    """Paths whose watches alone are answered 403: a role with ``list`` and without ``watch``."""
    missing: set[str] = field(default_factory=set)
    """Paths that are answered 404: the CRD is not installed."""
    failing: set[str] = field(default_factory=set)
    """Paths that are answered 500."""
    odd: dict[str, str] = field(default_factory=dict)
    """Paths that are answered 410 (``gone``), never (``hangs``), or a space at a time without an end (``drips``)."""
    generous: bool = False
    """Logs come whole, whatever ``limitBytes`` says."""
    page: int = 1000
    silent: bool = False
    """Watches say nothing more, and stay open: a half-open connection."""
    mute: bool = False
    """No request is answered, and no connection is closed: a network that swallows packets."""
    gone_by_status: bool = False
    """410 as the status of a watch, and not within its stream."""
    secrets: dict[tuple[str, str], dict[str, str]] = field(default_factory=dict)
    """What Secrets hold, by namespace and name; read one by one, and refused by the path ``/api/v1/secrets``."""
    logs: dict[tuple[str, str, str], str] = field(default_factory=dict)
    """What containers wrote, by namespace, pod and container; refused by the path ``/api/v1/pods/log``."""
    requests: list[Request] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._version = 100
        self._objects: dict[str, dict[tuple[str, str], dict[str, Any]]] = {path: {} for path in KINDS}
        self._unchecked: set[str] = set()
        self._events: list[tuple[int, str, dict[str, Any]]] = []
        self._oldest = 0
        self._moved = trio.Event()
        self._streams: set[trio.abc.Stream] = set()

    def put(self, path: str, namespace: str, name: str, *, valid: bool = True, **content: Any) -> None:
        """Create or replace an object; ``metadata`` in the content is merged. ``valid`` False: no schema allows it."""
        self._version += 1
        known = self._objects[path].get((namespace, name))
        metadata = {
            "name": name,
            "namespace": namespace,
            "uid": f"{KINDS[path]}-{namespace}-{name}",
            "creationTimestamp": _CREATED,
            **content.pop("metadata", {}),
            "resourceVersion": str(self._version),
        }
        item = {**identity_of(path), "metadata": metadata, **content}
        if valid:
            require_valid(item)
        else:
            self._unchecked.add(path)
        self._objects[path][namespace, name] = item
        self._emit(path, "ADDED" if known is None else "MODIFIED", item)

    def delete(self, path: str, namespace: str, name: str) -> None:
        """Delete an object."""
        self._version += 1
        item = self._objects[path].pop((namespace, name))
        item = {**item, "metadata": {**item["metadata"], "resourceVersion": str(self._version)}}
        self._emit(path, "DELETED", item)

    def objects(self, path: str) -> list[dict[str, Any]]:
        """Those of a kind."""
        return list(self._objects[path].values())

    def bookmark(self) -> None:
        """Tell all watches a newer version, as the server does about once a minute."""
        self._version += 1
        for path in KINDS:
            self._emit(path, "BOOKMARK", {**identity_of(path), "metadata": {"resourceVersion": str(self._version)}})

    def compact(self) -> None:
        """Forget the history: watches from before now are 410."""
        self._version += 1
        self._oldest = self._version
        self._events.clear()

    async def disconnect(self) -> None:
        """Break all connections."""
        for stream in tuple(self._streams):
            await trio.aclose_forcefully(stream)

    @property
    def connections(self) -> int:
        """How many are open."""
        return len(self._streams)

    def watches(self, path: str) -> list[Request]:
        """The watches of a kind so far."""
        return [one for one in self.requests if one.path == path and one.watches]

    def lists(self, path: str) -> list[Request]:
        """The lists (each page counts) of a kind so far."""
        return [one for one in self.requests if one.path == path and not one.watches]

    def _emit(self, path: str, kind: str, item: dict[str, Any]) -> None:
        event = {"type": kind, "object": item}
        if path not in self._unchecked:
            require_valid(event)
        self._happen(path, event)

    def say(self, path: str, event: dict[str, Any]) -> None:
        """An event as it is, also one that no API server sends."""
        self._version += 1
        self._happen(path, event)

    def _happen(self, path: str, event: dict[str, Any]) -> None:
        self._events.append((self._version, path, event))
        self._moved.set()
        self._moved = trio.Event()

    # -- HTTP ----------------------------------------------------------------------------------------------------------

    async def serve(self, stream: trio.abc.Stream) -> None:
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

    async def _answer(self, asked: h11.Request, connection: h11.Connection, stream: Any) -> None:
        parts = urlsplit(asked.target.decode())
        headers = {name.decode(): value.decode() for name, value in asked.headers}
        query = {key: values[0] for key, values in parse_qs(parts.query).items()}
        certificate = stream.getpeercert() if isinstance(stream, trio.SSLStream) else None
        client = certificate["subjectAltName"][0][1] if certificate else None
        request = Request(parts.path, query, headers.get("authorization"), client, headers.get("accept"))
        self.requests.append(request)
        path, namespace = all_namespaces(parts.path)
        if self.mute:
            await trio.sleep_forever()
        elif self.token is not None and request.authorization != f"Bearer {self.token}":
            await self._say(connection, stream, status(401, "Unauthorized"))
        elif path in self.forbidden or path.rpartition("/")[0] in self.forbidden:
            await self._say(
                connection, stream, status(403, f'{path.rpartition("/")[2]} is forbidden: User "prober" cannot list it')
            )
        elif path in self.odd:
            await self._oddly(self.odd[path], connection, stream)
        elif path in self.unwatchable and request.watches:
            await self._say(connection, stream, status(403, 'forbidden: User "prober" cannot watch it'))
        elif path in self.failing:
            await self._say(connection, stream, status(500, "etcdserver: leader changed"))
        elif path.startswith("/api/v1/pods/") and path.endswith("/log"):
            await self._log(namespace or "", path.split("/")[-2], query, connection, stream)
        elif path.startswith("/api/v1/secrets/"):
            await self._secret(namespace or "", path.rpartition("/")[2], request, connection, stream)
        elif path not in KINDS or path in self.missing:
            # No Status: nothing in the server knows the path.
            await self._send(connection, stream, 404, "text/plain; charset=utf-8", b"404 page not found\n")
        elif request.watches and not query.get("resourceVersion", "").isdigit():
            await self._say(connection, stream, status(400, "invalid resource version"))
        elif request.watches:
            await self._watch(path, namespace, query, connection, stream)
        else:
            await self._list(path, namespace, query, connection, stream)

    async def _oddly(self, how: str, connection: h11.Connection, stream: Any) -> None:
        if how == "gone":
            return await self._say(connection, stream, status(410, "too old"))
        if how == "drips":
            await stream.send_all(connection.send(h11.Response(status_code=200, headers=[("Content-Length", "1000000")])) or b"")
        while True:
            await stream.send_all((connection.send(h11.Data(b" ")) or b"") if how == "drips" else b"")
            await trio.sleep(0.02)

    async def _log(self, namespace: str, pod: str, query: dict[str, str], connection: h11.Connection, stream: Any) -> None:
        text = self.logs.get((namespace, pod, query["container"]))
        if "/api/v1/pods/log" in self.forbidden:
            await self._say(connection, stream, status(403, f'pods "{pod}" is forbidden: User "prober" cannot get pods/log'))
        elif text is None:
            await self._say(connection, stream, status(404, f'pods "{pod}" not found'))
        else:
            most = None if self.generous else int(query.get("limitBytes", len(text.encode())))
            await self._send(connection, stream, 200, "text/plain", text.encode()[:most])

    async def _secret(self, namespace: str, name: str, request: Request, connection: h11.Connection, stream: Any) -> None:
        data = self.secrets.get((namespace, name))
        if data is None:
            await self._say(connection, stream, status(404, f'secrets "{name}" not found'))
            return
        identity = {"apiVersion": "v1", "kind": "Secret"}
        if "as=PartialObjectMetadata;g=meta.k8s.io;v=v1" in (request.accept or ""):
            identity, data = {"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata"}, None
        item = {**identity, "metadata": {"name": name, "namespace": namespace}, **({} if data is None else {"data": data})}
        await self._send(connection, stream, 200, "application/json", json.dumps(item).encode())

    async def _list(
        self, path: str, namespace: str | None, query: dict[str, str], connection: h11.Connection, stream: Any
    ) -> None:
        version, _, begin = query.get("continue", f"{self._version}/0").partition("/")
        if int(version) < self._oldest:
            await self._say(connection, stream, status(410, "The provided continue parameter is too old"))
            return
        items = [item for (where, _), item in sorted(self._objects[path].items()) if namespace in {None, where}]
        size = min(self.page, int(query.get("limit", self.page)))
        end = int(begin) + size
        metadata: dict[str, Any] = {"resourceVersion": version}
        if end < len(items):
            metadata |= {"continue": f"{version}/{end}", "remainingItemCount": len(items) - end}
        page = items[int(begin) : end]
        identity = identity_of(path)
        if "." not in identity["apiVersion"] or identity["apiVersion"].startswith("networking.k8s.io/"):
            # Items of lists of Kubernetes' own kinds do not repeat what they are; those of custom resources do.
            page = [{key: value for key, value in item.items() if key not in identity} for item in page]
        body = {**identity, "kind": f"{KINDS[path]}List", "metadata": metadata, "items": page}
        await self._say(connection, stream, body, check=path not in self._unchecked)

    async def _watch(
        self, path: str, namespace: str | None, query: dict[str, str], connection: h11.Connection, stream: Any
    ) -> None:
        after = int(query["resourceVersion"])
        gone = status(410, f"too old resource version: {after} ({self._oldest})")
        if after < self._oldest and self.gone_by_status:
            await self._say(connection, stream, gone)
            return
        head = h11.Response(status_code=200, headers=[("Content-Type", "application/json"), ("Transfer-Encoding", "chunked")])
        await stream.send_all(connection.send(head) or b"")
        with trio.move_on_after(float(query.get("timeoutSeconds", "3600"))):
            while True:
                if after < self._oldest and not self.silent:
                    event = {"type": "ERROR", "object": gone}
                    require_valid(event)
                    await stream.send_all(connection.send(h11.Data(json.dumps(event).encode() + b"\n")) or b"")
                    break
                moved = self._moved
                for version, kind, event in self._events:
                    if version <= after or kind != path or self.silent:
                        continue
                    after = version
                    if event["type"] == "BOOKMARK" and query.get("allowWatchBookmarks") != "true":
                        continue
                    if namespace is None or namespace == event["object"]["metadata"].get("namespace", namespace):
                        line = json.dumps(event).encode() + b"\n"
                        # In two chunks: a line is no chunk, and a chunk is no line.
                        for piece in (line[:10], line[10:]):
                            await stream.send_all(connection.send(h11.Data(piece)) or b"")
                await moved.wait()
        if self.silent:
            await trio.sleep_forever()
        await stream.send_all(connection.send(h11.EndOfMessage()) or b"")

    async def _say(self, connection: h11.Connection, stream: Any, body: dict[str, Any], *, check: bool = True) -> None:
        if check:
            require_valid(body)
        await self._send(connection, stream, body.get("code", 200), "application/json", json.dumps(body).encode())

    async def _send(self, connection: h11.Connection, stream: Any, status: int, kind: str, text: bytes) -> None:
        fields = [("Content-Type", kind), ("Content-Length", str(len(text))), ("Connection", "close")]
        for event in (h11.Response(status_code=status, headers=fields), h11.Data(text), h11.EndOfMessage()):
            await stream.send_all(connection.send(event) or b"")


@asynccontextmanager
async def api_server(tls: ssl.SSLContext | None = None) -> AsyncIterator[ApiServer]:
    """A running stand-in on a free port; with ``tls`` by HTTPS."""
    server = ApiServer()
    async with trio.open_nursery() as nursery:
        (door,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        server.url = f"{'https' if tls else 'http'}://127.0.0.1:{door.socket.getsockname()[1]}"
        listener: Any = trio.SSLListener(door, tls, https_compatible=True) if tls else door
        nursery.start_soon(trio.serve_listeners, server.serve, [listener])
        yield server
        nursery.cancel_scope.cancel()
