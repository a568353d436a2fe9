"""What holds for every request and every answer, whatever is behind it: one form of target, bounded bodies, headers that keep browsers strict."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from urllib.parse import unquote

from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["MAX_BODY_BYTES", "SECURITY_HEADERS", "Guard", "Headers"]

Headers = Callable[[], Mapping[str, str]]
"""What the operator wants set on every answer, as it is now."""

MAX_BODY_BYTES = 64 * 1024

_TOO_LARGE = f"the body is larger than {MAX_BODY_BYTES // 1024} KiB"

SECURITY_HEADERS = {
    # Pages need this origin's style and script, and nothing inline, so that escaping is not the only line of defence.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}

# RFC 9110 §4.2.1: the scheme in any case, and a host that is not empty.
_ABSOLUTE = re.compile(rb"https?://[^/]+", re.IGNORECASE)


class Guard:
    """ASGI middleware around everything, answers to bugs included."""

    def __init__(self, app: ASGIApp, headers: Headers = dict) -> None:
        self._app = app
        self._headers = headers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope = _in_origin_form(scope)
        static = scope["path"].startswith("/static/")
        received = 0

        async def bounded() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > MAX_BODY_BYTES:
                raise HTTPException(413, _TOO_LARGE, {"Connection": "close"})
            return message

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in {**SECURITY_HEADERS, **self._headers()}.items():
                    headers[name] = value
                # The version in a static file's address changes with its content. What is no file (a wrong password, too many requests,
                # a version that another instance has) is over sooner than a day.
                lasting = static and message["status"] in {200, 304}
                headers["Cache-Control"] = "public, max-age=86400" if lasting else "no-store"
            await send(message)

        declared = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
        if declared.isdigit() and int(declared[:20]) <= MAX_BODY_BYTES:
            await self._app(scope, bounded, with_headers)
        else:
            refusal = PlainTextResponse(f"{_TOO_LARGE}\n", 413, {"Connection": "close"})
            await refusal(scope, receive, with_headers)


# RFC 9112 §3.2.2
def _in_origin_form(scope: Scope) -> Scope:
    """``GET http://host/metrics``, as a client sends it that takes this for its proxy, asks for ``/metrics`` whichever host is named."""
    absolute = _ABSOLUTE.match(scope["raw_path"])
    if absolute is None:
        return scope
    raw_path = scope["raw_path"][absolute.end() :] or b"/"
    return {**scope, "raw_path": raw_path, "path": unquote(raw_path.decode("ascii"))}
