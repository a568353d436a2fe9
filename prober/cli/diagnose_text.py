"""A diagnosis for people: what was read, what it showed, and each finding as evidence, cause, fix."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import NamedTuple

from prober.cli.diagnose_counts import capture_lines, log_lines
from prober.cli.table import blocks
from prober.cli.terminal import Paint, Terminal, printable
from prober.diagnose.capture_facts import CaptureFacts
from prober.diagnose.evidence import EvidenceSet, ProbeFacts
from prober.findings import Finding, Fix, Severity, SourceReport
from prober.report import result_object

__all__ = ["report"]

_PAINT = {Severity.CRITICAL: Paint.BAD, Severity.WARNING: Paint.UNSURE, Severity.INFO: Paint.FAINT}
_INDENT = "  "
_LABEL = 9
_SCREEN = 12
"""Lines before the findings, above which what they say is told first: a terminal has some twenty."""
_SHOWN = 12
"""Pieces of evidence of a finding; who has a hundred places to mend has seen enough by then, and goes through them with a program."""


def report(
    evidence: EvidenceSet, findings: tuple[Finding, ...], captures: Mapping[str, CaptureFacts], terminal: Terminal
) -> Iterator[str]:
    """All lines. What comes of it stands on the first screen, also where much was read and counted."""
    sources = list(_sources(_folded(evidence.sources), terminal))
    counts = list(_counts(evidence, captures, terminal))
    yield from sources
    if len(sources) + len(counts) > _SCREEN:
        yield ""
        yield from _headline(findings, terminal)
    yield from counts
    shown = _Shown({}, set())
    for finding in findings:
        yield ""
        yield from _finding(finding, terminal, shown)


def _counts(evidence: EvidenceSet, captures: Mapping[str, CaptureFacts], terminal: Terminal) -> Iterator[str]:
    for probe in evidence.probes:
        yield ""
        yield from _probe(probe, terminal)
    if evidence.logs is not None and evidence.logs.entries:
        yield ""
        yield from log_lines(evidence.logs, terminal)
    for name, facts in captures.items():
        yield ""
        yield from capture_lines(name, facts, terminal)


def _headline(findings: tuple[Finding, ...], terminal: Terminal) -> Iterator[str]:
    """The first finding in its own words, and the names of the others; all of them follow whole."""
    first, *others = findings
    yield _title(first, terminal)
    yield from _wrapped(printable(first.summary), terminal, _INDENT, _INDENT)
    names = "".join(f"{name}, " for name in dict.fromkeys(each.id for each in others if each.id != first.id))
    fix = " and the fix" if any(each.fix for each in findings) else ""  # what is well needs none
    yield from _wrapped(f"Below: {names}the evidence{fix}.", terminal, _INDENT, _INDENT)


def _folded(sources: Iterable[SourceReport]) -> Iterator[SourceReport]:
    """The sources; of many of one kind that could be read the first ones, and how many more they were."""
    sources = list(sources)
    good = Counter(each.kind for each in sources if each.error is None)
    seen: Counter[str] = Counter()
    for each in sources:
        seen[each.kind] += each.error is None
        if each.error is not None or good[each.kind] <= _SHOWN or seen[each.kind] < _SHOWN:
            yield each
        elif seen[each.kind] == _SHOWN:
            yield SourceReport(kind=each.kind, name=f"and {good[each.kind] - _SHOWN + 1:,} more", summary="read as well")


def _sources(sources: Iterable[SourceReport], terminal: Terminal) -> Iterator[str]:
    for each in sources:
        good = each.error is None
        mark = terminal.symbol("✓", "+") if good else terminal.symbol("✗", "x")
        mark = terminal.paint(mark, Paint.GOOD if good else Paint.BAD)
        head = f"{mark} {each.kind:<10} "
        if good:
            name = printable(each.name)
            room = terminal.width - 14 - len(each.summary) - 2
            if room >= min(len(name), 12):
                yield head + terminal.shorten(name, room) + terminal.paint(f"  {each.summary}", Paint.FAINT)
            else:
                yield head + terminal.shorten(name, terminal.width - 14)
                for line in textwrap.wrap(each.summary, max(terminal.width - 14, 30)):
                    yield " " * 13 + terminal.paint(line, Paint.FAINT)
        else:
            read = f"; read before that: {each.summary}" if each.summary else ""
            yield from _wrapped(printable(f"{each.error}{read}"), terminal, head, " " * 13)


def _probe(probe: ProbeFacts, terminal: Terminal) -> Iterator[str]:
    yield from blocks(result_object(probe.differential, probe.judgement), terminal, datetime.now(UTC))
    for each in probe.http:
        with_name = "with SNI" if each.sni == "known" else "without SNI"
        yield f"{_INDENT}GET {printable(each.path)}, Host {printable(each.host)}, {with_name}: {printable(each.said)}"


class _Shown(NamedTuple):
    """What stands above already, and need not be read again."""

    evidence: dict[tuple[str, ...], str]
    """And of which finding it is."""
    fixes: set[tuple[str | None, tuple[str, ...]]]


def _title(finding: Finding, terminal: Terminal) -> str:
    paint = Paint.GOOD if finding.id == "ok" else _PAINT[finding.severity]
    mark = {"ok": terminal.symbol("✓", "+"), "inconclusive": "?"}.get(
        finding.id, terminal.symbol("✗", "x") if finding.severity is not Severity.INFO else terminal.symbol("·", "-")
    )
    standing = f"{finding.severity.value}, {finding.confidence.value}"
    return terminal.paint(f"{mark} {finding.id}", Paint.STRONG, paint) + terminal.paint(f"  {standing}", Paint.FAINT)


def _finding(finding: Finding, terminal: Terminal, shown: _Shown) -> Iterator[str]:
    yield _title(finding, terminal)
    yield from _evidence(finding, terminal, shown.evidence)
    for each in finding.against:
        yield from _labelled("against" if each is finding.against[0] else "", printable(str(each)), terminal, Paint.UNSURE)
    yield from _labelled("cause", printable(finding.summary), terminal, Paint.STRONG)
    if finding.fix is not None:
        again = (finding.fix.yaml, finding.fix.commands) in shown.fixes
        shown.fixes.add((finding.fix.yaml, finding.fix.commands))
        yield from _fix(finding.fix, terminal, again=again)


def _evidence(finding: Finding, terminal: Terminal, shown: dict[tuple[str, ...], str]) -> Iterator[str]:
    pieces = tuple(printable(str(each)) for each in finding.evidence)
    if len(pieces) > 1 and (above := shown.setdefault(pieces, finding.id)) != finding.id:
        yield from _labelled("evidence", f"the same as for {above}, above", terminal)
        return
    for place, piece in enumerate(pieces):
        if place == _SHOWN and len(pieces) > _SHOWN + 1:
            yield from _labelled("", f"and {len(pieces) - _SHOWN:,} more (--format json has them all)", terminal)
            break
        yield from _labelled("evidence" if not place else "", piece, terminal)


def _fix(fix: Fix, terminal: Terminal, *, again: bool) -> Iterator[str]:
    what = "What to apply, and the commands" if fix.yaml is not None else "Commands"
    above = f" ({what}: as above.)" if again and fix.commands else ""
    yield from _labelled("fix", printable(fix.explanation) + above, terminal, Paint.GOOD)
    if again:
        return
    if fix.yaml is not None:
        yield ""
        for line in fix.yaml.splitlines():
            yield terminal.paint(_escaped(line), *_diff_paint(line))
    if fix.commands:
        yield ""
        for command in fix.commands:
            yield terminal.paint(_escaped(command), Paint.STRONG)


def _escaped(line: str) -> str:
    """Not indented, so that it can be copied; tabs are kept, everything else that could move a cursor is not."""
    return "\t".join(printable(piece) for piece in line.split("\t"))


def _diff_paint(line: str) -> tuple[Paint, ...]:
    bare = line.removeprefix("# ")
    if bare.startswith("+") and not bare.startswith("+++"):
        return (Paint.GOOD,)
    if bare.startswith("-") and not bare.startswith(("---", "- ")):
        return (Paint.BAD,)
    return ()


def _labelled(label: str, text: str, terminal: Terminal, *paints: Paint) -> Iterator[str]:
    head = _INDENT + (terminal.paint(f"{label:<{_LABEL}}", *paints) if label else " " * _LABEL)
    yield from _wrapped(text, terminal, head, _INDENT + " " * _LABEL)


def _wrapped(text: str, terminal: Terminal, head: str, indent: str) -> Iterator[str]:
    lines = textwrap.wrap(text, max(terminal.width - len(indent) - 1, 30), break_long_words=False, break_on_hyphens=False) or [""]
    yield head + lines[0]
    for line in lines[1:]:
        yield indent + line
