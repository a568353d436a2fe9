"""What an ingress's access log says about clients without SNI, and what it cannot say.

A log never proves that a client sent no name: plain HTTP, or an SSH banner, sent to the TLS port is written byte for byte like
a ClientHello without ``server_name`` (measured with a real Envoy). So the facts here are counts of *lines*, and only `causes`,
with a probe or a capture beside them, says what they mean.

Memory is bounded: at most `MAX_ROWS` addresses and as many names are told apart, the rest is counted together.
"""

from __future__ import annotations

import datetime as dt
import re
from collections import Counter
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeVar

from prober.diagnose.log_lines import LogLine
from prober.diagnose.sources import SourceRange, range_of

__all__ = [
    "FILTER_CHAIN_NOT_FOUND",
    "MAX_ROWS",
    "NOISE_LINES",
    "OTHERS",
    "LogFacts",
    "SourceKind",
    "Tally",
    "analyse",
    "bump",
    "count_line",
    "count_source",
    "is_canary",
    "kind_of",
]

_Key = TypeVar("_Key", bound=Hashable)

MAX_ROWS = 20_000
OTHERS = "(others)"

FILTER_CHAIN_NOT_FOUND = "filter_chain_not_found"
ROUTE_NOT_FOUND = "route_not_found"

_CANARY = re.compile(r"probe-[0-9a-f]{2,32}\.invalid")


def is_canary(name: str) -> bool:
    """Whether a server name is one that prober sends as the name that nobody serves."""
    return _CANARY.fullmatch(name) is not None


class SourceKind(StrEnum):
    """What a source of lines without SNI is likely to be."""

    LOAD_BALANCER = "load balancer"
    INTERNAL = "internal client"
    RECURRENT = "recurrent public client"
    NOISE = "internet noise"


@dataclass(slots=True)
class Tally:
    """How often, and from when to when. Times are the log's own, RFC 3339 as written; empty when the lines had none."""

    count: int = 0
    first: str = ""
    last: str = ""

    def add(self, when: str | None) -> None:
        """Count one line; lines need not be in order."""
        self.count += 1
        if when:
            # In a log that is in order, the first comparison decides; that is what makes a million lines quick.
            if when > self.last:
                self.last = when
                if self.first:
                    return
            if not self.first or when < self.first:
                self.first = when

    def merge(self, count: int, first: str, last: str) -> None:
        """Count several lines at once."""
        self.count += count
        if first and (not self.first or first < self.first):
            self.first = first
        self.last = max(self.last, last)

    @property
    def end(self) -> dt.datetime | None:
        """The time of the last line; None when that is unknown."""
        return _moment(self.last)

    @property
    def seconds(self) -> float:
        """From the first to the last line; 0.0 when that is unknown."""
        start, end = _moment(self.first), self.end
        return (end - start).total_seconds() if start and end else 0.0

    @property
    def per_minute(self) -> float | None:
        """Lines a minute between the first and the last; None for a single line or an unknown span."""
        return (self.count - 1) / self.seconds * 60 if self.seconds > 0 else None


@dataclass(slots=True)
class LogFacts:
    """Everything that was counted. Keys of the tables are IP addresses or server names as the log has them."""

    lines: int = 0
    entries: int = 0
    damaged: list[int] = field(default_factory=list)
    """Line numbers of entries that could not be read; the first hundred."""
    damaged_count: int = 0
    span: Tally = field(default_factory=Tally)
    dialects: Counter[str] = field(default_factory=Counter)
    pods: Counter[str] = field(default_factory=Counter)
    signatures: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By (status_details, response flags); ``-`` for none."""
    rejected_without_sni: dict[str, Tally] = field(default_factory=dict)
    """``filter_chain_not_found`` and no name, by source address: a client without SNI, or no TLS at all."""
    rejected_by_name: dict[str, Tally] = field(default_factory=dict)
    """``filter_chain_not_found`` with a name, by that name; canaries of prober are not among them."""
    sources_by_name: dict[str, Counter[str]] = field(default_factory=dict)
    canaries: dict[str, Tally] = field(default_factory=dict)
    """Prober's own unknown names that the log shows as rejected."""
    served_without_sni: dict[str, Tally] = field(default_factory=dict)
    """No name and TLS stood, by source address: positive evidence that non-SNI clients are served."""
    unlinked: dict[str, Tally] = field(default_factory=dict)
    """``route_not_found`` without a name although TLS stood, by Host: the wildcard route is not linked to that host."""
    tls_known: bool = False
    """Whether any entry named a TLS version: without that field, a request without SNI may have been plain HTTP."""

    @property
    def rejected_count(self) -> int:
        """All ``filter_chain_not_found`` lines without a name."""
        return sum(tally.count for tally in self.rejected_without_sni.values())


def analyse(lines: Iterable[LogLine], facts: LogFacts | None = None) -> LogFacts:
    """Count a log; give ``facts`` to count several files together."""
    facts = LogFacts() if facts is None else facts
    for line in lines:
        count_line(facts, line)
    return facts


def count_line(facts: LogFacts, line: LogLine) -> None:
    """Count one line."""
    facts.lines += 1
    if line.damaged:
        facts.damaged_count += 1
        if len(facts.damaged) < 100:
            facts.damaged.append(line.number)
    entry = line.entry
    if entry is None:
        return
    facts.entries += 1
    facts.span.add(entry.start_time)
    facts.dialects[entry.dialect._value_] += 1  # hashing the member itself is Enum's own, and slow
    bump(facts.signatures, (entry.details or "-", entry.flags or "-"), (OTHERS, OTHERS))
    if line.pod is not None:
        bump(facts.pods, line.pod, OTHERS)
    if entry.tls_protocol is not None:
        facts.tls_known = True
    count_source(
        facts,
        details=entry.details,
        sni=entry.sni,
        source=entry.remote_ip,
        start=entry.start_time,
        host=entry.host,
        tls=entry.tls_protocol,
    )


def count_source(
    facts: LogFacts,
    *,
    details: str | None,
    sni: str | None,
    source: str | None,
    start: str | None,
    host: str | None,
    tls: str | None,
) -> None:
    """Count who was turned away, or was served without a name; others are not told apart."""
    source = source or "(unknown)"
    if sni is not None and not sni.isprintable():
        # A client may send what it wants as its name; here it stays one line.
        sni = sni.encode("unicode_escape").decode()
    if details == FILTER_CHAIN_NOT_FOUND:
        if sni is None:
            _row(facts.rejected_without_sni, source).add(start)
        elif is_canary(sni):
            _row(facts.canaries, sni).add(start)
        else:
            _row(facts.rejected_by_name, sni).add(start)
            sources = facts.sources_by_name.setdefault(sni if sni in facts.rejected_by_name else OTHERS, Counter())
            if len(sources) < 100 or source in sources:
                sources[source] += 1
    elif sni is None and tls is not None:
        _row(facts.served_without_sni, source).add(start)
        if details == ROUTE_NOT_FOUND:
            _row(facts.unlinked, host or "(no Host)").add(start)


def bump(table: Counter[_Key], key: _Key, others: _Key, by: int = 1) -> None:
    """Count in a table that has `MAX_ROWS` rows at most; what has no row any more counts as ``others``."""
    if key not in table and len(table) >= MAX_ROWS:
        key = others
    table[key] += by


def _row(table: dict[str, Tally], key: str) -> Tally:
    tally = table.get(key)
    if tally is None:
        if len(table) >= MAX_ROWS:
            key = OTHERS
        tally = table.setdefault(key, Tally())
    return tally


# An internet scanner looks at an address a few times and goes on; a client that matters comes back.
NOISE_LINES = 5


def kind_of(source: str, tally: Tally) -> tuple[SourceKind, SourceRange | None]:
    """What a source of rejected lines is likely to be, from its address and how often it came."""
    known = range_of(source)
    if known is not None:
        return (SourceKind.LOAD_BALANCER if known.load_balancer else SourceKind.INTERNAL), known
    return (SourceKind.NOISE if tally.count <= NOISE_LINES else SourceKind.RECURRENT), None


def _moment(text: str) -> dt.datetime | None:
    try:
        parsed = dt.datetime.fromisoformat(text)
    except ValueError:
        return None
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=dt.UTC)
