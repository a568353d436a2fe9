"""Alertmanager's v2 API: what holds now, again and again, so that an Alertmanager that was away hears the truth and no replay.

A change is sent at once. Everything that fires is sent again each `Pace.resend` seconds, since an alert ends by itself `Pace.validity`
seconds after it was last sent: a prober that dies leaves no alert behind. Each Alertmanager has a task of its own.

Probers at several vantage points send the same alert, that is, one with the same labels. Of those Alertmanager keeps one: the annotations
that came last, the earliest start and, of two ends that lie ahead, the later one. But an end that has passed rules at once: one
prober that sees no fault any more would end what the others still see, until they send it again, and receivers would be told "resolved"
in between. So a prober that is one of several does not send the end of what others may see. It falls silent, and the alert ends when
the last one has fallen silent; that this takes no longer than a minute, such a prober sends more often, for a shorter time.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from functools import partial
from time import time
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import trio

from prober.http_access import AccessError, request_headers
from prober.judge.alerting import Alert, Phase
from prober.notices import Alertmanager
from prober.outlets.delivery import Attempt, Backoff, Report, by_files, client, post
from prober.outlets.payload import Links, alertmanager_alert, labels_of
from prober.sources import BARE_ACCESS

if TYPE_CHECKING:
    import httpx

__all__ = ["ALONE", "AMONG_OTHERS", "AlertmanagerSender", "Pace"]


class Pace(NamedTuple):
    """How an Alertmanager is kept told."""

    resend: float
    """Seconds between two sends of what fires."""
    ends: bool = True
    """Whether the end of an alert about a target is sent."""

    @property
    def validity(self) -> float:
        """Seconds after which what was sent ends by itself. As Prometheus does: three sends may get lost."""
        return 4 * self.resend


ALONE = Pace(60.0)
AMONG_OTHERS = Pace(15.0, ends=False)
"""Of probers at several vantage points."""

STALE_SECONDS = 900.0
"""A resolved alert that could not be told for so long has ended by itself on the other side."""

_TOGETHER = 100
"""Alerts in one request, some 100 KB."""

_NOT_LET_IN = frozenset({401, 403})
"""It is not the alerts that the server does not want: a secret that is being rotated is right again in a moment."""

_Identity: TypeAlias = tuple[tuple[str, str], ...]


class AlertmanagerSender:
    """Keeps one Alertmanager told. ``standing`` are the alerts that fire now; ``pace`` is asked each time."""

    def __init__(
        self,
        alertmanager: Alertmanager,
        links: Callable[[], Links],
        standing: Callable[[], Iterable[Alert]],
        report: Report,
        backoff: Backoff | None = None,
        clock: Callable[[], float] = time,
        pace: Callable[[], Pace] = lambda: ALONE,
    ) -> None:
        self.alertmanager = alertmanager
        self._links = links
        self._standing = standing
        self._report = report
        self._backoff = backoff or Backoff(first=1.0, cap=30.0)
        self._clock = clock
        self._pace = pace
        self._untold: dict[_Identity, Alert] = {}
        self._failures = 0
        self._news = trio.Event()

    @property
    def waiting(self) -> int:
        """Alerts that it has not been told of."""
        return len(self._untold)

    def changed(self, alerts: Iterable[Alert]) -> None:
        """Tell of these as soon as possible; of one alert, only the last state counts."""
        for alert in alerts:
            self._untold[tuple(labels_of(alert).items())] = alert
        self._news.set()

    async def run(self) -> None:
        """Tell until cancelled. May be run again: what waits stays."""
        while True:
            try:
                through = await client(self.alertmanager.access)
            except AccessError as error:
                await self._failed(Attempt(None, str(error)))
                continue
            async with through:
                await self._keep_told(through)

    async def _keep_told(self, through: httpx.AsyncClient) -> None:
        """Until an attempt fails that other certificates may mend: those in the files may have been renewed."""
        all_due = trio.current_time()
        while True:
            if trio.current_time() >= all_due:
                self._repeat()
                all_due = trio.current_time() + self._pace().resend
            self._news = trio.Event()
            if self._untold:
                attempt = await self._tell(through)
                if attempt is not None:
                    await self._failed(attempt)
                    if self.alertmanager.access.has_certificates:
                        return
                    continue
                if self._failures:
                    all_due = trio.current_time()  # it may have been restarted, and know nothing
                self._failures = 0
                if self._untold:
                    continue
            with trio.move_on_after(max(0.0, all_due - trio.current_time())):
                await self._news.wait()

    async def _failed(self, attempt: Attempt) -> None:
        """Report it, and wait as long as is fit before the next."""
        self._failures += 1
        self._report(self.alertmanager.name, "failed", attempt.problem)
        await trio.sleep(self._backoff.seconds(self._failures, attempt.retry_after))

    def _repeat(self) -> None:
        for alert in self._standing():
            self._untold.setdefault(tuple(labels_of(alert).items()), alert)

    def _is_news(self, ended: Alert, now: float) -> bool:
        """Alerts about a prober are its own, wherever it looks from."""
        may_end = self._pace().ends or not ended.key.target
        return may_end and ended.ends_at is not None and now - ended.ends_at < STALE_SECONDS

    async def _tell(self, through: httpx.AsyncClient) -> Attempt | None:
        """Send some of what waits; None when it arrived, else the attempt that failed."""
        now = self._clock()
        self._untold = {
            identity: alert
            for identity, alert in self._untold.items()
            if alert.phase is Phase.FIRING or self._is_news(alert, now)
        }
        some = dict(list(self._untold.items())[:_TOGETHER])
        if not some:
            return None
        links = self._links()
        body = json.dumps([alertmanager_alert(alert, links, now, self._pace().validity) for alert in some.values()]).encode()
        access, headers = self.alertmanager.access, {}
        try:
            if access != BARE_ACCESS:
                # Read each time, so that a secret that was rotated is taken up without a reload.
                headers = await by_files(partial(request_headers, access))
        except AccessError as error:
            return Attempt(None, str(error))
        attempt = await post(through, f"{self.alertmanager.url}/api/v2/alerts", body, headers)
        if attempt.problem is not None and (not attempt.rejected or attempt.status in _NOT_LET_IN):
            return attempt
        for identity, alert in some.items():
            if self._untold.get(identity) is alert:  # else it changed while it was being sent
                del self._untold[identity]
        # Only now: what waits is counted when something is reported.
        self._report(self.alertmanager.name, "delivered" if attempt.problem is None else "rejected", attempt.problem)
        return None
