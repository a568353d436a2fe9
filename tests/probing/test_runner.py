"""The differential: which hellos go out, in which order, how many at a time, and what comes back."""

from __future__ import annotations

import random
import socket
from collections.abc import Callable
from typing import Any

import pytest
import trio

from prober.model import Address, Differential, Endpoint, Module, Outcome, Sni, Stage, Target
from prober.probing.attempt import Attempt
from prober.probing.engine import Engine, Handle
from prober.probing.resolve import ResolveError
from prober.probing.runner import Runner
from prober.tls.client_hello_parser import parse_client_hello
from tests.probing.conftest import Served
from tests.probing.test_resolve import Resolver, resolver, v4, v6
from tests.servers.ports import Ports
from tests.servers.scripted import ScriptedPeer, close_unread, hold, read_hello, scripted, send_flight

__all__ = ["resolver"]  # a fixture

ALL = (Sni.KNOWN, Sni.NONE, Sni.UNKNOWN)


def target(*names: str, sni: tuple[Sni, ...] = ALL, timeout: float = 15.0, **module: Any) -> Target:
    """A target with these known names."""
    return Target(name="ingress", addresses=(), server_names=names, module=Module(sni=sni, **module), timeout=timeout)


def as_address(endpoint: Endpoint) -> Address:
    """The address that leads there."""
    return Address(*endpoint)


class Watched(Engine):
    """An engine that notes how many handshakes were ever in flight at once."""

    peak = 0

    def start(self, attempt: Attempt, sink: Callable[..., None]) -> Handle:
        """As the engine."""
        handle = super().start(attempt, sink)
        self.peak = max(self.peak, self.in_flight)
        return handle


@pytest.fixture
async def watched(nursery: trio.Nursery) -> Watched:
    """A running one."""
    engine = Watched()
    await nursery.start(engine.run)
    return engine


async def test_a_differential_has_one_handshake_for_each_hello_in_a_fixed_order(engine: Engine, tls13: Served) -> None:
    """Known (one a name), none, unknown, whatever the order in which they went out."""
    with scripted(read_hello(), send_flight(tls13.context), hold()) as peer:
        result = await Runner(engine).differential(target("a.test", "b.test"), as_address(peer.endpoint), peer.endpoint)
    assert (result.target, result.address, result.endpoint) == ("ingress", as_address(peer.endpoint), peer.endpoint)
    assert [handshake.sni for handshake in result.handshakes] == [Sni.KNOWN, Sni.KNOWN, Sni.NONE, Sni.UNKNOWN]
    assert [handshake.server_name for handshake in result.handshakes][:3] == ["a.test", "b.test", None]
    assert {handshake.observation.outcome for handshake in result.handshakes} == {Outcome.CERTIFICATE}
    assert [handshake.ja4[:4] for handshake in result.handshakes] == ["t13d", "t13d", "t13i", "t13d"]


async def _names_on_the_wire(engine: Engine, runner: Runner, hellos: Target) -> tuple[Differential, list[str | None]]:
    with scripted(read_hello()) as peer:
        result = await runner.differential(hellos, as_address(peer.endpoint), peer.endpoint)
        messages = [peer.next_received()[5:] for _ in result.handshakes]
    return result, [parse_client_hello(message).server_name for message in messages]


async def test_what_is_reported_is_what_was_on_the_wire(engine: Engine) -> None:
    """The peer read the same names, the canary among them."""
    result, names = await _names_on_the_wire(engine, Runner(engine), target("a.test"))
    assert sorted(map(str, names)) == sorted(str(handshake.server_name) for handshake in result.handshakes)
    canary = result.handshakes[2].server_name
    assert canary is not None
    assert canary.startswith("probe-")
    assert canary.endswith(".invalid")


async def test_every_run_has_a_fresh_canary(engine: Engine) -> None:
    """So that it can be found in an access log."""
    runner = Runner(engine)
    canaries = set()
    for _ in range(5):
        result, _ = await _names_on_the_wire(engine, runner, target(sni=(Sni.UNKNOWN,)))
        canaries.add(result.handshakes[0].server_name)
    assert len(canaries) == 5


async def test_the_hellos_go_out_in_random_order_and_close_together(engine: Engine) -> None:
    """All orders come up, and 250 ms hold all of them."""
    shuffle = random.Random(7).shuffle
    runner = Runner(engine, shuffle=shuffle)
    orders = set()
    with scripted(close_unread()) as peer:
        for _ in range(60):
            result = await runner.differential(target("a.test"), as_address(peer.endpoint), peer.endpoint)
            starts = [handshake.started for handshake in result.handshakes]
            assert max(starts) - min(starts) < 0.25
            orders.add(tuple(sorted(range(3), key=starts.__getitem__)))
    assert len(orders) == 6


@pytest.mark.parametrize(
    ("sni", "names", "expected"),
    [
        (ALL, (), [Sni.NONE, Sni.UNKNOWN]),
        ((Sni.KNOWN,), ("a.test",), [Sni.KNOWN]),
        ((Sni.NONE,), ("a.test",), [Sni.NONE]),
        ((Sni.KNOWN,), (), []),
    ],
)
async def test_only_the_hellos_that_are_wanted_go_out(
    engine: Engine, sni: tuple[Sni, ...], names: tuple[str, ...], expected: list[Sni]
) -> None:
    """A target without a known name has no known hello."""
    with scripted(close_unread()) as peer:
        result = await Runner(engine).differential(target(*names, sni=sni), as_address(peer.endpoint), peer.endpoint)
    assert [handshake.sni for handshake in result.handshakes] == expected


@pytest.mark.parametrize("limit", [1, 2, 3, 5])
async def test_the_limit_holds_whatever_is_asked(watched: Watched, limit: int) -> None:
    """Also when it is smaller than one differential, and for handshakes that end at once."""
    runner = Runner(watched, limit=limit)
    results: list[Differential] = []
    with scripted(close_unread()) as peer, Ports() as ports:
        closed = ports.take()
        async with trio.open_nursery() as nursery:

            async def run(endpoint: Endpoint) -> None:
                results.append(await runner.differential(target("a.test"), as_address(endpoint), endpoint))

            for _ in range(6):
                nursery.start_soon(run, peer.endpoint)
                nursery.start_soon(run, closed)
                nursery.start_soon(run, Endpoint("fe80::1%nosuchif", 1))
    assert len(results) == 18
    assert all(len(result.handshakes) == 3 for result in results)
    assert watched.peak == limit
    assert runner.waiting == 0


async def test_a_differential_starts_when_there_is_room_for_all_of_it(engine: Engine) -> None:
    """Its hellos are to go together: one free place does not split them."""
    runner = Runner(engine, limit=5)
    with scripted(hold()) as peer:
        first, second = (
            runner.start_differential(target("a.test"), as_address(peer.endpoint), peer.endpoint, None, lambda _: None)
            for _ in range(2)
        )
        assert (engine.in_flight, runner.waiting) == (3, 1)
        first.cancel()
        assert (engine.in_flight, runner.waiting) == (3, 0)
        second.cancel()


async def test_cancelling_gives_the_room_back(engine: Engine) -> None:
    """A run that is under way, one that waits, and one whose handshakes have ended and were not told yet."""
    runner = Runner(engine, limit=3)
    told: list[Differential] = []
    with scripted(hold()) as peer, scripted(close_unread()) as quick:
        run = runner.start_differential(target("a.test"), as_address(peer.endpoint), peer.endpoint, None, told.append)
        waiting = runner.start_differential(target("a.test"), as_address(peer.endpoint), peer.endpoint, None, told.append)
        assert runner.waiting == 1
        waiting.cancel()
        run.cancel()
        run.cancel()
        nowhere = Endpoint("fe80::1%nosuchif", 1)
        ended = runner.start_differential(target("a.test"), as_address(nowhere), nowhere, None, told.append)
        ended.cancel()
        assert engine.in_flight == 0
        result = await runner.differential(target("a.test"), as_address(quick.endpoint), quick.endpoint)
    assert {handshake.observation.outcome for handshake in result.handshakes} == {Outcome.RESET}
    assert told == []


async def test_a_cancelled_task_takes_its_handshakes_with_it(engine: Engine) -> None:
    """Nothing stays in flight."""
    with scripted(hold()) as peer:
        with trio.move_on_after(0.05) as scope:
            await Runner(engine).differential(target("a.test"), as_address(peer.endpoint), peer.endpoint)
        assert scope.cancelled_caught
        assert engine.in_flight == 0


async def test_an_engine_that_ends_releases_the_queue(nursery: trio.Nursery) -> None:
    """Thousands that wait for room are all told, without a recursion for each."""
    told: list[Differential] = []
    with scripted(hold()) as peer:
        async with trio.open_nursery() as inner:
            engine = Engine()
            await inner.start(engine.run)
            runner = Runner(engine, limit=3)
            for _ in range(2000):
                runner.start_differential(target("a.test"), as_address(peer.endpoint), peer.endpoint, None, told.append)
            inner.cancel_scope.cancel()
        late = await runner.differential(target("a.test"), as_address(peer.endpoint), peer.endpoint)
    assert len(told) == 2000
    observations = {handshake.observation[:2] for result in [*told, late] for handshake in result.handshakes}
    assert observations == {(Outcome.LOCAL_ERROR, Stage.CONNECT)}


# -- resolution ------------------------------------------------------------------------------------------------------------


async def test_every_address_of_a_name_is_probed(engine: Engine, resolver: Resolver) -> None:
    """IPv4 and IPv6, in the resolver's order, with what resolution took."""
    peer: ScriptedPeer
    with scripted(close_unread()) as peer:
        resolver.answers = [v6("::1"), v4("127.0.0.1"), v4("127.0.0.2")]
        results = await Runner(engine).probe(target("a.test"), Address("ingress.example.test", peer.endpoint.port))
    assert [result.endpoint.ip for result in results if result.endpoint] == ["::1", "127.0.0.1", "127.0.0.2"]
    for result in results:
        assert all(handshake.observation.seconds.resolve is not None for handshake in result.handshakes)
    assert {handshake.observation.outcome for handshake in results[1].handshakes} == {Outcome.RESET}


async def test_a_name_without_an_address_fails_in_every_hello(engine: Engine, resolver: Resolver) -> None:
    """At stage resolve, with the resolver's code; no endpoint."""
    resolver.answers = socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    (result,) = await Runner(engine).probe(target("a.test"), Address("nowhere.example.test"))
    assert result.endpoint is None
    assert [handshake.sni for handshake in result.handshakes] == [Sni.KNOWN, Sni.NONE, Sni.UNKNOWN]
    for handshake in result.handshakes:
        observation = handshake.observation
        assert (observation.outcome, observation.stage, observation.errno) == (
            Outcome.RESOLVE_FAILED,
            Stage.RESOLVE,
            "EAI_NONAME",
        )
        assert observation.seconds.resolve is not None


async def test_a_resolver_that_is_late_has_failed(engine: Engine, resolver: Resolver, monkeypatch: pytest.MonkeyPatch) -> None:
    """Resolution counts against the deadline."""

    async def never(*_: Any) -> Any:
        await trio.sleep_forever()

    monkeypatch.setattr(resolver, "getaddrinfo", never)
    (result,) = await Runner(engine).probe(target("a.test", timeout=0.1), Address("slow.example.test"))
    observation = result.handshakes[0].observation
    assert (observation.outcome, observation.stage, observation.errno) == (Outcome.RESOLVE_FAILED, Stage.RESOLVE, "ETIMEDOUT")
    assert 0.1 <= observation.seconds.total < 5.0


async def test_a_host_that_cannot_resolve_is_at_fault_itself(engine: Engine) -> None:
    """EMFILE while asking is a local error."""
    error = ResolveError("EMFILE", "no descriptor", outcome=Outcome.LOCAL_ERROR)
    result = Runner(engine).unresolved(target("a.test"), Address("a.test"), error, 0.1)
    assert {handshake.observation.outcome for handshake in result.handshakes} == {Outcome.LOCAL_ERROR}
