"""Tells receivers of alerts: one task each, so that one that hangs delays nobody else."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from time import time
from typing import Protocol

import trio

from prober.judge.alerting import Alert, AlertChange
from prober.notices import Alertmanager, OutboxEntry, Receivers, Webhook
from prober.outlets.alertmanager import ALONE, AMONG_OTHERS, AlertmanagerSender, Pace
from prober.outlets.payload import Links, webhook_payload
from prober.outlets.webhook import WebhookSender
from prober.snapshot import Statistics

__all__ = ["Notifier"]

_log = logging.getLogger(__name__)

_BUG_PAUSE_SECONDS = 10.0


class _Sender(Protocol):
    async def run(self) -> None:
        """Until cancelled."""


class Notifier:
    """All receivers. ``standing`` are the alerts that fire now; ``delivered`` is told what need not be kept in the outbox."""

    def __init__(
        self,
        instance: str,
        statistics: Statistics,
        standing: Callable[[], Iterable[Alert]],
        delivered: Callable[[Sequence[OutboxEntry]], None],
        clock: Callable[[], float] = time,
    ) -> None:
        self._instance = instance
        self._statistics = statistics
        self._standing = standing
        self._delivered = delivered
        self._clock = clock
        self.links = Links("http://127.0.0.1", "")
        self._webhooks: dict[Webhook, WebhookSender] = {}
        self._alertmanagers: dict[Alertmanager, AlertmanagerSender] = {}
        self._scopes: dict[_Sender, trio.CancelScope] = {}
        self._nursery: trio.Nursery | None = None
        self._silent: set[str] = set()
        """Receivers whose last attempt failed: the log has one line when that begins, and one when it ends."""

    # -- configuration -------------------------------------------------------------------------------------------------

    def configure(self, receivers: Receivers, links: Links) -> None:
        """Exactly these from now on. One that stays goes on with what it was doing."""
        self.links = links
        left: dict[str, list[OutboxEntry]] = {}
        for webhook in self._webhooks.keys() - set(receivers.webhooks):
            sender = self._webhooks.pop(webhook)
            left.setdefault(webhook.name, []).extend(sender.waiting())
            self._stop(sender)
        for alertmanager in self._alertmanagers.keys() - set(receivers.alertmanagers):
            self._stop(self._alertmanagers.pop(alertmanager))
        for webhook in receivers.webhooks:
            if webhook not in self._webhooks:
                hook = self._webhooks[webhook] = WebhookSender(webhook, self._report, self._done, clock=self._clock)
                # The same name with another URL or secret is the same receiver.
                hook.add(left.pop(webhook.name, ()))
                self._start(hook)
        for alertmanager in receivers.alertmanagers:
            if alertmanager not in self._alertmanagers:
                told = self._alertmanagers[alertmanager] = AlertmanagerSender(
                    alertmanager, lambda: self.links, self._standing, self._report, clock=self._clock, pace=self._pace
                )
                self._start(told)
        self._forget([entry for entries in left.values() for entry in entries])
        self._count()

    def resume(self, entries: Iterable[OutboxEntry], alerts: Iterable[Alert]) -> None:
        """Go on where the process before this one was stopped."""
        by_name = {webhook.name: sender for webhook, sender in self._webhooks.items()}
        orphans = []
        for entry in entries:
            if entry.receiver in by_name:
                by_name[entry.receiver].add([entry])
            else:
                orphans.append(entry)
        self._forget(orphans)
        told = list(alerts)
        for sender in self._alertmanagers.values():
            sender.changed(told)
        self._count()

    # -- changes -------------------------------------------------------------------------------------------------------

    def entries(self, change: AlertChange) -> tuple[OutboxEntry, ...]:
        """What the outbox must hold before anybody is told of this change."""
        # The time is part of it: should the state be lost, the sequence begins anew.
        key = f"{self._instance}-{change.sequence}-{round(change.at * 1000)}"
        lane = change.alert.key.target or change.alert.key.name
        return tuple(
            OutboxEntry(
                change.sequence, webhook.name, lane, key, webhook_payload(change, webhook.name, self.links), self._clock()
            )
            for webhook in self._webhooks
        )

    def committed(self, changes: Sequence[AlertChange], entries: Sequence[OutboxEntry]) -> None:
        """The changes are decided and kept: tell of them."""
        by_name = {webhook.name: sender for webhook, sender in self._webhooks.items()}
        orphans = [entry for entry in entries if entry.receiver not in by_name]  # a reload took it away meanwhile
        for entry in entries:
            if entry.receiver in by_name:
                by_name[entry.receiver].add([entry])
        self._forget(orphans)
        alerts = [change.alert for change in changes]
        for sender in self._alertmanagers.values():
            sender.changed(alerts)
        self._count()

    def waiting(self) -> tuple[OutboxEntry, ...]:
        """The outbox, as far as it was committed."""
        return tuple(entry for sender in self._webhooks.values() for entry in sender.waiting())

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Deliver until cancelled."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            senders: list[_Sender] = [*self._webhooks.values(), *self._alertmanagers.values()]
            for sender in senders:
                self._start(sender)
            task_status.started()
            await trio.sleep_forever()

    # -- one receiver --------------------------------------------------------------------------------------------------

    def _pace(self) -> Pace:
        return AMONG_OTHERS if self.links.vantage else ALONE

    def _start(self, sender: _Sender) -> None:
        if self._nursery is not None:
            self._scopes[sender] = trio.CancelScope()
            self._nursery.start_soon(self._keep_running, sender, self._scopes[sender])

    def _stop(self, sender: _Sender) -> None:
        if sender in self._scopes:
            self._scopes.pop(sender).cancel()

    async def _keep_running(self, sender: _Sender, scope: trio.CancelScope) -> None:
        """A bug of ours in one sender must not end the service, nor the sender."""
        with scope:
            while True:
                try:
                    await sender.run()
                except Exception:
                    _log.exception("a bug of prober's own ended a notifier; it begins anew")
                await trio.sleep(_BUG_PAUSE_SECONDS)

    def _done(self, entry: OutboxEntry) -> None:
        self._delivered([entry])
        self._count()

    def _forget(self, entries: Sequence[OutboxEntry]) -> None:
        if entries:
            names = ", ".join(sorted({entry.receiver for entry in entries}))
            _log.warning(
                "notifications for receivers that are configured no more are dropped", extra=_fields(names, len(entries))
            )
            self._delivered(entries)

    def _report(self, receiver: str, result: str, problem: str | None) -> None:
        counts = self._statistics.notifications
        counts[receiver, result] = counts.get((receiver, result), 0) + 1
        if problem is not None and (receiver not in self._silent or result in {"rejected", "dropped"}):
            self._silent.add(receiver)
            _log.warning("notification %s", result, extra={"fields": {"receiver": receiver, "problem": problem}})
        elif problem is None and receiver in self._silent:
            self._silent.discard(receiver)
            _log.info("notifications are delivered again", extra={"fields": {"receiver": receiver}})
        self._count()

    def _count(self) -> None:
        hooks = sum(sender.queued for sender in self._webhooks.values())
        self._statistics.notification_queue = hooks + sum(sender.waiting for sender in self._alertmanagers.values())


def _fields(receiver: str, count: int) -> dict[str, dict[str, str | int]]:
    return {"fields": {"receiver": receiver, "notifications": count}}
