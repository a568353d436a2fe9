"""Clients that speak HTTP/2 to the listener are held to the same times as the others."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import h2.config
import h2.connection
import h2.settings
import pytest
import trio
import trio.testing

from prober.outlets.web_server import HEADER_SECONDS, SEND_SECONDS
from tests.outlets.test_web_server import flood, hello, hurried_clock, read_to_end, served

__all__ = ["hurried_clock"]

REQUEST = [(":method", "GET"), (":path", "/metrics"), (":scheme", "http"), (":authority", "prober")]
SLACK_SECONDS = 8.0
"""Of the hurried clock: a fraction of a second of the machine's."""


@asynccontextmanager
async def connected(host: str, port: int) -> AsyncIterator[tuple[trio.SocketStream, h2.connection.H2Connection]]:
    """A connection whose client knows beforehand that HTTP/2 is spoken (RFC 9113 §3.3); the preface is not sent yet."""
    async with await trio.open_tcp_stream(host, port) as stream:
        yield stream, h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))


async def test_a_connection_that_asks_for_nothing_ends(hurried_clock: trio.testing.MockClock) -> None:
    """The preface of HTTP/2 is no request: what follows it must come within ten seconds, too."""
    async with served(hello) as (host, port, _), connected(host, port) as (stream, client):
        client.initiate_connection()
        began = trio.current_time()
        with trio.fail_after(HEADER_SECONDS * 100):
            await stream.send_all(client.data_to_send())
            await read_to_end(stream)
        took = trio.current_time() - began
    assert HEADER_SECONDS - 0.5 <= took <= HEADER_SECONDS + SLACK_SECONDS


@pytest.mark.parametrize("kept_alive_by", ["nothing", "pings"])
async def test_headers_that_are_never_complete_end_the_connection(
    hurried_clock: trio.testing.MockClock, kept_alive_by: str
) -> None:
    """Half of a request's headers, or other frames in their place, hold a connection no longer than in HTTP/1.1."""
    async with served(hello) as (host, port, _), connected(host, port) as (stream, client):
        client.initiate_connection()
        preface = client.data_to_send()
        client.send_headers(1, REQUEST, end_stream=True)
        headers = bytearray(client.data_to_send())
        headers[4] &= ~0x4  # END_HEADERS (RFC 9113 §6.2): more is to come
        ended = trio.Event()

        async def ping() -> None:
            try:
                while True:
                    await stream.send_all(b"\x00\x00\x08\x06\x00\x00\x00\x00\x00" + bytes(8))
                    await trio.sleep(1)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                pass

        async def wait_for_the_end() -> None:
            await read_to_end(stream)
            ended.set()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait_for_the_end)
            await stream.send_all(preface)
            if kept_alive_by == "pings":
                nursery.start_soon(ping)
            else:
                await stream.send_all(bytes(headers))
            with trio.fail_after(HEADER_SECONDS * 100):
                await ended.wait()
            nursery.cancel_scope.cancel()


async def test_a_client_that_opens_no_window_is_cut_off(hurried_clock: trio.testing.MockClock) -> None:
    """Flow control (RFC 9113 §5.2) is another way not to read: an answer does not wait for it for ever."""
    async with served(flood) as (host, port, _), connected(host, port) as (stream, client):
        client.local_settings[h2.settings.SettingCodes.INITIAL_WINDOW_SIZE] = 0
        client.initiate_connection()
        client.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 0})
        client.send_headers(1, REQUEST, end_stream=True)
        with trio.fail_after(SEND_SECONDS * 100):
            await stream.send_all(client.data_to_send())
            await read_to_end(stream)


@pytest.mark.parametrize(
    "headers",
    [
        [(":method", "GET"), (":path", "/\u00ff"), (":scheme", "http"), (":authority", "prober")],
        [(":method", "G\u00ff"), (":path", "/"), (":scheme", "http"), (":authority", "prober")],
        [(":method", "CONNECT"), (":authority", "prober:443")],
    ],
    ids=["path", "method", "CONNECT"],
)
async def test_what_the_http_library_does_not_expect_costs_that_client_its_connection_alone(
    headers: list[tuple[str, str]], caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody can end the service by a request, with or without a password; what was sent is not repeated in the log."""
    async with served(hello) as (host, port, _):
        async with await trio.open_tcp_stream(host, port) as stream:
            client = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True, validate_outbound_headers=False))
            client.initiate_connection()
            client.send_headers(1, headers, end_stream=True)
            with caplog.at_level(logging.WARNING), trio.fail_after(30):
                await stream.send_all(client.data_to_send())
                await read_to_end(stream)
        async with await trio.open_tcp_stream(host, port) as other:
            await other.send_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            assert (await read_to_end(other)).endswith(b"hello")
    [line] = [record.getMessage() for record in caplog.records]
    assert line.startswith("a connection was ended by what its client sent")
    assert "\u00ff" not in line


async def test_a_request_is_answered() -> None:
    """HTTP/2 works: one request, its answer, another one."""
    async with served(hello) as (host, port, _), connected(host, port) as (stream, client):
        client.initiate_connection()
        for stream_id in (1, 3):
            client.send_headers(stream_id, REQUEST, end_stream=True)
            await stream.send_all(client.data_to_send())
            body, over = b"", False
            with trio.fail_after(30):
                while not over:
                    for event in client.receive_data(bytes(await stream.receive_some())):
                        if isinstance(event, h2.events.DataReceived):
                            body += event.data
                        over = over or isinstance(event, h2.events.StreamEnded)
            assert body == b"hello"
