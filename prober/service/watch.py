"""One watched address, and what is under way with it."""

from __future__ import annotations

from prober.model import Endpoint
from prober.probing.resolve import literal_endpoint
from prober.schedule import Key
from prober.service.plan import Watched
from prober.snapshot import StateKey

__all__ = ["Watch"]


class Watch:
    """Mutable; the rounds' own."""

    __slots__ = ("begun", "endpoint", "key", "running", "state", "states", "watched")

    def __init__(self, key: Key, watched: Watched) -> None:
        self.key = key
        self.watched = watched
        self.endpoint: Endpoint | None = literal_endpoint(watched.address)
        """None: the address is a name."""
        self.state = StateKey(watched.target.name, str(self.endpoint or watched.address))
        """The state of a literal address; of a name while it does not resolve."""
        self.running = 0
        """Differentials of the current round, or 1 while the name is resolved for it."""
        self.begun = False
        """A round was ever started."""
        self.states: frozenset[StateKey] = frozenset()
        """The states that this address alone writes."""
