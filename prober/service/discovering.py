"""From what discovery finds to what is watched: label sets become targets by the configuration that runs now."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import assert_never

import trio

from prober.config import Config
from prober.config.discovered import Discovered, discovered
from prober.config.target_files import read_target_file
from prober.config.targets import TargetDefaults
from prober.discovery.feed import Watcher
from prober.discovery.supervisor import Supervisor
from prober.model import Target
from prober.service.logs import event
from prober.sharding import WHOLE, Shard
from prober.snapshot import Statistics
from prober.sources import DnsNames, HttpSource, KubernetesSource, Source, TargetFiles

__all__ = ["Discovering"]

_log = logging.getLogger("prober.service")

GATHER = 0.05
"""Seconds for which changes are gathered: sources that start together need not replace the plan one after the other."""


class Discovering:
    """Runs the sources of the configuration. ``on_targets`` is told the targets that they come to, and who has not answered yet.

    Every shard is told all targets; what is counted is the ``shard``'s own.
    """

    def __init__(
        self,
        config: Config,
        statistics: Statistics,
        on_targets: Callable[[tuple[Target, ...], tuple[str, ...]], None],
        shard: Shard = WHOLE,
    ) -> None:
        self._config = config
        self._statistics = statistics
        self._on_targets = on_targets
        self._shard = shard
        self._told: dict[str, tuple[str, ...]] = {}
        self._wake = trio.Event()
        self._supervisor = Supervisor(self._watcher, self._changed, statistics.discovery_success)
        self._supervisor.configure(config.discovery)
        statistics.discovery_problems = self._problems

    def configure(self, config: Config) -> None:
        """After a reload. Files are read again where the defaults of the targets in them are others."""
        other_defaults = config.defaults != self._config.defaults
        self._config = config
        self._supervisor.configure(config.discovery, lambda source: other_defaults and isinstance(source.how, TargetFiles))
        self._changed()

    async def run(self) -> None:
        """Until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._supervisor.run)
            while True:
                await self._wake.wait()
                await trio.sleep(GATHER)
                self._wake = trio.Event()
                config = self._config
                names = [target.name for target in config.targets]
                # In a thread: ten thousand entries take a fifth of a second.
                build = partial(discovered, self._supervisor.found, config.defaults, names, self._shard.owns)
                made = await trio.to_thread.run_sync(build)
                if config is self._config:
                    self._adopt(made)

    def _adopt(self, made: Discovered) -> None:
        for source, problems in made.problems.items():
            for problem in problems:
                if problem not in self._told.get(source, ()):
                    event(_log, logging.WARNING, "not all that was discovered can be used", source=source, problem=problem)
        self._told = dict(made.problems)
        counts = self._statistics.targets
        for source in counts.keys() - made.counts.keys() - {"config"}:
            del counts[source]
        for source, count in made.counts.items():
            if counts.get(source, 0) != count:  # one that has not answered yet has found nothing, which is no news
                event(_log, logging.INFO, "discovered", source=source, targets=count)
            counts[source] = count
        self._on_targets(made.targets, self._supervisor.unanswered)

    def _changed(self) -> None:
        self._wake.set()

    def _problems(self) -> dict[str, int]:
        return {source: count + len(self._told.get(source, ())) for source, count in self._supervisor.problems.items()}

    def _watcher(self, source: Source) -> Watcher:
        """Imported here: who discovers nothing in Kubernetes need not wait for its client to be loaded."""
        how = source.how
        match how:
            case TargetFiles():
                from prober.discovery.files import FileWatcher

                return FileWatcher(how, lambda path: read_target_file(path, self._defaults))
            case HttpSource():
                from prober.discovery.http import HttpWatcher

                return HttpWatcher(how)
            case DnsNames():
                from prober.discovery.dns import DnsWatcher

                return DnsWatcher(how)
            case KubernetesSource():
                from prober.discovery.kubernetes import KubernetesWatcher

                return KubernetesWatcher(how)
            case _:
                assert_never(how)

    @property
    def _defaults(self) -> TargetDefaults:
        return self._config.defaults
