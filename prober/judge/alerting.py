"""Alerts: inactive, pending, firing, resolved, each by (alert, target, address). Pure: rounds and times are arguments.

An alert becomes pending with the first failing round, fires after `Policy.failures` failing rounds in a row (and no sooner than
``for_seconds`` after the first), and is resolved by `Policy.resolve_after` healthy rounds in a row. A round that says nothing
(`Condition.SILENT`) breaks neither row. Every transition is one `AlertChange`, whose sequence grows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from prober.judge.alert_rules import RULES, AlertName, Condition, Evidence, Round, assess, evidence, expiring
from prober.judge.disagreement import Disagreement
from prober.judge.verdicts import Judgement

__all__ = ["Alert", "AlertChange", "AlertKey", "Alerts", "Phase", "Policy"]

FLAPPING_TURNS = 6
"""So many turns between failing and healthy within `FLAPPING_SECONDS` are flapping: three times there and back."""

FLAPPING_SECONDS = 3600.0


class Phase(StrEnum):
    """Where an alert stands."""

    INACTIVE = "inactive"
    PENDING = "pending"
    FIRING = "firing"
    RESOLVED = "resolved"
    """Inactive, and it was firing before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """When an alert fires and resolves."""

    failures: int = 2
    """Failing rounds in a row."""
    resolve_after: int = 2
    """Healthy rounds in a row."""
    for_seconds: float = 0.0
    """How long the condition must have held, besides."""
    expiry: float = 21 * 86400.0
    """Seconds before a certificate's end from which on it is expiring."""


class AlertKey(NamedTuple):
    """Which alert of what. Alerts about a target as a whole have no address, those about prober itself no target either."""

    name: AlertName
    target: str = ""
    address: str = ""


class Alert(NamedTuple):
    """One alert as it stands: what receivers are told."""

    key: AlertKey
    labels: Mapping[str, str]
    """The target's own."""
    phase: Phase
    since: float
    """Unix time of the first failing round."""
    starts_at: float
    """Unix time at which it fired; 0.0 while it never did."""
    ends_at: float | None
    """Unix time at which it was resolved."""
    evidence: Evidence
    turns: tuple[float, ...] = ()
    """Unix times of the last changes between failing and healthy."""

    @property
    def severity(self) -> str:
        """Of its rule."""
        return RULES[self.key.name].severity

    def identity(self) -> dict[str, str]:
        """The labels: what makes two notifications speak of the same alert. Empty ones are left out, as Alertmanager does."""
        target, address = self.key.target, self.key.address
        own = {"alertname": self.key.name.value, "severity": self.severity, "target": target, "address": address}
        return {name: value for name, value in {**self.labels, **own}.items() if value}

    def flapping(self) -> str | None:
        """That it flaps, in words; None where it does not."""
        if len(self.turns) < FLAPPING_TURNS:
            return None
        minutes = max(1, round((self.turns[-1] - self.turns[0]) / 60))
        return f"changed {len(self.turns)} times within {minutes} min"


class AlertChange(NamedTuple):
    """One transition."""

    sequence: int
    """Grows over all changes, restarts included."""
    at: float
    """Unix time in seconds."""
    previous: Phase
    alert: Alert
    """After the transition."""

    @property
    def notable(self) -> bool:
        """Receivers are told of it."""
        return self.alert.phase in {Phase.FIRING, Phase.RESOLVED}


class _State:
    """One alert that is, or was lately, other than inactive."""

    __slots__ = ("alert", "failing", "gone_until", "healthy", "last", "last_round", "said")

    def __init__(self, alert: Alert, last: Condition) -> None:
        self.alert = alert
        self.failing = 0
        self.healthy = 0
        self.last = last
        """Failing or healthy, whatever was said since."""
        self.said = last
        """By the last round."""
        self.last_round: float | None = None
        self.gone_until: float | None = None
        """Unix time at which it ends unless its address comes back before; None while the address is there."""


class Alerts:
    """All alerts. ``sequence`` is the last one that was given out; ``restored`` are alerts that fire, or were resolved lately."""

    def __init__(self, policy: Policy, sequence: int = 0, restored: Iterable[Alert] = ()) -> None:
        self.policy = policy
        self.sequence = sequence
        self._disagreement = Disagreement()
        self._states: dict[AlertKey, _State] = {}
        # The healthy need no look at each alert: only addresses with a state do.
        self._addresses: dict[tuple[str, str], tuple[AlertName, ...]] = {}
        self._told: dict[tuple[str, str], tuple[Judgement, Policy, float]] = {}
        """What each address was last judged, and until when the same judgement says the same about each alert."""
        self.restore(restored)

    def restore(self, alerts: Iterable[Alert]) -> list[Alert]:
        """Go on with alerts of the process before this one, as far as nothing newer is known of them; those that were taken."""
        taken = [alert for alert in alerts if alert.key not in self._states]
        self._told.clear()  # what was said last is not what was said about these
        for alert in taken:
            self._keep(_State(alert, Condition.FAILING if alert.phase is Phase.FIRING else Condition.HEALTHY))
        return taken

    def firing(self) -> Iterator[Alert]:
        """The alerts that fire now."""
        return (state.alert for state in self._states.values() if state.alert.phase is Phase.FIRING)

    def alerts(self) -> Iterator[Alert]:
        """All that are or were lately something else than inactive."""
        return (state.alert for state in self._states.values())

    # -- rounds --------------------------------------------------------------------------------------------------------

    def judged(self, judged: Round) -> list[AlertChange]:
        """Take in one round of one address."""
        target, address, _, judgement, at = judged
        place = target.name, address
        tracked = self._addresses.get(place, ())
        told = self._told.get(place)
        if told is not None and told[0] is judgement and told[1] is self.policy and at < told[2]:
            changes = self._repeated(place, tracked, at, target.labels) if tracked else []
        else:
            changes = self._judged_anew(judged, place, tracked)
        if (about_all := self._disagreement.judged(judged)) is not None:
            key = AlertKey(AlertName.ADDRESSES_DISAGREE, target.name)
            changes += self.observe(key, about_all.condition, at, about_all.evidence, target.labels)
        return changes

    def _judged_anew(self, judged: Round, place: tuple[str, str], tracked: tuple[AlertName, ...]) -> list[AlertChange]:
        labels, at = judged.target.labels, judged.at
        changes: list[AlertChange] = []
        if tracked or judged.judgement.at_fault:
            for name, condition in assess(judged).items():
                if condition is Condition.FAILING or name in tracked:
                    why = evidence(name, judged) if condition is Condition.FAILING else None
                    changes += self.observe(AlertKey(name, *place), condition, at, why, labels)
        condition, why, until = expiring(judged, self.policy.expiry)
        if condition is Condition.FAILING or AlertName.CERTIFICATE_EXPIRING in tracked:
            changes += self.observe(AlertKey(AlertName.CERTIFICATE_EXPIRING, *place), condition, at, why, labels)
        self._told[place] = judged.judgement, self.policy, until
        return changes

    def _repeated(
        self, place: tuple[str, str], tracked: tuple[AlertName, ...], at: float, labels: Mapping[str, str]
    ) -> list[AlertChange]:
        """A round that says what the one before it said about each alert, with the same evidence."""
        changes: list[AlertChange] = []
        for name in tracked:
            state = self._states[AlertKey(name, *place)]
            changes += self.observe(state.alert.key, state.said, at, None, labels)
        return changes

    def observe(
        self, key: AlertKey, condition: Condition, at: float, why: Evidence | None, labels: Mapping[str, str]
    ) -> list[AlertChange]:
        """Take in what one round says about one alert. The same round again (the same ``at``) changes nothing."""
        state = self._states.get(key)
        if state is None:
            if condition is not Condition.FAILING or why is None:
                return []
            state = _State(Alert(key, dict(labels), Phase.INACTIVE, at, 0.0, None, why), Condition.HEALTHY)
            self._keep(state)
        elif state.last_round == at:
            return []
        state.last_round, state.gone_until, state.said = at, None, condition
        state.alert = _not_ahead(state.alert, at)
        changes = self._relabel(state, labels, at)
        if condition is Condition.SILENT:
            return changes
        if condition is not state.last:
            self._turn(state, at)
            state.last = condition
        if condition is Condition.FAILING:
            changes += self._failing(state, at, why or state.alert.evidence)
        else:
            changes += self._healthy(state, at)
        return changes

    def _failing(self, state: _State, at: float, why: Evidence) -> list[AlertChange]:
        state.failing += 1
        state.healthy = 0
        alert = state.alert
        waits = alert.phase in {Phase.INACTIVE, Phase.RESOLVED}
        since = at if waits else alert.since
        state.alert = alert = alert._replace(evidence=why, since=since)
        if alert.phase is Phase.FIRING:
            return []
        if state.failing >= self.policy.failures and at - since >= self.policy.for_seconds:
            return [self._move(state, at, alert._replace(phase=Phase.FIRING, starts_at=at, ends_at=None))]
        if waits:
            return [self._move(state, at, alert._replace(phase=Phase.PENDING, ends_at=None))]
        return []

    def _healthy(self, state: _State, at: float) -> list[AlertChange]:
        state.failing = 0
        state.healthy += 1
        alert = state.alert
        if alert.phase is Phase.PENDING:
            return [self._move(state, at, alert._replace(phase=Phase.INACTIVE))]
        if alert.phase is Phase.FIRING:
            if state.healthy < self.policy.resolve_after:
                return []
            return [self._move(state, at, alert._replace(phase=Phase.RESOLVED, ends_at=at))]
        if not alert.turns or at - alert.turns[-1] > FLAPPING_SECONDS:
            self._drop(state)
        return []

    def _move(self, state: _State, at: float, alert: Alert) -> AlertChange:
        previous, state.alert = state.alert.phase, alert
        self.sequence += 1
        return AlertChange(self.sequence, at, previous, alert)

    def _turn(self, state: _State, at: float) -> None:
        recent = [turn for turn in state.alert.turns if at - turn <= FLAPPING_SECONDS]
        state.alert = state.alert._replace(turns=(*recent, at)[-4 * FLAPPING_TURNS :])

    def _relabel(self, state: _State, labels: Mapping[str, str], at: float) -> list[AlertChange]:
        """Labels are identity: with other ones, the old alert ends and another one fires in its place."""
        alert = state.alert
        if alert.labels == labels:
            return []
        renamed = alert._replace(labels=dict(labels))
        if alert.phase is not Phase.FIRING:
            state.alert = renamed
            return []
        ended = self._move(state, at, alert._replace(phase=Phase.RESOLVED, ends_at=at))
        return [ended, self._move(state, at, renamed)]

    # -- what is there no more -----------------------------------------------------------------------------------------

    def absent(self, target: str, address: str, until: float, found_at: float | None = None) -> list[AlertChange]:
        """The address is gone (its name resolves to others): its alerts end at ``until`` unless it comes back before.

        ``found_at``: it is a name that had no address, and has one since then: a healthy round, which ends a row of failing ones.
        """
        self._disagreement.absent(target, address)
        self._told.pop((target, address), None)
        changes: list[AlertChange] = []
        for name in self._addresses.get((target, address), ()):
            state = self._states[AlertKey(name, target, address)]
            gone_until = until if state.gone_until is None else state.gone_until
            if found_at is not None:
                changes += self.observe(state.alert.key, Condition.HEALTHY, found_at, None, state.alert.labels)
            state.gone_until = gone_until
        return changes

    def expire(self, at: float, is_name: Callable[[AlertKey], bool] = lambda _: False) -> list[AlertChange]:
        """End what stayed away for too long. To be called now and then.

        ``is_name``: whether an alert's address is a name that is watched on: it is away since it has addresses.
        """
        over = [state for state in self._states.values() if state.gone_until is not None and state.gone_until <= at]
        return [change for state in over for change in self._end(state, at, is_name)]

    def unwatched(self, watched: Iterable[str], until: float) -> None:
        """Only these targets are watched from now on: the alerts of others end at ``until`` unless they come back before."""
        names = frozenset(watched)
        self._disagreement.retire(names)
        self._told = {place: told for place, told in self._told.items() if place[0] in names}
        for key, state in self._states.items():
            if key.target and key.target not in names and state.gone_until is None:
                state.gone_until = until

    def _end(self, state: _State, at: float, is_name: Callable[[AlertKey], bool]) -> list[AlertChange]:
        self._drop(state)
        alert = _not_ahead(state.alert, at)
        if alert.phase is Phase.FIRING:
            now = "It resolves again." if is_name(alert.key) else "It is watched no more."
            why = alert.evidence._replace(summary=f"{alert.evidence.summary} ({now})")
            return [self._move(state, at, alert._replace(phase=Phase.RESOLVED, ends_at=at, evidence=why))]
        return [self._move(state, at, alert._replace(phase=Phase.INACTIVE))] if alert.phase is Phase.PENDING else []

    def _keep(self, state: _State) -> None:
        key = state.alert.key
        self._states[key] = state
        place = key.target, key.address
        self._addresses[place] = (*self._addresses.get(place, ()), key.name)

    def _drop(self, state: _State) -> None:
        key = state.alert.key
        del self._states[key]
        place = key.target, key.address
        if others := tuple([name for name in self._addresses.pop(place) if name is not key.name]):
            self._addresses[place] = others


def _not_ahead(alert: Alert, at: float) -> Alert:
    """The alert without times that lie ahead, as they do once the clock was set back: nothing has begun after now.

    Else it would not fire before the clock is where it was, and Alertmanager refuses what starts after its end.
    """
    if alert.since <= at and alert.starts_at <= at:
        return alert
    return alert._replace(since=min(alert.since, at), starts_at=min(alert.starts_at, at))
