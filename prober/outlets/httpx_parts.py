"""What httpx is given in the place of its own parts. Apart from `delivery`, which is imported where httpx is not."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from functools import partial
from urllib.request import getproxies, proxy_bypass

import httpx

__all__ = ["ByEnvironment", "WholeBody"]


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


class ByEnvironment(httpx.AsyncBaseTransport):
    """Straight to the receiver, or through the proxy that the environment has for it.

    httpx's own makes the ways through all proxies at once. What it cannot use among them (``socks5://``) or in NO_PROXY (``fd00::/8``)
    would keep everything from every receiver, also from those that it does not concern.
    """

    def __init__(self, verify: ssl.SSLContext, limits: httpx.Limits) -> None:
        self._way = partial(httpx.AsyncHTTPTransport, verify=verify, limits=limits)
        self._ways: dict[str | None, httpx.AsyncHTTPTransport] = {}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send it; `httpx.ProxyError` where its proxy is none that can be used."""
        proxy = _proxy_for(request.url)
        if proxy not in self._ways:
            try:
                self._ways[proxy] = self._way(proxy=proxy)
            except (ImportError, ValueError, httpx.InvalidURL):  # a package that is not there, another scheme, no URL
                raise httpx.ProxyError("there is no way through the proxy", request=request) from None
        return await self._ways[proxy].handle_async_request(request)

    async def aclose(self) -> None:
        """Close all connections."""
        for way in self._ways.values():
            await way.aclose()


def _proxy_for(url: httpx.URL) -> str | None:
    proxies = getproxies()
    proxy = proxies.get(url.scheme) or proxies.get("all")
    if not proxy or proxy_bypass(url.host):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"
