"""What was counted, as a tired person reads it: in eighty columns, and in words that fit the number."""

from __future__ import annotations

from prober.cli.diagnose_counts import capture_lines, log_lines
from prober.cli.diagnose_text import report
from prober.cli.terminal import Terminal
from prober.diagnose.capture_facts import CaptureFacts
from prober.diagnose.evidence import EvidenceSet
from prober.diagnose.log_lines import LogLine, read_lines
from prober.diagnose.logs import analyse, count_line
from prober.findings import Confidence, Evidence, Finding, Fix, Severity, SourceReport
from tests.diagnose.log_samples import typed

PREFIX = "[pod/gateway-1/istio-proxy] "


def test_one_is_one_and_several_are_several() -> None:
    """An entry and entries, a pod and pods, a packet and packets, and no dots where nothing is left out."""
    one = analyse(read_lines([PREFIX + typed()]))
    two = analyse(read_lines([PREFIX + typed(), PREFIX.replace("-1", "-2") + typed()]))
    count_line(one, LogLine(2, None, None, damaged=True))

    first, dialect, damage, *_ = log_lines(one, Terminal(width=80))
    assert first.startswith("access log: 1 entry, ")
    assert dialect.endswith("JSON; 1 pod")
    assert damage.strip() == "1 entry is damaged (line 2)"
    first, dialect, *_ = log_lines(two, Terminal(width=80))
    assert first.startswith("access log: 2 entries, ")
    assert dialect.endswith("; 2 pods")
    cut = [list(capture_lines("a.pcap", CaptureFacts(truncated=count), Terminal(width=80)))[-1].strip() for count in (1, 2)]
    assert ["1 hello was cut by the snaplen: capture with -s 0", "2 hellos were cut by the snaplen: capture with -s 0"] == cut
    assert "1 packet" == next(iter(capture_lines("a.pcap", CaptureFacts(frames=1), Terminal(width=80)))).partition(": ")[2]


def test_a_long_path_leaves_the_counts_on_their_line() -> None:
    """The directory is cut, not the numbers behind it, and no line is longer than the terminal is wide."""
    facts = CaptureFacts(frames=835_149, first=1e9, last=1.1e9)
    first, *_ = capture_lines(f"/var/captures/{'deep/' * 20}ingress.pcap", facts, Terminal(width=80))

    assert len(first) <= 80
    assert first.endswith(": 835,149 packets, 2001-09-09 01:46:40 to 2004-11-09 11:33:20")


def test_a_capture_of_an_impossible_time_is_shown_all_the_same() -> None:
    """A pcapng packet has 64 bits for its time: neither what the platform cannot hold nor a year of five digits ends the report."""
    for last in (5.4e11, 1.8e19):
        first, *_ = capture_lines("a.pcapng", CaptureFacts(frames=2, first=1e9, last=last), Terminal(width=80))

        assert first.endswith(": 2 packets, 2001-09-09 01:46:40 to -")


def test_a_hundred_places_are_counted_and_a_dozen_shown() -> None:
    """Who has so many to mend goes through them with a program; the text says where the others are."""
    places = tuple(Evidence(source="routes", file="r.yaml", line=line, text="x") for line in range(1, 101))
    finding = Finding(id="port", severity=Severity.WARNING, confidence=Confidence.LIKELY, summary="y", evidence=places)
    text = "\n".join(report(EvidenceSet(), (finding,), {}, Terminal(width=80)))

    assert "r.yaml:12: x" in text
    assert "r.yaml:13: x" not in text
    assert "and 88 more (--format json has them all)" in text


def test_of_thirteen_the_thirteenth_is_one_other() -> None:
    """Twelve are listed."""
    facts = analyse(read_lines([typed(remote_address=f"10.0.0.{number}:40112") for number in range(13)]))
    assert any(line.split() == ["1", "other", "1"] for line in log_lines(facts, Terminal(width=80)))


def test_evidence_that_stands_above_is_not_printed_again() -> None:
    """A log without names speaks for three causes: whoever reads the third has read its lines twice."""
    pieces = tuple(Evidence(source="logs", text=f"10.0.0.{number}: 2 connections") for number in range(6))
    other = (*pieces[:5], Evidence(source="logs", text="something else"))
    findings = tuple(
        Finding(id=name, severity=Severity.WARNING, confidence=Confidence.SUSPECTED, summary="y", evidence=evidence)
        for name, evidence in (("no-wildcard", pieces), ("client-no-sni", pieces), ("not-tls", other))
    )
    lines = list(report(EvidenceSet(), findings, {}, Terminal(width=80)))

    assert sum("10.0.0.5: 2 connections" in line for line in lines) == 1
    assert "  evidence the same as for no-wildcard, above" in lines
    assert sum("10.0.0.4: 2 connections" in line for line in lines) == 2


def test_a_summary_that_has_no_room_beside_its_name_stands_below_it() -> None:
    """No line is longer than the terminal is wide, and nothing of the summary is lost."""
    summary = "18 packets, 3 ClientHellos, 3 without a name; 12,000 packets not read"
    source = SourceReport(kind="capture", name="ingress-of-production.pcap", summary=summary)
    lines = list(report(EvidenceSet(sources=(source,)), (), {}, Terminal(width=80)))

    assert ["✓ capture    ingress-of-production.pcap", summary] == [lines[0], " ".join(line.strip() for line in lines[1:])]
    assert max(map(len, lines)) <= 80


def test_the_answer_stands_on_the_first_screen_where_much_was_counted() -> None:
    """Behind the sources comes what is wrong, in its own words, and only then what was counted; little is not told twice."""
    wrong = Finding(
        id="port", severity=Severity.CRITICAL, confidence=Confidence.CONFIRMED, summary="No port.", fix=Fix(explanation="Add it.")
    )
    other = Finding(id="client-no-sni", severity=Severity.WARNING, confidence=Confidence.LIKELY, summary="A client.", evidence=())
    logs = analyse(read_lines([typed(remote_address=f"10.0.0.{number}:1") for number in range(12)]))
    sources = (SourceReport(kind="logs", name="a.log", summary="12 lines"),)
    terminal = Terminal(width=80)

    long = list(report(EvidenceSet(logs=logs, sources=sources), (wrong, other), {}, terminal))
    assert ["✗ port  critical, confirmed", "  No port.", "  Below: client-no-sni, the evidence and the fix."] == long[2:5]
    assert 2 == long.count("✗ port  critical, confirmed")
    short = list(report(EvidenceSet(sources=sources), (wrong, other), {}, terminal))
    assert 1 == short.count("✗ port  critical, confirmed")


def test_a_hundred_files_do_not_push_the_answer_off_the_screen() -> None:
    """The first of them are named and the others counted; each that could not be read is named."""
    sources = [SourceReport(kind="routes", name=f"{number}.yaml", summary="1 object") for number in range(100)]
    sources.insert(50, SourceReport(kind="routes", name="bad.yaml", error="bad.yaml: is empty"))
    finding = Finding(id="ok", severity=Severity.INFO, confidence=Confidence.LIKELY, summary="Well.", evidence=())
    lines = list(report(EvidenceSet(sources=tuple(sources)), (finding,), {}, Terminal(width=80)))

    assert "✓ ok  info, likely" == lines[14]
    assert "  Below: the evidence." == lines[16]  # and no fix of what is well
    assert any("and 89 more" in line for line in lines)
    assert any("bad.yaml: is empty" in line for line in lines)
    assert not any(
        "more" in line for line in report(EvidenceSet(sources=tuple(sources[:12])), (finding,), {}, Terminal(width=80))
    )
