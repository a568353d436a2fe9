"""Rounds over a scripted runner, on a clock that tests turn."""

from __future__ import annotations

import socket
from collections.abc import Callable
from functools import partial

import trio
from trio.testing import MockClock

from prober.model import Address, Differential, Endpoint, Handshake, Observation, Sni, Target
from prober.probing.engine import Engine
from prober.probing.runner import DifferentialRun, Runner, Sink
from prober.service.plan import watched
from prober.service.rounds import Rounds
from prober.snapshot import Change, Statistics, Store
from tests.outlets.fleet import NAME, NOW, certificate, trust

INTERVAL = 10.0


class ScriptedEngine(Engine):
    """Does nothing, and is as busy as a test says."""

    behind = False


class ScriptedRunner(Runner):
    """Starts nothing: a test ends each differential when it likes, or ``answers`` ends all at once."""

    def __init__(self, clock: Callable[[], float]) -> None:
        super().__init__(ScriptedEngine(), limit=1)
        self.clock = clock
        self.started: list[tuple[float, Target, Endpoint]] = []
        self.pending: list[Callable[..., None]] = []
        self.answers: Callable[[Sni], Observation] | None = lambda _: certificate()

    def start_differential(
        self, target: Target, address: Address, endpoint: Endpoint, resolve_seconds: float | None, sink: Sink
    ) -> DifferentialRun:
        """Take note, and answer at once where there are answers."""
        self.started.append((self.clock(), target, endpoint))
        finish = partial(self._finish, target, address, endpoint, self.clock(), sink)
        if self.answers is None:
            self.pending.append(finish)
        else:
            finish(self.answers)
        return DifferentialRun(self, target, address, endpoint, [], [], sink)

    @staticmethod
    def _finish(
        target: Target, address: Address, endpoint: Endpoint, started: float, sink: Sink, answers: Callable[[Sni], Observation]
    ) -> None:
        hellos = [*((Sni.KNOWN, name) for name in target.server_names), (Sni.NONE, None), (Sni.UNKNOWN, "probe-0.invalid")]
        handshakes = (Handshake(sni, name, "modern", "t13", answers(sni), started) for sni, name in hellos)
        sink(Differential(target.name, address, endpoint, tuple(handshakes)))


class Names(trio.abc.HostnameResolver):
    """A resolver whose answers a test sets; a name without any does not exist."""

    def __init__(self) -> None:
        self.answers: dict[str, list[str]] = {}
        self.delay = 0.0

    async def getaddrinfo(  # type: ignore[override]
        self, host: bytes, port: int, *_: int
    ) -> list[tuple[int, int, int, str, tuple[str, int]]]:
        """All answers are IPv4."""
        await trio.sleep(self.delay)
        ips = self.answers.get(host.decode())
        if not ips:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (ip, port)) for ip in ips]

    async def getnameinfo(self, sockaddr: tuple[str, int], flags: int) -> tuple[str, str]:
        """Nobody asks."""
        raise NotImplementedError


class Watching:
    """Rounds over a scripted runner, on a clock that tests turn."""

    def __init__(self, clock: MockClock, *, prompt: bool = False) -> None:
        self.skew = 0.0
        self.mock = clock
        self.store = Store()
        self.statistics = Statistics(lambda: 0, NOW)
        self.runner = ScriptedRunner(self.clock)
        self.changes: list[Change] = []
        self.names = Names()
        self.rounds = Rounds(self.runner, self.store, self.statistics, self.changes.append, self.clock, prompt=prompt)

    def clock(self) -> float:
        """The wall clock: it may be set."""
        return NOW + trio.current_time() + self.skew

    def watch(self, *targets: Target) -> None:
        """As a start or a reload does."""
        self.rounds.replace(watched(targets), {None: trust()})

    async def start(self, nursery: trio.Nursery, *targets: Target) -> None:
        """Begin to run."""
        trio.socket.set_custom_hostname_resolver(self.names)
        self.watch(*targets)
        nursery.start_soon(self.rounds.run)

    def addresses(self) -> list[str]:
        """What is known about, in the store's order."""
        return [state.key.address for state in self.store]


def target(name: str = "apigee-prod", *addresses: str, interval: float = INTERVAL, names: tuple[str, ...] = (NAME,)) -> Target:
    return Target(
        name=name,
        addresses=tuple(Address(address) for address in addresses or ("203.0.113.10",)),
        server_names=names,
        interval=interval,
        timeout=interval / 2,
    )
