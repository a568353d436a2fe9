"""What the prober says about itself as alerts: that it is late, that this host fails handshakes, that a reload was refused.

Looked at every `WINDOW_SECONDS`; a look is a round of these alerts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from prober.judge.alert_rules import AlertName, Condition, Evidence
from prober.snapshot import Statistics

__all__ = ["WINDOW_SECONDS", "SelfWatch"]

WINDOW_SECONDS = 10.0

LATE_SECONDS = 0.25
"""A bucket of `prober_schedule_lateness_seconds`: later than this, a differential's hellos are spread wider than intended."""

LATE_PART = 0.05
"""Of a window's handshakes. A single stall is no reason to wake somebody."""

_CONFIGURATION = (
    "The last reload found errors in the configuration, so the one before is still running; "
    "see the log or `prober check-config`, correct the file, and reload."
)
_WEB_FILE = (
    "The web configuration file, or a file that it names, cannot be used as it is now, so what it was before still counts; "
    "see the log or `prober check-config --web.config.file FILE`, and correct it: no reload is needed."
)


class _Counts(NamedTuple):
    handshakes: int
    late: int
    missed: int
    failed: Mapping[str, int]
    """By errno."""

    @classmethod
    def of(cls, statistics: Statistics) -> _Counts:
        lateness = statistics.lateness
        late = sum(
            count for bound, count in zip((*lateness.bounds, float("inf")), lateness.counts, strict=True) if bound > LATE_SECONDS
        )
        return cls(lateness.count, late, statistics.skipped["late"], dict(statistics.local_errors))


class SelfWatch:
    """Compares what was counted with what had been counted before."""

    def __init__(self, statistics: Statistics) -> None:
        self._statistics = statistics
        self._before = _Counts.of(statistics)

    def look(self) -> Iterator[tuple[AlertName, Condition, Evidence]]:
        """One round."""
        before, now = self._before, _Counts.of(self._statistics)
        self._before = now
        handshakes, late, missed = now.handshakes - before.handshakes, now.late - before.late, now.missed - before.missed
        yield self._told(
            AlertName.PROBER_LATE,
            missed > 0 or late > LATE_PART * handshakes,
            f"{late} of {handshakes} handshakes began more than {LATE_SECONDS:g} s late in the last {WINDOW_SECONDS:g} s, and "
            f"{missed} rounds were skipped: the prober has too little CPU; give it more, or split the targets with --shard.",
        )
        more = {errno: count - before.failed.get(errno, 0) for errno, count in now.failed.items()}
        failed = sum(more.values())
        worst = max(more, key=more.__getitem__, default="other")
        yield self._told(
            AlertName.PROBER_LOCAL_ERRORS,
            failed > 0,
            f"{failed} handshakes failed on the prober's own host in the last {WINDOW_SECONDS:g} s (most often {worst}): what they "
            "were to show is unknown; check its limits (descriptors, ports, memory) and its log.",
        )
        yield self._told(
            AlertName.PROBER_RELOAD_FAILED,
            not (self._statistics.reload_successful and self._statistics.web_file_usable),
            _CONFIGURATION if not self._statistics.reload_successful else _WEB_FILE,
        )

    @staticmethod
    def _told(name: AlertName, failing: bool, summary: str) -> tuple[AlertName, Condition, Evidence]:
        return name, Condition.FAILING if failing else Condition.HEALTHY, Evidence("", "", summary)
