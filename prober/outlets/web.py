"""The web application: what is where, and what every answer has in common."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import trio
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from prober.changelog import ChangeLog, RecentChanges
from prober.operations import Operations
from prober.outlets.api import Api
from prober.outlets.authentication import Authentication, Users
from prober.outlets.exporter import TargetExporter
from prober.outlets.exposition import EOF, choose_exposition, render_collected, wanted_names
from prober.outlets.guard import Guard, Headers
from prober.outlets.pages import environment
from prober.outlets.probe_endpoint import ProbeEndpoint
from prober.outlets.rate_limit import Limit, Limiter
from prober.outlets.runbooks import COMMANDS, sections
from prober.outlets.service_metrics import service_registry
from prober.outlets.status import StatusPages
from prober.outlets.streaming import streamed

if TYPE_CHECKING:
    import jinja2

__all__ = ["PATHS", "create_app"]

PATHS: Mapping[str, str] = {
    "/": "every ingress address with its three hellos and its verdict",
    "/targets/NAME": "one target: why it fails, details, certificates, changes, last failures",
    "/metrics": "Prometheus metrics, of the targets and of prober itself",
    "/probe?target=NAME[:PORT]": "one differential now, as blackbox_exporter answers; also module, hostname, debug=true",
    "/api/v1/targets": "all targets as JSON; /api/v1/targets/NAME for one, with findings",
    "/api/v1/history": "changes of verdicts as JSON; target=NAME for one target",
    "/api/v1/failures": "the last failures with their transcripts as JSON; target=NAME for one target",
    "/-/healthy": "is the process alive",
    "/-/ready": "is the configuration loaded and the first round done",
    "POST /-/reload": "read the configuration again",
    "/config": "the running configuration, secrets masked",
    "/runbooks": "what each alert means and what to do",
}
"""What the page for an unknown path lists."""


_LINKED = frozenset(path for path in PATHS if path.startswith("/") and "NAME" not in path)
"""The others need something filled in, or another method."""

BODY_SECONDS = 10.0
"""How long a request's body may take."""


def create_app(
    operations: Operations,
    changes: ChangeLog | None = None,
    *,
    users: Users = dict,
    headers: Headers = dict,
    limit: Limit = lambda: None,
) -> ASGIApp:
    """The ASGI application over a running service; ``changes`` is where the history comes from.

    ``users``, ``headers`` and ``limit`` are asked at each request: who may come in (nobody named: everybody), what is set on the
    answer, and how many requests are answered.
    """
    templates = environment()
    log = changes if changes is not None else RecentChanges()
    service = _Service(operations)
    metrics = _Metrics(operations)
    api = Api(operations, log)
    pages = StatusPages(operations, log, templates)
    missing = _Missing(templates)
    app = Starlette(
        routes=[
            Route("/", pages.status),
            Route("/targets/{name:path}", pages.target),
            Route("/metrics", metrics.scrape),
            Route("/probe", ProbeEndpoint(operations).probe),
            Route("/api/v1/targets", api.targets),
            Route("/api/v1/targets/{name:path}", api.target),
            Route("/api/v1/history", api.history),
            Route("/api/v1/failures", api.failures),
            Route("/-/healthy", service.healthy),
            Route("/-/ready", service.ready),
            Route("/-/reload", service.reload, methods=["POST"]),
            Route("/config", service.config),
            Route("/runbooks", _Runbooks(templates).page),
            Mount("/static", StaticFiles(directory=Path(__file__).with_name("static"))),
        ],
        exception_handlers={HTTPException: missing.answer, Exception: _broken},
    )
    app.router.redirect_slashes = False
    return Guard(Limiter(Authentication(app, users), limit), headers)


class _Metrics:
    """``/metrics``: the service's own families first, the targets' after them."""

    def __init__(self, operations: Operations) -> None:
        self._registry = service_registry(operations)
        self._exporter = TargetExporter(operations)

    async def scrape(self, request: Request) -> Response:
        """One scrape."""
        exposition = choose_exposition(request.headers.get("accept", ""))
        names = wanted_names(request.query_params.getlist("name[]"))
        return streamed(
            self._families(names, openmetrics=exposition.openmetrics),
            content_type=exposition.content_type,
            accept_encoding=request.headers.get("accept-encoding", ""),
        )

    async def _families(self, names: frozenset[str] | None, *, openmetrics: bool) -> AsyncIterator[bytes]:
        registry = self._registry if names is None else self._registry.restricted_registry(names)
        for family in registry.collect():
            yield render_collected(family, openmetrics=openmetrics)
        async for piece in self._exporter.render(names, openmetrics=openmetrics):
            yield piece
        if openmetrics:
            yield EOF


class _Service:
    """What an orchestrator and an operator ask of the process."""

    def __init__(self, operations: Operations) -> None:
        self._operations = operations

    async def healthy(self, _: Request) -> Response:
        """Alive: the loop that probes has answered."""
        return PlainTextResponse("Healthy\n")

    async def ready(self, _: Request) -> Response:
        """Configuration loaded and first round done."""
        if self._operations.ready:
            return PlainTextResponse("Ready\n")
        judged, watched = len(self._operations.store), len(self._operations.targets)
        silent = ", ".join(self._operations.unanswered)
        what = f"discovery has not answered yet: {silent}" if silent else "the first round is under way"
        return PlainTextResponse(f"Not ready: {what} ({judged} addresses judged of {watched} targets)\n", 503)

    async def reload(self, request: Request) -> Response:
        """A bad configuration changes nothing and is explained."""
        if request.headers.get("sec-fetch-site", "none") not in {"none", "same-origin"}:
            return PlainTextResponse("a page of another site may not reload the configuration\n", 403)
        with trio.move_on_after(BODY_SECONDS) as reading:
            async for _ in request.stream():
                pass  # a body means nothing here, but what is behind it on the connection may be a request
        if reading.cancelled_caught:
            return PlainTextResponse(f"the body did not come within {BODY_SECONDS:g} s\n", 408, {"Connection": "close"})
        reloaded = await self._operations.reload()
        if reloaded.errors:
            return PlainTextResponse("".join(f"{error}\n" for error in reloaded.errors), 400)
        return PlainTextResponse("Reloaded\n")

    async def config(self, _: Request) -> Response:
        """As YAML, which browsers show only as text."""
        return PlainTextResponse(self._operations.running_config())


class _Runbooks:
    """``/runbooks``: what ``runbook_url`` of the service's own alerts leads to."""

    def __init__(self, templates: jinja2.Environment) -> None:
        self._template = templates.get_template("runbooks.html")

    async def page(self, _: Request) -> Response:
        """One section an alert, its name in lower case as anchor."""
        return HTMLResponse(self._template.render(here="runbooks", sections=sections(), commands=COMMANDS))


class _Missing:
    """Errors of routing, in the form in which the client asks: a page, JSON for the API, else text."""

    def __init__(self, templates: jinja2.Environment) -> None:
        self._templates = templates

    async def answer(self, request: Request, error: Exception) -> Response:
        """404 lists what there is, 405 says what is allowed."""
        assert isinstance(error, HTTPException)
        status, headers = error.status_code, error.headers
        title = error.detail
        if status == 404:
            title = f"There is nothing at {request.url.path}"
        elif status == 405:
            allowed = sorted(headers["Allow"].split(", ")) if headers and "Allow" in headers else []
            but = f", but {' and '.join(allowed)} {'are' if len(allowed) > 1 else 'is'}" if allowed else ""
            title = f"{request.method} is not allowed here{but}"
        if request.url.path.startswith("/api/"):
            return JSONResponse({"error": title}, status, headers)
        paths = PATHS if status == 404 else {}
        if "text/html" in request.headers.get("accept", ""):
            page = self._templates.get_template("message.html")
            text = "These are the paths that there are." if paths else ""
            shown = page.render(title=title, text=text, link=None, paths=paths.items(), linked=_LINKED)
            return HTMLResponse(shown, status, headers)
        width = max(map(len, PATHS))
        lines = [title, *(f"  {path:<{width}}  {meaning}" for path, meaning in paths.items())]
        return PlainTextResponse("\n".join(lines) + "\n", status, headers)


async def _broken(_: Request, __: Exception) -> Response:
    """A bug of ours: the server's log has it, the client need not."""
    return PlainTextResponse("internal error; the service's log has the details\n", 500)
