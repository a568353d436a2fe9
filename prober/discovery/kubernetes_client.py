"""Kubernetes' API as far as discovery needs it: list in pages, then watch, over httpx.

What the server refuses (403) and what it does not know (404: the CRD is not installed) is `Unknown`, never absent.
"""

from __future__ import annotations

import json
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from random import randint
from typing import Any, NamedTuple, TypeAlias
from urllib.parse import quote

import httpx
import trio

from prober.discovery.http import REQUEST_ERRORS, abandon, read_up_to, why
from prober.discovery.kubeconfig import Access, access
from prober.sources import SourceError
from prober.version import __version__

__all__ = ["Client", "Expired", "Listing", "Object", "Refused", "Silent", "Unknown", "list_objects"]

Object: TypeAlias = Mapping[str, Any]

PAGE = 500
"""Objects asked for at a time."""
ANSWER_SECONDS = 30.0
"""For the beginning of an answer, and between two pieces of a list."""
WATCH_SECONDS = 120
"""After which the server is asked to end a watch, and up to a sixth more, so that not all watches end together."""
IDLE_SECONDS = WATCH_SECONDS * 7 / 6 + 10.0
"""Silence after which a watch is dead: a load balancer may have forgotten the connection without telling anybody."""
PAGE_SECONDS = 120.0
"""For a whole page: a server, or something before it, that sends a byte now and then is never silent, and never done."""
MOST_PAGES = 10_000
_LIMIT = 64 * 1024 * 1024
"""Bytes of one page, or of one event."""


# https://kubernetes.io/docs/reference/using-api/api-concepts/#metadata-only-fetches. There is no second form to fall back to: a server
# that cannot leave the rest out answers 406.
_METADATA_ONLY = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
_INTERVALS = {"TCP_KEEPIDLE": 60, "TCP_KEEPINTVL": 15, "TCP_KEEPCNT": 4}
"""Seconds, seconds, times."""
# A peer that is gone without a word is noticed within two minutes, where the kernel lets us say so; the idle timeout holds everywhere.
_KEEPALIVE = [
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    *((socket.IPPROTO_TCP, getattr(socket, name), value) for name, value in _INTERVALS.items() if hasattr(socket, name)),
]


@dataclass(frozen=True, slots=True)
class Unknown:
    """The cluster does not say."""

    reason: str
    forbidden: bool
    """403; else 404: the cluster has no such resource."""


class Silent(SourceError):
    """Nothing was heard for too long on a connection that nobody closed."""


class Refused(SourceError):
    """What was asked for is not to be had (403, 404, 410, 500, ...); the server answers, and can be asked for something else."""


class Expired(Exception):
    """410: the resource version, or the place in a list, is older than what the server remembers. List again."""


class Listing(NamedTuple):
    """All objects of a kind, and the version from which a watch goes on."""

    objects: tuple[Object, ...]
    version: str


class _Known(NamedTuple):
    access: Access
    until: float
    """Trio's time in seconds."""


class Client:
    """One cluster, by a kubeconfig file or, without one, by the pod's service account.

    Each request has a connection of its own. Credentials are read again when they are no longer fresh, and at once when the server
    refuses them: tokens are rotated on disk, and before their end by nobody's calendar.
    """

    def __init__(
        self, kubeconfig: str | Sequence[str] | None = None, context: str | None = None, *, idle: float = IDLE_SECONDS
    ) -> None:
        self._kubeconfig = kubeconfig
        self._context = context
        self._idle = idle
        self._known: _Known | None = None
        self._failed: tuple[float, str] | None = None
        """When credentials could not be read, and why."""
        self._reading = trio.Lock()

    async def namespace(self) -> str:
        """The context's own. `SourceError` when there is no way to a cluster."""
        return (await self._current()).namespace

    async def _current(self, refused: Access | None = None) -> Access:
        """What is known, or else read now; ``refused`` is what the server did not accept."""
        began = trio.current_time()
        async with self._reading:
            known = self._known
            if known is not None and known.access is not refused and trio.current_time() < known.until:
                return known.access
            if self._failed is not None and self._failed[0] >= began:
                # Somebody else tried while this one waited. A plugin that hangs is waited for once, and not once for each kind of object.
                raise SourceError(self._failed[1])
            self._known = None
            try:
                found = await trio.to_thread.run_sync(access, self._kubeconfig, self._context, abandon_on_cancel=True)
            except SourceError as error:
                self._failed = (trio.current_time(), str(error))
                raise
            self._known = _Known(found, trio.current_time() + found.good_for)
            return found

    async def list(self, group_version: str, plural: str, namespace: str | None) -> Listing | Unknown:
        """All objects; ``namespace`` None: of all namespaces. `Expired`, or `SourceError` when there is no usable answer."""
        found: list[Object] = []
        parameters = {"limit": str(PAGE)}
        for _ in range(MOST_PAGES):
            page = await self._page(_path(group_version, plural, namespace), parameters)
            if isinstance(page, Unknown):
                return page
            items, metadata = page.get("items") or [], page.get("metadata") or {}
            found += (item for item in items if isinstance(item, dict))
            if not metadata.get("continue"):
                return Listing(tuple(found), str(metadata.get("resourceVersion", "")))
            parameters["continue"] = str(metadata["continue"])
        raise Refused(f"{plural}: the list has no end")

    async def metadata(self, group_version: str, plural: str, namespace: str, name: str) -> Object | Unknown:
        """One object's metadata alone: what else it holds does not leave the server. `SourceError` when there is no usable answer."""
        path = f"{_path(group_version, plural, namespace)}/{quote(name, safe='')}"
        try:
            return await self._page(path, {}, _METADATA_ONLY)
        except Expired:
            raise Refused(f"{path}: the API server answered 410 Gone") from None

    async def _page(self, path: str, parameters: Mapping[str, str], accept: str = "application/json") -> Object | Unknown:
        try:
            with trio.fail_after(PAGE_SECONDS):
                return await self._whole_page(path, parameters, accept)
        except trio.TooSlowError:
            raise Silent(f"{path}: the API server's answer did not end within {PAGE_SECONDS:g} s") from None

    async def _whole_page(self, path: str, parameters: Mapping[str, str], accept: str) -> Object | Unknown:
        async with self._stream(path, parameters, ANSWER_SECONDS, accept) as answer:
            if answer.status_code in {httpx.codes.FORBIDDEN, httpx.codes.NOT_FOUND}:
                forbidden = answer.status_code == httpx.codes.FORBIDDEN
                return Unknown("forbidden (403)" if forbidden else "no such resource in this cluster (404)", forbidden)
            _complain(answer, path)
            body = await read_up_to(_LIMIT, answer)
        if body is None:
            raise Refused(f"{path}: the answer is larger than {_LIMIT // 1024 // 1024} MiB")
        return await trio.to_thread.run_sync(_parse, body, path)

    async def watch(self, group_version: str, plural: str, namespace: str | None, version: str) -> AsyncGenerator[Object, None]:
        """Events after ``version``, as the server sends them, until it ends the watch.

        `Expired` also where the server says so within the stream; `Silent` when nothing comes for too long, not even a bookmark;
        `Refused` where it lets nobody watch (403); `SourceError` when the connection breaks.
        """
        path = _path(group_version, plural, namespace)
        parameters = {
            "watch": "1",
            "allowWatchBookmarks": "true",
            "resourceVersion": version,
            "timeoutSeconds": str(randint(WATCH_SECONDS, WATCH_SECONDS * 7 // 6)),  # noqa: S311
        }
        ended: Object | None = None
        async with self._stream(path, parameters, self._idle) as answer:
            if answer.status_code == httpx.codes.FORBIDDEN:
                raise Refused(f"{path}: {answer.status_code} {answer.reason_phrase}")
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

    async def pod_log(self, namespace: str, pod: str, container: str, *, since: int, limit: int) -> AsyncGenerator[bytes, None]:
        """What a container wrote in the last ``since`` seconds, at most ``limit`` bytes of it, in pieces as they come.

        `Refused` where the server does not give it; `SourceError` when the connection breaks, `Silent` when it is silent for too long.
        """
        path = f"{_path('v1', 'pods', namespace)}/{quote(pod, safe='')}/log"
        parameters = {"container": container, "sinceSeconds": str(since), "limitBytes": str(limit)}
        async with self._stream(path, parameters, ANSWER_SECONDS, "*/*") as answer:
            if answer.status_code in {httpx.codes.FORBIDDEN, httpx.codes.NOT_FOUND, httpx.codes.GONE}:
                raise Refused(f"{path}: {answer.status_code} {answer.reason_phrase}")
            _complain(answer, path)
            left, parts = limit, answer.aiter_bytes()
            async for part in parts:
                yield part[:left]
                left -= len(part)
                if left <= 0:  # whoever answers may not know limitBytes
                    await abandon(parts)
                    return

    @asynccontextmanager
    async def _stream(
        self, path: str, parameters: Mapping[str, str], idle: float, accept: str = "application/json"
    ) -> AsyncIterator[httpx.Response]:
        how = await self._current()
        try:
            async with self._request(how, path, parameters, idle, accept) as answer:
                if answer.status_code != httpx.codes.UNAUTHORIZED:
                    yield answer
                    return
            async with self._request(await self._current(refused=how), path, parameters, idle, accept) as answer:
                yield answer
        except httpx.TimeoutException:
            raise Silent(f"{path}: the API server was silent for too long") from None
        except REQUEST_ERRORS as error:
            raise SourceError(f"{path}: {why(error)}") from None

    @asynccontextmanager
    async def _request(
        self, how: Access, path: str, parameters: Mapping[str, str], idle: float, accept: str
    ) -> AsyncIterator[httpx.Response]:
        fields = {**how.headers, "Accept": accept, "User-Agent": f"prober/{__version__}"}
        timeout = httpx.Timeout(ANSWER_SECONDS, read=idle)
        # Neither proxies nor netrc from the environment: a cluster is where the kubeconfig says, and behind the proxy that it names.
        transport = httpx.AsyncHTTPTransport(verify=how.tls, trust_env=False, proxy=how.proxy, socket_options=_KEEPALIVE)
        http = httpx.AsyncClient(transport=transport, trust_env=False, timeout=timeout)
        name = {"sni_hostname": how.server_name} if how.server_name else {}
        async with http, http.stream("GET", how.server + path, params=parameters, headers=fields, extensions=name) as answer:
            yield answer


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
    raise Refused(f"{plural}: the list expires before it is read")


def _path(group_version: str, plural: str, namespace: str | None) -> str:
    root = f"/apis/{group_version}" if "/" in group_version else f"/api/{group_version}"
    return f"{root}/namespaces/{namespace}/{plural}" if namespace else f"{root}/{plural}"


def _complain(answer: httpx.Response, path: str) -> None:
    if answer.status_code == httpx.codes.GONE:
        raise Expired
    if answer.status_code == httpx.codes.UNAUTHORIZED:
        raise SourceError("the API server does not accept the credentials (401)")
    if answer.status_code != httpx.codes.OK:
        raise Refused(f"{path}: the API server answered {answer.status_code} {answer.reason_phrase}")


async def _lines(answer: httpx.Response, path: str) -> AsyncGenerator[bytes, None]:
    """Lines, however the chunks are cut; an unfinished one at the end is the connection's loss, and not told."""
    rest = bytearray()
    parts = answer.aiter_bytes()
    async for part in parts:
        rest += part
        *lines, rest = rest.split(b"\n")
        if max(map(len, (*lines, rest))) > _LIMIT:
            await abandon(parts)
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
