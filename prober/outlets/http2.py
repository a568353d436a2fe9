"""What hypercorn leaves open: how long a client of HTTP/2 may ask for nothing, how long an answer waits for it, and what ends a stream."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import trio
from hypercorn.events import Event
from hypercorn.protocol.h2 import H2Protocol
from hypercorn.trio.tcp_server import TCPServer

__all__ = ["Connection", "within"]

_App = Callable[..., Awaitable[None]]


class Connection(TCPServer):
    """A connection whose idle time is also counted when it changes to HTTP/2 before its first request.

    hypercorn takes the preface (RFC 9113 §3.4) for a request, stops the clock at it, and does not start it again.
    """

    _changed = False

    async def protocol_send(self, event: Event) -> None:
        """Called first with the server's preface: there is no stream yet, unless an ``Upgrade`` brought its request with it."""
        spoken = self.protocol.protocol
        if not self._changed and isinstance(spoken, H2Protocol):
            self._changed = True
            await self.idle_task.restart(self._task_group, self._idle_timeout)
        await super().protocol_send(event)


def within(seconds: float, app: _App, give_up: Callable[[], None]) -> _App:
    """The application with a deadline for each of its sends. After one that passes ``give_up`` is called, and nothing more is sent.

    The stream's own deadline does not help where flow control (RFC 9113 §5.2) lets nothing reach the stream. hypercorn waits for
    it even when the client has gone.
    """

    async def bounded(scope: Any, receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]) -> None:
        given_up = False
        over: trio.Event | None = None
        """There once the last piece is being sent, and set when that is done."""

        async def send_in_time(message: Any) -> None:
            nonlocal given_up, over
            if given_up:
                return
            if message["type"] == "http.response.body" and not message.get("more_body"):
                over = trio.Event()
            try:
                with trio.move_on_after(seconds) as waiting:
                    await send(message)
            finally:
                if over is not None:
                    over.set()
            if waiting.cancelled_caught:
                given_up = True
                give_up()

        async def receive_in_turn() -> Any:
            message = await receive()
            # Whoever waits beside a streamed answer for the client to go hears of its end as of that, before the connection has done
            # with it, and cancels what is left: the connection would be left open, and its idle time not be counted.
            if message["type"] == "http.disconnect" and over is not None:
                await over.wait()
            return message

        await app(scope, receive_in_turn, send_in_time)

    return bounded
