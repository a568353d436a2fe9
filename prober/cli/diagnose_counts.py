"""The counts of access logs and captures for people: who, how many, since when; noise apart, and what they cannot prove."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

from prober.cli.table import wrap
from prober.cli.terminal import Paint, Terminal, printable
from prober.diagnose.capture import CaptureFacts
from prober.diagnose.logs import LogFacts, SourceKind, Tally, kind_of

__all__ = ["capture_lines", "log_lines"]

_ROWS = 12
_INDENT = "  "


def log_lines(facts: LogFacts, terminal: Terminal) -> Iterator[str]:
    """What the log counts."""
    span = f", {_moment(facts.span.first)} to {_moment(facts.span.last)}" if facts.span.first else ""
    dialects = ", ".join(f"{name} {count:,}" if len(facts.dialects) > 1 else name for name, count in facts.dialects.most_common())
    yield terminal.paint(f"access log: {facts.entries:,} entries{span}", Paint.STRONG)
    yield f"{_INDENT}{dialects}" + (f"; {len(facts.pods)} pods" if facts.pods else "")
    if facts.damaged_count:
        lines = ", ".join(map(str, facts.damaged[:5]))
        yield terminal.paint(f"{_INDENT}{facts.damaged_count:,} entries are damaged (lines {lines}...)", Paint.UNSURE)
    yield from _signatures(facts, terminal)
    yield from _rejected(facts, terminal)
    if facts.rejected_by_name:
        yield from _table(
            "a server name that matched no filter chain", "server name", facts.rejected_by_name, terminal, _sources_of(facts)
        )
    if facts.served_without_sni:
        yield from _table(
            "clients without a name that were served TLS",
            "source",
            facts.served_without_sni,
            terminal,
            _kinds(facts.served_without_sni),
        )
    if facts.unlinked:
        yield from _table("of them: 404 route_not_found, by Host", "host", facts.unlinked, terminal, {})
    if facts.canaries:
        count = sum(tally.count for tally in facts.canaries.values())
        yield f"{_INDENT}prober's own unknown names: {count:,} line{'s' * (count != 1)}, left out above"
    yield from _limits(facts, terminal)


def _signatures(facts: LogFacts, terminal: Terminal) -> Iterator[str]:
    yield f"{_INDENT}status_details and flags"
    rows = facts.signatures.most_common(_ROWS)
    for (details, flags), count in rows:
        yield f"{_INDENT * 2}{count:>9,}  {terminal.shorten(printable(f'{details} {flags}'), terminal.width - 16)}"
    left = len(facts.signatures) - len(rows)
    if left > 0:
        yield f"{_INDENT * 2}{'':>9}  and {left} more"


def _rejected(facts: LogFacts, terminal: Terminal) -> Iterator[str]:
    rows = facts.rejected_without_sni
    noise = {source: tally for source, tally in rows.items() if kind_of(source, tally)[0] is SourceKind.NOISE}
    matter = {source: tally for source, tally in rows.items() if source not in noise}
    if matter:
        yield from _table("no server name, no filter chain", "source", matter, terminal, _kinds(matter))
    if noise:
        count = sum(tally.count for tally in noise.values())
        text = f"internet noise: {count:,} such lines from {len(noise):,} public addresses that came a few times"
        yield terminal.paint(_INDENT + text, Paint.FAINT)
    if not rows:
        yield f"{_INDENT}no line without a server name was turned away"


def _kinds(rows: dict[str, Tally]) -> dict[str, str]:
    kinds = {}
    for source, tally in rows.items():
        kind, known = kind_of(source, tally)
        kinds[source] = known.name if known is not None else kind.value
    return kinds


def _sources_of(facts: LogFacts) -> dict[str, str]:
    return {
        name: "from " + ", ".join(source for source, _ in counted.most_common(2))
        for name, counted in facts.sources_by_name.items()
    }


def _table(title: str, column: str, rows: dict[str, Tally], terminal: Terminal, notes: dict[str, str]) -> Iterator[str]:
    total = sum(tally.count for tally in rows.values())
    yield terminal.paint(f"{_INDENT}{title}: {total:,} line{'s' * (total != 1)}", Paint.STRONG)
    shown = sorted(rows.items(), key=lambda row: -row[1].count)[:_ROWS]
    width = min(max([len(column), *(len(name) for name, _ in shown)]), 30)
    head = f"{_INDENT * 2}{column:<{width}} {'lines':>9} {'per min':>8}  {'first':<8} {'last':<8}"
    yield terminal.paint(head.rstrip(), Paint.FAINT)
    for name, tally in shown:
        rate = tally.per_minute
        often = f"{rate:.1f}" if rate is not None else "-"
        line = (
            f"{_INDENT * 2}{terminal.shorten(printable(name), width):<{width}} {tally.count:>9,} {often:>8}  "
            f"{_clock(tally.first):<8} {_clock(tally.last):<8}"
        )
        yield from _noted(line, printable(notes.get(name, "")), terminal)
    left = len(rows) - len(shown)
    if left > 0:
        rest = sum(tally.count for tally in rows.values()) - sum(tally.count for _, tally in shown)
        yield f"{_INDENT * 2}{f'{left:,} others':<{width}} {rest:>9,}"


def _noted(line: str, note: str, terminal: Terminal) -> Iterator[str]:
    """A row and what is to be said of it: behind it where there is room, else below."""
    if not note:
        yield line.rstrip()
    elif len(line) + 2 + len(note) <= terminal.width:
        yield f"{line}  {terminal.paint(note, Paint.FAINT)}"
    else:
        yield line.rstrip()
        yield terminal.paint(f"{_INDENT * 3}{terminal.shorten(note, terminal.width - 7)}", Paint.FAINT)


def _limits(facts: LogFacts, terminal: Terminal) -> Iterator[str]:
    said = []
    if facts.rejected_without_sni:
        said.append("a line without a name may also be plain HTTP on the TLS port: only a capture or a probe tells")
    if not facts.tls_known:
        said.append("no entry names a TLS version, so who was served without SNI cannot be told from plain HTTP")
    for text in said:
        for line in wrap(f"not proved: {text}", terminal):
            yield terminal.paint(line, Paint.FAINT)


def capture_lines(name: str, facts: CaptureFacts, terminal: Terminal) -> Iterator[str]:
    """What a capture counts."""
    span = f", {_unix(facts.first)} to {_unix(facts.last)}" if facts.first is not None else ""
    yield terminal.paint(f"capture {printable(name)}: {facts.frames:,} packets{span}", Paint.STRONG)
    for title, table in (("ClientHellos without a name", facts.without_name), ("ClientHellos with a name", facts.with_name)):
        total = sum(table.values())
        yield f"{_INDENT}{title}: {total:,}"
        for (client, ending), count in table.most_common(_ROWS):
            yield f"{_INDENT * 2}{client:<30} {count:>9,}  {ending.value.replace('_', ' ')}"
    yield from _rest(
        (
            (sum(facts.not_tls.values()), "connections whose first bytes are no TLS"),
            (facts.truncated, "hellos were cut by the snaplen: capture with -s 0"),
            (facts.incomplete, "hellos are incomplete"),
            (sum(facts.refused.values()), "connections were refused"),
            (sum(facts.unanswered_syn.values()), "SYNs were never answered"),
            (sum(facts.unknown_link_types.values()), "packets have a link type that is not read"),
        )
    )


def _rest(rows: Iterable[tuple[int, str]]) -> Iterator[str]:
    for count, text in rows:
        if count:
            yield f"{_INDENT}{count:,} {text}"


def _moment(text: str) -> str:
    return text[:19].replace("T", " ")


def _clock(text: str) -> str:
    return text[11:19] or "-"


def _unix(moment: float | None) -> str:
    return "-" if moment is None else datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M:%S")
