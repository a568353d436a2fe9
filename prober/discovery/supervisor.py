"""Keeps every source running, each on its own, and remembers what each one found last.

A source that fails is run again after a while, twice as long each time, but no longer than it would have waited had it not failed;
what it found before stays until it finds something else. A problem is logged when it appears and when it is gone, not at each attempt.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from time import time
from typing import Protocol

import trio

from prober.discovery.feed import Watcher
from prober.discovery.relabel import relabel
from prober.sources import HttpSource, LabelSets, Source, SourceError

__all__ = ["Supervisor", "WatcherOf"]

_log = logging.getLogger("prober.discovery")

FIRST_RETRY, LONGEST_RETRY = 1.0, 60.0
"""Seconds."""


class WatcherOf(Protocol):
    """Makes what watches a source."""

    def __call__(self, source: Source) -> Watcher:
        """A new watcher, which has found nothing yet."""


@dataclass(slots=True)
class _Running:
    """One source, as a `prober.discovery.feed.Feed`."""

    source: Source
    changed: Callable[[], None]
    success: dict[str, float]
    scope: trio.CancelScope = field(default_factory=trio.CancelScope)
    read: LabelSets | None = None
    """As the source said it; None: it never answered."""
    found: LabelSets = ()
    """As relabelled."""
    answered: bool = False
    """It answered or failed at least once: there is nothing to wait for."""
    problems: tuple[str, ...] = ()

    def publish(self, found: LabelSets, problems: Collection[str] = (), unknown: Collection[str] = ()) -> None:
        """As `prober.discovery.feed.Feed` says."""
        if self.scope.cancel_called:
            return  # what was under way in a thread when a reload took the source away is nobody's any more
        first, self.answered = not self.answered, True
        if not problems:
            self.success[self.source.name] = time()
        self.tell((*problems, *unknown))
        if self.read is None and problems and not found:
            # A new watcher of a source that is broken now: what the one before it found stays.
            if first:
                self.changed()
        elif found != self.read:
            self.read = found
            self._relabel(found)
        elif first:
            self.changed()

    def reconfigured(self, source: Source) -> None:
        """The same place with other rules: what it said is read by these, and what it no longer says is not lost by asking anew."""
        self.source = source
        if self.read is not None:
            self._relabel(self.read)

    def _relabel(self, read: LabelSets) -> None:
        rules = self.source.relabelling
        self.found = tuple(labels for each in read if (labels := relabel(each, rules)) is not None)
        self.changed()

    def failed(self, reason: str) -> None:
        """It cannot be read; what it found stays."""
        first, self.answered = not self.answered, True
        self.tell((reason,))
        if first:
            self.changed()

    def tell(self, problems: Collection[str]) -> None:
        """Log what is new."""
        for problem in problems:
            if problem not in self.problems:
                _log.warning("discovery", extra={"fields": {"source": self.source.name, "problem": problem}})
        if self.problems and not problems:
            _log.info("discovery works again", extra={"fields": {"source": self.source.name}})
        self.problems = tuple(problems)


class Supervisor:
    """Runs the sources. ``changed`` is called, synchronously, when what was found is not what it was.

    ``success`` is kept up to date: the Unix time in seconds at which each source last answered.
    """

    def __init__(self, watcher_of: WatcherOf, changed: Callable[[], None], success: dict[str, float]) -> None:
        self._watcher_of = watcher_of
        self._changed = changed
        self._success = success
        self._running: dict[str, _Running] = {}
        self._nursery: trio.Nursery | None = None

    @property
    def found(self) -> Mapping[str, LabelSets]:
        """By source, in the configuration's order."""
        return {name: running.found for name, running in self._running.items()}

    @property
    def unanswered(self) -> tuple[str, ...]:
        """The sources that have neither answered nor failed yet."""
        return tuple(name for name, running in self._running.items() if not running.answered)

    @property
    def problems(self) -> Mapping[str, int]:
        """How many things each source cannot use or see now."""
        return {name: len(running.problems) for name, running in self._running.items()}

    def configure(self, sources: Collection[Source], again: Callable[[Source], bool] = lambda _: False) -> None:
        """Run exactly these from now on. One that looks at the same place goes on undisturbed, unless it is to be run ``again``.

        One that kept its name keeps what it found until it finds something else.
        """
        before, self._running = self._running, {}
        for source in sources:
            known = before.get(source.name)
            if known is not None and known.source.how == source.how and not again(source):
                self._running[source.name] = before.pop(source.name)
                if known.source != source:
                    known.reconfigured(source)
                continue
            running = _Running(source, self._changed, self._success)
            if known is not None and type(known.source.how) is type(source.how):
                running.found, running.answered = known.found, known.answered
            self._running[source.name] = running
            if self._nursery is not None:
                self._nursery.start_soon(self._keep_running, running)
        for gone in before.values():
            gone.scope.cancel()
        for name in self._success.keys() - self._running.keys():
            del self._success[name]

    async def run(self) -> None:
        """Run the sources until cancelled."""
        async with trio.open_nursery() as self._nursery:
            for running in self._running.values():
                self._nursery.start_soon(self._keep_running, running)
            await trio.sleep_forever()

    async def _keep_running(self, running: _Running) -> None:
        wait, how = FIRST_RETRY, running.source.how
        # Who asks every second wants to know within a second that it is there again.
        longest = min(LONGEST_RETRY, max(FIRST_RETRY, how.refresh)) if isinstance(how, HttpSource) else LONGEST_RETRY
        with running.scope:
            watcher = self._watcher_of(running.source)
            while True:
                before = self._success.get(running.source.name)
                try:
                    await watcher.run(running)
                except SourceError as error:
                    running.failed(str(error))
                except Exception as error:
                    _log.exception("a bug of prober's own ended the discovery source %s", running.source.name)
                    running.failed(f"a bug of prober's own: {type(error).__name__}")
                wait = FIRST_RETRY if self._success.get(running.source.name) != before else min(2 * wait, longest)
                await trio.sleep(wait)
