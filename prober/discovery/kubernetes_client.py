"""Kubernetes' API as far as discovery needs it: list in pages, then watch, over httpx.

What the server refuses (403) and what it does not know (404: the CRD is not installed) is `Unknown`, never absent.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias
from urllib.parse import quote

import httpx
import trio

from prober.discovery.kubeconfig import Access, access
from prober.sources import SourceError

__all__ = ["Client", "Expired", "Listing", "Object", "Unknown", "list_objects"]

Object: TypeAlias = Mapping[str, Any]

PAGE = 500
"""Objects asked for at a time."""
ANSWER_SECONDS = 30.0
"""For the beginning of an answer, and between two pieces of a list."""
WATCH_SECONDS = 290
"""After which the server is asked to end a watch; API servers end them after 5 to 10 minutes by themselves."""
IDLE_SECONDS = WATCH_SECONDS + 20.0
"""Silence after which a watch is dead: a load balancer may have forgotten the connection without telling anybody."""
FRESH_SECONDS = 50.0
"""For which credentials are used before they are read again; a projected token is replaced when a fifth of its life is left."""
# https://kubernetes.io/docs/reference/using-api/api-concepts/#metadata-only-fetches. There is no second form to fall back to: a server
# that cannot leave the rest out answers 406.
_METADATA_ONLY = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
_LIMIT = 64 * 1024 * 1024
"""Bytes of one page, or of one event."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """The cluster does not say."""

    reason: str
    forbidden: bool
    """403; else 404: the cluster has no such resource."""


class Expired(Exception):
    """410: the resource version, or the place in a list, is older than what the server remembers. List again."""


class Listing(NamedTuple):
    """All objects of a kind, and the version from which a watch goes on."""

    objects: tuple[Object, ...]
    version: str


class Client:
    """One cluster, by a kubeconfig file or, without one, by the pod's service account.

    Each request has a connection of its own, and credentials that were read less than a minute ago: tokens are rotated on disk.
    """

    def __init__(self, kubeconfig: str | None = None, context: str | None = None, *, idle: float = IDLE_SECONDS) -> None:
        self._kubeconfig = kubeconfig
        self._context = context
        self._idle = idle
        self._access: tuple[float, Access] | None = None
        self._reading = trio.Lock()

    async def namespace(self) -> str:
        """The context's own. `SourceError` when there is no way to a cluster."""
        return (await self._current()).namespace

    async def _current(self) -> Access:
        async with self._reading:
            if self._access is None or trio.current_time() - self._access[0] > FRESH_SECONDS:
                self._access = (
                    trio.current_time(),
                    await trio.to_thread.run_sync(access, self._kubeconfig, self._context, abandon_on_cancel=True),
                )
            return self._access[1]

    async def list(self, group_version: str, plural: str, namespace: str | None) -> Listing | Unknown:
        """All objects; ``namespace`` None: of all namespaces. `Expired`, or `SourceError` when there is no usable answer."""
        found: list[Object] = []
        parameters = {"limit": str(PAGE)}
        while True:
            page = await self._page(_path(group_version, plural, namespace), parameters)
            if isinstance(page, Unknown):
                return page
            items, metadata = page.get("items") or [], page.get("metadata") or {}
            found += (item for item in items if isinstance(item, dict))
            if not metadata.get("continue"):
                return Listing(tuple(found), str(metadata.get("resourceVersion", "")))
            parameters["continue"] = metadata["continue"]

    async def metadata(self, group_version: str, plural: str, namespace: str, name: str) -> Object | Unknown:
        """One object's metadata alone: what else it holds does not leave the server. `SourceError` when there is no usable answer."""
        return await self._page(f"{_path(group_version, plural, namespace)}/{quote(name, safe='')}", {}, _METADATA_ONLY)

    async def _page(self, path: str, parameters: Mapping[str, str], accept: str = "application/json") -> Object | Unknown:
        async with self._stream(path, parameters, ANSWER_SECONDS, accept) as answer:
            if answer.status_code in {httpx.codes.FORBIDDEN, httpx.codes.NOT_FOUND}:
                forbidden = answer.status_code == httpx.codes.FORBIDDEN
                return Unknown("forbidden (403)" if forbidden else "no such resource in this cluster (404)", forbidden)
            _complain(answer, path)
            body = bytearray()
            async for part in answer.aiter_bytes():
                body += part
                if len(body) > _LIMIT:
                    raise SourceError(f"{path}: the answer is larger than {_LIMIT // 1024 // 1024} MiB")
        return await trio.to_thread.run_sync(_parse, bytes(body), path)

    async def watch(self, group_version: str, plural: str, namespace: str | None, version: str) -> AsyncGenerator[Object, None]:
        """Events after ``version``, as the server sends them, until it ends the watch.

        `Expired` also where the server says so within the stream; `SourceError` when the connection breaks or is silent for too long.
        """
        path = _path(group_version, plural, namespace)
        parameters = {
            "watch": "1",
            "allowWatchBookmarks": "true",
            "resourceVersion": version,
            "timeoutSeconds": str(WATCH_SECONDS),
        }
        ended: Object | None = None
        async with self._stream(path, parameters, self._idle) as answer:
            _complain(answer, path)
            async with aclosing(_lines(answer, path)) as lines:
                async for line in lines:
                    event = _parse(line, path)
                    if event.get("type") == "ERROR":
                        # The last event: the server ends the answer after it. To leave it here would be to leave it unread.
                        ended = event.get("object") or {}
                    elif ended is None:
                        yield event
        if ended is not None:
            if ended.get("code") == httpx.codes.GONE:
                raise Expired
            raise SourceError(f"{path}: the watch ended with {ended.get('code')} {ended.get('reason')}")

    @asynccontextmanager
    async def _stream(
        self, path: str, parameters: Mapping[str, str], idle: float, accept: str = "application/json"
    ) -> AsyncIterator[httpx.Response]:
        how = await self._current()
        timeout = httpx.Timeout(ANSWER_SECONDS, read=idle)
        headers = {**how.headers, "Accept": accept}
        http = httpx.AsyncClient(verify=how.tls, headers=headers, trust_env=False, timeout=timeout)
        try:
            async with http, http.stream("GET", how.server + path, params=parameters) as answer:
                if answer.status_code == httpx.codes.UNAUTHORIZED:
                    self._access = None  # read them again before the next request
                yield answer
        except httpx.TimeoutException:
            raise SourceError(f"{path}: the API server was silent for too long") from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise SourceError(f"{path}: {str(error) or type(error).__name__}") from None


async def list_objects(client: Client, group_version: str, plural: str, namespace: str | None) -> tuple[Object, ...] | Unknown:
    """All objects of a kind, once: ``("apigee.cloud.google.com/v1alpha1", "apigeeroutes", "apigee")``; ``v1`` is the core group.

    `SourceError` when there is no usable answer.
    """
    for _ in range(3):
        try:
            listing = await client.list(group_version, plural, namespace)
        except Expired:
            continue  # the list took longer than the server remembers
        return listing if isinstance(listing, Unknown) else listing.objects
    raise SourceError(f"{plural}: the list expires before it is read")


def _path(group_version: str, plural: str, namespace: str | None) -> str:
    root = f"/apis/{group_version}" if "/" in group_version else f"/api/{group_version}"
    return f"{root}/namespaces/{namespace}/{plural}" if namespace else f"{root}/{plural}"


def _complain(answer: httpx.Response, path: str) -> None:
    if answer.status_code == httpx.codes.GONE:
        raise Expired
    if answer.status_code == httpx.codes.UNAUTHORIZED:
        raise SourceError("the API server does not accept the credentials (401)")
    if answer.status_code != httpx.codes.OK:
        raise SourceError(f"{path}: the API server answered {answer.status_code} {answer.reason_phrase}")


async def _lines(answer: httpx.Response, path: str) -> AsyncGenerator[bytes, None]:
    """Lines, however the chunks are cut; an unfinished one at the end is the connection's loss, and not told."""
    rest = bytearray()
    async for part in answer.aiter_bytes():
        rest += part
        *lines, last = rest.split(b"\n")
        rest = bytearray(last)
        if len(rest) > _LIMIT:
            raise SourceError(f"{path}: an event is larger than {_LIMIT // 1024 // 1024} MiB")
        for line in lines:
            if line.strip():
                yield bytes(line)


def _parse(text: bytes, path: str) -> Object:
    try:
        parsed = json.loads(text)
    except (ValueError, RecursionError):
        parsed = None
    if not isinstance(parsed, dict):
        raise SourceError(f"{path}: the API server answered something that is no JSON object")
    return parsed
