"""The formats: each is one valid document, wherever the run is cut short."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from datetime import UTC, datetime

import pytest

from prober.cli.formats import BLOCKS_AT_MOST, Csv, Finding, Format, JsonDocument, JsonLines, Table, Tally
from prober.cli.terminal import Terminal
from prober.model import Outcome, Sni
from prober.report import CSV_FIELDS, result_object
from tests.cli.differentials import CLIENT_HELLO, finding, handshake

TALLY = Tally(Counter(), 0, 0, 1.5)


def whole(format_: Format, findings: list[Finding], tally: Tally = TALLY) -> str:
    """All that a format has to say."""
    return "".join([format_.start(), *map(format_.result, findings), format_.end(tally)])


def table(*, verbose: bool = False) -> Table:
    """On 80 columns, in plain text."""
    return Table(Terminal(), tuple(Sni), lambda: datetime(2026, 11, 22, tzinfo=UTC), verbose=verbose)


@pytest.mark.parametrize("count", [0, 1, 2, 7])
def test_json_is_one_document_however_many_results_there_are(count: int) -> None:
    """And none of it is kept back: after every result, only the closing brackets are missing."""
    findings = [finding(number) for number in range(count)]
    format_, text = JsonDocument(), ""
    text += format_.start()
    for done, each in enumerate(findings, 1):
        text += format_.result(each)
        assert len(json.loads(text + "]}")["results"]) == done
    text += format_.end(TALLY)
    assert text.endswith("]}\n")
    assert json.loads(text) == {"schema": 1, "results": [result_object(each.differential, each.judgement) for each in findings]}
    assert list(json.loads(text)) == ["schema", "results"]


def test_jsonl_is_an_element_of_results_a_line() -> None:
    """Each line is complete in itself."""
    findings = [finding(1), finding(2, summary="With a\nline end and an é.")]
    lines = whole(JsonLines(), findings).splitlines()
    assert [json.loads(line) for line in lines] == [result_object(each.differential, each.judgement) for each in findings]


def test_csv_has_a_header_and_a_row_for_each_hello() -> None:
    """What stands in a cell cannot break it."""
    text = whole(Csv(), [finding(1, summary='quotes ", commas, and\nline ends'), finding(2)])
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert list(rows[0]) == list(CSV_FIELDS)
    assert [(row["address"], row["sni"], row["outcome"], row["tls_alert"]) for row in rows] == [
        ("192.0.2.1", "known", "reset", ""),
        ("192.0.2.1", "none", "tls_alert", "unrecognized_name"),
        ("192.0.2.2", "known", "reset", ""),
        ("192.0.2.2", "none", "tls_alert", "unrecognized_name"),
    ]
    assert rows[0]["summary"] == 'quotes ", commas, and\nline ends'
    assert whole(Csv(), []) == ",".join(CSV_FIELDS) + "\n"


def test_a_few_addresses_are_blocks_in_the_order_of_the_input() -> None:
    """Whichever answered first. No totals: they can be counted at a glance."""
    text = whole(table(), [finding(number) for number in (3, 1, 2)])
    assert [line for line in text.splitlines() if line.startswith("✗")] == [
        f"✗ tls_failing  192.0.2.{number}:443" for number in (1, 2, 3)
    ]
    assert "at fault" not in text


def test_many_addresses_are_lines_as_they_come() -> None:
    """Nothing is lost when the few turn out to be many; the totals stand at the end."""
    format_ = table()
    count = BLOCKS_AT_MOST + 3
    parts = [format_.result(finding(number)) for number in range(count)]
    assert parts[:BLOCKS_AT_MOST] == [""] * BLOCKS_AT_MOST
    assert parts[BLOCKS_AT_MOST].count("\n") == BLOCKS_AT_MOST + 2
    assert all(part.count("\n") == 1 for part in parts[BLOCKS_AT_MOST + 1 :])
    lines = "".join(parts).splitlines()
    assert [line.rpartition(" ")[2] for line in lines[1:]] == [f"192.0.2.{number}:443" for number in range(count)]
    end = format_.end(Tally(Counter(tls_failing=count), count, 0, 1.5))
    assert end == f"\n{count} addresses in 1.5 s: {count} at fault\n  {count} tls_failing\n"


def test_an_interrupted_table_shows_what_was_there() -> None:
    """The few that were kept for their order are not lost; with nothing, nothing is said."""
    assert "192.0.2.9:443" in whole(table(), [finding(9)])
    assert whole(table(), []) == ""


def test_verbose_is_blocks_with_transcripts_as_they_come() -> None:
    """However many there are."""
    format_ = table(verbose=True)
    hello = handshake(Sni.NONE, Outcome.RESET, transcript=(CLIENT_HELLO,))
    for number in range(BLOCKS_AT_MOST + 2):
        text = format_.result(finding(number, hello))
        assert text.startswith("✗" if number == 0 else "\n✗")
        assert "\n  > ClientHello (512 bytes)\n      server_name: a.example\n" in text
