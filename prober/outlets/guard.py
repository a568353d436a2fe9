"""What holds for every request and every answer, whatever is behind it: bounded bodies, and headers that keep browsers strict."""

from __future__ import annotations

from collections.abc import Callable, Mapping

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
                # The version in a static file's address changes with its content.
                headers["Cache-Control"] = "public, max-age=86400" if static else "no-store"
            await send(message)

        declared = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
        if declared.isdigit() and int(declared[:20]) <= MAX_BODY_BYTES:
            await self._app(scope, bounded, with_headers)
        else:
            refusal = PlainTextResponse(f"{_TOO_LARGE}\n", 413, {"Connection": "close"})
            await refusal(scope, receive, with_headers)
