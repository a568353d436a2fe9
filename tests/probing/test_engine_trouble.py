"""What this host, and a bug of ours, does to a handshake: a local error, and no harm to the others."""

from __future__ import annotations

import logging
import os
import resource
import socket
from collections.abc import Iterator
from typing import Any

import pytest
import trio

from prober.model import Close, Endpoint, Observation, Outcome, Stage
from prober.probing.dial import Socket, open_socket
from prober.probing.engine import Engine
from prober.probing.findings import Findings
from prober.tls.client_hello import HelloFactory
from tests.bench.peers.native import c_server
from tests.probing.conftest import AttemptMaker, Told
from tests.probing.outcomes import ALERT_112, HookedFactory, ending
from tests.probing.test_engine import descriptors
from tests.servers.ports import IPV4, IPV6, Ports, has_ipv6
from tests.servers.scripted import close_unread, read_hello, scripted, send


@pytest.fixture
def few_descriptors() -> Iterator[None]:
    """A descriptor table with room for three more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    open_now = descriptors()
    highest = open_now[-1]
    hoard = [os.dup(0) for _ in range(highest + 1 - len(open_now))]
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 5, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    for descriptor in hoard:
        os.close(descriptor)


async def test_a_host_without_descriptors_has_a_local_error(attempt: AttemptMaker, engine: Engine, request: Any) -> None:
    """EMFILE is never the ingress's; and when descriptors are back, so are the handshakes."""
    with c_server("hole") as server:
        endpoint = Endpoint("127.0.0.1", server.port)
        told = Told()
        request.getfixturevalue("few_descriptors")
        handles = [engine.start(attempt(endpoint), told) for _ in range(12)]
        await told.wait_for(5)
        for handle in handles:
            handle.cancel()
    assert {(observation.outcome, observation.stage, observation.errno) for observation in told} == {
        (Outcome.LOCAL_ERROR, Stage.CONNECT, "EMFILE")
    }
    assert len(told) < 12


async def test_handshakes_leave_descriptors_to_others(nursery: trio.Nursery, attempt: AttemptMaker) -> None:
    """At the ceiling a handshake is refused, though the kernel has descriptors left."""
    ceiling = descriptors()[-1] + 4
    engine = Engine(ceiling=ceiling)
    await nursery.start(engine.run)
    with c_server("hole") as server:
        told = Told()
        handles = [engine.start(attempt(Endpoint("127.0.0.1", server.port)), told) for _ in range(ceiling)]
        await told.wait_for(1)
        spare = os.dup(0)
        os.close(spare)
        assert spare >= ceiling - 1, "the kernel would have given another one"
        for handle in handles:
            handle.cancel()
    assert {observation.errno for observation in told} == {"EMFILE"}


async def test_an_interface_that_does_not_exist_is_a_local_error(engine: Engine, attempt: AttemptMaker) -> None:
    """The scope is this host's."""
    observation = await engine.handshake(attempt(Endpoint("fe80::1%nosuchif", 443)))
    assert (observation.outcome, observation.errno) == (Outcome.LOCAL_ERROR, "ENODEV")


async def test_a_bug_of_ours_is_a_local_error_and_harms_nobody_else(
    engine: Engine, attempt: AttemptMaker, factory: HelloFactory, caplog: pytest.LogCaptureFixture
) -> None:
    """It is counted, logged with its traceback, and its handshake ends at once."""

    def fail() -> None:
        raise ZeroDivisionError("oops")

    with scripted(read_hello(), send(ALERT_112)) as peer, caplog.at_level(logging.ERROR):
        broken = await engine.handshake(attempt(peer.endpoint, factory=HookedFactory(factory, fail)))
        sound = await engine.handshake(attempt(peer.endpoint))
    assert (broken.outcome, broken.errno) == (Outcome.LOCAL_ERROR, None)
    assert broken.detail == "bug: ZeroDivisionError: oops"
    assert engine.bugs == 1
    assert "ZeroDivisionError" in caplog.text
    assert sound.outcome is Outcome.TLS_ALERT


async def test_a_bug_in_what_a_transcript_shows_is_no_end_of_the_engine(
    engine: Engine, attempt: AttemptMaker, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The same code runs when the observation is made; it must not be asked twice."""

    def broken(*_: Any, **__: Any) -> Any:
        raise ZeroDivisionError

    monkeypatch.setattr("prober.probing.findings.ClientHandshake", broken)
    with scripted(close_unread()) as peer, caplog.at_level(logging.ERROR):
        observation = await engine.handshake(attempt(peer.endpoint, transcript=True))
        sound = await engine.handshake(attempt(peer.endpoint))
    assert observation.outcome is Outcome.LOCAL_ERROR
    assert sound.outcome is Outcome.RESET


async def test_a_sink_that_raises_harms_nobody_else(
    engine: Engine, attempt: AttemptMaker, caplog: pytest.LogCaptureFixture
) -> None:
    """It is a bug, too; the engine goes on."""

    def sink(_: Observation) -> None:
        raise ZeroDivisionError

    with Ports() as ports, caplog.at_level(logging.ERROR):
        closed = ports.take()
        engine.start(attempt(closed), sink)
        observation = await engine.handshake(attempt(closed))
    assert observation.outcome is Outcome.REFUSED
    assert engine.bugs == 1


async def test_a_bug_while_a_bug_is_told_still_releases_the_caller(
    engine: Engine,
    attempt: AttemptMaker,
    factory: HelloFactory,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """An observation that cannot be made: the flight's own ending is broken once."""
    sound = Findings.observation
    calls: list[int] = []

    def broken(*arguments: Any) -> Observation:
        calls.append(1)
        if len(calls) == 1:
            raise ZeroDivisionError
        return sound(*arguments)

    monkeypatch.setattr(Findings, "observation", broken)
    with Ports() as ports, caplog.at_level(logging.ERROR):
        observation = await engine.handshake(attempt(ports.take()))
    assert observation.outcome is Outcome.LOCAL_ERROR
    assert engine.in_flight == 0


@pytest.mark.parametrize("ip", [IPV4, IPV6] if has_ipv6() else [IPV4])
@pytest.mark.parametrize("proxy_protocol", [None, "v1"])
async def test_a_port_where_nothing_listens_is_refused_also_when_it_becomes_our_own(
    engine: Engine, attempt: AttemptMaker, monkeypatch: pytest.MonkeyPatch, ip: str, proxy_protocol: str | None
) -> None:
    """The kernel chooses one port in 28,000 for a connection; where it is the one that is asked, TCP connects it to itself."""

    def open_bound(to: str) -> Socket:
        sock = open_socket(to)
        sock.bind((ip, port))
        return sock

    with socket.socket(socket.AF_INET6 if ":" in ip else socket.AF_INET) as free:
        free.bind((ip, 0))
        port = free.getsockname()[1]
    monkeypatch.setattr("prober.probing.flight.open_socket", open_bound)
    observation = await engine.handshake(attempt(Endpoint(ip, port))._replace(proxy_protocol=proxy_protocol))
    assert ending(observation) == (Outcome.REFUSED, Stage.CONNECT, "ECONNREFUSED", Close.NONE)
    assert (observation.bytes_received, observation.seconds.connect, observation.seconds.handshake) == (0, None, None)
    assert not observation.facts.server_answered
    with socket.socket(socket.AF_INET6 if ":" in ip else socket.AF_INET) as later:
        later.bind((ip, port))  # nothing is left on it
