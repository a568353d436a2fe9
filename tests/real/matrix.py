"""The classification matrix: which hello goes to which listener of which server, and what independent clients saw there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from prober.model import Outcome, Sni
from tests.real.witness import PATIENCE, Witnessed, s_client_witness, socket_witness
from tests.servers.fleets import SERVERS, Fleets
from tests.servers.listeners import Listener

__all__ = ["ABRUPT", "LITTLE_PATIENCE", "UNKNOWN_NAME", "Case", "Truths", "cases"]

UNKNOWN_NAME = "witness-of-nobody.invalid"
LITTLE_PATIENCE = 3.0
"""Seconds for listeners that stay silent: long enough for the clients that they do serve."""
ABRUPT = frozenset({Outcome.RESET, Outcome.CLOSED})
"""What a client may see of a server that hangs up at once."""
_AT_ONCE = 4


class Case(NamedTuple):
    """One hello to one listener."""

    server: str
    listener: str
    sni: Sni
    offer: str = "auto"

    def __str__(self) -> str:
        return f"{self.server}-{self.listener}-{self.sni}-{self.offer}"

    @property
    def row(self) -> Listener:
        """What the listener is declared to do."""
        return SERVERS[self.server][self.listener]

    @property
    def patience(self) -> float:
        """Seconds that a client waits."""
        return LITTLE_PATIENCE if self.row.silent else PATIENCE

    def server_name(self, unknown: str) -> str | None:
        """The name in the hello, ``unknown`` where nobody may know it."""
        return {Sni.KNOWN: self.row.server_name, Sni.NONE: None, Sni.UNKNOWN: unknown}[self.sni]


def cases(*servers: str, offers: Iterable[str] | None = None, hanging_up: bool = False) -> Iterator[Case]:
    """The cases of ``servers`` (all, if none is named), restricted to ``offers`` where given.

    Without the listeners that hang up at once, or with ``hanging_up`` these alone.
    """
    wanted = None if offers is None else set(offers)
    for server in servers or SERVERS:
        for listener in SERVERS[server].values():
            for offer in listener.offers:
                if listener.hangs_up is hanging_up and (wanted is None or offer in wanted):
                    yield from (Case(server, listener.name, sni, offer) for sni in _hellos(listener, offer))


def _hellos(listener: Listener, offer: str) -> Iterable[Sni]:
    """All three; but where the name makes no difference, all three in one version and a single one in the others."""
    indifferent = listener.known == listener.none == listener.unknown
    return (Sni.NONE,) if indifferent and offer != listener.offers[0] else Sni


class Truths:
    """What the witnesses saw, a whole server's cases at a time."""

    def __init__(self, fleets: Fleets) -> None:
        self._fleets = fleets
        self._seen: dict[Case, Witnessed] = {}
        self._asked: set[str] = set()

    def __getitem__(self, case: Case) -> Witnessed:
        if case.server not in self._asked:
            self._fleets.start(case.server)
            together = [*cases(case.server), *cases(case.server, hanging_up=True)]
            with ThreadPoolExecutor(_AT_ONCE) as pool:
                self._seen.update(zip(together, pool.map(self._witness, together), strict=True))
            self._asked.add(case.server)
        if case not in self._seen:  # a hello that the matrix leaves out
            self._seen[case] = self._witness(case)
        return self._seen[case]

    def _witness(self, case: Case) -> Witnessed:
        endpoint = self._fleets[case.server].endpoints[case.listener]
        name = case.server_name(UNKNOWN_NAME)
        proxy = case.row.proxy_protocol
        if proxy is not None:  # which s_client does not speak
            return socket_witness(endpoint, name, offer=case.offer, proxy_protocol=proxy, patience=case.patience)
        return s_client_witness(endpoint, name, offer=case.offer, patience=case.patience)
