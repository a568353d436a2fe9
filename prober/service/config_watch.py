"""Reload when the configuration file changes, where it says ``reload_on_change: true``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import trio

from prober.config import Config
from prober.service.file_stamps import Stamp, stamp
from prober.service.plan import Plan, files_of

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

    def take(self, seen: Stamp) -> None:
        """It is known to have become this."""
        self._taken = seen


class ConfigWatch:
    """Looks at the configuration file and at the trust anchors that it names."""

    def __init__(self, plan: Plan, reload: Callable[[], Awaitable[object]]) -> None:
        self._config = plan.config
        self._reload = reload
        # As it was when it was read: what changes between reading and watching is a change, too.
        self._settling = Settling(plan.seen)

    def configure(self, config: Config) -> None:
        """After a reload, whatever led to it."""
        self._config = config

    def read(self, seen: Stamp) -> None:
        """Whatever led to it, the files are read as they are now: that they have become this is no news any more."""
        self._settling.take(seen)

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await trio.sleep(LOOK_SECONDS)
            # Taken note of also while nobody asks. What is refused is complained about once, and read again when it changes.
            if (
                self._settling.changed(await trio.to_thread.run_sync(stamp, files_of(self._config), abandon_on_cancel=True))
                and self._config.reload_on_change
            ):
                await self._reload()
