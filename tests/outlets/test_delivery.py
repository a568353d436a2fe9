"""One request to a receiver that behaves badly: what is said of it, and what is left behind."""

from __future__ import annotations

import gc
import socket
import struct

import httpx
import trio

from prober.outlets.delivery import post

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
