"""Counters of one process, added to those of another.

Told as what was counted since the last time, so that a process that is started again counts on, and nothing ever falls.
"""

from __future__ import annotations

from typing import Any, TypeAlias

from prober.model import Outcome, Sni
from prober.snapshot import HANDSHAKE_BUCKETS, Histogram, Statistics

__all__ = ["Tallies", "TallyBook", "add"]

Tallies: TypeAlias = tuple[Any, ...]
"""Plain tuples, dicts and numbers, as `marshal` takes them: lateness, durations, skipped, local errors."""

_Counted: TypeAlias = tuple[list[int], float]


class TallyBook:
    """What was told of some statistics already."""

    def __init__(self, statistics: Statistics) -> None:
        self._statistics = statistics
        self._histograms: dict[object, _Counted] = {}
        self._counters: dict[tuple[str, str], int] = {}

    def since_last(self) -> Tallies:
        """What was counted since the last call."""
        of = self._statistics
        durations = {
            (sni.value, outcome.value): self._grown((sni, outcome), histogram)
            for (sni, outcome), histogram in of.handshake_seconds.items()
        }
        return (
            self._grown("lateness", of.lateness),
            durations,
            self._more("skipped", of.skipped),
            self._more("local", of.local_errors),
        )

    def _grown(self, name: object, histogram: Histogram) -> _Counted:
        counts, total = self._histograms.get(name, ([0] * len(histogram.counts), 0.0))
        self._histograms[name] = list(histogram.counts), histogram.sum
        return [now - before for now, before in zip(histogram.counts, counts, strict=True)], histogram.sum - total

    def _more(self, name: str, counters: dict[str, int]) -> dict[str, int]:
        more = {}
        for reason, count in counters.items():
            more[reason] = count - self._counters.get((name, reason), 0)
            self._counters[name, reason] = count
        return more


def add(statistics: Statistics, tallies: Tallies) -> None:
    """Count what another process has counted."""
    lateness, durations, skipped, local_errors = tallies
    _add(statistics.lateness, lateness)
    for (sni, outcome), counted in durations.items():
        series = Sni(sni), Outcome(outcome)
        histogram = statistics.handshake_seconds.get(series)
        if histogram is None:
            histogram = statistics.handshake_seconds[series] = Histogram(HANDSHAKE_BUCKETS)
        _add(histogram, counted)
    for counters, more in ((statistics.skipped, skipped), (statistics.local_errors, local_errors)):
        for reason, count in more.items():
            counters[reason] = counters.get(reason, 0) + count


def _add(histogram: Histogram, counted: _Counted) -> None:
    counts, total = counted
    histogram.counts = [mine + theirs for mine, theirs in zip(histogram.counts, counts, strict=True)]
    histogram.sum += total
