"""Flipping a listener while the rehearsal runs: a small HTTP interface on loopback, made for curl.

``GET /`` lists the listeners, ``PUT /NAME`` with a behaviour's name as body flips one, ``GET /behaviours`` lists what there is.
"""

from __future__ import annotations

from collections.abc import Mapping

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from prober.lab.behaviours import BEHAVIOURS, find
from prober.lab.listener import Listener
from prober.model import Endpoint

__all__ = ["address", "build_control", "describe"]

_MAX_BODY = 256


def describe(listeners: Mapping[str, Listener]) -> str:
    """The listeners as a table: name, address, behaviour, connections, meaning."""
    rows = [("LISTENER", "ADDRESS", "BEHAVIOUR", "CONNECTIONS")]
    rows += [(each.name, address(each), each.behaviour.name, str(each.connections)) for each in listeners.values()]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    return "".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() + "\n" for row in rows)


def address(listener: Listener) -> str:
    """``127.0.0.1:9443`` or ``[::1]:9443``."""
    return str(Endpoint(listener.host, listener.port))


def build_control(listeners: Mapping[str, Listener]) -> Starlette:
    """The control interface as an ASGI application over the running listeners."""

    async def index(_request: Request) -> PlainTextResponse:
        return PlainTextResponse(describe(listeners))

    async def behaviours(_request: Request) -> PlainTextResponse:
        width = max(map(len, BEHAVIOURS))
        return PlainTextResponse("".join(f"{row.name.ljust(width)}  {row.meaning}\n" for row in BEHAVIOURS.values()))

    async def flip(request: Request) -> PlainTextResponse:
        name = request.path_params["name"]
        listener = listeners.get(name)
        if listener is None:
            return PlainTextResponse(f"no listener is called {name!r}; there are {', '.join(listeners)}\n", status_code=404)
        wanted = b""
        async for chunk in request.stream():
            wanted += chunk
            if len(wanted) > _MAX_BODY:
                return PlainTextResponse("the body is the name of a behaviour, see GET /behaviours\n", status_code=413)
        try:
            behaviour = find(wanted.decode(errors="replace").strip())
        except ValueError as error:
            return PlainTextResponse(f"{error}\n", status_code=400)
        before = listener.behaviour.name
        listener.flip(behaviour)
        return PlainTextResponse(f"{name} at {address(listener)}: {before} -> {behaviour.name} ({behaviour.meaning})\n")

    return Starlette(
        routes=[
            Route("/", index),
            Route("/behaviours", behaviours),
            Route("/{name}", flip, methods=["PUT"]),
        ]
    )
