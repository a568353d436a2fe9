"""Rate limiting: one bucket of tokens for all requests, whoever sends them and whatever they ask for, as the Prometheus exporters have it.

Health checks and scrapes take tokens like everybody; the burst must have room for them.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import trio
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from prober.operations import RateLimit

__all__ = ["Limit", "Limiter"]

Limit = Callable[[], RateLimit | None]
"""As it is now; None: there is none."""


class Limiter:
    """ASGI middleware in front of everything that costs something, passwords included."""

    def __init__(self, app: ASGIApp, limit: Limit) -> None:
        self._app = app
        self._limit = limit
        self._bucket: _Bucket | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        limit = self._limit()
        if limit is None or scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        bucket = self._bucket
        if bucket is None or bucket.limit != limit:
            # Another limit begins with its whole burst.
            bucket = self._bucket = _Bucket(limit, trio.current_time())
        wait = bucket.take(trio.current_time())
        if not wait:
            await self._app(scope, receive, send)
        elif scope["type"] != "http":
            await send({"type": "websocket.close"})
        else:
            # RFC 6585 §4
            refusal = PlainTextResponse("too many requests\n", 429, {"Retry-After": str(math.ceil(wait))})
            await refusal(scope, receive, send)


class _Bucket:
    """Holds up to ``burst`` tokens, and gets one each ``interval`` seconds."""

    def __init__(self, limit: RateLimit, now: float) -> None:
        self.limit = limit
        self._tokens = float(limit.burst)
        self._filled = now

    def take(self, now: float) -> float:
        """Take a token: 0.0, or the seconds until there is one."""
        interval, burst = self.limit
        self._tokens = min(float(burst), self._tokens + max(0.0, now - self._filled) / interval)
        self._filled = now
        # What is a token but for rounding is one.
        if self._tokens > 1 - 1e-9:
            self._tokens -= 1
            return 0.0
        return (1 - self._tokens) * interval
