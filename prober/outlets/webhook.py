"""Webhooks: every change once, in order for each target, however often it must be tried.

An entry of the outbox is tried until it is answered with 2xx. Entries of one target wait for each other, those of different targets
do not. A receiver that answered and was not heard (the process was killed in between) gets the change again after the restart,
with the same ``Idempotency-Key``, by which it can tell.
"""

from __future__ import annotations

import errno
import hashlib
import hmac
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from time import time
from typing import TYPE_CHECKING

import trio

from prober.notices import OutboxEntry, Webhook
from prober.outlets.delivery import Attempt, Backoff, Report, by_files, client, post

if TYPE_CHECKING:
    import httpx

__all__ = ["GIVE_UP_SECONDS", "SIGNATURE_HEADER", "WebhookSender", "signature"]

GIVE_UP_SECONDS = 7 * 86_400.0
"""After so long a change is no news any more, and the outbox must end somewhere."""

SIGNATURE_HEADER = "X-Prober-Signature-256"

_AT_ONCE = 4
"""Requests to one receiver at the same time."""


class WebhookSender:
    """Delivers to one webhook. ``delivered`` is told of every entry that need not be kept any more."""

    def __init__(
        self,
        webhook: Webhook,
        report: Report,
        delivered: Callable[[OutboxEntry], None],
        backoff: Backoff | None = None,
        clock: Callable[[], float] = time,
    ) -> None:
        self.webhook = webhook
        self._report = report
        self._delivered = delivered
        self._backoff = backoff or Backoff()
        self._clock = clock
        self._lanes: dict[str, deque[OutboxEntry]] = {}
        self._room = trio.Semaphore(_AT_ONCE)
        self._nursery: trio.Nursery | None = None
        self._client: httpx.AsyncClient | None = None

    @property
    def queued(self) -> int:
        """How many entries are not delivered."""
        return sum(map(len, self._lanes.values()))

    def waiting(self) -> Iterator[OutboxEntry]:
        """What is not delivered, in order within each lane."""
        return (entry for lane in self._lanes.values() for entry in lane)

    def add(self, entries: Iterable[OutboxEntry]) -> None:
        """Deliver these after all that came before."""
        for entry in entries:
            lane = self._lanes.get(entry.lane)
            if lane is not None:
                lane.append(entry)
                continue
            self._lanes[entry.lane] = deque([entry])
            if self._nursery is not None:
                self._nursery.start_soon(self._deliver, entry.lane)

    async def run(self) -> None:
        """Deliver until cancelled. May be run again: what waits stays."""
        try:
            async with await client() as self._client, trio.open_nursery() as self._nursery:
                for lane in self._lanes:
                    self._nursery.start_soon(self._deliver, lane)
                await trio.sleep_forever()
        finally:
            self._nursery = self._client = None

    async def _deliver(self, name: str) -> None:
        """Empty one lane."""
        lane = self._lanes[name]
        failures = 0
        while lane:
            entry = lane[0]
            async with self._room:
                attempt = await self._attempt(entry)
            if attempt.problem is None:
                self._report(self.webhook.name, "delivered", None)
            elif self._clock() - entry.created > GIVE_UP_SECONDS:
                self._report(self.webhook.name, "dropped", attempt.problem)
            else:
                self._report(self.webhook.name, "failed", attempt.problem)
                failures += 1
                await trio.sleep(self._backoff.seconds(failures, attempt.retry_after))
                continue
            failures = 0
            lane.popleft()
            if not lane:
                # Before anybody is told: an entry that comes now begins a lane anew.
                del self._lanes[name]
            self._delivered(entry)

    async def _attempt(self, entry: OutboxEntry) -> Attempt:
        headers = {"Idempotency-Key": entry.key}
        try:
            # Read each time, so that a secret that was rotated is taken up without a reload.
            url = self.webhook.url or await _read(self.webhook.url_file)
            if self.webhook.secret_file is not None:
                headers[SIGNATURE_HEADER] = signature(await _read(self.webhook.secret_file), entry.body)
        except OSError as error:
            return Attempt(None, f"{error.filename} cannot be read: {error.strerror}")
        assert self._client is not None
        return await post(self._client, url, entry.body, headers)


def signature(secret: str, body: bytes) -> str:
    """``sha256=`` and the HMAC-SHA-256 of the body, in hexadecimal."""
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


async def _read(path: str | None) -> str:
    assert path is not None
    try:
        return (await by_files(partial(Path(path).read_text, encoding="utf-8"))).strip()
    except UnicodeDecodeError:
        # Nobody could check a signature by what a key becomes that is read as a text that it is not.
        raise OSError(errno.EILSEQ, "it is no UTF-8", path) from None
