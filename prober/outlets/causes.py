"""Findings about a failing target, as pages and the API show them. Pure.

A finding is shown as it was found: evidence for it, evidence against it, what is unknown, and how old all that is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from prober.findings import Confidence, Diagnosis, Evidence, Finding, Severity, SourceReport, finding_object, source_object
from prober.outlets.opinions import Tone
from prober.outlets.pages import Moment, target_url
from prober.timestamps import rfc3339_seconds

__all__ = ["CauseLink", "CauseView", "cause_link", "cause_view", "diagnosis_objects"]

_NO_CAUSE = frozenset({"ok", "inconclusive"})

_CONFIDENCE: Mapping[Confidence, str] = {
    Confidence.CONFIRMED: "what was probed and what is configured agree",
    Confidence.LIKELY: "one kind of evidence shows it",
    Confidence.SUSPECTED: "it would explain this, and so would something else",
}
_TONES: Mapping[Severity, Tone] = {Severity.CRITICAL: "fault", Severity.WARNING: "unsure", Severity.INFO: "ok"}


class CauseLink(NamedTuple):
    """The short form, for the list of all ingresses."""

    label: str
    """What stands before the link."""
    text: str
    url: str


class EvidenceLine(NamedTuple):
    """One fact and where it was read."""

    source: str
    place: str
    text: str


class FindingView(NamedTuple):
    """One finding."""

    anchor: str
    tone: Tone
    id: str
    standing: str
    """``critical, confirmed``."""
    carries: str
    """What that confidence rests on."""
    summary: str
    evidence: tuple[EvidenceLine, ...]
    against: tuple[EvidenceLine, ...]
    explanation: str
    yaml: str
    commands: tuple[str, ...]


class SourceLine(NamedTuple):
    """One thing that was looked at."""

    name: str
    text: str
    known: bool
    """Whether it could be read."""


class CauseView(NamedTuple):
    """The section of a target's page."""

    pending: bool
    """Nothing was found yet."""
    first: tuple[FindingView, ...]
    """What to see to: the critical findings, else the first one."""
    others: tuple[FindingView, ...]
    sources: tuple[SourceLine, ...]
    unknown: tuple[SourceLine, ...]
    """What the cluster does not show."""
    judged: Moment
    read: Moment | None
    trouble: str


def cause_link(diagnosis: Diagnosis | None, target: str) -> CauseLink | None:
    """None where there is nothing to say yet."""
    if diagnosis is None or not diagnosis.findings:
        return None
    top = diagnosis.findings[0]
    url = f"{target_url(target)}#cause"
    if top.id in _NO_CAUSE:
        return CauseLink("Cause", "not found: what is missing", url)
    return CauseLink(f"Cause, {top.confidence}", top.id, url)


def cause_view(diagnosis: Diagnosis, now: float) -> CauseView:
    """Everything that is known; ``now`` is Unix time in seconds."""
    critical = sum(each.severity is Severity.CRITICAL for each in diagnosis.findings)
    views = tuple(_view(place, each) for place, each in enumerate(diagnosis.findings, 1))
    sources = tuple(map(_source, diagnosis.sources))
    return CauseView(
        pending=not views,
        first=views[: max(critical, 1)],
        others=views[max(critical, 1) :],
        sources=sources,
        unknown=tuple(each for each in sources if not each.known and each.text != diagnosis.trouble),
        judged=Moment.at(diagnosis.at, now),
        read=None if diagnosis.read_at is None else Moment.at(diagnosis.read_at, now),
        trouble=diagnosis.trouble,
    )


def diagnosis_objects(diagnosis: Diagnosis | None) -> dict[str, object]:
    """The keys ``findings`` (as ``prober diagnose --format json`` has them) and ``diagnosis`` (what they rest on, and since when).

    Neither, where there is nothing to diagnose.
    """
    if diagnosis is None:
        return {}
    return {
        "findings": [finding_object(each) for each in diagnosis.findings],
        "diagnosis": {
            "at": rfc3339_seconds(diagnosis.at),
            "cluster_read_at": None if diagnosis.read_at is None else rfc3339_seconds(diagnosis.read_at),
            "trouble": diagnosis.trouble or None,
            "sources": [source_object(each) for each in diagnosis.sources],
        },
    }


def _view(place: int, finding: Finding) -> FindingView:
    fix = finding.fix
    return FindingView(
        anchor=f"finding-{place}",
        tone="unsure" if finding.id == "inconclusive" else _TONES[finding.severity],
        id=finding.id,
        standing=f"{finding.severity}, {finding.confidence}",
        carries=_CONFIDENCE[finding.confidence],
        summary=finding.summary,
        evidence=tuple(map(_line, finding.evidence)),
        against=tuple(map(_line, finding.against)),
        explanation="" if fix is None else fix.explanation,
        yaml="" if fix is None else (fix.yaml or "").rstrip("\n"),
        commands=() if fix is None else fix.commands,
    )


def _source(source: SourceReport) -> SourceLine:
    name = source.name if source.kind == "probe" else f"{source.kind} {source.name}"
    return SourceLine(name, (source.error or source.summary).removeprefix("unknown: "), source.error is None)


def _line(evidence: Evidence) -> EvidenceLine:
    place = evidence.file or ""
    return EvidenceLine(
        evidence.source, f"{place}:{evidence.line}" if place and evidence.line is not None else place, evidence.text
    )
