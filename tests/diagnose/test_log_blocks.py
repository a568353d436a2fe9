"""Reading a log block by block counts what reading it line by line counts, whatever stands in it."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prober.diagnose import log_blocks
from prober.diagnose.collect_files import Input
from prober.diagnose.log_blocks import analyse_blocks
from prober.diagnose.log_lines import MAX_PENDING, read_lines
from prober.diagnose.logs import LogFacts, analyse
from tests.diagnose.log_samples import ENTRY, ISTIO_TEXT, POD, cloud_logging, entry, strings, typed
from tests.diagnose.make_load import log_lines

PREFIX = f"[pod/{POD}/apigee-ingressgateway] "
STAMP = "2026-03-02T09:15:14.300118204Z "
TIGHT = {"separators": (",", ":")}

SAMPLES = [
    typed(),
    json.dumps(ENTRY, **TIGHT),  # type: ignore[arg-type]
    typed(sni_host="shop.example", start_time="2026-03-02T09:15:05Z"),
    typed(sni_host="probe-0f0f0f0f.invalid"),
    typed(status_details="via_upstream", status=200, tls_protocol="TLSv1.3", host="api.example.com", bytes_sent=-1),
    typed(status_details="route_not_found", status=404, tls_protocol="TLSv1.3", host="a.test", request_time=1.5),
    typed(start_time=None),
    typed(start_time="-"),
    typed(remote_address="[2001:db8::7]:4711"),
    typed(user_agent='with "quotes"'),
    typed(user_agent="with a brace { and a comma, and [brackets]"),
    typed(user_agent="snowman \N{SNOWMAN}"),
    json.dumps(entry(user_agent="snowman \N{SNOWMAN}"), ensure_ascii=False),
    typed(apigee_dynamic_data={"status": 7, "sni_host": "inner.example"}),
    typed(sni_host="bell\x07"),
    typed(sni_host=True),
    typed(status=None),
    strings(),
    strings(user_agent='un"escaped').replace('\\"', '"'),
    strings(user_agent='twice "un"escaped').replace('\\"', '"'),
    strings(status_details="route_not_found", tls_protocol="TLSv1.2", status=404),
    json.dumps(dict(sorted(ENTRY.items(), reverse=True))),
    json.dumps({"status_details": "filter_chain_not_found", "sni_host": None, "status": 0}),
    PREFIX + typed(),
    STAMP + typed(),
    PREFIX + STAMP + strings(),
    f"{STAMP}stdout F {typed()}",
    f"{STAMP}stdout P {typed()[:90]}",
    f"{STAMP}stdout F {typed()[90:]}",
    json.dumps({"log": typed() + "\n", "stream": "stdout", "time": STAMP.strip()}),
    json.dumps(cloud_logging(ENTRY)),
    ISTIO_TEXT,
    json.dumps(ENTRY, indent=2),
    typed()[:80],
    typed() + "}",
    typed() + "\r",
    typed().replace('"status": 0', '"status": 007'),
    '{"log": "x", "status_details": 1, "sni_host": 2, "status": 3}',
    "2026-03-02T09:14:58.120Z\tinfo\txdsproxy\tconnected",
    "",
    " ",
    "[",
    "]",
]


def both(blocks: list[str]) -> tuple[LogFacts, LogFacts]:
    """Line by line, and block by block."""
    lines = [line for block in blocks for line in block.split("\n")]
    return analyse(read_lines(lines)), analyse_blocks(blocks, LogFacts())


@given(st.lists(st.lists(st.sampled_from(SAMPLES), min_size=1, max_size=12).map("\n".join), min_size=1, max_size=8))
def test_blocks_count_what_lines_count(blocks: list[str]) -> None:
    """Every dialect, wrapping and damage, in any mixture, cut into blocks anywhere."""
    slowly, quickly = both(blocks)

    assert slowly == quickly


@given(st.lists(st.text(alphabet='{}[]",:\\ \n\r-0123null', max_size=60), min_size=1, max_size=12))
def test_arbitrary_text_counts_the_same(texts: list[str]) -> None:
    """Also between lines that are well known."""
    slowly, quickly = both([typed(), *(f"{typed()}\n{text}\n{strings()}" for text in texts)])

    assert slowly == quickly


@given(st.data())
def test_damage_within_a_known_line_counts_the_same(data: st.DataObject) -> None:
    """Any byte of a line that was learned may be another one."""
    line = data.draw(st.sampled_from(SAMPLES[:9]))
    place = data.draw(st.integers(0, len(line)))
    patch = data.draw(st.text(alphabet='{}[]",:\\ -0.eEtfnul\t', max_size=3))
    slowly, quickly = both([line, f"{line}\n{line[:place]}{patch}{line[place + len(patch) :]}\n{line}", line])

    assert slowly == quickly


@pytest.mark.parametrize("sample", [typed(), strings(), PREFIX + typed(), STAMP + typed(), f"{STAMP}stdout F {typed()}"])
def test_lines_that_are_alike_are_taken_at_once(sample: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In both dialects and behind kubectl's and CRI's prefixes only the first line is read the thorough way."""
    read = []
    monkeypatch.setattr(log_blocks, "count_line", lambda _facts, line: read.append(line))
    facts = analyse_blocks([sample, "\n".join([sample] * 100)], LogFacts())

    assert (1, 100) == (len(read), facts.lines)


def test_the_orders_of_keys_that_are_learned_are_few(monkeypatch: pytest.MonkeyPatch) -> None:
    """A log of ever new orders is read line by line, and counted the same."""
    made = []
    original = log_blocks._Template
    monkeypatch.setattr(log_blocks, "_Template", lambda keys: made.append(keys) or original(keys))
    blocks = [json.dumps({f"k{number}": 1, **ENTRY}) for number in range(50)]
    slowly, quickly = both(blocks)

    assert slowly == quickly
    assert len(made) == 8


def test_a_made_log_counts_the_same() -> None:
    """The log by which speed is measured."""
    lines = list(log_lines(3000))
    slowly, quickly = both(["\n".join(lines[start : start + 700]) for start in range(0, len(lines), 700)])

    assert slowly == quickly
    assert 3000 == quickly.entries


@pytest.mark.parametrize("packed", [False, True])
def test_a_files_blocks_hold_its_lines(packed: bool, tmp_path: Path) -> None:
    """Whole lines, also the last one without its end; a line that is too long comes in pieces."""
    text = "a\n\nb" + "x" * (2 * MAX_PENDING + 5) + "\nlast"
    path = tmp_path / "log"
    path.write_bytes(gzip.compress(text.encode()) if packed else text.encode())

    blocks, lines = list(Input(str(path)).blocks()), list(Input(str(path)).lines())

    assert lines == [line for block in blocks for line in block.split("\n")]
    assert text.replace("\n", "") == "".join(lines)
    assert (["a", ""], "last") == (lines[:2], lines[-1])
    assert max(map(len, lines)) <= 2 * MAX_PENDING
