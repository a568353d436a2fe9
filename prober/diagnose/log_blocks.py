"""The same counts as `logs.analyse`, for logs of which most lines are alike: block by block, with one regular expression.

A gateway writes all its entries with the same keys in the same order. The first line tells the order; from then on a block of a
thousand lines is taken apart by one call, and what is alike is counted together. A line that differs (escaped quotes, an agent's
message, another order, damage) goes the thorough way, through `LineReader`, in its place.

The expression accepts less than JSON does, and nothing that is no JSON: so both ways read the same.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable
from operator import itemgetter

from prober.diagnose.access_log import Dialect, split_remote
from prober.diagnose.log_lines import LineReader, LogLine, is_wrapped
from prober.diagnose.logs import FILTER_CHAIN_NOT_FOUND, OTHERS, LogFacts, bump, count_line, count_source

__all__ = ["BlockCounter", "analyse_blocks"]

_Row = tuple[str, ...]

_FIELDS = (
    "start_time", "remote_address", "sni_host", "status", "status_details", "upstream_response_flags", "host", "tls_protocol",
)  # fmt: skip
_NEEDED = frozenset({"status_details", "sni_host", "status"})
_KEY = re.compile(r"[A-Za-z_][\w.-]{0,63}")
_MOST_KEYS = 64
_MOST_TEMPLATES = 8
"""Orders of keys that are learned in one log; what is written in more of them is read the thorough way."""
# JSON (RFC 8259) but for escapes, exponents, true and false. Possessive, so that a line that differs is given up at once.
_VALUE = r'(?:"[^"\\\x00-\x1f]*+"|null|-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?+)'
# kubectl --prefix and --timestamps, and a whole line of CRI.
_TRANSPORT = (
    r"(?:\[pod/([^/\]\n]++)/[^\]\n]++\] )?+"
    r"(?:[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]++)?+(?:Z|[+-][0-9]{2}:[0-9]{2}) (?:std(?:out|err) F )?+)?+"
)
_NULLS = frozenset({"", "null", '"-"', '""'})
_REJECTED = f'"{FILTER_CHAIN_NOT_FOUND}"'


class _Template:
    """How lines with these keys in this order are taken apart: a row is the pod, then the fields as they are written."""

    def __init__(self, keys: tuple[str, ...]) -> None:
        self.keys = keys
        pairs = ", ?+".join(f'"{re.escape(key)}": ?+' + (f"({_VALUE})" if key in _FIELDS else _VALUE) for key in keys)
        written = [key for key in keys if key in _FIELDS]
        absent = [key for key in _FIELDS if key not in keys]  # an empty group stands for each
        self.rows = re.compile(rf"^{_TRANSPORT}\{{{pairs}\}}{'()' * len(absent)}$|^.*$", re.MULTILINE).findall
        place = {field: number for number, field in enumerate((*written, *absent), start=1)}
        self.start, self.sni, self.details = place["start_time"], place["sni_host"], place["status_details"]
        self.started = itemgetter(self.start)
        self.matched = itemgetter(place["status"])
        self.alike = itemgetter(0, place["status"], self.details, place["upstream_response_flags"], place["tls_protocol"])
        self.telling = itemgetter(
            self.start, place["remote_address"], self.sni, self.details, place["host"], place["tls_protocol"]
        )


def analyse_blocks(blocks: Iterable[str], facts: LogFacts) -> LogFacts:
    """Count a log, given as blocks of whole lines without the last line's end. Counts the same as `logs.analyse` does."""
    counter = BlockCounter(facts)
    for block in blocks:
        counter.add(block)
    counter.finish()
    return facts


class BlockCounter:
    """Counts one log, block by block as they come; several logs, each with a counter of its own, may be counted into the same facts."""

    def __init__(self, facts: LogFacts) -> None:
        self._facts = facts
        self._reader = LineReader()
        self._template: _Template | None = None
        self._learned = self._number = 0

    def add(self, block: str) -> None:
        """Count a block of whole lines, without the last line's end."""
        facts, reader, template = self._facts, self._reader, self._template
        rows: list[_Row] = [] if template is None or reader.waiting else template.rows(block)
        if template is not None and rows and len(rows) == block.count("\n") + 1 and all(map(template.matched, rows)):
            self._number += len(rows)
            _count_rows(facts, template, rows)
            return
        lines = block.split("\n")
        if len(rows) != len(lines):
            rows = [()] * len(lines)
        before, alike = template, []
        for line, row in zip(lines, rows, strict=True):
            self._number += 1
            if row and before is not None and before.matched(row) and not reader.waiting:
                alike.append(row)
                continue
            for each in reader.line(self._number, line):
                count_line(facts, each)
                if (
                    self._learned < _MOST_TEMPLATES
                    and (keys := _keys(each, line))
                    and (template is None or keys != template.keys)
                ):
                    template = self._template = _Template(keys)
                    self._learned += 1
        if before is not None:
            _count_rows(facts, before, alike)

    def finish(self) -> None:
        """Count what is still pending: no more will come."""
        for each in self._reader.finish():
            count_line(self._facts, each)


def _keys(read: LogLine, line: str) -> tuple[str, ...]:
    """The keys of an entry that is one object in one line; none where lines like it are to be read the thorough way."""
    if read.entry is None or read.entry.dialect not in {Dialect.TYPED_JSON, Dialect.STRING_JSON}:
        return ()
    try:
        value = json.loads(line[line.index("{") :])
    except (ValueError, RecursionError):
        return ()
    if not isinstance(value, dict) or is_wrapped(value) or not value.keys() >= _NEEDED or len(value) > _MOST_KEYS:
        return ()
    return tuple(value) if all(map(_KEY.fullmatch, value)) else ()


def _count_rows(facts: LogFacts, template: _Template, rows: list[_Row]) -> None:
    if not rows:
        return
    facts.lines += len(rows)
    facts.entries += len(rows)
    for (pod, status, details, flags, tls), count in Counter(map(template.alike, rows)).items():
        dialect = Dialect.STRING_JSON if status.startswith('"') else Dialect.TYPED_JSON
        facts.dialects[dialect.value] += count
        bump(facts.signatures, (_text(details) or "-", _text(flags) or "-"), (OTHERS, OTHERS), count)
        if pod:
            bump(facts.pods, pod, OTHERS, count)
        if tls not in _NULLS:
            facts.tls_known = True
    _span(facts, [*map(template.started, rows)])
    rejected, at, sni_at = _REJECTED, template.details, template.sni
    for row in rows:
        if row[at] == rejected or row[sni_at] in _NULLS:
            start, remote, name, why, host, version = map(_text, template.telling(row))
            count_source(facts, details=why, sni=name, source=split_remote(remote)[0], start=start, host=host, tls=version)


def _span(facts: LogFacts, starts: list[str]) -> None:
    low, high = min(starts), max(starts)
    # As they are written, a missing one sorts before or behind all that begin with a quote and a digit.
    if low in _NULLS or high in _NULLS or not high.startswith('"'):
        known = [each for each in map(_text, starts) if each]
        low, high = (min(known), max(known)) if known else ("", "")
    facts.span.merge(len(starts), _text(low) or "", _text(high) or "")


def _text(token: str) -> str | None:
    """A value as it is written, as `access_log` reads it."""
    if token in _NULLS:
        return None
    return token[1:-1] if token[0] == '"' else token
