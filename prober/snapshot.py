"""What the running service knows, as readers see it. Pure: time is an argument.

One writer, the probing loop, calls `Store.record` once a differential. Readers (the exporter, the status page, the API) call
`Store.states` and read immutable `EndpointState` values: they may keep them across an await, or hand them to a thread.
A state is replaced, never changed, and its ``version`` grows with each replacement, so that a reader that renders a chunk of
text per state can tell by one comparison whether its chunk is still true.

`Statistics` is about the service itself. It is mutable and written by the probing loop alone; readers only read.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from prober.model import Address, Differential, Endpoint, Handshake, Outcome, Sni, Target, Verdict

if TYPE_CHECKING:
    from prober.judge.verdicts import Judgement

__all__ = [
    "HANDSHAKE_BUCKETS",
    "LATENESS_BUCKETS",
    "Change",
    "EndpointState",
    "HelloKey",
    "Histogram",
    "StateKey",
    "Statistics",
    "Store",
    "hello_key",
    "state_key",
]

# Promised to users: the buckets of prober_schedule_lateness_seconds.
LATENESS_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
# From a reset on the same host (0.1 ms) to the longest sensible deadline.
HANDSHAKE_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class StateKey(NamedTuple):
    """Identity of one watched endpoint, as its metrics' labels have it."""

    target: str
    """The target's name."""
    address: str
    """``ip:port`` (``[v6]:port``); while a name does not resolve, ``name:port``."""


class HelloKey(NamedTuple):
    """Identity of one hello within a differential, as its metrics' labels have it."""

    sni: Sni
    server_name: str
    """The known name; the empty string for ``none`` and for ``unknown`` (whose canary differs every time)."""


def state_key(differential: Differential) -> StateKey:
    """The key under which a differential is kept."""
    return StateKey(differential.target, str(differential.endpoint or differential.address))


def hello_key(handshake: Handshake) -> HelloKey:
    """The key under which a handshake is counted."""
    if handshake.sni is Sni.KNOWN:
        return HelloKey(Sni.KNOWN, handshake.server_name or "")
    return _NAMELESS[handshake.sni]


_NAMELESS = {sni: HelloKey(sni, "") for sni in (Sni.NONE, Sni.UNKNOWN)}


class EndpointState(NamedTuple):
    """What is known about one endpoint of one target. Immutable; built by `Store`.

    Most rounds repeat the one before. Then only the differential, two numbers and the tuple itself are new: what can be told from
    them is told when somebody asks.
    """

    key: StateKey
    target: Target
    differential: Differential
    """The last one."""
    judgement: Judgement
    """Of the last differential."""
    holds_until: float
    """Unix time until which a differential that repeats this one need not be judged anew; 0.0 where nobody has said."""
    since: float
    """Unix time in seconds since when the verdict is what it is."""
    earlier: Mapping[tuple[HelloKey, Outcome], int]
    """How often each hello had ended how before the rounds in a row that ended as the last one."""
    rounds: int
    """How many these are."""
    version: int
    """Unique over all states of the store and growing: equal versions are the same state."""

    @property
    def address(self) -> Address:
        """The configured address that led here."""
        return self.differential.address

    @property
    def endpoint(self) -> Endpoint | None:
        """None while the address's name does not resolve."""
        return self.differential.endpoint

    @property
    def last_run(self) -> Mapping[HelloKey, float]:
        """Unix time in seconds at which each hello was last started, in the differential's order."""
        return {hello_key(handshake): handshake.started for handshake in self.differential.handshakes}

    @property
    def outcomes(self) -> Mapping[tuple[HelloKey, Outcome], int]:
        """How often each hello ended how, since this endpoint is watched. Only what happened has an entry."""
        counts = dict(self.earlier)
        for handshake in self.differential.handshakes:
            entry = (hello_key(handshake), handshake.observation.outcome)
            counts[entry] = counts.get(entry, 0) + self.rounds
        return counts


_NEVER: Mapping[tuple[HelloKey, Outcome], int] = MappingProxyType({})
"""Shared by all endpoints that have always answered alike."""

# What a NamedTuple's own constructor does, at half its price.
_new_tuple = tuple.__new__


class Change(NamedTuple):
    """A verdict that is not what it was. ``previous`` is None the first time that an endpoint is judged."""

    state: EndpointState
    previous: Verdict | None
    at: float
    """Unix time in seconds."""


class Store:
    """The states of all endpoints, by key.

    ``version`` grows with every change of any kind (a record, a removal, a reload), so that a reader can tell by one
    comparison that nothing at all happened.
    """

    __slots__ = ("_remembered", "_states", "version")

    def __init__(self) -> None:
        self._states: dict[StateKey, EndpointState] = {}
        self._remembered: dict[StateKey, tuple[Verdict, float]] = {}
        self.version = 0

    def __len__(self) -> int:
        return len(self._states)

    def __iter__(self) -> Iterator[EndpointState]:
        return iter(self._states.values())

    def states(self) -> tuple[EndpointState, ...]:
        """All states, in an order that stays: an endpoint keeps its place until it is removed."""
        return tuple(self._states.values())

    def state(self, key: StateKey) -> EndpointState | None:
        """The state of one endpoint, None when it was never judged."""
        return self._states.get(key)

    def remember(self, key: StateKey, verdict: Verdict, since: float) -> None:
        """What was known before a restart: the first record of this endpoint is a change only if its verdict is another one."""
        self._remembered[key] = (verdict, since)

    def forget_unseen(self) -> tuple[StateKey, ...]:
        """Endpoints that were remembered and never came back; they are remembered no more."""
        unseen, self._remembered = tuple(self._remembered), {}
        return unseen

    def record(
        self,
        target: Target,
        differential: Differential,
        judgement: Judgement,
        now: float,
        *,
        key: StateKey | None = None,
        holds_until: float = 0.0,
    ) -> Change | None:
        """Take in one judged differential; a `Change` when its verdict differs from the one before.

        ``now`` is Unix time in seconds, ``key`` the differential's. Hellos that it does not have any more lose their counters.
        """
        key = key or state_key(differential)
        before = self._states.get(key)
        earlier, rounds = _NEVER, 1
        previous: Verdict | None = None
        since = now
        if before is not None:
            previous, since = before.judgement.verdict, before.since
            earlier, rounds = _counted(before, differential)
        elif key in self._remembered:
            previous, since = self._remembered.pop(key)
        changed = previous != judgement.verdict
        since = now if changed else since
        self.version += 1
        state = EndpointState(key, target, differential, judgement, holds_until, since, earlier, rounds, self.version)
        self._states[key] = state
        if not changed:
            return None
        return Change(state, previous, now)

    def repeat(self, before: EndpointState, target: Target, differential: Differential) -> EndpointState:
        """Take in a differential that says, and is judged, as the one of the state ``before``; the state that is in its place now."""
        self.version = version = self.version + 1
        key, _, _, judgement, holds_until, since, earlier, rounds, _ = before
        state = _new_tuple(
            EndpointState, (key, target, differential, judgement, holds_until, since, earlier, rounds + 1, version)
        )
        self._states[key] = state
        return state

    def remove(self, keys: Iterable[StateKey]) -> None:
        """Forget endpoints that are watched no more; keys that were never judged are ignored."""
        for key in keys:
            if self._states.pop(key, None) is not None:
                self.version += 1

    def adopt(self, targets: Iterable[Target]) -> None:
        """After a reload: states of targets that kept their name show the new labels and policy at once."""
        by_name = {target.name: target for target in targets}
        for key, state in self._states.items():
            target = by_name.get(key.target)
            if target is not None and target != state.target:
                self.version += 1
                self._states[key] = state._replace(target=target, version=self.version)


def _counted(before: EndpointState, now: Differential) -> tuple[Mapping[tuple[HelloKey, Outcome], int], int]:
    """What ``earlier`` and ``rounds`` are after one more round."""
    entries = [(hello_key(handshake), handshake.observation.outcome) for handshake in now.handshakes]
    if entries == [(hello_key(handshake), handshake.observation.outcome) for handshake in before.differential.handshakes]:
        return before.earlier, before.rounds + 1
    present = {hello for hello, _ in entries}
    return {entry: count for entry, count in before.outcomes.items() if entry[0] in present}, 1


class Histogram:
    """Counts by bucket, not cumulative: ``counts[i]`` observations were at most ``bounds[i]`` and above the bound before.

    The last count is of those above all bounds. A bucket of Prometheus is the sum of the counts up to it.
    """

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, value: float) -> None:
        """Count one value, in seconds."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value

    @property
    def count(self) -> int:
        """All observations."""
        return sum(self.counts)


class Statistics:
    """What the service counts about itself (the ``prober_*`` metrics)."""

    __slots__ = (
        "discovery_problems",
        "discovery_success",
        "handshake_seconds",
        "in_flight",
        "lateness",
        "local_errors",
        "notification_queue",
        "notifications",
        "reload_success_timestamp",
        "reload_successful",
        "shard",
        "shards",
        "skipped",
        "started",
        "state_errors",
        "state_unsaved",
        "targets",
        "vantage",
        "web_file_usable",
        "worker_deaths",
        "workers",
    )

    def __init__(self, in_flight: Callable[[], int], started: float) -> None:
        self.in_flight = in_flight
        """Handshakes in flight now."""
        self.started = started
        """Unix time at which the service started."""
        self.lateness = Histogram(LATENESS_BUCKETS)
        """Started minus due, one observation a handshake."""
        self.skipped: dict[str, int] = {"in_flight": 0, "late": 0}
        """Differentials not run, by reason: the endpoint's last one is still running; the loop came too late for the tick."""
        self.local_errors: dict[str, int] = {}
        """Handshakes that this host failed, by errno name (``EMFILE``, ...; ``other`` where there is none)."""
        self.handshake_seconds: dict[tuple[Sni, Outcome], Histogram] = {}
        """Duration of whole handshakes, all phases."""
        self.reload_successful = True
        self.reload_success_timestamp = started
        self.web_file_usable = True
        """The web configuration file as it is now is the one that is used, or there is none."""
        self.targets: dict[str, int] = {}
        """Targets by source; ``config`` is the configuration file itself."""
        self.discovery_success: dict[str, float] = {}
        """Unix time at which each discovery source last answered."""
        self.discovery_problems: Callable[[], Mapping[str, int]] = dict
        """What each discovery source says that cannot be used, or cannot see."""
        self.notifications: dict[tuple[str, str], int] = {}
        """Notifications that were tried, by receiver and result."""
        self.notification_queue = 0
        """Notifications that wait for delivery."""
        self.state_errors: dict[str, int] = dict.fromkeys(("bug", "corrupt", "full", "newer", "removed", "write"), 0)
        """What went wrong with the state directory, by reason."""
        self.state_unsaved: Callable[[], int] = lambda: 0
        """Changes that are not on disk yet."""
        self.shard, self.shards = 0, 1
        """Which part of the targets this prober watches, from 0, and of how many."""
        self.vantage = ""
        """Where this prober looks from; empty: nobody has said."""
        self.workers: Callable[[], int] = lambda: 1
        """Processes that run handshakes now; one is this process itself."""
        self.worker_deaths = 0
        """Worker processes that ended unasked."""

    def web_file_read(self, usable: bool) -> None:
        """The web configuration file was looked at; one that cannot be used leaves the one before in use."""
        self.web_file_usable = usable

    def count_handshake(self, handshake: Handshake) -> None:
        """Take in one finished handshake of the schedule."""
        observation = handshake.observation
        series = (handshake.sni, observation.outcome)
        histogram = self.handshake_seconds.get(series)
        if histogram is None:
            histogram = self.handshake_seconds[series] = Histogram(HANDSHAKE_BUCKETS)
        histogram.observe(observation.seconds.total)
        if observation.outcome is Outcome.LOCAL_ERROR:
            errno = observation.errno or "other"
            self.local_errors[errno] = self.local_errors.get(errno, 0) + 1
