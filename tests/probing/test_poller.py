"""Edge-triggered readiness, as the engine relies on it."""

from __future__ import annotations

import select
import socket
import struct
from collections.abc import Iterator
from contextlib import closing

import pytest

from prober.probing.poller import BROKEN, CLOSING, READABLE, WRITABLE, Poller, new_poller


@pytest.fixture
def poller() -> Iterator[Poller]:
    """This platform's."""
    with closing(new_poller()) as made:
        yield made


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Two ends of one TCP connection, the first one non-blocking."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        server, _ = listener.accept()
    client.setblocking(False)
    with client, server:
        yield client, server


def wait(poller: Poller) -> dict[int, int]:
    """What is reported next, all masks of one descriptor together."""
    select.select([poller.fileno()], [], [], 10.0)
    masks: dict[int, int] = {}
    for fd, mask in poller.poll():
        masks[fd] = masks.get(fd, 0) | mask
    return masks


def test_a_change_is_reported_once(poller: Poller, pair: tuple[socket.socket, socket.socket]) -> None:
    """And the next change again, even if nothing was read."""
    client, server = pair
    poller.add(client.fileno())
    assert wait(poller)[client.fileno()] & WRITABLE
    assert poller.poll() == []
    server.send(b"a")
    assert wait(poller)[client.fileno()] & READABLE
    assert poller.poll() == []
    server.send(b"b")
    assert wait(poller)[client.fileno()] & READABLE


def test_a_fin_is_closing_and_not_broken(poller: Poller, pair: tuple[socket.socket, socket.socket]) -> None:
    """What was sent before it can still be read."""
    client, server = pair
    poller.add(client.fileno())
    server.send(b"last words")
    server.shutdown(socket.SHUT_WR)
    mask = wait(poller)[client.fileno()]
    assert mask & CLOSING
    assert not mask & BROKEN
    assert client.recv(99) == b"last words"


def test_a_rst_is_broken(poller: Poller, pair: tuple[socket.socket, socket.socket]) -> None:
    """So that nothing is asked of a dead socket but its error."""
    client, server = pair
    poller.add(client.fileno())
    wait(poller)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    server.close()
    assert wait(poller)[client.fileno()] & BROKEN


def test_a_closed_socket_is_forgotten(poller: Poller, pair: tuple[socket.socket, socket.socket]) -> None:
    """Closing is all that it takes."""
    client, _ = pair
    poller.add(client.fileno())
    client.close()
    assert poller.poll() == []
