"""The engine as a whole: deadlines, cancellation, many at once, nothing left behind."""

from __future__ import annotations

import gc
import socket
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import trio

from prober.model import Close, Endpoint, Observation, Outcome, Stage
from prober.probing.engine import Engine
from tests.bench.peers.native import c_server
from tests.probing.conftest import AttemptMaker, Served, Told
from tests.probing.outcomes import ALERT_112
from tests.servers.scripted import close_unread, dribble, hold, read_hello, scripted, see_end, send, send_flight

TIME_WAIT = "06"


def tcp_states(port: int) -> Counter[str]:
    """The kernel's own table: the states of all connections to local ``port``, by their hexadecimal code."""
    states: Counter[str] = Counter()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with open(table) as lines:  # noqa: PTH123
            next(lines)
            for line in lines:
                _, _, remote, state, *_ = line.split()
                if int(remote.rpartition(":")[2], 16) == port:
                    states[state] += 1
    return states


def descriptors() -> list[int]:
    """Those that this process has open."""
    return sorted(int(entry.name) for entry in Path("/proc/self/fd").iterdir())


# -- deadlines -------------------------------------------------------------------------------------------------------------


async def test_the_deadline_is_hard_for_a_peer_that_dribbles(engine: Engine, attempt: AttemptMaker) -> None:
    """A byte every few milliseconds buys no time."""
    record = bytes.fromhex("16 03 03 40 00 02 00 3f fc")
    with scripted(read_hello(), dribble(record + bytes(5000), every=0.005)) as peer:
        began = time.perf_counter()
        observation = await engine.handshake(attempt(peer.endpoint, timeout=0.3))
        waited = time.perf_counter() - began
    assert (observation.outcome, observation.stage) == (Outcome.TIMEOUT, Stage.SERVER_HELLO)
    assert observation.bytes_received > 10
    assert 0.29 < waited < 1.5


async def test_a_syn_that_nobody_answers_is_a_connect_timeout(engine: Engine, attempt: AttemptMaker) -> None:
    """A listener whose queue is full drops SYNs, as a firewall does."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        endpoint = Endpoint(*full.getsockname())
        fillers = [socket.socket() for _ in range(3)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(endpoint)
        observation = await engine.handshake(attempt(endpoint, timeout=0.2))
        for filler in fillers:
            filler.close()
    assert (observation.outcome, observation.stage) == (Outcome.CONNECT_TIMEOUT, Stage.CONNECT)
    assert observation.seconds.connect is None
    assert 0.19 < observation.seconds.total < 1.5


async def test_what_resolution_took_is_gone(engine: Engine, attempt: AttemptMaker) -> None:
    """One deadline for everything."""
    with scripted(read_hello(), hold()) as peer:
        began = time.perf_counter()
        observation = await engine.handshake(attempt(peer.endpoint, timeout=5.0, resolve_seconds=4.8))
        waited = time.perf_counter() - began
    assert observation.outcome is Outcome.TIMEOUT
    assert waited < 3.0
    assert observation.seconds.resolve == 4.8
    assert observation.seconds.total > 4.99


async def test_when_resolution_took_everything_nothing_is_sent(engine: Engine, attempt: AttemptMaker) -> None:
    """It is the resolution that was late."""
    with scripted(hold()) as peer:
        observation = await engine.handshake(attempt(peer.endpoint, timeout=1.0, resolve_seconds=1.0))
        assert not peer.accepted.acquire(timeout=0.1)
    assert (observation.outcome, observation.stage) == (Outcome.RESOLVE_FAILED, Stage.RESOLVE)


async def test_an_earlier_deadline_is_not_missed_behind_a_later_one(engine: Engine, attempt: AttemptMaker) -> None:
    """The one that is started last ends first."""
    with scripted(hold()) as peer:
        told = Told()
        late = engine.start(attempt(peer.endpoint, timeout=0.5), told)
        await trio.sleep(0.05)
        early = engine.start(attempt(peer.endpoint, timeout=0.1), told)
        await told.wait_for(2)
    assert told == [early.observation, late.observation]
    assert told[0].seconds.total < 0.3


# -- cancellation ----------------------------------------------------------------------------------------------------------


async def test_a_cancelled_handshake_closes_its_socket_at_once(engine: Engine, attempt: AttemptMaker) -> None:
    """The peer sees it, and the engine forgets it."""
    with scripted(read_hello(), see_end()) as peer:
        with trio.move_on_after(0.1) as scope:
            await engine.handshake(attempt(peer.endpoint))
        assert scope.cancelled_caught
        assert engine.in_flight == 0
        assert peer.next_ending() == "rst"


async def test_a_cancelled_handle_says_so_and_its_sink_is_silent(engine: Engine, attempt: AttemptMaker) -> None:
    """Whoever cancels does not want to be called; whoever looks finds a local error."""
    with scripted(hold()) as peer:
        told: list[Observation] = []
        handle = engine.start(attempt(peer.endpoint), told.append)
        handle.cancel()
        handle.cancel()
        await trio.sleep(0.02)
    assert handle.observation is not None
    assert (handle.observation.outcome, handle.observation.detail) == (Outcome.LOCAL_ERROR, "cancelled")
    assert handle.observation.errno is None
    assert told == []
    assert engine.in_flight == 0


async def test_when_the_engine_ends_everyone_who_waits_is_told(attempt: AttemptMaker) -> None:
    """Connecting, waiting for bytes, held for the next tick: all sockets closed, all callers released."""
    told: list[Observation] = []
    awaited: list[Observation] = []
    before = descriptors()
    with scripted(read_hello(), hold()) as peer:
        async with trio.open_nursery() as outer:
            async with trio.open_nursery() as inner:
                engine = Engine()
                await inner.start(engine.run)

                async def wait() -> None:
                    awaited.append(await engine.handshake(attempt(peer.endpoint)))

                outer.start_soon(wait)
                for _ in range(20):
                    engine.start(attempt(peer.endpoint), told.append)
                await trio.sleep(0.05)
                engine.start(attempt(peer.endpoint), told.append)
                inner.cancel_scope.cancel()
            late = await engine.handshake(attempt(peer.endpoint))
    assert len(told) == 21
    assert {(observation.outcome, observation.detail) for observation in [*told, *awaited, late]} == {
        (Outcome.LOCAL_ERROR, "cancelled")
    }
    assert engine.in_flight == 0
    assert descriptors() == before


async def test_an_engine_that_does_not_run_says_so(attempt: AttemptMaker) -> None:
    """Before, it is a mistake of the program."""
    with pytest.raises(RuntimeError, match="not running"):
        Engine().start(attempt(Endpoint("127.0.0.1", 1)), lambda _: None)


# -- faults of this host ---------------------------------------------------------------------------------------------------


# -- many at once ----------------------------------------------------------------------------------------------------------


async def test_two_thousand_at_once_against_a_resetting_server_are_all_resets(attempt: AttemptMaker) -> None:
    """Every outcome right, no descriptor left."""
    gc.collect()
    before = descriptors()
    outcomes: Counter[tuple[str, str, str | None, str]] = Counter()
    with c_server("rst") as server:
        async with trio.open_nursery() as nursery:
            engine = Engine()
            await nursery.start(engine.run)
            done = trio.Event()

            def sink(observation: Observation) -> None:
                outcomes[observation.outcome, observation.stage, observation.errno, observation.close] += 1
                if outcomes.total() == 2000:
                    done.set()

            for number in range(2000):
                engine.start(attempt(Endpoint(f"127.0.0.{number % 100 + 1}", server.port), timeout=40.0), sink)
            assert engine.in_flight == 2000
            with trio.fail_after(40):
                await done.wait()
            assert engine.in_flight == 0
            assert engine.bugs == 0
            nursery.cancel_scope.cancel()
        assert tcp_states(server.port)[TIME_WAIT] == 0
    assert outcomes == {("reset", "client_hello", "ECONNRESET", "rst"): 2000}
    assert descriptors() == before


async def test_nothing_is_left_in_the_kernel_after_certificates(engine: Engine, attempt: AttemptMaker, tls13: Served) -> None:
    """An abortive close leaves no TIME_WAIT; so says the kernel's own table."""
    with scripted(read_hello(), send_flight(tls13.context), see_end()) as peer:
        for _ in range(10):
            observation = await engine.handshake(attempt(peer.endpoint))
            assert observation.outcome is Outcome.CERTIFICATE
            assert peer.next_ending() == "rst"
        assert tcp_states(peer.endpoint.port)[TIME_WAIT] == 0


async def test_a_nap_gathers_what_comes_at_the_same_time_and_is_no_time_of_the_peers(
    nursery: trio.Nursery, attempt: AttemptMaker, tls13: Served
) -> None:
    """Certificates have the kernel's stamp, resets an uncertainty that covers the nap."""
    nap = 0.1
    engine = Engine(nap=nap, crowd=1)
    await nursery.start(engine.run)
    with scripted(close_unread()) as resetting, scripted(read_hello(), send_flight(tls13.context), see_end()) as serving:
        told = Told()
        for _ in range(5):
            engine.start(attempt(resetting.endpoint), told)
            engine.start(attempt(serving.endpoint), told)
        await told.wait_for(10)
    for observation in told:
        if observation.outcome is Outcome.CERTIFICATE:
            assert observation.seconds.uncertainty == 0.0
        else:
            assert observation.outcome is Outcome.RESET
            handshake, uncertainty = observation.seconds.handshake, observation.seconds.uncertainty
            assert handshake is not None
            assert uncertainty is not None
            assert handshake - uncertainty < 0.8 * nap, "the peer answers at once: what a nap adds is told as uncertain"


async def test_a_peer_that_floods_does_not_keep_others_from_their_turn(engine: Engine, attempt: AttemptMaker) -> None:
    """Megabytes after an alert: read in bounded portions, for a bounded time."""

    def flood(connection: Any) -> None:
        while not connection.peer.stopping.is_set():
            connection.sock.sendall(bytes(1 << 16))

    with scripted(read_hello(), send(ALERT_112), flood) as flooding, scripted(read_hello()) as plain:
        began = time.perf_counter()
        results: list[Observation] = []
        async with trio.open_nursery() as nursery:

            async def run(endpoint: Endpoint) -> None:
                results.append(await engine.handshake(attempt(endpoint)))

            nursery.start_soon(run, flooding.endpoint)
            for _ in range(5):
                nursery.start_soon(run, plain.endpoint)
        assert time.perf_counter() - began < 5.0
    assert Counter(result.outcome for result in results) == {Outcome.TLS_ALERT: 1, Outcome.CLOSED: 5}
    flooded = next(result for result in results if result.outcome is Outcome.TLS_ALERT)
    assert flooded.close is Close.NONE
