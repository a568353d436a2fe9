"""An HTTP client of the application, without sockets."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx

from prober.outlets.web import create_app
from tests.outlets.fleet import FakeService

__all__ = ["client"]


@asynccontextmanager
async def client(service: FakeService) -> AsyncIterator[httpx.AsyncClient]:
    """Requests go straight to the application; an exception in it fails the test."""
    transport = httpx.ASGITransport(create_app(service, service.changes))
    async with httpx.AsyncClient(transport=transport, base_url="http://prober") as made:
        yield made
