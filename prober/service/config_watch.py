"""Reload when the configuration file changes, where it says ``reload_on_change: true``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import trio

from prober.config import Config
from prober.service.file_stamps import Stamp, stamp

__all__ = ["LOOK_SECONDS", "ConfigWatch", "Settling"]

LOOK_SECONDS = 1.0
"""How often the files are looked at. A change counts once it was the same at two looks: a file may be seen half written."""


class Settling:
    """Tells when something has become another thing and stays it. ``at_first`` is what it was in the beginning."""

    def __init__(self, at_first: Stamp) -> None:
        self._taken = at_first
        self._before = at_first

    def changed(self, now: Stamp) -> bool:
        """Whether this, seen twice in a row, is news; true once."""
        settled, self._before = now == self._before, now
        if not settled or now == self._taken:
            return False
        self._taken = now
        return True


class ConfigWatch:
    """Looks at the configuration file and at the trust anchors that it names."""

    def __init__(self, config: Config, reload: Callable[[], Awaitable[object]]) -> None:
        self._config = config
        self._reload = reload
        # Now and not when it runs: what changes between reading and watching is a change, too.
        self._settling = Settling(stamp(self._files()))

    def configure(self, config: Config) -> None:
        """After a reload, whatever led to it."""
        self._config = config

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await trio.sleep(LOOK_SECONDS)
            # Taken note of also while nobody asks. What is refused is complained about once, and read again when it changes.
            if self._settling.changed(await trio.to_thread.run_sync(stamp, self._files())) and self._config.reload_on_change:
                await self._reload()

    def _files(self) -> list[str]:
        modules = self._config.modules.values()
        return sorted({self._config.file, *(module.ca_file for module in modules if module.ca_file is not None)})
