"""From rounds to alerts to those who are told: decided in the step in which the round ended, kept, and only then sent.

What one round led to (a verdict that changed, alerts that changed, notifications of them) is one batch of the history: it is on disk as
a whole, or did not happen. The notifier hears of it after that, so that a process that is killed in between has told nobody of
anything that the next one does not know.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable, Collection, Sequence
from functools import partial
from ipaddress import ip_address
from time import time
from urllib.parse import urlsplit, urlunsplit

import trio

from prober.addresses import is_ip, parse_address
from prober.changelog import VerdictChange
from prober.config.alerting import Alerting as Settings
from prober.history.database import Trouble
from prober.history.history import History
from prober.history.records import Batch, Loaded
from prober.judge.alert_rules import AlertName, Round
from prober.judge.alerting import Alert, AlertChange, AlertKey, Alerts, Phase
from prober.model import Target
from prober.notices import OutboxEntry
from prober.outlets.notifier import Notifier
from prober.outlets.payload import Links
from prober.service.logs import event
from prober.service.self_watch import WINDOW_SECONDS, SelfWatch
from prober.sharding import WHOLE, Shard
from prober.snapshot import Change, EndpointState, StateKey, Statistics, Store

__all__ = ["Alerting", "as_others_reach_it"]

_log = logging.getLogger("prober.service")

TICK_SECONDS = 1.0

RETURN_SECONDS = 60.0
"""How long after a start a target that an alert was about may take to be discovered again."""

UNSEEN_SECONDS = 300.0
"""How long after a start a verdict from before it may still be continued."""


class Alerting:
    """Implements `prober.service.recording.Witness`."""

    def __init__(
        self,
        history: History,
        settings: Settings,
        store: Store,
        statistics: Statistics,
        clock: Callable[[], float] = time,
        *,
        shard: Shard = WHOLE,
    ) -> None:
        self._history = history
        self._settings = settings
        self._store = store
        self._statistics = statistics
        self._clock = clock
        self._started = clock()
        self._listening = ""
        self._intervals: dict[str, float] = {}
        self._targets: Collection[Target] = ()
        self._loaded = loaded = _own(history, history.loaded, shard)
        self._shard = shard
        self._alerts = Alerts(settings.policy, loaded.sequence, loaded.alerts)
        self._seen_missing = not loaded.alerts and not loaded.verdicts
        self._self_watch = SelfWatch(statistics)
        self._notifier = Notifier(loaded.instance, statistics, self._alerts.firing, self._delivered, clock)
        for known in loaded.verdicts:
            store.remember(*known)
        statistics.state_unsaved = lambda: history.unsaved
        for trouble in history.troubles:
            self._troubled(trouble)
        history.on_trouble = self._troubled
        history.on_fresh = self._everything
        history.on_return = self._returned

    def listening(self, url: str) -> None:
        """The service answers at this URL: links can be made, and what the process before this one left undone goes on."""
        self._listening = as_others_reach_it(url)
        self.configure(self._settings)
        loaded = self._loaded
        self._take_up(loaded.outbox, loaded.alerts)

    def configure(self, settings: Settings) -> None:
        """Take new settings into use."""
        self._settings = settings
        self._alerts.policy = settings.policy
        external = settings.receivers.external_url or self._listening.rstrip("/")
        runbooks = settings.receivers.runbook_base or f"{external}/runbooks#"
        self._notifier.configure(settings.receivers, Links(external, runbooks, settings.receivers.vantage))

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Notify, and look at what no round looks at, until cancelled."""
        async with trio.open_nursery() as nursery:
            await nursery.start(self._notifier.run)
            task_status.started()
            looked = trio.current_time()
            while True:
                await trio.sleep(TICK_SECONDS)
                now = self._clock()
                if trio.current_time() - looked >= WINDOW_SECONDS:
                    looked = trio.current_time()
                    self._look(now)
                self._keep(self._alerts.expire(now, self._is_name))
                if not self._seen_missing:
                    self._look_for_missing(now)

    # -- what the rounds say -------------------------------------------------------------------------------------------

    def judged(self, state: EndpointState, change: Change | None, now: float) -> None:
        """Decide, in the step in which the round ended."""
        changes = self._alerts.judged(Round(state.target, state.key.address, state.differential, state.judgement, now))
        if change is None and not changes:
            return
        telling = state.judgement.at_fault and (change is not None or any(one.alert.phase is Phase.FIRING for one in changes))
        self._keep(
            changes,
            verdicts=((state.key, VerdictChange.of(change)),) if change is not None else (),
            failures=(state,) if telling else (),
        )

    def gone(self, keys: Collection[StateKey]) -> None:
        """A name resolves to other addresses, or a reload took them away."""
        now = self._clock()
        changes: list[AlertChange] = []
        for key in keys:
            found_at = None if is_ip(parse_address(key.address).host) else now
            changes += self._alerts.absent(key.target, key.address, now + self._grace(key.target), found_at)
        self._keep(changes)
        self._history.commit(Batch(gone=tuple(keys)))

    def watching(self, targets: Collection[Target]) -> None:
        """After a start, a reload, or news from a discovery."""
        self._targets = targets
        self._intervals |= {target.name: target.interval for target in targets}
        names = {target.name for target in targets}
        now = self._clock()
        early = now - self._started < RETURN_SECONDS
        longest = max((self._grace(name) for name in self._intervals.keys() - names), default=0.0)
        self._alerts.unwatched(names, now + (max(longest, RETURN_SECONDS) if early else longest))
        self._intervals = {name: interval for name, interval in self._intervals.items() if name in names}

    def _is_name(self, key: AlertKey) -> bool:
        """Whether the address is a name that is watched, of which there is nothing to say where it has addresses."""
        if not key.address or is_ip((address := parse_address(key.address)).host):
            return False
        return any(target.name == key.target and address in target.addresses for target in self._targets)

    def _grace(self, target: str) -> float:
        """As long as it would take to see that all is well: what vanishes for one answer of a resolver is not resolved by it."""
        return (self._settings.policy.resolve_after + 1) * self._intervals.get(target, 15.0)

    def _look(self, now: float) -> None:
        changes: list[AlertChange] = []
        for name, condition, why in self._self_watch.look():
            changes += self._alerts.observe(AlertKey(AlertName(name)), condition, now, why, self._own_labels())
        self._keep(changes)

    def _own_labels(self) -> dict[str, str]:
        """Of alerts about this prober: one shard that is late says nothing of another one."""
        of_shard = {"shard": str(self._shard.number)} if self._shard.of > 1 else {}
        vantage = self._settings.receivers.vantage
        return {**of_shard, "vantage": vantage} if vantage else of_shard

    def _look_for_missing(self, now: float) -> None:
        """What was known before the restart and has not come back."""
        if now - self._started < RETURN_SECONDS:
            return
        there = {state.key for state in self._store}
        for alert in list(self._alerts.alerts()):
            if alert.key.address and StateKey(alert.key.target, alert.key.address) not in there:
                self._alerts.absent(alert.key.target, alert.key.address, now + self._grace(alert.key.target))
        if now - self._started > UNSEEN_SECONDS:
            self._seen_missing = True
            self._history.commit(Batch(gone=self._store.forget_unseen()))

    # -- keeping and telling -------------------------------------------------------------------------------------------

    def _keep(
        self,
        changes: Sequence[AlertChange],
        verdicts: tuple[tuple[StateKey, VerdictChange], ...] = (),
        failures: tuple[EndpointState, ...] = (),
    ) -> None:
        if not (changes or verdicts):
            return
        notable = [change for change in changes if change.notable]
        entries = tuple(entry for change in notable for entry in self._notifier.entries(change))
        batch = Batch(changes=verdicts, failures=failures, alerts=tuple(changes), outbox=entries)
        self._history.commit(batch, partial(self._notifier.committed, notable, entries) if notable else None)
        for change in notable:
            _log_alert(change)

    def _delivered(self, entries: Sequence[OutboxEntry]) -> None:
        self._history.commit(Batch(delivered=tuple(entries)))

    def _everything(self) -> Batch:
        return Batch(
            verdicts=tuple((state.key, state.judgement.verdict, state.since) for state in self._store),
            standing=tuple(alert for alert in self._alerts.alerts() if alert.phase in {Phase.FIRING, Phase.RESOLVED}),
            outbox=self._notifier.waiting(),
        )

    def _returned(self, loaded: Loaded) -> None:
        """The disk was full at the start: what the process before this one left is known only now."""
        own = _own(self._history, loaded, self._shard)
        self._take_up(own.outbox, self._alerts.restore(own.alerts))
        self._seen_missing = False

    def _take_up(self, outbox: Sequence[OutboxEntry], alerts: Sequence[Alert]) -> None:
        self._notifier.resume(outbox, alerts)
        firing = sum(alert.phase is Phase.FIRING for alert in alerts)
        if outbox or firing:
            event(_log, logging.INFO, "alerts are taken up", firing=firing, undelivered=len(outbox))

    def _troubled(self, trouble: Trouble) -> None:
        if trouble.reason == "restored":
            event(_log, logging.INFO, "state", problem=trouble.message)
            return
        errors = self._statistics.state_errors
        errors[trouble.reason] = errors.get(trouble.reason, 0) + 1
        event(_log, logging.ERROR, "state", problem=trouble.message)


def as_others_reach_it(url: str) -> str:
    """The URL by the host's name where it is listened on every address: nobody can follow a link to 0.0.0.0. So does Prometheus."""
    parts = urlsplit(url)
    unspecified = parts.hostname is not None and is_ip(parts.hostname) and ip_address(parts.hostname).is_unspecified
    return urlunsplit(parts._replace(netloc=f"{socket.gethostname()}:{parts.port}")) if unspecified else url


def _own(history: History, loaded: Loaded, shard: Shard) -> Loaded:
    """What was loaded, without what belongs to another shard since the number of shards has changed.

    That is no end of an alert: what fires goes on firing, and the shard that watches it now will say so within its first
    failing rounds, before an Alertmanager lets go of what was last sent. So it is forgotten, and nobody is told. What webhooks
    have not been told yet is told: it happened.
    """
    moved = tuple(alert.key for alert in loaded.alerts if alert.key.target and not shard.owns(alert.key.target))
    away = tuple(known.key for known in loaded.verdicts if not shard.owns(known.key.target))
    if not (moved or away):
        return loaded
    event(
        _log, logging.INFO, "targets are watched by another shard now", shard=str(shard), endpoints=len(away), alerts=len(moved)
    )
    history.commit(Batch(gone=away, handed_over=moved))
    return loaded._replace(
        alerts=tuple(alert for alert in loaded.alerts if alert.key not in set(moved)),
        verdicts=tuple(known for known in loaded.verdicts if known.key not in set(away)),
    )


def _log_alert(change: AlertChange) -> None:
    alert = change.alert
    event(
        _log,
        logging.WARNING if alert.phase is Phase.FIRING else logging.INFO,
        f"alert {alert.phase}",
        alert=alert.key.name,
        severity=alert.severity,
        target=alert.key.target or None,
        address=alert.key.address or None,
        flapping=alert.flapping(),
        summary=alert.evidence.summary,
    )
