"""What a diagnosis says: findings, each with the evidence for it, the evidence against it, and a fix. Pure values.

The seam between `prober.diagnose`, which makes them, and the outlets, which show them: siblings do not import each other.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

__all__ = [
    "Confidence",
    "Diagnosis",
    "Evidence",
    "Finding",
    "Fix",
    "Lint",
    "Severity",
    "SourceReport",
    "finding_object",
    "findings_document",
    "source_object",
]


class Severity(StrEnum):
    """How bad it is for the clients of the ingress."""

    CRITICAL = "critical"
    """Clients fail now."""
    WARNING = "warning"
    """Some clients fail, or the next change will break them."""
    INFO = "info"


class Confidence(StrEnum):
    """How much the evidence carries."""

    CONFIRMED = "confirmed"
    """A probe or a capture agrees with the configuration."""
    LIKELY = "likely"
    """One route alone shows it."""
    SUSPECTED = "suspected"
    """It would explain what was seen, and so would something else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """One fact and where it was read."""

    source: str
    """``logs``, ``capture``, ``routes``, ``overrides``, ``probe`` or ``kubernetes``."""
    text: str
    file: str | None = None
    """The file or the object that shows it (``overrides.yaml``, ``apigeeroute/non-sni``); None for a probe."""
    line: int | None = None
    """One-based."""

    def __str__(self) -> str:
        place = "" if self.file is None else f"{self.file}:{self.line}: " if self.line is not None else f"{self.file}: "
        return f"[{self.source}] {place}{self.text}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fix:
    """What to do: an explanation, a manifest or a diff ready to apply, and commands, the last of which proves that it worked."""

    explanation: str
    yaml: str | None = None
    commands: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is wrong (or, with id ``ok``, the positive evidence that nothing is)."""

    id: str
    severity: Severity
    confidence: Confidence
    summary: str
    evidence: tuple[Evidence, ...] = ()
    against: tuple[Evidence, ...] = ()
    fix: Fix | None = None


@dataclass(frozen=True, slots=True)
class Lint:
    """One thing in a configuration that is wrong or will go wrong, and where. ``line`` counts from 1."""

    id: str
    file: str
    line: int
    text: str
    """What is wrong; what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceReport:
    """One input and whether it could be read. A source that could not is named, and the others are still judged."""

    kind: str
    name: str
    error: str | None = None
    """Why it could not be read, with file and line; None when it could."""
    summary: str = ""
    """One line: how much was read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """What the running service makes of one failing target, by its last rounds and by what the cluster says.

    Without findings yet: the first one is under way.
    """

    findings: tuple[Finding, ...] = ()
    """The most severe and most certain first."""
    sources: tuple[SourceReport, ...] = ()
    at: float
    """Unix time in seconds at which the target's rounds were looked at."""
    read_at: float | None = None
    """Unix time in seconds at which the cluster answered; None: it did not, or nothing in it leads to this target."""
    trouble: str = ""
    """Why the cluster could not be asked again since then; empty: it could."""


def findings_document(findings: tuple[Finding, ...], sources: tuple[SourceReport, ...]) -> dict[str, object]:
    """The JSON document of ``prober diagnose --format json``: only lists, dicts, strings, numbers and None."""
    return {
        "schema": 1,
        "findings": [finding_object(finding) for finding in findings],
        "sources": [source_object(each) for each in sources],
    }


def source_object(source: SourceReport) -> dict[str, object]:
    """One element of ``sources``."""
    return {
        "kind": source.kind,
        "name": source.name,
        "ok": source.error is None,
        "error": source.error,
        "summary": source.summary,
    }


def finding_object(finding: Finding) -> dict[str, object]:
    """One element of ``findings``. ``fix`` is always an object: without one its explanation is empty, and there is nothing to apply."""
    fix = finding.fix or Fix(explanation="")
    return {
        "id": finding.id,
        "severity": finding.severity.value,
        "confidence": finding.confidence.value,
        "summary": finding.summary,
        "evidence": [_evidence_object(each) for each in finding.evidence],
        "against": [_evidence_object(each) for each in finding.against],
        "fix": {"explanation": fix.explanation, "yaml": fix.yaml, "commands": list(fix.commands)},
    }


def _evidence_object(evidence: Evidence) -> dict[str, object]:
    return {"source": evidence.source, "file": evidence.file, "line": evidence.line, "text": evidence.text}
