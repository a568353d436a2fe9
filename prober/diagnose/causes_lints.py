"""Lints of overrides.yaml and of routes as findings: one finding an id, with every place as evidence. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from prober.diagnose.case import Case
from prober.diagnose.findings import Confidence, Evidence, Finding, Fix, Lint, Severity
from prober.diagnose.fixes import Remedy

__all__ = ["lint_findings"]


def lint_findings(case: Case, causes: Iterable[Finding]) -> list[Finding]:
    """The lints that no cause has told already at the same place."""
    told = {(each.id, evidence.file, evidence.line) for each in causes for evidence in each.evidence}
    lints: dict[tuple[str, str], list[Lint]] = {}
    for source, lint in _all(case):
        if (lint.id, lint.file, lint.line) not in told:
            lints.setdefault((lint.id, source), []).append(lint)
    return [_finding(case, name, source, places) for (name, source), places in lints.items()]


def _all(case: Case) -> list[tuple[str, Lint]]:
    routes = () if case.evidence.routes is None else case.evidence.routes.lints
    return [("overrides", lint) for each in case.overrides for lint in each.lints] + [("routes", lint) for lint in routes]


def _finding(case: Case, name: str, source: str, places: list[Lint]) -> Finding:
    first = places[0]
    problem, _, remedy = first.text.partition("; ")
    more = f" (and in {len(places) - 1} other place{'s' * (len(places) > 2)})" if len(places) > 1 else ""
    fix = Fix(explanation=remedy[:1].upper() + remedy[1:] + ".", commands=()) if remedy else None
    if name == "partial-vhosts" and source == "overrides":
        fix = Remedy(case).link()
    return Finding(
        id=name,
        severity=Severity.WARNING,
        confidence=Confidence.LIKELY,
        summary=f"{problem}{more}.",
        evidence=tuple(
            Evidence(source="kubernetes", text=each.text)
            if each.file.startswith("kubernetes:")
            else Evidence(source=source, file=each.file, line=each.line, text=each.text)
            for each in places
        ),
        fix=fix,
    )
