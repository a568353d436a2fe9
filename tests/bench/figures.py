"""Medians with ranges, and ratios of what ran in the same round."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence

__all__ = ["percentile", "ratio", "spread"]


def spread(values: Sequence[float], digits: int = 0) -> str:
    """``median [least..most]``."""
    return f"{statistics.median(values):,.{digits}f} [{min(values):,.{digits}f}..{max(values):,.{digits}f}]" if values else "-"


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> str:
    """Median and range of the quotients, round by round: only these survive a machine whose speed changes while it is measured."""
    return (
        spread([mine / other for mine, other in zip(ours, theirs, strict=True)], 2) if ours and len(ours) == len(theirs) else "-"
    )


def percentile(values: Iterable[float], share: float) -> float:
    """The value that ``share`` of them do not exceed."""
    ranked = sorted(values)
    return ranked[min(int(len(ranked) * share), len(ranked) - 1)]
