"""What the verdicts were before: the form in which readers see it, and the short memory that a service without a state directory has.

Pure: a change carries its own time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from prober.model import Verdict
from prober.report import Json
from prober.snapshot import Change

__all__ = ["ChangeLog", "KeptFailure", "RecentChanges", "VerdictChange"]


class VerdictChange(NamedTuple):
    """One endpoint's verdict became another one."""

    target: str
    address: str
    """IP address without brackets; the configured name while it does not resolve."""
    port: int
    previous: Verdict | None
    """None when the endpoint was judged for the first time."""
    verdict: Verdict
    at: float
    """Unix time in seconds."""
    expected: bool | None = None
    """The verdict was what the target's policy asked for; None where that was not kept."""

    @classmethod
    def of(cls, change: Change) -> VerdictChange:
        """What is kept of a change: no reference to the state, which holds a whole differential."""
        state = change.state
        host, port = state.endpoint or (state.address.host, state.address.port)
        judgement = state.judgement
        return cls(state.key.target, host, port, change.previous, judgement.verdict, change.at, judgement.expected)


@dataclass(frozen=True, slots=True)
class KeptFailure:
    """One differential that was at fault, as it was kept."""

    target: str
    address: str
    """As in the endpoint's metrics: ``ip:port``."""
    at: float
    """Unix time in seconds at which its last hello was started."""
    result: Mapping[str, Json]
    """The address object of the API as it was then, with ``transcripts``: a list of messages for each of its handshakes."""


class ChangeLog(Protocol):
    """Where readers get the changes from: memory, or a database (which is why reading awaits)."""

    async def changes(self, target: str | None = None, *, limit: int = 1000) -> Sequence[VerdictChange]:
        """The last ``limit`` changes, of one target or of all, newest first."""

    async def failures(self, target: str | None = None, *, limit: int = 100) -> Sequence[KeptFailure]:
        """The last ``limit`` failures that are kept, of one target or of all, newest first."""


_FAILURES = 20
"""Kept in memory: each may hold 32 KiB of transcripts."""


class RecentChanges:
    """The changes since the service started, as many as ``capacity``; older ones are forgotten."""

    def __init__(self, capacity: int = 10_000) -> None:
        self._changes: deque[VerdictChange] = deque(maxlen=capacity)
        self._failures: deque[KeptFailure] = deque(maxlen=_FAILURES)

    def add(self, change: Change) -> None:
        """Take in one change; changes come in the order of time."""
        self._changes.append(VerdictChange.of(change))

    def keep(self, failure: KeptFailure) -> None:
        """Take in one failure."""
        self._failures.append(failure)

    async def changes(self, target: str | None = None, *, limit: int = 1000) -> Sequence[VerdictChange]:
        """As `ChangeLog` says."""
        newest_first = reversed(self._changes)
        found: list[VerdictChange] = []
        for change in newest_first:
            if len(found) == limit:
                break
            if target is None or change.target == target:
                found.append(change)
        return found

    async def failures(self, target: str | None = None, *, limit: int = 100) -> Sequence[KeptFailure]:
        """As `ChangeLog` says."""
        return [kept for kept in reversed(self._failures) if target is None or kept.target == target][:limit]
