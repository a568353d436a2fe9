"""Which worker watches what, and how it is told.

An IP address belongs to a worker by itself, so that the addresses of one large target are spread. The names of one target stay
together: two of them may resolve to the same address, and one alone may probe it. Whoever resolves names is told which addresses of
the target are watched elsewhere. A key never moves while the number of workers stays.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from dataclasses import dataclass

from prober.judge.alerting import Policy
from prober.judge.trust import TrustStore
from prober.probing.resolve import literal_endpoint
from prober.schedule import Key
from prober.service.plan import Watched
from prober.sharding import owner
from prober.snapshot import StateKey

__all__ = ["Places", "Share", "Welcome"]


@dataclass(frozen=True, slots=True)
class Welcome:
    """The first message to a worker."""

    log_level: str
    log_format: str
    packet_timestamps: bool

    def encode(self) -> bytes:
        """As bytes, for `pickle.loads`."""
        return pickle.dumps(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """What a worker is to watch from now on, as the difference from what it was told last."""

    epoch: int
    """Grows with each share; reports say which one was known when something happened."""
    changed: Mapping[Key, Watched]
    """New ones and changed ones."""
    removed: tuple[Key, ...]
    trust: Mapping[str | None, TrustStore] | None
    """None: as before."""
    elsewhere: frozenset[StateKey]
    """Endpoints of its targets that other workers watch."""
    known: frozenset[Key]
    """Of the changed ones: those that another process has probed before."""
    policy: Policy
    """When alerts fire."""
    awaiting_targets: bool
    """Targets that belong to the first round are still to be found."""

    def encode(self) -> bytes:
        """As bytes, for `pickle.loads`."""
        return pickle.dumps(self)


class Places:
    """The worker of every key that is watched."""

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._of: dict[Key, int] = {}
        self.literals: dict[StateKey, int] = {}
        """The workers of the addresses that are IP literals, by the state that each writes."""
        self.elsewhere: tuple[frozenset[StateKey], ...] = (frozenset(),) * workers
        """By worker: the literals of its targets with names that it does not watch itself."""

    def __getitem__(self, key: Key) -> int:
        return self._of[key]

    def adopt(self, watched: Mapping[Key, Watched]) -> None:
        """These are watched from now on."""
        before, self._of, self.literals = self._of, {}, {}
        names: dict[str, int] = {}
        for key, one in watched.items():
            endpoint = literal_endpoint(one.address)
            name = one.target.name
            place = before.get(key)
            if place is None:
                place = _place(name if endpoint is None else f"{name}\0{endpoint}", self._workers)
            self._of[key] = place
            if endpoint is None:
                names[name] = place
            else:
                self.literals[StateKey(name, str(endpoint))] = place
        elsewhere: list[set[StateKey]] = [set() for _ in range(self._workers)]
        for state, place in self.literals.items():
            resolving = names.get(state.target, place)
            if resolving != place:
                elsewhere[resolving].add(state)
        self.elsewhere = tuple(map(frozenset, elsewhere))


def _place(text: str, workers: int) -> int:
    # Salted: shards hash names as well, and the targets of one shard must not all come to one worker.
    return owner(f"worker\0{text}", workers)
