"""The output of ``prober once`` in its formats. A format turns results into text as they come; it writes nothing itself."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import NamedTuple, Protocol

from prober.cli.table import LineTable, blocks, totals
from prober.cli.terminal import Terminal
from prober.cli.transcript import transcript
from prober.judge.verdicts import Judgement
from prober.model import Differential, Sni
from prober.report import CSV_FIELDS, Json, csv_rows, result_object
from prober.report_text import result_text

__all__ = ["Csv", "Finding", "Format", "JsonDocument", "JsonLines", "Table", "Tally"]

BLOCKS_AT_MOST = 5
"""As many addresses as a screen can show in blocks; more of them get one line each."""


class Finding(NamedTuple):
    """One judged differential."""

    number: tuple[int, int]
    """Place of the target in the input, and of the address among the target's."""
    differential: Differential
    judgement: Judgement

    @property
    def result(self) -> dict[str, Json]:
        """The object of ``--format json``."""
        return result_object(self.differential, self.judgement)


class Tally(NamedTuple):
    """What the run came to."""

    verdicts: Counter[str]
    at_fault: int
    inconclusive: int
    elapsed: float
    """Seconds."""


class Format(Protocol):
    """Text before, for, and after the results. The texts together are one valid document, wherever the run is cut short."""

    def start(self) -> str:
        """What comes first, also when there is no result at all."""

    def result(self, finding: Finding) -> str:
        """What can be said now that this result is there; the empty string when it is kept for later."""

    def end(self, tally: Tally) -> str:
        """What is left to say."""


class JsonDocument:
    """``json``: one document, streamed; each element of ``results`` on a line of its own."""

    def __init__(self) -> None:
        self._separator = "\n"

    def start(self) -> str:
        """Open the document."""
        return '{"schema": 1,\n "results": ['

    def result(self, finding: Finding) -> str:
        """One element."""
        separator, self._separator = self._separator, ",\n"
        return f"{separator}  {result_text(finding.differential, finding.judgement)}"

    def end(self, tally: Tally) -> str:  # noqa: ARG002
        """Close the document."""
        return "\n]}\n" if self._separator != "\n" else "]}\n"


class JsonLines:
    """``jsonl``: one object a line."""

    def start(self) -> str:
        """Nothing."""
        return ""

    def result(self, finding: Finding) -> str:
        """One line."""
        return result_text(finding.differential, finding.judgement) + "\n"

    def end(self, tally: Tally) -> str:  # noqa: ARG002
        """Nothing."""
        return ""


class Csv:
    """``csv``: the columns of `prober.report.CSV_FIELDS`, a header line, Unix line ends."""

    def start(self) -> str:
        """The header line."""
        return _csv_line(CSV_FIELDS)

    def result(self, finding: Finding) -> str:
        """One line a handshake."""
        return "".join(_csv_line(row) for row in csv_rows(finding.differential, finding.judgement))

    def end(self, tally: Tally) -> str:  # noqa: ARG002
        """Nothing."""
        return ""


def _csv_line(fields: Iterable[str]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(fields)
    return text.getvalue()


class Table:
    """``table``: a block for each of a few addresses, in order, at the end; one line each, as they come, when there are many.

    ``verbose``: always blocks, as they come, each with the transcript of its handshakes.
    """

    def __init__(self, terminal: Terminal, sni: Sequence[Sni], now: Callable[[], datetime], *, verbose: bool) -> None:
        self._terminal = terminal
        self._lines = LineTable(terminal, sni)
        self._now = now
        self._verbose = verbose
        self._kept: list[Finding] | None = []
        """None as soon as there are too many to be kept."""
        self._blocks = 0

    def start(self) -> str:
        """Nothing: it is not known yet how many there will be."""
        return ""

    def result(self, finding: Finding) -> str:
        """Nothing for the first few; then a line for each of them, and for every other."""
        if self._verbose:
            return self._block(finding)
        if self._kept is None:
            return self._lines.line(finding.result) + "\n"
        self._kept.append(finding)
        if len(self._kept) <= BLOCKS_AT_MOST:
            return ""
        kept, self._kept = self._kept, None
        return _text([self._lines.title(), *(self._lines.line(each.result) for each in kept)])

    def end(self, tally: Tally) -> str:
        """The blocks of the few, or the totals of the many."""
        if self._kept:
            return "".join(self._block(finding) for finding in sorted(self._kept, key=lambda finding: finding.number))
        if self._kept is None or self._blocks > 1:
            terminal = self._terminal
            return _text(["", *totals(tally.verdicts, tally.at_fault, tally.inconclusive, tally.elapsed, terminal)])
        return ""

    def _block(self, finding: Finding) -> str:
        separator = [""] if self._blocks else []
        self._blocks += 1
        lines = [*separator, *blocks(finding.result, self._terminal, self._now())]
        if self._verbose:
            lines.extend(transcript(finding.differential, self._terminal))
        return _text(lines)


def _text(lines: Iterable[str]) -> str:
    return "".join(f"{line}\n" for line in lines)
