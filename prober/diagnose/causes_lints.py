"""Lints of overrides.yaml and of routes as findings: one finding an id, with every place as evidence. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from dataclasses import replace

from prober.diagnose.case import Case
from prober.diagnose.fixes import STANDARD_INPUT, Remedy
from prober.diagnose.overrides import SERVICE_MESH_APP, OverridesFacts
from prober.diagnose.wording import probe_evidence
from prober.findings import Confidence, Evidence, Finding, Fix, Lint, Severity

__all__ = ["UNLINKED", "lint_findings"]

UNLINKED = {"not-applied", "not-linked"}
"""Causes that tell of a group without the link that it was not left out: the link did not arrive, or nobody has one."""

_SHOWN = 6
"""Places whose remedy is told; the evidence names them all."""


def lint_findings(case: Case, causes: Iterable[Finding]) -> list[Finding]:
    """The lints that no cause has told already at the same place."""
    causes = tuple(causes)
    told = {(each.id, evidence.file, evidence.line) for each in causes for evidence in each.evidence}
    told |= {
        ("partial-vhosts", evidence.file, evidence.line)
        for each in causes
        if each.id in UNLINKED and each.severity is not Severity.INFO
        for evidence in each.evidence
    }
    # What a cluster's objects say has no line: there a cause tells all that have its mistake.
    told_of_cluster = {each.id for each in causes for evidence in each.evidence if evidence.source == "kubernetes"}
    lints: dict[tuple[str, str], list[Lint]] = {}
    for source, lint in _all(case):
        if lint.file.startswith("kubernetes:") and lint.id in told_of_cluster:
            continue
        if (lint.id, lint.file, lint.line) not in told:
            lints.setdefault((lint.id, source), []).append(lint)
    return [_finding(case, name, source, places) for (name, source), places in lints.items()]


def _all(case: Case) -> list[tuple[str, Lint]]:
    routes = () if case.evidence.routes is None else case.evidence.routes.lints
    read = [
        ("overrides", lint)
        for each in case.overrides
        for lint in each.lints
        if not (lint.id == "mtls-bypass" and _demanded_there(case, each, lint.line))
    ]
    # What overrides.yaml may not select it is told itself; what it may, the wildcard route may, too.
    old = any(("app", SERVICE_MESH_APP) in host.selector for _, host in case.virtual_hosts)
    return [
        *read,
        *(("routes", lint) for lint in routes if not (old and lint.id == "selector" and SERVICE_MESH_APP in lint.text)),
        *case.evidence.unread,
    ]


def _demanded_there(case: Case, facts: OverridesFacts, line: int) -> bool:
    """Whether the routes that a virtual host is linked to are known, and demand client certificates as it does: then none is bypassed."""
    linked = [host.additional_gateways for host in facts.virtual_hosts if line in {host.additional_gateways_line, host.line}]
    known = [[route for route in case.wildcards if route.name == name] for names in linked for name in names]
    return bool(known) and all(routes and all(route.is_mutual for route in routes) for routes in known)


def _finding(case: Case, name: str, source: str, places: list[Lint]) -> Finding:
    first = places[0]
    problem = first.text.partition("; ")[0]
    more = f" (and in {len(places) - 1} other place{'s' * (len(places) > 2)})" if len(places) > 1 else ""
    fix = _fix(source, places)
    if name == "partial-vhosts" and source == "overrides":
        fix = Remedy(case).link()
    if name == "mtls-bypass" and source == "overrides":
        lines = {(place.file, place.line) for place in places}
        fix = Remedy(case).unlink(
            (each for each in case.virtual_hosts if (each[0], each[1].additional_gateways_line) in lines), fix.explanation
        )
    if name in {"selector", "different-certificates"} and source == "routes" and len(places) == 1:
        fix = _corrected(case, first, fix)
    asked = [probe_evidence(probe) for probe in case.probes if probe.asks_certificate] if name == "mtls-bypass" else []
    return Finding(
        id=name,
        severity=Severity.WARNING,
        confidence=Confidence.SUSPECTED if asked else Confidence.LIKELY,
        summary=f"{problem}{more}.",
        evidence=tuple(
            Evidence(source="kubernetes", text=each.text)
            if each.file.startswith("kubernetes:")
            else Evidence(source=source, file=each.file, line=each.line, text=each.text)
            for each in places
        ),
        against=tuple(replace(each, text=f"{each.text}; a client certificate is asked for without SNI, too") for each in asked),
        fix=fix,
    )


def _corrected(case: Case, place: Lint, fix: Fix) -> Fix:
    """The wildcard route that a lint is about, with what is wrong in it corrected."""
    remedy = Remedy(case)
    for route in case.wildcards:
        if route.file == place.file and place.line in {route.line, *dict(route.lines).values()}:
            credential = remedy.credential if place.id == "different-certificates" else None
            return remedy.repair_route(route, fix.explanation, credential=credential)
    return fix


def _fix(source: str, places: list[Lint]) -> Fix:
    """What to write in each place, and the command that reads the files again."""
    told = []
    for place in places[:_SHOWN]:
        remedy = place.text.partition("; ")[2] or "correct it"
        told.append(f"{place.file}:{place.line}: {remedy}" if not place.file.startswith("kubernetes:") else remedy)
    more = f" (and {len(places) - _SHOWN} more places)" if len(places) > _SHOWN else ""
    files = dict.fromkeys(place.file for place in places if not place.file.startswith("kubernetes:"))
    again = tuple(f"prober diagnose {source} {shlex.quote(file)}" for file in files if file != STANDARD_INPUT)
    return Fix(explanation="; ".join(told) + more + ".", commands=again)
