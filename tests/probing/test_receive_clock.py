"""Kernel receive timestamps."""

from __future__ import annotations

import socket
import struct
import sys
from collections.abc import Iterator
from contextlib import closing
from time import perf_counter

import pytest

from prober.probing.receive_clock import ANCILLARY_SIZE, ReceiveClock
from tests.servers.requirements import missing


@pytest.fixture
def clock() -> Iterator[ReceiveClock]:
    """A clock of a kernel that stamps."""
    with closing(ReceiveClock()) as made:
        if sys.platform != "linux" or not made.available:
            missing("the kernel stamps no received packets")
        yield made


def received(clock: ReceiveClock, pause: float) -> tuple[float, list[tuple[int, int, bytes]], float]:
    """One TCP segment that is read ``pause`` seconds after it was sent: time before, ancillary data, time after sending."""
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_connection(listener.getsockname()) as client:
        server, _ = listener.accept()
        with server:
            before = perf_counter()
            server.send(b"x")
            after = perf_counter()
            while perf_counter() - after < pause:
                pass
            clock.want(client)
            _, ancillary, _, _ = client.recvmsg(10, ANCILLARY_SIZE)
    return before, ancillary, after


def test_the_stamp_is_from_arrival_however_late_it_is_read(clock: ReceiveClock) -> None:
    """Loopback delivers within send(); the option may be set after that."""
    before, ancillary, after = received(clock, pause=0.02)
    stamp = clock.read(ancillary, before)
    assert stamp is not None
    assert before - 0.0005 < stamp < after + 0.0005


def test_a_stamp_from_before_the_poll_that_saw_nothing_is_not_believed(clock: ReceiveClock) -> None:
    """Somebody set the clock: better an honest interval than a wrong point."""
    _, ancillary, after = received(clock, pause=0.0)
    assert clock.read(ancillary, after + 3600.0) is None


def test_a_stamp_from_the_future_is_not_believed(clock: ReceiveClock) -> None:
    """As above, the other way."""
    _, ancillary, after = received(clock, pause=0.0)
    level, kind, data = ancillary[0]
    seconds, nanoseconds = struct.unpack("@ll", data)
    future = [(level, kind, struct.pack("@ll", seconds + 3600, nanoseconds))]
    assert clock.read(future, after - 1.0) is None


def test_other_ancillary_data_is_no_stamp(clock: ReceiveClock) -> None:
    """Nor is none."""
    assert clock.read([], 0.0) is None
    assert clock.read([(socket.SOL_SOCKET, 9999, bytes(16))], 0.0) is None
