"""Prometheus's http_sd: a URL that answers a list of groups of targets as JSON."""

from __future__ import annotations

import json
import os
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from typing import Any, NamedTuple, TypeVar

import httpx
import trio

from prober.discovery.feed import Feed
from prober.http_access import request_headers, tls_context
from prober.notices import masked
from prober.sources import ADDRESS, HttpAccess, HttpSource, LabelSet, LabelSets, SourceError
from prober.version import __version__

__all__ = ["REQUEST_ERRORS", "HttpWatcher", "abandon", "client", "read_up_to", "why"]

SIZE_LIMIT = 16 * 1024 * 1024
"""Bytes of an answer, decompressed: a hundred thousand targets with labels."""
MOST_REDIRECTS = 10
REQUEST_ERRORS = (httpx.HTTPError, httpx.InvalidURL, UnicodeError)
"""What a request may end with; UnicodeError comes of a host that has a part which is empty or too long."""
_URL = "__meta_url"

_T = TypeVar("_T")


class _Answer(NamedTuple):
    text: bytes
    tag: str | None


class HttpWatcher:
    """`prober.discovery.feed.Watcher` of one URL."""

    def __init__(self, source: HttpSource) -> None:
        self._source = source
        self._tag: str | None = None
        """The ETag of the list that was read last."""
        self._found: LabelSets = ()
        self._reading = trio.CapacityLimiter(1)
        """Of secrets and certificates: where one hangs, the next attempts wait for it in the place of taking a thread each."""

    async def run(self, feed: Feed) -> None:
        """Ask again and again. `SourceError` when there is no usable answer."""
        while True:
            answer = await self._ask()
            if answer is not None:
                self._tag = None
                self._found = await trio.to_thread.run_sync(self._read, answer.text)
                self._tag = answer.tag
            feed.publish(self._found)
            await trio.sleep(self._source.refresh)

    async def _ask(self) -> _Answer | None:
        """None: the list is what it was."""
        source, shown = self._source, masked(self._source.url)
        try:
            with trio.fail_after(source.timeout):
                return await self._follow(shown)
        except trio.TooSlowError:
            raise SourceError(f"{shown} did not answer within {source.timeout:g} s") from None
        except REQUEST_ERRORS as error:
            raise SourceError(f"{shown}: {why(error)}") from None

    async def _follow(self, shown: str) -> _Answer | None:
        """Ask, also where redirects lead; credentials are for the server that the configuration names, and for no other."""
        source, url = self._source, httpx.URL(self._source.url)
        for _ in range(MOST_REDIRECTS):
            ours = (url.scheme, url.host, url.port) == _origin(source.url)
            access = source.access if ours else HttpAccess(ca_file=source.access.ca_file)
            # A new client each time: secrets and certificates are rotated, and once a minute a connection costs nothing.
            sent = await self._by_files(request_headers, access) | {
                "Accept": "application/json",
                "User-Agent": f"prober/{__version__}",
                # Prometheus writes seconds without an exponent.
                "X-Prometheus-Refresh-Interval-Seconds": f"{source.refresh:.9f}".rstrip("0").rstrip("."),
            }
            if self._tag is not None:
                sent["If-None-Match"] = self._tag
            async with await self._by_files(client, access) as http, http.stream("GET", url, headers=sent) as answer:
                if answer.next_request is None:
                    if answer.status_code == httpx.codes.NOT_MODIFIED and self._tag is not None:
                        return None
                    return _Answer(await _body(answer, shown), answer.headers.get("ETag"))
                there = answer.next_request.url
            if url.scheme == "https" and there.scheme != "https":
                raise SourceError(f"{shown} redirects to {there.scheme}://, where anybody could answer in its place")
            url = there
        raise SourceError(f"{shown} redirects more than {MOST_REDIRECTS} times")

    async def _by_files(self, read: Callable[[HttpAccess], _T], access: HttpAccess) -> _T:
        """What ``read`` makes of the files that ``access`` names. A file on a share that hangs holds up neither timeout nor end."""
        return await trio.to_thread.run_sync(read, access, abandon_on_cancel=True, limiter=self._reading)

    def _read(self, text: bytes) -> LabelSets:
        try:
            # A rule such as `labelmap` may make a label of it, which is shown and sent: so it is without what may be secret.
            url = masked(self._source.url)
            return tuple({**labels, _URL: url} for labels in _groups(json.loads(text)))
        except (ValueError, RecursionError) as error:
            raise SourceError(f"{masked(self._source.url)}: no list of target groups: {error}") from None


def _origin(url: str) -> tuple[str, str, int | None]:
    parsed = httpx.URL(url)
    return parsed.scheme, parsed.host, parsed.port


async def _body(answer: httpx.Response, shown: str) -> bytes:
    if answer.status_code != httpx.codes.OK:
        raise SourceError(f"{shown} answered {answer.status_code} {answer.reason_phrase}")
    kind = answer.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise SourceError(f"{shown} answered {kind or 'something without Content-Type'}; http_sd is application/json")
    body = await read_up_to(SIZE_LIMIT, answer)
    if body is None:
        raise SourceError(f"{shown} answered more than {SIZE_LIMIT // 1024 // 1024} MiB")
    return body


async def read_up_to(limit: int, answer: httpx.Response) -> bytes | None:
    """An answer's body, decompressed; None when it has more bytes than the limit."""
    body = bytearray()
    parts = answer.aiter_bytes(65_536)
    async for part in parts:
        body += part
        if len(body) > limit:
            await abandon(parts)
            return None
    return bytes(body)


async def abandon(parts: AsyncIterator[bytes]) -> None:
    """Read no further. The HTTP client's generators end by an exception from within, else they would be left to the garbage collector."""
    with trio.CancelScope() as scope:
        scope.cancel()
        async for _ in parts:
            pass


def _groups(document: Any) -> list[LabelSet]:
    """The entries of a list of groups; ``ValueError`` says where it is none.

    ``null`` is an empty list, an empty object, an empty text, as in Prometheus: servers written in Go so say that they have none.
    """
    found: list[LabelSet] = []
    if document is None:
        return found
    if not isinstance(document, list):
        raise ValueError("it is no list")  # noqa: TRY004
    for number, group in enumerate(document):
        if not isinstance(group, dict):
            raise ValueError(f"[{number}] is no object")  # noqa: TRY004
        targets, labels = group.get("targets"), group.get("labels")
        targets, labels = [] if targets is None else targets, {} if labels is None else labels
        if not isinstance(targets, list) or not all(isinstance(target, str) for target in targets):
            raise ValueError(f"[{number}].targets is no list of strings")
        if not isinstance(labels, dict) or not all(isinstance(value, str | None) for value in labels.values()):
            raise ValueError(f"[{number}].labels is no object of strings")
        said = {name: value or "" for name, value in labels.items()}
        found += ({**said, ADDRESS: target} for target in targets)
    return found


def why(error: BaseException) -> str:
    """What is wrong, in words: the HTTP client says of a handshake or a connection that fails only that it does."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, UnicodeError):
            return "its host is no name that can be looked up: a part of it is empty or too long"
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"the server's certificate is not accepted: {cause.verify_message}"
        if isinstance(cause, ssl.SSLError):
            return f"the TLS handshake failed: {cause.reason or cause}"
        if isinstance(cause, socket.gaierror) and cause.strerror:
            return cause.strerror
        if isinstance(cause, OSError) and cause.errno:
            return os.strerror(cause.errno)  # Trio writes the address into the error's own text
        # Trio: a group of what became of each address; the last one's error is as good as any.
        cause = cause.exceptions[-1] if isinstance(cause, BaseExceptionGroup) else cause.__cause__ or cause.__context__
    return str(error) or type(error).__name__


def client(access: HttpAccess) -> httpx.AsyncClient:
    """A client by the access's certificates, which are read now. Blocks. `SourceError` when one cannot be used."""
    # Neither proxies nor netrc from the environment: a source is what the configuration says. The deadline is the caller's.
    return httpx.AsyncClient(verify=tls_context(access), timeout=httpx.Timeout(None), trust_env=False)
