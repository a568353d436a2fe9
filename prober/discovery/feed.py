"""What a source of targets is, and whom it tells."""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

from prober.sources import LabelSets

__all__ = ["Feed", "Watcher"]


class Feed(Protocol):
    """Takes in what a source found."""

    def publish(self, found: LabelSets, problems: Collection[str] = (), unknown: Collection[str] = ()) -> None:
        """Everything that the source has now, in place of what it had.

        With ``problems`` the source does not work as it should; ``unknown`` is what it will not tell, and works nevertheless.
        """


class Watcher(Protocol):
    """One place that is watched."""

    async def run(self, feed: Feed) -> None:
        """Watch until cancelled. `SourceError` when the place cannot be read: it is run again, later and later."""
