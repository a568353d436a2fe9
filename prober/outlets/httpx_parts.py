"""What httpx is given in the place of its own parts. Apart from `delivery`, which is imported where httpx is not."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx

__all__ = ["NoProxy", "WholeBody"]


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


class NoProxy(httpx.AsyncBaseTransport):
    """In the place of a way through the environment's proxy, where that is none which httpx can go through (``socks5://``)."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Say so."""
        raise httpx.ProxyError("there is no way through the proxy", request=request)
