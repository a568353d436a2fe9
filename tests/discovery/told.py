"""A feed that remembers what it was told last."""

from __future__ import annotations

from collections.abc import Callable, Collection

import trio

from prober.sources import ADDRESS, SERVER_NAMES, LabelSets

__all__ = ["Told"]

PATIENCE = 20.0


class Told:
    """`prober.discovery.feed.Feed` for tests."""

    def __init__(self) -> None:
        self.found: LabelSets = ()
        self.problems: tuple[str, ...] = ()
        self.unknown: tuple[str, ...] = ()
        self.count = 0
        self._moved = trio.Event()

    def publish(self, found: LabelSets, problems: Collection[str] = (), unknown: Collection[str] = ()) -> None:
        """As `Feed` says."""
        self.found, self.problems, self.unknown = found, tuple(problems), tuple(unknown)
        self.count += 1
        self._moved.set()
        self._moved = trio.Event()

    @property
    def served(self) -> dict[str, str]:
        """Server names by address."""
        return {labels[ADDRESS]: labels.get(SERVER_NAMES, "") for labels in self.found}

    async def until(self, holds: Callable[[], object]) -> None:
        """Return once it does."""
        with trio.fail_after(PATIENCE):
            while not holds():
                with trio.move_on_after(0.02):
                    await self._moved.wait()
