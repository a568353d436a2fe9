"""Do the addresses of one target have different verdicts? Pure.

Each address has rounds of its own, at moments of its own. A round of the target is over when each of its addresses was judged once
more; an address that is judged again before that ends it too (another one is slow, or skipped a tick).
"""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from prober.judge.alert_rules import RULES, AlertName, Condition, Evidence, Round, evidence
from prober.model import Verdict

__all__ = ["Disagreement", "Told"]

_NAMED = 4
"""Addresses that a summary names of each verdict."""


class Told(NamedTuple):
    """What a round of a target says."""

    condition: Condition
    evidence: Evidence | None


_AGREED = Told(Condition.HEALTHY, None)
_SILENT = Told(Condition.SILENT, None)


class _Group:
    __slots__ = ("outcomes", "reported", "verdicts")

    def __init__(self, address: str, verdict: Verdict) -> None:
        self.verdicts: dict[str, Verdict] = {address: verdict}
        self.outcomes: dict[str, str] = {}
        self.reported: set[str] = set()


class Disagreement:
    """The last verdicts of all targets' addresses."""

    def __init__(self) -> None:
        # Most targets have one address, which agrees with itself: a group of its own would take 600 bytes.
        self._alone: dict[str, tuple[str, Verdict]] = {}
        self._groups: dict[str, _Group] = {}

    def judged(self, judged: Round) -> Told | None:
        """Take in one address's round; what the target's says, when this ended it."""
        target, address, verdict = judged.target.name, judged.address, judged.judgement.verdict
        group = self._groups.get(target)
        if group is None:
            alone = self._alone.get(target)
            if alone is None or alone[0] == address:
                if alone is None or alone[1] is not verdict:
                    self._alone[target] = address, verdict
                return _SILENT if verdict is Verdict.INCONCLUSIVE else _AGREED
            group = self._groups[target] = _Group(*self._alone.pop(target))
        again = address in group.reported
        # The round that this address ends was seen before its new verdict.
        told = _told(target, group) if again else None
        if again:
            group.reported.clear()
        group.verdicts[address] = verdict
        if len(group.verdicts) > 1:
            group.outcomes[address] = _outcome(judged)
        group.reported.add(address)
        if len(group.reported) == len(group.verdicts):
            group.reported.clear()
            told = _told(target, group)
        return told

    def absent(self, target: str, address: str) -> None:
        """The address is gone."""
        if self._alone.get(target, ("",))[0] == address:
            del self._alone[target]
        group = self._groups.get(target)
        if group is not None:
            group.verdicts.pop(address, None)
            group.outcomes.pop(address, None)
            group.reported.discard(address)

    def retire(self, watched: Collection[str]) -> None:
        """Forget all targets but these."""
        self._alone = {name: alone for name, alone in self._alone.items() if name in watched}
        self._groups = {name: group for name, group in self._groups.items() if name in watched}


def _told(target: str, group: _Group) -> Told:
    by_verdict: dict[Verdict, list[str]] = {}
    for address, verdict in group.verdicts.items():
        # What could not be judged agrees with everything.
        if verdict is not Verdict.INCONCLUSIVE:
            by_verdict.setdefault(verdict, []).append(address)
    if not by_verdict:
        return _SILENT
    if len(by_verdict) == 1:
        return _AGREED if len(group.verdicts) == len(by_verdict.popitem()[1]) else _SILENT
    fewest_first = sorted(by_verdict.items(), key=lambda entry: (len(entry[1]), entry[0]))
    rarest, odd = fewest_first[0]
    # Of an address that was judged before the target had a second one, nothing is kept until it is judged again.
    outcome = next((group.outcomes[address] for address in sorted(odd) if address in group.outcomes), "")
    parts = [f"{verdict.value} at {_some(addresses)}" for verdict, addresses in fewest_first]
    summary = f"The addresses of {target} differ: {', '.join(parts)}; clients get one or the other by chance, so bring them to one state."
    return Told(Condition.FAILING, Evidence(rarest.value, outcome, summary, address=_some(odd)))


def _outcome(judged: Round) -> str:
    """Of the hello that the address's verdict is about."""
    verdict = judged.judgement.verdict
    about = next((name for name, rule in RULES.items() if verdict in rule.faults), AlertName.CERTIFICATE_INVALID)
    return evidence(about, judged).outcome


def _some(addresses: list[str]) -> str:
    shown = ", ".join(sorted(addresses)[:_NAMED])
    return shown if len(addresses) <= _NAMED else f"{shown} and {len(addresses) - _NAMED} more"
