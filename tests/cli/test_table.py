"""The table, as it stands on a terminal of 80 columns and on others."""

from __future__ import annotations

import re
from collections import Counter
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prober.cli.table import LineTable, blocks, totals
from prober.cli.terminal import Terminal, columns
from prober.model import Outcome, Sni, Verdict
from tests.cli.results import certificate, handshake, result

NOW = datetime(2026, 11, 22, tzinfo=UTC)
PLAIN = Terminal(width=80)
ANSI = re.compile(r"\x1b\[[0-9;]*m")


def shown(value: dict[str, Any], terminal: Terminal = PLAIN) -> str:
    """One block."""
    return "\n".join(blocks(value, terminal, NOW))


def test_the_case_of_the_playbook_at_80_columns() -> None:
    """Verdict and address first, one row a hello, then what it means and what to do."""
    assert shown(result()) == (
        "✗ non_sni_reset  203.0.113.10:443  api-test.example.com\n"
        "  sni      server name           outcome      TLS  certificate                ms\n"
        "  known    api-test.example.com  certificate  1.3  api-test.example… 62d    12.3\n"
        "  none     -                     reset        ECONNRESET after 0 bytes      12.3\n"
        "  unknown  probe-3f2a9b1c77d04…  reset        ECONNRESET after 0 bytes      12.3\n"
        "  Clients that send no server name are reset before a byte of TLS (as Envoy\n"
        "  without a matching filter chain does): add a wildcard route or a default\n"
        "  certificate."
    )


def test_a_wide_terminal_shows_the_whole_answer() -> None:
    """The canary in full, so that it can be searched for in the access log; cipher suite and group."""
    text = shown(result(), Terminal(width=140))
    assert "probe-3f2a9b1c77d04e51.invalid" in text
    assert "AES_128_GCM" in text
    assert "x25519" in text
    assert "api-test.example.com 62d" in text


def test_bytes_that_came_too_slowly_are_no_silence() -> None:
    """A server that answers a byte at a time is to be found elsewhere than one that says nothing."""
    text = shown(result(handshake(), handshake("none", "timeout"), handshake("unknown", "timeout", bytes_received=20)))
    assert "timeout      silence      " in text
    assert "timeout      only 20 bytes came " in text


def test_a_goodbye_within_tls_is_no_fin() -> None:
    """A close_notify that a RST followed, or nothing: who looks for the FIN in a capture does not find one."""
    closed = (
        handshake("none", "closed", bytes_received=7, close="rst"),
        handshake("unknown", "closed", bytes_received=7, close="fin"),
    )
    text = shown(result(handshake(), *closed))
    assert "closed       close_notify after 7 bytes " in text
    assert "closed       FIN after 7 bytes " in text


def test_an_expected_rejection_is_no_fault() -> None:
    """The symbol says that all is well, the words say why."""
    alert = {"level": "fatal", "code": 112, "description": "unrecognized_name"}
    rejected = result(
        handshake(),
        handshake("none", "tls_alert", tls_alert=alert, bytes_received=7, close="rst"),
        verdict="non_sni_rejected",
        expected=True,
        target="203.0.113.10:443",
    )
    lines = shown(rejected).splitlines()
    assert lines[0] == "✓ non_sni_rejected (as expected)  203.0.113.10:443"
    assert lines[3] == "  none     -                     tls_alert    unrecognized_name (112)       12.3"


def test_every_fault_is_told_and_bad_certificates_are_marked() -> None:
    """An expired certificate does not hide a wrong one; the mark is there without colour."""
    bad = result(
        handshake(certificates=[certificate(not_after="2026-11-20T00:00:00Z")], certificate_valid=False),
        handshake("none", certificates=[certificate("CN=TRAEFIK DEFAULT CERT")], certificate_valid=False),
        verdict="certificate_invalid",
        faults=["certificate_invalid", "non_sni_wrong_certificate"],
    )
    lines = shown(bad).splitlines()
    assert lines[1] == "  also: non_sni_wrong_certificate"
    assert "✗ api-test.examp… -2d" in lines[3]
    assert "✗ TRAEFIK DEFAUL… 62d" in lines[4]


def test_a_detail_that_does_not_fit_stands_below_its_row_once() -> None:
    """In full the first time, cut where it is the same again."""
    http = {"detail": "http: b'HTTP/1.1 400 Bad Request\\r\\ncontent-length: 0\\r\\n'"}
    lines = shown(result(*(handshake(sni, "not_tls", **http) for sni in ("known", "none")), verdict="tls_failing")).splitlines()
    assert lines[2].split() == ["known", "api-test.example.com", "not_tls", "12.3"]
    assert lines[3].strip() == http["detail"]
    assert lines[4].split()[3:5] == ["http:", "b'HTTP/1.1"]
    assert "…" in lines[4]


def test_what_went_wrong_behind_a_certificate_stands_below_its_row() -> None:
    """A handshake that was to be finished and was not, and one that was refused in the end, do not look like one that went well."""
    alert = {"level": "fatal", "code": 116, "description": "certificate_required"}
    cut_short = handshake("none", "certificate", detail="after the certificate: RST while waiting for Finished")
    lines = shown(result(handshake(tls_alert=alert), cut_short, handshake("unknown", "certificate"), verdict="ok")).splitlines()
    assert [line.split()[0] for line in lines[2:7]] == ["known", "after", "none", "after", "unknown"]
    assert lines[3].strip() == "after the certificate: alert 116 certificate_required"
    assert lines[5].strip() == "after the certificate: RST while waiting for Finished"


@pytest.mark.parametrize(
    ("not_after", "told"),
    [
        ("2026-11-22T01:00:00Z", "0d"),
        ("2026-11-21T23:00:00Z", "-1d"),
        ("2026-11-20T23:00:00Z", "-1d"),
        ("2026-11-20T00:00:00Z", "-2d"),
    ],
)
def test_days_since_the_end_are_whole_ones(not_after: str, told: str) -> None:
    """As the pages and alerts count them: 25 hours ago is a day ago. What has ended never has a day left."""
    lines = shown(result(handshake(certificates=[certificate(not_after=not_after)]))).splitlines()
    assert told in lines[2].split()


@pytest.mark.parametrize(
    ("target", "headline"),
    [
        ("2001:db8::1", "[2001:db8::1]:443"),
        ("[2001:db8::1]", "[2001:db8::1]:443"),
        ("[2001:db8::1]:443", "[2001:db8::1]:443"),
        ("six.example", "[2001:db8::1]:443  six.example"),
    ],
)
def test_an_address_is_not_told_twice(target: str, headline: str) -> None:
    """A target that is the address adds nothing to it, with brackets or without."""
    value = result(handshake(), target=target, address="2001:db8::1", port=443)
    assert shown(value).splitlines()[0].split("  ", 1)[1] == headline
    assert LineTable(Terminal(width=120), tuple(Sni)).line(value).endswith(headline.replace("  ", " "))


def test_a_certificate_that_cannot_be_read_is_shown_all_the_same() -> None:
    """An empty chain, an empty subject, a date that is none."""
    text = shown(
        result(
            handshake(certificates=[]),
            handshake("none", certificates=[certificate("", subject_alternative_names=["a.example"], not_after=None)]),
            handshake("unknown", certificates=[certificate("", subject_alternative_names=[], not_after=None)]),
        )
    )
    assert "(empty)" in text
    assert "a.example " in text
    assert "(no subject)" in text


def test_nothing_that_a_peer_sends_reaches_the_terminal_raw() -> None:
    """Escape sequences, line ends and direction marks of a hostile certificate are spelled out."""
    hostile = "CN=\x1b[2J\x1b]0;owned\x07\r\n\u202eevil"
    text = shown(result(handshake(certificates=[certificate(hostile)]), summary="bad \x1b[31m name"), Terminal(width=200))
    assert "\x1b" not in text
    assert "\r" not in text
    assert "\u202e" not in text
    assert r"\x1b[2J" in text


def test_without_unicode_the_table_is_ascii() -> None:
    """On a terminal whose encoding has no such characters."""
    assert shown(result(), Terminal(width=80, unicode=False)).isascii()


def test_colour_only_adds_to_what_is_there() -> None:
    """Without its escape sequences, the coloured table is the plain one."""
    coloured = shown(result(), Terminal(width=80, colour=True))
    assert "\x1b[1;31m✗ non_sni_reset\x1b[0m" in coloured
    assert ANSI.sub("", coloured) == shown(result())


HANDSHAKES = st.builds(
    lambda sni, outcome, name, errno, detail, subject: handshake(
        sni,
        outcome,
        server_name=name if sni == "known" else None,
        errno=errno,
        detail=detail,
        certificates=[certificate(subject)],
    ),
    st.sampled_from([mode.value for mode in Sni]),
    st.sampled_from([outcome.value for outcome in Outcome]),
    st.sampled_from(["a.example", "x" * 63 + "." + "y" * 60 + ".example"]),
    st.sampled_from([None, "EHOSTUNREACH"]),
    st.one_of(st.none(), st.text(max_size=200)),
    st.text(max_size=80).map("CN={}".format),
)


@given(
    handshakes=st.lists(HANDSHAKES, min_size=1, max_size=6), width=st.integers(60, 200), verdict=st.sampled_from(list(Verdict))
)
def test_rows_fit_the_terminal_whatever_they_hold(handshakes: list[dict[str, Any]], width: int, verdict: Verdict) -> None:
    """No row is wider than the terminal, and the milliseconds of all rows stand below each other at its edge."""
    lines = list(blocks(result(*handshakes, verdict=verdict), Terminal(width=width), NOW))
    rows = [line for line in lines if re.match(r"  (known|none|unknown|sni) ", line)]
    assert len(rows) == len(handshakes) + 1
    assert {columns(row) for row in rows} == {width}
    assert columns(lines[0]) <= max(width, 2 + len(verdict) + len(" (as expected)") + 2 + len("203.0.113.10:443"))


def test_one_line_an_address_where_there_are_many() -> None:
    """Verdict, outcomes, address; the target's name where there is room."""
    table = LineTable(PLAIN, list(Sni))
    v6 = result(target="[2001:db8::1]:8443", address="2001:db8::1", port=8443, verdict="ok")
    unresolved = [handshake(sni, "resolve_failed") for sni in ("known", "none", "unknown")]
    nameless = result(*unresolved, target="gone.example", address="gone.example", verdict="unreachable")
    assert [table.title(), table.line(result()), table.line(v6), table.line(nameless)] == [
        "  verdict                   known   none    unknown address",
        "✗ non_sni_reset             cert    reset   reset   203.0.113.10:443 api-test.e…",
        "✓ ok                        cert    reset   reset   [2001:db8::1]:8443",
        "✗ unreachable               no DNS  no DNS  no DNS  gone.example:443",
    ]


def test_a_line_shows_the_known_name_that_failed() -> None:
    """Of several known names, the one without a certificate; a hello that was not sent is a dash."""
    several = result(handshake(), handshake(outcome="reset"), handshake(), verdict="sni_failing")
    assert LineTable(PLAIN, list(Sni)).line(several).split()[:5] == ["✗", "sni_failing", "reset", "-", "-"]


@pytest.mark.parametrize("outcome", list(Outcome))
def test_every_outcome_has_a_short_word(outcome: Outcome) -> None:
    """That fits its column, so that all lines are aligned."""
    line = LineTable(PLAIN, [Sni.KNOWN]).line(result(handshake(outcome=outcome), target="203.0.113.10:443"))
    assert line.index("203.0.113.10:443") == 2 + 25 + 1 + 7 + 1


def test_totals_say_how_many_and_which() -> None:
    """Good news first, then in order of precedence; nothing about verdicts that nobody got."""
    counted = Counter({"unreachable": 3, "ok": 1190, "inconclusive": 1, "non_sni_reset": 12})
    assert list(totals(counted, 15, 1, 3.21, PLAIN)) == [
        "1,206 addresses in 3.2 s: 15 at fault, 1 not judged",
        "  1,190 ok, 1 inconclusive, 3 unreachable, 12 non_sni_reset",
    ]


def test_totals_do_not_separate_a_number_from_its_word() -> None:
    """Where the line is broken, it is broken at a comma."""
    lines = list(totals(Counter(dict.fromkeys(Verdict, 7)), 1, 1, 1.0, PLAIN))[1:]
    assert len(lines) > 1
    assert all(re.fullmatch(r"  (7 \w+(, |,$|$))+", line) for line in lines)
