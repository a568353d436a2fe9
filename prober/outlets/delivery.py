"""One HTTP request to a receiver of alerts, and how long to wait before the next. What is secret never leaves this file."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Mapping
from contextlib import aclosing
from email.utils import parsedate_to_datetime
from functools import cache, partial
from time import time
from typing import TYPE_CHECKING, NamedTuple, TypeAlias, TypeVar

import trio

from prober.http_access import tls_context, verifying
from prober.sources import BARE_ACCESS, HttpAccess

if TYPE_CHECKING:
    import ssl

    import httpx

__all__ = ["ATTEMPT_SECONDS", "Attempt", "Backoff", "Report", "by_files", "client", "post"]

_T = TypeVar("_T")

ATTEMPT_SECONDS = 10.0
"""One deadline for a whole request."""

_ANSWER_LIMIT = 64 * 1024
"""Bytes of an answer that are read so that its connection can be used again."""

_NO_URL = "its URL is none that can be posted to; see url_file"
"""That of ``url`` was checked when the configuration was read; a file may hold something else by now."""

_PLAINLY = {
    "RemoteProtocolError": "it hung up, or what it answered is not HTTP",
    "UnsupportedProtocol": _NO_URL,
    "InvalidURL": _NO_URL,
    "UnicodeError": _NO_URL,
    "ProxyError": "the proxy of the environment (HTTP_PROXY, HTTPS_PROXY, ALL_PROXY) does not let it through, or is none of http:// or https://",
}
"""What httpx's errors mean, by their names: httpx is imported late, and their texts may hold the URL."""

Report: TypeAlias = Callable[[str, str, str | None], None]
"""Told of every attempt: receiver, result (``delivered``, ``failed``, ``rejected``, ``dropped``), and why it failed."""


class Attempt(NamedTuple):
    """What came of one request."""

    status: int | None
    """None: no answer."""
    problem: str | None = None
    """Why it failed, without URL and body; None: 2xx."""
    retry_after: float = 0.0
    """Seconds that the receiver asks to wait."""

    @property
    def rejected(self) -> bool:
        """The receiver understood, and does not want it: a request like this one will not do better."""
        return self.status is not None and 400 <= self.status < 500 and self.status not in {408, 425, 429}


class Backoff:
    """Seconds to wait after so many failures in a row: doubled each time, capped, half of it by chance."""

    def __init__(self, first: float = 0.5, cap: float = 60.0, chance: Callable[[], float] = random.random) -> None:
        self._first = first
        self._cap = cap
        self._chance = chance

    def seconds(self, failures: int, at_least: float = 0.0) -> float:
        """``failures`` counts from 1."""
        full = min(self._cap, self._first * 2.0 ** min(failures - 1, 30))
        return max(full * (0.5 + self._chance() / 2), min(at_least, self._cap))


@cache
def _verification() -> ssl.SSLContext:
    # Not httpx's own default: that trusts the authorities that certifi brings along, and not those of this host.
    return verifying()


async def client(access: HttpAccess = BARE_ACCESS) -> httpx.AsyncClient:
    """A client of one receiver's own, by certificates as they are now; `AccessError` when one cannot be used.

    The system's trust anchors are read in a thread: it takes 30 ms, once.
    """
    import httpx

    from prober.outlets.httpx_parts import ByEnvironment

    trusted = partial(tls_context, access) if access.has_certificates else _verification
    verify = await by_files(trusted)
    limits = httpx.Limits(max_connections=8, max_keepalive_connections=4)
    # httpx's own deadlines are for each step; ours, in `post`, is for the whole.
    return httpx.AsyncClient(transport=ByEnvironment(verify, limits), timeout=2 * ATTEMPT_SECONDS)


async def by_files(read: Callable[[], _T]) -> _T:
    """What ``read`` makes of files, in a thread.

    Where a share hangs, the end of the service leaves the thread behind; and it is none of those that are shared out, so that however
    many hang there are some for metrics.
    """
    return await trio.to_thread.run_sync(read, abandon_on_cancel=True, limiter=trio.CapacityLimiter(1))


async def post(through: httpx.AsyncClient, url: str, body: bytes, headers: Mapping[str, str]) -> Attempt:
    """POST JSON within `ATTEMPT_SECONDS`. Raises nothing but cancellation."""
    import httpx

    from prober.outlets.httpx_parts import WholeBody

    with trio.move_on_after(ATTEMPT_SECONDS):
        try:
            sent = {"Content-Type": "application/json", "User-Agent": "prober", **headers}
            request = through.build_request("POST", url, content=body, headers=sent)
            request.stream = WholeBody(body)
            async with aclosing(await through.send(request, stream=True)) as answer:
                read = 0
                async for piece in answer.aiter_raw():
                    read += len(piece)
                    if read > _ANSWER_LIMIT:
                        break
                status = answer.status_code
                after = answer.headers.get("retry-after", "")
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
            # The text of an error may hold the URL; its name does not.
            return Attempt(None, _reason(error))
        if 200 <= status < 300:
            return Attempt(status)
        # A POST that is sent elsewhere on somebody's word may become a GET without the alerts, and shows its secrets there.
        hint = ", a redirect, which is not followed: configure where it leads to" if 300 <= status < 400 else ""
        return Attempt(status, f"HTTP {status}{hint}", _retry_after(after, time()))
    return Attempt(None, f"no answer within {ATTEMPT_SECONDS:g} s")


# RFC 9110 §10.2.3
def _retry_after(value: str, now: float) -> float:
    """Seconds: a number of them, or a date; 0.0 for nonsense."""
    if value.isascii() and value.isdigit():
        return float(value)
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - now)
    except (ValueError, OverflowError):
        return 0.0


def _reason(error: BaseException) -> str:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.strerror:
            # Trio writes the address into the text; the resolver's codes and TLS's texts are no errno.
            plain = type(cause).__module__ == "builtins" and cause.errno is not None and cause.errno > 0
            return os.strerror(cause.errno) if plain and cause.errno is not None else cause.strerror
        cause = cause.exceptions[0] if isinstance(cause, BaseExceptionGroup) else cause.__cause__ or cause.__context__
    return _PLAINLY.get(type(error).__name__, type(error).__name__)
