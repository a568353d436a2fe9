"""The counts of access logs and captures for people: who, how many, since when; noise apart, and what they cannot prove."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

from prober.cli.table import wrap
from prober.cli.terminal import Paint, Terminal, printable
from prober.diagnose.capture_document import hello_kinds
from prober.diagnose.capture_facts import CapturedHello, CaptureFacts
from prober.diagnose.logs import LogFacts, SourceKind, Tally, kind_of

__all__ = ["capture_lines", "log_lines"]

_ROWS = 12
_INDENT = "  "


def log_lines(facts: LogFacts, terminal: Terminal) -> Iterator[str]:
    """What the log counts."""
    span = f", {_moment(facts.span.first)} to {_moment(facts.span.last)}" if facts.span.first else ""
    dialects = ", ".join(f"{name} {count:,}" if len(facts.dialects) > 1 else name for name, count in facts.dialects.most_common())
    yield terminal.paint(f"access log: {facts.entries:,} {'entry' if facts.entries == 1 else 'entries'}{span}", Paint.STRONG)
    yield f"{_INDENT}{dialects}" + (f"; {len(facts.pods)} pod{'s' * (len(facts.pods) != 1)}" if facts.pods else "")
    if facts.damaged_count:
        lines = ", ".join(map(str, facts.damaged[:5]))
        more = "..." * (facts.damaged_count > 5)
        many = facts.damaged_count != 1
        text = f"{facts.damaged_count:,} {'entries are' if many else 'entry is'} damaged (line{'s' * many} {lines}{more})"
        yield terminal.paint(f"{_INDENT}{text}", Paint.UNSURE)
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
        yield f"{_INDENT * 2}{_others(left):<{width}} {rest:>9,}"


def _others(count: int) -> str:
    return f"{count:,} other{'s' * (count != 1)}"


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
    counted = f": {facts.frames:,} packet{'s' * (facts.frames != 1)}{span}"
    room = max(terminal.width - len("capture ") - len(counted), 8)
    yield terminal.paint(f"capture {terminal.shorten(printable(name), room)}{counted}", Paint.STRONG)
    for title, table in (("ClientHellos without a name", facts.without_name), ("ClientHellos with a name", facts.names)):
        total = sum(table.values())
        yield f"{_INDENT}{title}: {total:,}"
        for (who, ending), count in table.most_common(_ROWS):
            shown = terminal.shorten(printable(who), 30)
            yield f"{_INDENT * 2}{shown:<30} {count:>9,}  {ending.value.replace('_', ' ')}"
        left = len(table) - _ROWS
        if left > 0:
            rest = total - sum(count for _, count in table.most_common(_ROWS))
            yield f"{_INDENT * 2}{_others(left):<30} {rest:>9,}"
    yield from _offers(facts, terminal)
    yield from _rest(
        (
            *((count, f"segment{{s}} came in {tunnel}") for tunnel, count in facts.tunnels.most_common()),
            (sum(facts.not_tls.values()), f"connection{{s}} whose first bytes are no TLS: {_spoken(facts)}"),
            (sum(facts.sslv2.values()), "hello{s} in the format of SSL 2.0, which has no place for a name"),
            (facts.truncated, "hello{s} {were} cut by the snaplen: capture with -s 0"),
            (facts.incomplete, "hello{s} {are} incomplete"),
            (
                facts.one_sided,
                "connection{s} {were} captured in one direction only: how {they} ended is not known; capture both ways",
            ),
            (sum(facts.refused.values()), "connection{s} {were} refused"),
            (sum(facts.unanswered_syn.values()), "SYN{s} {were} never answered"),
        ),
        terminal,
    )
    unread = [*((count, f"not read: packet{{s}} that {{are}} {reason}") for reason, count in facts.unread.most_common())]
    unread += [
        (count, f"not read: packet{{s}} of link type {link}, which is not known here")
        for link, count in facts.unknown_link_types.most_common()
    ]
    unread += [
        (facts.lost_fragments, "not read: packet{s} whose fragments were not all captured"),
        (facts.dropped, "not read: packet{s} that came faster than could be read"),
    ]
    for line in _rest(unread, terminal):
        yield terminal.paint(line, Paint.UNSURE)


_KINDS = 6


def _offers(facts: CaptureFacts, terminal: Terminal) -> Iterator[str]:
    """What the hellos are like, and by which software they may be (JA4); those without a name first."""
    kinds: dict[CapturedHello, Counter[str]] = {}
    for hello, count in hello_kinds(facts):
        kinds.setdefault(hello._replace(time=0, client="", client_port=0, delay=None), Counter())[hello.client] += count
    if kinds:
        yield f"{_INDENT}what they offer"
    rows = sorted(kinds.items(), key=lambda row: (row[0].server_name is not None, -row[1].total()))
    for hello, clients in rows[:_KINDS]:
        others = f" and {_others(len(clients) - 2)}" if len(clients) > 2 else ""
        parts = [
            "no server_name" if hello.server_name is None else f"server_name {printable(hello.server_name)}",
            *(["encrypted ClientHello (the name is the public one)"] if hello.encrypted else []),
            " ".join(hello.versions),
            f"ALPN {' '.join(map(printable, hello.alpn))}" if hello.alpn else "no ALPN",
            f"JA4 {hello.ja4}",
            *([f"in {hello.via}"] if hello.via else []),
            *([f"captured {hello.copies} times"] if hello.copies > 1 else []),
            f"{_ended(hello)}; from {', '.join(client for client, _ in clients.most_common(2))}{others} to {hello.to}",
        ]
        first, *more = wrap(f"{clients.total():>7,}  {'; '.join(parts)}", terminal, _INDENT * 2)
        yield first
        for line in wrap(" ".join(line.strip() for line in more), terminal, " " * 13):
            yield terminal.paint(line, Paint.FAINT)
    left = sum(clients.total() for _, clients in rows[_KINDS:])
    if left:
        yield f"{_INDENT * 2}{left:>7,}  of {len(rows) - _KINDS:,} other kinds"
    if facts.unlisted:
        yield f"{_INDENT * 2}{facts.unlisted:>7,}  more, which were counted and not told apart"


def _ended(hello: CapturedHello) -> str:
    text = hello.ending.value.replace("_", " ")
    if hello.tls_alert:
        text = f"alert {hello.tls_alert}"
    signs = ["TTL" * hello.rst_ttl_differs, "options" * hello.rst_options_differ]
    odd = " and ".join(filter(None, signs))
    return f"{text} (unlike the server's: {odd})" if odd else text


def _spoken(facts: CaptureFacts) -> str:
    counted: Counter[str] = Counter()
    for (_, protocol), count in facts.not_tls.items():
        counted[protocol] += count
    return ", ".join(protocol for protocol, _ in counted.most_common(4))


def _rest(rows: Iterable[tuple[int, str]], terminal: Terminal) -> Iterator[str]:
    for count, text in rows:
        if count:
            words = (
                {"s": "", "were": "was", "are": "is", "they": "it"}
                if count == 1
                else {"s": "s", "were": "were", "are": "are", "they": "they"}
            )
            yield from wrap(f"{count:,} {text.format(**words)}", terminal)


def _moment(text: str) -> str:
    return printable(text[:19].replace("T", " "))


def _clock(text: str) -> str:
    return printable(text[11:19]) or "-"


def _unix(moment: float | None) -> str:
    try:
        return "-" if moment is None else datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M:%S")
    except (OverflowError, ValueError):  # beyond the year 9999: a damaged capture says so
        return "-"
