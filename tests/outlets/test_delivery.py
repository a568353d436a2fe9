"""One request to a receiver that behaves badly: what is said of it, and what is left behind."""

from __future__ import annotations

import gc
import socket
import ssl
import struct
import threading
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import httpx
import pytest
import trio

from prober.outlets import delivery
from prober.outlets.delivery import Attempt, by_files, client, post
from tests.pki import Authority
from tests.servers.hooks import hook


async def answered(answer: bytes) -> Attempt:
    """What comes of one request that is answered like this."""
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")

    async def receiver() -> None:
        async with await listener.accept() as stream:
            await stream.receive_some(65_536)
            await stream.send_all(answer + b"Content-Length: 0\r\nConnection: close\r\n\r\n")

    async with listener, httpx.AsyncClient(trust_env=False) as through, trio.open_nursery() as nursery:
        nursery.start_soon(receiver)
        return await post(through, f"http://127.0.0.1:{listener.socket.getsockname()[1]}/", b"{}", {})
    raise AssertionError


async def test_a_receiver_may_name_seconds_or_a_date_to_come_again() -> None:
    """RFC 9110 allows both; nonsense is no reason to wait."""
    busy = b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: %b\r\n"
    assert (await answered(busy % b"7")).retry_after == 7.0
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True).encode()
    assert 20 < (await answered(busy % date)).retry_after <= 30
    for nonsense in (b"soon", b"-5", b"Mon, 99 Foo 2026 00:00:00 GMT", b"Thu, 01 Jan 1970 00:00:00 GMT"):
        assert (await answered(busy % nonsense)).retry_after == 0.0


async def test_a_redirect_is_told_as_one() -> None:
    """HTTP 301 alone tells an operator who has moved the receiver to https:// little."""
    attempt = await answered(b"HTTP/1.1 301 Moved Permanently\r\nLocation: https://hooks.example.test/secret\r\n")
    assert attempt.problem == "HTTP 301, a redirect, which is not followed: configure where it leads to"


@pytest.mark.parametrize("url", ["hooks.example.test/secret", "", "http://127.0.0.1:9/\x01secret", "http://hooks..test/secret"])
async def test_what_is_no_url_is_told_as_that(url: str) -> None:
    """A file may be rotated to anything; what is in it is not repeated."""
    async with httpx.AsyncClient(trust_env=False) as through:
        attempt = await post(through, url, b"{}", {})
    assert attempt == Attempt(None, "its URL is none that can be posted to; see url_file")


@pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:1080", "ftp://127.0.0.1:1080", "127.0.0.1:port"])
async def test_a_proxy_that_there_is_no_way_through_is_told_as_that(proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment is what the host's administrator made it: no receiver hears anything, and the log has the reason."""
    monkeypatch.setenv("ALL_PROXY", proxy)
    async with await client() as through:
        attempt = await post(through, "http://127.0.0.1:9/", b"{}", {})
    assert attempt.status is None
    assert attempt.problem is not None
    assert attempt.problem.startswith("the proxy of the environment (HTTP_PROXY, HTTPS_PROXY, ALL_PROXY) does not let it through")


@pytest.mark.parametrize(
    "environment",
    [
        {"ALL_PROXY": "socks5://127.0.0.1:1080", "NO_PROXY": "127.0.0.1"},
        {"HTTPS_PROXY": "socks5://127.0.0.1:1080"},
        {"NO_PROXY": "127.0.0.1,fd00::/8"},
    ],
    ids=["another way for this host", "another way for this scheme", "an IPv6 network"],
)
async def test_what_the_environment_has_for_others_keeps_nothing_from_a_receiver(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with curl: a proxy that cannot be used matters to those alone who are to be reached through it."""
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")

    async def receiver() -> None:
        async with await listener.accept() as stream:
            await stream.receive_some(65_536)
            await stream.send_all(b"HTTP/1.1 204 No Content\r\n\r\n")

    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    async with listener, await client() as through, trio.open_nursery() as nursery:
        nursery.start_soon(receiver)
        attempt = await post(through, f"http://127.0.0.1:{listener.socket.getsockname()[1]}/", b"{}", {})
        nursery.cancel_scope.cancel()
    assert attempt == Attempt(204)


async def test_a_proxy_that_refuses_is_told_as_that(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not the receiver that said 407."""
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")

    async def proxy() -> None:
        async with await listener.accept() as stream:
            await stream.receive_some(65_536)
            await stream.send_all(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")

    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{listener.socket.getsockname()[1]}")
    async with listener, await client() as through, trio.open_nursery() as nursery:
        nursery.start_soon(proxy)
        attempt = await post(through, "https://hooks.example.test/", b"{}", {})
    assert attempt.problem is not None
    assert attempt.problem.startswith("the proxy of the environment")


async def test_a_file_that_hangs_takes_no_thread_from_the_others() -> None:
    """Metrics are compressed in those that are shared out. The end of the service leaves it behind."""
    reading, released = threading.Event(), threading.Event()

    def hang() -> None:
        reading.set()
        released.wait()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(by_files, hang)
        await trio.to_thread.run_sync(reading.wait)
        shared = trio.to_thread.current_default_thread_limiter().borrowed_tokens
        nursery.cancel_scope.cancel()
    released.set()
    assert shared == 0


BODY = b"x" * (8 << 20)
"""More than the buffers of two sockets on loopback hold, so that the server is gone before all of it is sent."""


async def hang_up(listener: trio.SocketListener) -> None:
    """Accept one connection, and reset it when the first bytes are there."""
    async with await listener.accept() as stream:
        await stream.receive_some(1)
        stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


async def test_a_receiver_that_hangs_up_while_it_is_told_leaves_nothing_behind() -> None:
    """Not even a generator for the collector of garbage: Trio would warn of it, and warnings are errors here."""
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    url = f"http://127.0.0.1:{listener.socket.getsockname()[1]}/"
    async with listener, httpx.AsyncClient() as through, trio.open_nursery() as nursery:
        nursery.start_soon(hang_up, listener)
        attempt = await post(through, url, BODY, {})
    assert attempt.status is None
    assert attempt.problem in {"it hung up, or what it answered is not HTTP", "Connection reset by peer"}
    gc.collect()


async def test_a_receiver_proves_itself_by_an_authority_of_this_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a list of targets does: by what the host trusts, an intermediate by itself too, and not by what a library brings along."""
    intermediate = Authority.root().intermediate()
    files = intermediate.issue("localhost").write(tmp_path)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(files.certificate, files.key)
    monkeypatch.setenv("SSL_CERT_FILE", str(intermediate.write(tmp_path)))
    delivery._verification.cache_clear()
    try:
        with hook(tls) as receiver:
            async with await client() as through:
                assert await post(through, receiver.url, b"{}", {}) == Attempt(200)
    finally:
        delivery._verification.cache_clear()
