"""Arrival times of RSTs and FINs, from packets."""

from __future__ import annotations

import os
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from time import perf_counter, sleep

import pytest
import trio

from prober.model import Endpoint, Outcome
from prober.probing.engine import Engine
from prober.probing.packet_clock import PacketClock, PacketClockUnavailable
from tests.probing.conftest import AttemptMaker
from tests.probing.test_timing import ANSWERED, BLOCKED, observed_late
from tests.servers.requirements import missing, not_permitted, require_program
from tests.servers.scripted import Step, fin, reset

ABORT = struct.pack("ii", 1, 0)

ends = pytest.mark.parametrize("how", ["rst", "fin"])
families = pytest.mark.parametrize("ip", ["127.0.0.1", "::1"])


def new_clock() -> PacketClock:
    """One, where this process may have it."""
    try:
        return PacketClock()
    except PacketClockUnavailable as reason:
        not_permitted(str(reason))


@pytest.fixture
def clock() -> Iterator[PacketClock]:
    """A running one."""
    with closing(new_clock()) as made:
        yield made


def descriptors() -> int:
    """Of this process."""
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


class Ended:
    """A connection that its server ended: when, at the earliest and the latest."""

    def __init__(self, ip: str, how: str) -> None:
        family = socket.AF_INET6 if ":" in ip else socket.AF_INET
        with socket.create_server((ip, 0), family=family) as listener:
            self.peer = Endpoint(ip, listener.getsockname()[1])
            self.client = socket.create_connection(self.peer)
            server, _ = listener.accept()
            with server:
                server.send(b"no end")
                if how == "rst":
                    server.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ABORT)
                self.earliest = perf_counter()
            self.latest = perf_counter()
        self.local_port = self.client.getsockname()[1]


@families
@ends
def test_the_stamp_is_from_arrival_however_late_it_is_asked_for(clock: PacketClock, ip: str, how: str) -> None:
    """Loopback delivers within close()."""
    ended = Ended(ip, how)
    with ended.client:
        sleep(0.02)
        stamp = clock.ended(ended.peer, ended.local_port, ended.earliest)
    assert stamp is not None
    assert ended.earliest - 0.0005 < stamp < ended.latest + 0.0005


def test_each_connection_has_its_own_end(clock: PacketClock) -> None:
    """Of several, asked in another order; and each is told once."""
    several = [Ended("127.0.0.1", how) for how in ("rst", "fin", "rst", "rst")]
    for ended in reversed(several):
        stamp = clock.ended(ended.peer, ended.local_port, ended.earliest)
        assert stamp is not None
        assert ended.earliest - 0.0005 < stamp < ended.latest + 0.0005
    for ended in several:
        assert clock.ended(ended.peer, ended.local_port, ended.earliest) is None
        ended.client.close()


def test_what_was_not_seen_or_cannot_be_is_not_told(clock: PacketClock) -> None:
    """Another peer, another port, and an end that would lie before the last moment at which there was none: a clock was set."""
    ended = Ended("127.0.0.1", "rst")
    with ended.client:
        assert clock.ended(Endpoint("127.0.0.2", ended.peer.port), ended.local_port, ended.earliest) is None
        assert clock.ended(ended.peer, ended.local_port ^ 1, ended.earliest) is None
        assert clock.ended(ended.peer, ended.local_port, perf_counter() + 3600.0) is None


def test_ends_from_before_are_not_known(clock: PacketClock) -> None:
    """A clock starts when it is made."""
    ended = Ended("127.0.0.1", "rst")
    with ended.client, closing(new_clock()) as later:
        assert later.ended(ended.peer, ended.local_port, ended.earliest) is None


@pytest.mark.parametrize(("step", "outcome"), [(reset(), Outcome.RESET), (fin(), Outcome.CLOSED)], ids=["rst", "fin"])
async def test_an_end_that_is_noticed_late_has_the_time_at_which_it_came(
    nursery: trio.Nursery, attempt: AttemptMaker, step: Step, outcome: Outcome
) -> None:
    """The engine's own stamp would be a quarter of a second late, and say so; with packets there is nothing to be said."""
    engine = Engine(packet_clock=new_clock())
    await nursery.start(engine.run)
    observation = await observed_late(engine, attempt, step)
    assert observation.outcome is outcome
    assert observation.seconds.handshake is not None
    assert ANSWERED <= observation.seconds.handshake < BLOCKED / 2
    assert observation.seconds.uncertainty == 0.0


async def test_the_engine_closes_its_packet_socket(attempt: AttemptMaker) -> None:
    """When it ends."""
    clock = new_clock()
    before = descriptors()
    engine = Engine(packet_clock=clock)
    async with trio.open_nursery() as nursery:
        await nursery.start(engine.run)
        nursery.cancel_scope.cancel()
    assert descriptors() == before - 1


def _without_the_right() -> list[str]:
    if os.geteuid() != 0:
        return []
    return [require_program("setpriv", package="util-linux"), "--bounding-set=-net_raw"]


@pytest.mark.parametrize("command", ["once", "serve"])
def test_who_has_no_right_to_packets_is_told_at_once(command: str, tmp_path: Path) -> None:
    """And what it takes; nothing is probed."""
    if sys.platform != "linux":
        missing("packet sockets exist on Linux alone")
    (config := tmp_path / "prober.yml").write_text("listen: 127.0.0.1:0\n")
    words = {"once": ["once", "127.0.0.1:1"], "serve": ["serve", "--config", str(config)]}[command]
    ran = subprocess.run(
        [*_without_the_right(), sys.executable, "-m", "prober", *words, "--packet-timestamps"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 2
    assert ran.stdout == ""
    assert "--packet-timestamps: no packet socket: Operation not permitted; it takes the capability CAP_NET_RAW" in ran.stderr
