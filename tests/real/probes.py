"""prober against the real servers: whole servers at a time, all their handshakes in one event loop."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import trio

from prober.model import Address, Depth, Differential, Handshake, Module, Target, TlsOffer
from prober.probing.engine import Engine
from prober.probing.runner import Runner
from tests.real.matrix import LITTLE_PATIENCE, Case
from tests.real.witness import PATIENCE
from tests.servers.fleets import SERVERS, Fleets
from tests.servers.listeners import Listener

__all__ = ["OPENSSL", "Probes", "Setting"]

OPENSSL = "openssl-3.0"
"""The profile whose hello is the one of `tests.real.witness.s_client_witness`."""
_AT_ONCE = 24
"""Handshakes in flight: s_server and Python's server take one connection after the other."""


class Setting(NamedTuple):
    """How a server is probed."""

    profile: str = OPENSSL
    depth: Depth = Depth.CERTIFICATE
    only: frozenset[str] | None = None
    """Names of the listeners to probe; None: all of the server's, in every version that the matrix offers them."""
    rounds: int = 1
    """How often each is probed; the last round counts."""


class Probes:
    """What prober said, a whole server at a time."""

    def __init__(self, fleets: Fleets) -> None:
        self._fleets = fleets
        self._said: dict[tuple[str, Setting], dict[tuple[str, str], Differential]] = {}

    def differential(self, server: str, listener: str, offer: str = "auto", setting: Setting = Setting()) -> Differential:  # noqa: B008
        """The three hellos to one listener."""
        key = (server, setting)
        if key not in self._said:
            self._said[key] = trio.run(self._probe, server, setting)
        return self._said[key][listener, offer]

    def handshake(self, case: Case, setting: Setting = Setting()) -> Handshake:  # noqa: B008
        """One hello of the three."""
        told = self.differential(case.server, case.listener, case.offer, setting)
        return next(handshake for handshake in told.handshakes if handshake.sni is case.sni)

    async def _probe(self, server: str, setting: Setting) -> dict[tuple[str, str], Differential]:
        fleet = self._fleets[server]
        said: dict[tuple[str, str], Differential] = {}

        async def one(runner: Runner, listener: str, offer: str) -> None:
            row, endpoint = SERVERS[server][listener], fleet.endpoints[listener]
            module = Module(hello=setting.profile, tls=TlsOffer(offer), depth=setting.depth, proxy_protocol=row.proxy_protocol)
            target = Target(
                name=listener,
                addresses=(Address(*endpoint),),
                server_names=(row.server_name,),
                module=module,
                timeout=LITTLE_PATIENCE if row.silent else PATIENCE,
            )
            for _ in range(setting.rounds):
                said[listener, offer] = await runner.differential(target, target.addresses[0], endpoint)

        async with trio.open_nursery() as nursery:
            engine = Engine()
            await nursery.start(engine.run)
            async with trio.open_nursery() as runs:
                runner = Runner(engine, limit=_AT_ONCE)
                for listener in fleet.listeners.values():
                    for offer in _offers(listener, setting):
                        runs.start_soon(one, runner, listener.name, offer)
            nursery.cancel_scope.cancel()
        return said


def _offers(listener: Listener, setting: Setting) -> Iterable[str]:
    """Without a choice of listeners, all versions of the matrix; else what the profile itself offers."""
    if setting.only is None:
        return listener.offers
    return ("auto",) if listener.name in setting.only else ()
