"""One HTTP request over a finished handshake: what tells a wildcard route that is linked from one that is not.

The path is by default Istio's and Apigee's health check, with an agent that the ingress knows; a customer's API is never called
unless the operator names its path. The handshake is prober's own, so that it may go without a server name and with any certificate.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import h11
import trio

from prober.diagnose.evidence import HttpAnswer
from prober.model import Endpoint, Sni
from prober.tls.client_hello import HelloFactory
from prober.tls.errors import ProtocolError
from prober.tls.events import ApplicationData, Progress
from prober.tls.handshake import ClientHandshake
from prober.tls.profiles import PROFILES

__all__ = ["ask"]

_PROFILE: Final = "modern"
"""That of the handshakes that are judged, so that what they met is met again. It has no ALPN: the answer is then HTTP/1.1."""
_READ: Final = 16 * 1024
_MOST: Final = 256 * 1024
"""Bytes of an answer; its first line and headers are all that is wanted."""


async def ask(
    endpoint: Endpoint,
    *,
    sni: Sni,
    server_name: str | None,
    host: str,
    path: str,
    agent: str,
    preamble: Callable[[Endpoint, Endpoint], bytes] | None = None,
) -> HttpAnswer:
    """GET ``path`` with the Host ``host`` over a connection whose hello carries ``server_name``. Never raises for the peer.

    ``preamble`` makes what is sent before the hello from the two ends of the connection: a PROXY header. The caller owns the time:
    cancel it where the ingress takes too long.
    """
    answer = HttpAnswer(sni=sni, host=host, path=path)
    try:
        stream = await trio.open_tcp_stream(endpoint.ip, endpoint.port)
        async with stream:
            if preamble is not None:
                ip, port, *_ = stream.socket.getsockname()
                await stream.send_all(preamble(Endpoint(ip, port), endpoint))
            return await _exchange(stream, answer, server_name, agent)
    except (OSError, trio.BrokenResourceError) as error:
        cause = error.__cause__ if isinstance(error.__cause__, OSError) else error
        return _failed(answer, (cause.strerror if isinstance(cause, OSError) else None) or str(cause) or type(cause).__name__)
    except (ProtocolError, h11.RemoteProtocolError) as error:
        return _failed(answer, str(error))


async def _exchange(stream: trio.SocketStream, answer: HttpAnswer, server_name: str | None, agent: str) -> HttpAnswer:
    offer = HelloFactory(PROFILES[_PROFILE], entropy=os.urandom).offer(server_name)
    tls = ClientHandshake(offer, depth="finished", close_when_finished=False)
    http = h11.Connection(h11.CLIENT)
    asked, received = False, 0
    while received < _MOST:
        if not asked and tls.progress is Progress.DONE:
            if tls.unfinished_reason is not None:
                return _failed(answer, tls.unfinished_reason)
            headers = [("Host", answer.host), ("User-Agent", agent), ("Accept", "*/*"), ("Connection", "close")]
            request = h11.Request(method="GET", target=answer.path, headers=headers)
            tls.send_application_data((http.send(request) or b"") + (http.send(h11.EndOfMessage()) or b""))
            asked = True
        if data := tls.data_to_send():
            await stream.send_all(data)
        block = await stream.receive_some(_READ)
        received += len(block)
        events = tls.receive_data(block) if block else tls.receive_eof()
        for event in events:
            if isinstance(event, ApplicationData):
                http.receive_data(event.data)
        if asked and (found := _response(http, answer)) is not None:
            tls.close()
            with suppress(trio.BrokenResourceError):  # a server that has gone has answered all the same
                await stream.send_all(tls.data_to_send())
            return found
        alert = tls.facts().tls_alert
        if alert is not None:
            return _failed(answer, f"TLS alert {alert.code} ({alert.description})")
        if not block:
            return _failed(answer, "the connection was closed " + ("before an answer" if asked else "during the handshake"))
    return _failed(answer, f"no end of the headers within {_MOST} bytes")


def _response(http: h11.Connection, answer: HttpAnswer) -> HttpAnswer | None:
    event = http.next_event()
    while isinstance(event, h11.InformationalResponse):
        event = http.next_event()
    if not isinstance(event, h11.Response):
        return None
    server = next((value.decode("latin-1") for name, value in event.headers if name == b"server"), "")
    return HttpAnswer(sni=answer.sni, host=answer.host, path=answer.path, status=event.status_code, server=server[:80])


def _failed(answer: HttpAnswer, error: str) -> HttpAnswer:
    return HttpAnswer(sni=answer.sni, host=answer.host, path=answer.path, error=error)
