"""The body of an HTTP request, in one piece. Apart from `delivery`, which is imported where httpx is not."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx

__all__ = ["WholeBody"]


class WholeBody(httpx.AsyncByteStream):
    """``body``, sent once for each time that it is iterated over.

    httpx's own is an async generator. A server that hangs up before it has read the request leaves it unfinished, to be closed
    whenever the collector of garbage comes by; Trio warns of each. This has nothing to be closed.
    """

    def __init__(self, body: bytes) -> None:
        self._body = body

    def __aiter__(self) -> AsyncIterator[bytes]:
        return _Once(self._body)


class _Once:
    def __init__(self, body: bytes) -> None:
        self._waiting: list[bytes] = [body]

    def __aiter__(self) -> _Once:
        return self

    async def __anext__(self) -> bytes:
        if not self._waiting:
            raise StopAsyncIteration
        return self._waiting.pop()
