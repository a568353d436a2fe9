"""Where an answer is streamed, its connection ends as that of any other: at once where it is to, else when nothing more is asked."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from prober.outlets.web import create_app
from prober.outlets.web_server import HEADER_SECONDS
from tests.outlets.fleet import FakeService, differential, target
from tests.outlets.test_web_server import hurried_clock, read_to_end, served

__all__ = ["hurried_clock"]

STREAMED = ("/metrics", "/api/v1/targets")


def watching() -> FakeService:
    """A service that has something to say."""
    service = FakeService()
    of = target()
    service.see(of, differential(of))
    return service


@pytest.mark.parametrize("path", [*STREAMED, "/-/healthy", "/"])
@pytest.mark.parametrize(
    "rest", ["HTTP/1.0\r\n\r\n", "HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"], ids=["HTTP 1.0", "Connection: close"]
)
@pytest.mark.parametrize("more", ["", "Accept-Encoding: gzip\r\n"], ids=["plain", "gzip"])
async def test_it_is_closed_behind_the_answer_where_the_client_says_so(path: str, rest: str, more: str) -> None:
    """So says nginx as a proxy, and in HTTP/1.0 the end of the connection is the end of the answer."""
    async with served(create_app(watching())) as (host, port, _):
        stream = await trio.open_tcp_stream(host, port)
        await stream.send_all((f"GET {path} {rest}"[:-2] + more + "\r\n").encode())
        with trio.fail_after(HEADER_SECONDS * 0.6):
            answer = await read_to_end(stream)
        await stream.aclose()
    assert answer.startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("path", STREAMED)
async def test_it_is_closed_when_nothing_more_is_asked(hurried_clock: trio.testing.MockClock, path: str) -> None:
    """An idle connection takes the place of another one's."""
    async with served(create_app(watching())) as (host, port, _):
        stream = await trio.open_tcp_stream(host, port)
        await stream.send_all(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        began = trio.current_time()
        with trio.fail_after(HEADER_SECONDS * 100):
            answer = await read_to_end(stream)
        await stream.aclose()
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert trio.current_time() - began >= HEADER_SECONDS - 0.5
