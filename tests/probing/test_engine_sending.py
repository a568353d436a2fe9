"""What the engine sends."""

from __future__ import annotations

import ipaddress
from typing import Any

import pytest

from prober.model import Outcome
from prober.probing.engine import Engine
from prober.tls.client_hello import HelloFactory
from tests.probing.conftest import AttemptMaker
from tests.probing.outcomes import ALERT_112, IPS, HookedFactory
from tests.servers.scripted import pause, read, read_hello, scripted, see_end, send


async def test_a_hello_that_the_kernel_takes_in_parts_arrives_whole(
    engine: Engine, attempt: AttemptMaker, factory: HelloFactory
) -> None:
    """Three megabytes through a small window, to a server that begins to read late."""
    more = bytes(3_000_000)
    fat = HookedFactory(factory, lambda: None, more)
    with scripted(pause(0.1), read(len(more) + 400), send(ALERT_112), receive_buffer=4096) as peer:
        observation = await engine.handshake(attempt(peer.endpoint, factory=fat))
        received = peer.next_received()
    assert observation.outcome is Outcome.TLS_ALERT
    assert received[:1] == b"\x16"
    assert received[400:].count(0) >= len(more) - 400


@IPS
@pytest.mark.parametrize("version", ["v1", "v2"])
async def test_the_proxy_header_comes_before_the_hello_in_one_piece(
    engine: Engine, attempt: AttemptMaker, version: str, ip: str
) -> None:
    """It names both ends of the very connection that it is sent on."""
    clients: list[tuple[Any, ...]] = []
    chunks: list[bytes] = []

    def read_once(connection: Any) -> None:
        clients.append(connection.sock.getpeername())
        chunks.append(connection.receive())

    with scripted(read_once, send(ALERT_112), ip=ip) as peer:
        observation = await engine.handshake(attempt(peer.endpoint, proxy_protocol=version))
    assert observation.outcome is Outcome.TLS_ALERT
    port = clients[0][1]
    if version == "v1":
        family = "TCP6" if ":" in ip else "TCP4"
        header = f"PROXY {family} {ip} {ip} {port} {peer.endpoint.port}\r\n".encode()
    else:
        address = ipaddress.ip_address(ip).packed
        header = b"\r\n\r\n\0\r\nQUIT\n" + bytes((0x21, 0x21 if ":" in ip else 0x11)) + (2 * len(address) + 4).to_bytes(2)
        header += address + address + port.to_bytes(2) + peer.endpoint.port.to_bytes(2)
    assert chunks[0].startswith(header)
    assert chunks[0][len(header)] == 0x16


async def test_a_transcript_has_nothing_that_was_not_sent(engine: Engine, attempt: AttemptMaker) -> None:
    """The alert that broken TLS is owed stays unsent, and the server sees no more than our hello: so does whoever reads the transcript."""
    out_of_order = bytes.fromhex("160303000414000000")
    with scripted(read_hello(), send(out_of_order), see_end()) as peer:
        observation = await engine.handshake(attempt(peer.endpoint, transcript=True))
        received = peer.next_received()
    assert observation.outcome is Outcome.PROTOCOL_ERROR
    assert len(received) == 5 + int.from_bytes(received[3:5])
    assert [entry.name for entry in observation.transcript if entry.direction == ">"] == ["ClientHello"]
