"""Where an answer is streamed, its connection ends as that of any other: at once where it is to, else when nothing more is asked."""

from __future__ import annotations

import h2.settings
import pytest
import trio
import trio.testing

from prober.outlets.web import create_app
from prober.outlets.web_server import GRACE_SECONDS, HEADER_SECONDS, SEND_SECONDS
from tests.outlets.fleet import FakeService, differential, target
from tests.outlets.test_http2_clients import REQUEST, connected
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


@pytest.mark.parametrize("path", STREAMED)
async def test_one_of_http2_is_closed_when_nothing_more_is_asked(hurried_clock: trio.testing.MockClock, path: str) -> None:
    """Likewise."""
    async with served(create_app(watching())) as (host, port, _), connected(host, port) as (stream, client):
        client.initiate_connection()
        client.send_headers(1, [*REQUEST[:1], (":path", path), *REQUEST[2:]], end_stream=True)
        began = trio.current_time()
        with trio.fail_after(HEADER_SECONDS * 100):
            await stream.send_all(client.data_to_send())
            await read_to_end(stream)
    assert trio.current_time() - began >= HEADER_SECONDS - 0.5


async def test_a_client_that_leaves_at_the_first_byte_of_a_refusal_is_no_error(caplog: pytest.LogCaptureFixture) -> None:
    """It has not sent its body yet, so that the end of its connection and that of the answer meet."""
    async with served(create_app(watching())) as (host, port, _):
        for _ in range(50):
            stream = await trio.open_tcp_stream(host, port)
            await stream.send_all(b"POST /-/reload HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n")
            assert (await stream.receive_some()).startswith(b"HTTP/1.1 413 ")
            await stream.aclose()

    assert not caplog.records


async def test_a_client_that_opens_no_window_does_not_hold_up_the_end() -> None:
    """Its answer is over but for what it does not take; the service ends all the same."""
    async with served(create_app(watching())) as (host, port, shutdown), connected(host, port) as (stream, client):
        client.local_settings[h2.settings.SettingCodes.INITIAL_WINDOW_SIZE] = 0
        client.initiate_connection()
        client.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 0})
        client.send_headers(1, REQUEST, end_stream=True)
        await stream.send_all(client.data_to_send())
        await trio.sleep(0.5)
        shutdown.set()
        began = trio.current_time()
        await read_to_end(stream)
    # Less than a send may wait for a client that does not read.
    assert trio.current_time() - began < SEND_SECONDS - GRACE_SECONDS
