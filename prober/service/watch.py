"""One watched address, and what is under way with it."""

from __future__ import annotations

from prober.model import Address, Endpoint
from prober.probing.resolve import literal_endpoint
from prober.schedule import Key
from prober.service.plan import Watched
from prober.snapshot import StateKey

__all__ = ["Watch"]


class Watch:
    """Mutable; the rounds' own. There may be very many: what they have in common with their target and key is shared, not copied."""

    __slots__ = ("_states", "begun", "endpoint", "key", "running", "state", "watched")

    def __init__(self, key: Key, watched: Watched) -> None:
        self.key = key
        self.watched = watched
        self.endpoint: Endpoint | None = _literal(watched.address)
        """None: the address is a name."""
        target, spelled = key
        text = str(self.endpoint or watched.address)
        self.state = StateKey(target, spelled if spelled == text else text)
        """The state of a literal address; of a name while it does not resolve."""
        self.running = 0
        """Differentials of the current round, or 1 while the name is resolved for it."""
        self.begun = False
        """A round was ever started."""
        self._states: tuple[StateKey, ...] = ()

    @property
    def states(self) -> frozenset[StateKey]:
        """The states that this address alone writes."""
        return frozenset(self._states)

    @states.setter
    def states(self, states: frozenset[StateKey]) -> None:
        self._states = tuple(states)  # a set of one takes 200 bytes more


def _literal(address: Address) -> Endpoint | None:
    """As `literal_endpoint`, with the address's own string where that is the canonical spelling."""
    endpoint = literal_endpoint(address)
    return Endpoint(address.host, address.port) if endpoint == (address.host, address.port) else endpoint
