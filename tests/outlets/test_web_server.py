"""The HTTP listener on real sockets: what a client can and cannot do to it."""

from __future__ import annotations

import os
import re
import resource
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio
import trio.testing

from prober.outlets import web_server
from prober.outlets.guard import MAX_BODY_BYTES
from prober.outlets.web import create_app
from prober.outlets.web_server import HEADER_SECONDS, SEND_SECONDS, bind, serve
from tests.outlets.fleet import FakeService, differential, target

App = Callable[..., Awaitable[None]]


@pytest.fixture
def hurried_clock() -> trio.testing.MockClock:
    """Seconds of the server take milliseconds; sockets are real, so that the clock must move by itself, also while the machine is busy.

    So what must end is given a hundred times as long as it may take.
    """
    return trio.testing.MockClock(rate=50)


@asynccontextmanager
async def served(app: App, **options: Any) -> AsyncIterator[tuple[str, int, trio.Event]]:
    """Host, port and shutdown event of a running server."""
    listeners = bind("127.0.0.1:0")
    shutdown = trio.Event()
    async with trio.open_nursery() as nursery:
        [url] = await nursery.start(partial(serve, app, listeners, shutdown=shutdown, **options))
        port = int(url.rpartition(":")[2])
        try:
            yield "127.0.0.1", port, shutdown
        finally:
            shutdown.set()


async def flood(scope: Any, receive: Any, send: Any) -> None:
    """Answers with more than any socket buffer holds."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    for _ in range(1000):
        await send({"type": "http.response.body", "body": bytes(262144), "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def hello(scope: Any, receive: Any, send: Any) -> None:
    """Answers at once."""
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")]})
    await send({"type": "http.response.body", "body": b"hello"})


async def read_to_end(stream: trio.SocketStream) -> bytes:
    """Everything until the server closes."""
    received = b""
    try:
        async for piece in stream:
            received += piece
    except trio.BrokenResourceError:
        pass
    return received


async def test_the_application_is_served() -> None:
    """A real client gets the real application's answers, on one connection."""
    service = FakeService()
    of = target()
    service.see(of, differential(of))
    async with (
        served(create_app(service)) as (host, port, _),
        httpx.AsyncClient(base_url=f"http://{host}:{port}", trust_env=False) as http,
    ):
        page = await http.get("/")
        metrics = await http.get("/metrics")

    assert (page.status_code, metrics.status_code) == (200, 200)
    assert "apigee-prod" in page.text
    assert metrics.headers["content-encoding"] == "gzip"
    assert "server" not in metrics.headers


@pytest.mark.parametrize(
    ("asked", "status", "said"),
    [
        ("http://prober.example:9859/-/healthy", 200, "Healthy"),
        ("HTTPS://[2001:db8::1]/-/healthy?more=x", 200, "Healthy"),
        ("http://prober.example", 200, "ingress"),
        ("http://prober.example?x=/metrics", 200, "ingress"),
        ("http://prober.example/api/v1/targets/apigee%2Dprod", 200, "apigee-prod"),
        ("http://prober.example/metrics?name[]=prober_build_info", 200, "prober_build_info"),
        ("http://prober.example/nowhere", 404, "There is nothing at /nowhere"),
        ("http:///-/healthy", 404, "nothing at"),
        ("ftp://prober.example/-/healthy", 404, "nothing at"),
    ],
)
async def test_a_request_target_in_absolute_form_is_the_path_in_it(asked: str, status: int, said: str) -> None:
    """RFC 9112 §3.2.2: a server has to accept it, also where nobody takes it for a proxy."""
    service = FakeService()
    of = target()
    service.see(of, differential(of))
    async with served(create_app(service)) as (host, port, _):
        stream = await trio.open_tcp_stream(host, port)
        await stream.send_all(f"GET {asked} HTTP/1.1\r\nHost: elsewhere\r\nConnection: close\r\n\r\n".encode())
        answer = (await read_to_end(stream)).decode()
        await stream.aclose()

    assert answer.startswith(f"HTTP/1.1 {status}")
    assert said in answer


async def test_headers_that_do_not_come_end_the_connection(hurried_clock: trio.testing.MockClock) -> None:
    """A client that sends a byte now and then is cut off within ten seconds; others are served meanwhile."""
    async with served(hello) as (host, port, _):
        began = trio.current_time()
        slow = await trio.open_tcp_stream(host, port)
        ended = trio.Event()

        async def dribble() -> None:
            try:
                await slow.send_all(b"GET / HTTP/1.1\r\nHost: x\r\n")
                while True:
                    await slow.send_all(b"X-More: y\r\n")
                    await trio.sleep(0.5)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                pass

        async def wait_for_the_end() -> None:
            await read_to_end(slow)
            ended.set()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(dribble)
            nursery.start_soon(wait_for_the_end)
            with trio.fail_after(HEADER_SECONDS * 100):
                async with httpx.AsyncClient(trust_env=False, timeout=None) as http:
                    assert (await http.get(f"http://{host}:{port}/")).text == "hello"
                await ended.wait()
            took = trio.current_time() - began
            nursery.cancel_scope.cancel()
        await slow.aclose()

    assert HEADER_SECONDS - 0.5 <= took
    assert HEADER_SECONDS < 10


async def test_a_client_that_does_not_read_is_cut_off(hurried_clock: trio.testing.MockClock) -> None:
    """Its response does not stay in memory for ever."""
    async with served(flood) as (host, port, _):
        stream = await trio.open_tcp_stream(host, port)
        await stream.send_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        with trio.fail_after(SEND_SECONDS * 100):
            await trio.sleep(SEND_SECONDS * 1.5)
            received = await read_to_end(stream)
        await stream.aclose()

    assert len(received) < 1000 * 262144


async def test_a_client_that_does_not_read_cannot_hold_the_shutdown() -> None:
    """Nor one that has sent half a request: the grace is a second, not the client's choice."""
    async with served(flood) as (host, port, shutdown):
        stuck = await trio.open_tcp_stream(host, port)
        await stuck.send_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        half = await trio.open_tcp_stream(host, port)
        await half.send_all(b"GET / HT")
        assert await stuck.receive_some(1)
        began = trio.current_time()
        shutdown.set()
        await read_to_end(half)
        await trio.sleep_until(began)
    took = trio.current_time() - began
    await stuck.aclose()
    await half.aclose()

    assert took < 3


async def test_a_cancelled_server_ends_at_once() -> None:
    """Also under a send that hypercorn shields from cancellation."""
    listeners = bind("127.0.0.1:0")
    address = listeners[0].getsockname()
    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            await nursery.start(partial(serve, flood, listeners, shutdown=trio.Event()))
            stream = await trio.open_tcp_stream(*address)
            await stream.send_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert await stream.receive_some(1)
            nursery.cancel_scope.cancel()
    await stream.aclose()

    assert listeners[0].fileno() == -1


async def test_a_request_under_way_is_answered_after_the_shutdown_began() -> None:
    """Within the grace."""
    release = trio.Event()

    async def slow(scope: Any, receive: Any, send: Any) -> None:
        await release.wait()
        await hello(scope, receive, send)

    async with served(slow) as (host, port, shutdown):
        stream = await trio.open_tcp_stream(host, port)
        await stream.send_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        await trio.testing.wait_all_tasks_blocked(0.05)
        shutdown.set()
        await trio.testing.wait_all_tasks_blocked(0.05)
        release.set()
        answer = await read_to_end(stream)
        await stream.aclose()

    assert answer.endswith(b"hello")


async def test_quiet_connections_make_room_for_one_above_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """The quietest is closed, and the next one is served; one that has lately been answered stays."""
    monkeypatch.setattr(web_server, "MAX_CONNECTIONS", 2)
    request = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    async with served(hello) as (host, port, _):

        async def ask(stream: trio.SocketStream) -> None:
            await stream.send_all(request)
            answer = b""
            while not answer.endswith(b"hello"):
                more = await stream.receive_some()
                assert more
                answer += more

        quiet, used = [await trio.open_tcp_stream(host, port) for _ in range(2)]
        await ask(used)
        third = await trio.open_tcp_stream(host, port)
        await ask(third)
        assert await read_to_end(quiet) == b""
        await ask(used)
        for stream in (quiet, used, third):
            await stream.aclose()


async def test_under_a_small_limit_of_descriptors_fewer_connections_are_kept() -> None:
    """Else those who ask nothing leave none for state files and DNS."""
    limit, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (160, hard))
    try:
        async with served(hello) as (host, port, _):
            streams = [await trio.open_tcp_stream(host, port) for _ in range(160 // 8 + 2)]
            await streams[-1].send_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            assert (await read_to_end(streams[-1])).endswith(b"hello")
            with trio.fail_after(HEADER_SECONDS * 0.6):
                assert [await read_to_end(stream) for stream in streams[:2]] == [b"", b""]
            for stream in streams:
                await stream.aclose()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))


@contextmanager
def no_descriptor_left() -> Iterator[None]:
    """Whatever this process opens within is one too many."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken = [os.open(os.devnull, os.O_RDONLY)]
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(int(each.name) for each in Path("/dev/fd").iterdir()) + 1, before[1]))
    try:
        with suppress(OSError):
            while True:
                taken.append(os.dup(taken[0]))
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
        for descriptor in taken:
            os.close(descriptor)


async def test_a_quiet_connection_makes_room_where_no_descriptor_is_left(caplog: pytest.LogCaptureFixture) -> None:
    """Handshakes leave some free; whoever holds these with connections that ask nothing keeps no scraper out."""
    request = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    async with served(hello) as (host, port, _):
        quiet, before = [await trio.open_tcp_stream(host, port) for _ in range(2)]
        await before.send_all(request)
        assert (await read_to_end(before)).endswith(b"hello")
        await before.aclose()
        with trio.socket.socket() as client, no_descriptor_left():
            await client.connect((host, port))
            answered = trio.SocketStream(client)
            await answered.send_all(request)
            with trio.fail_after(HEADER_SECONDS * 0.6):
                assert (await read_to_end(answered)).endswith(b"hello")
        assert await read_to_end(quiet) == b""
        await quiet.aclose()
    assert not caplog.records


async def test_connections_above_the_limit_are_closed_while_all_others_are_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    """And the next one is served when one has ended."""
    monkeypatch.setattr(web_server, "MAX_CONNECTIONS", 2)
    request = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    release = trio.Event()
    begun = trio.Semaphore(0)

    async def slow(scope: Any, receive: Any, send: Any) -> None:
        begun.release()
        await release.wait()
        await hello(scope, receive, send)

    async with served(slow) as (host, port, _):
        answered = [await trio.open_tcp_stream(host, port) for _ in range(2)]
        for stream in answered:
            await stream.send_all(request)
            await begun.acquire()
        third = await trio.open_tcp_stream(host, port)
        assert await read_to_end(third) == b""
        release.set()
        for stream in answered:
            assert (await read_to_end(stream)).endswith(b"hello")
        fourth = await trio.open_tcp_stream(host, port)
        await fourth.send_all(request)
        assert (await read_to_end(fourth)).endswith(b"hello")
        for stream in (*answered, third, fourth):
            await stream.aclose()


@pytest.mark.parametrize(
    ("request_head", "status"),
    [
        (b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 80_000 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: zero\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
    ],
)
async def test_malformed_and_oversized_requests_are_refused(request_head: bytes, status: int) -> None:
    """Also a TLS hello that is sent to the plain port."""
    async with served(hello) as (host, port, _):
        stream = await trio.open_tcp_stream(host, port)
        await stream.send_all(request_head)
        answer = await read_to_end(stream)
        await stream.aclose()

    assert re.match(rb"HTTP/1\.1 %d " % status, answer)


async def test_a_chunked_body_above_the_limit_is_refused() -> None:
    """What has no declared length is counted as it comes."""
    service = FakeService()
    chunk = b"%x\r\n%s\r\n" % (1024, bytes(1024))
    async with served(create_app(service)) as (host, port, _):
        stream = await trio.open_tcp_stream(host, port)
        await stream.send_all(b"POST /-/reload HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        try:
            for _ in range(MAX_BODY_BYTES // 1024 + 1):
                await stream.send_all(chunk)
        except trio.BrokenResourceError:
            pass
        answer = await read_to_end(stream)
        await stream.aclose()

    assert answer.startswith(b"HTTP/1.1 413 ")
    assert service.reloads == 0


async def test_a_body_that_does_not_come_is_408(hurried_clock: trio.testing.MockClock) -> None:
    """A client that promises a body and stays silent does not hold its request for ever."""
    service = FakeService()
    async with served(create_app(service)) as (host, port, _):
        stream = await trio.open_tcp_stream(host, port)
        await stream.send_all(b"POST /-/reload HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n")
        with trio.fail_after(1000):
            answer = await read_to_end(stream)
        await stream.aclose()

    assert answer.startswith(b"HTTP/1.1 408 ")
    assert service.reloads == 0
