"""``--verbose``: what TCP did around the messages."""

from __future__ import annotations

import pytest

from prober.cli.terminal import Terminal
from prober.cli.transcript import transcript
from prober.model import Close, Differential, Endpoint, Outcome, Seconds, Sni, Stage
from prober.tls.facts import TranscriptEntry
from tests.cli.differentials import CLIENT_HELLO, finding, handshake


def told(outcome: Outcome, **changes: object) -> list[str]:
    """The lines about one hello without a server name."""
    differential = finding(1, handshake(Sni.NONE, outcome, transcript=(CLIENT_HELLO,), **changes)).differential
    return list(transcript(differential, Terminal()))


def test_a_single_byte_is_one_byte() -> None:
    """ChangeCipherSpec has no more."""
    entry = TranscriptEntry("<", "ChangeCipherSpec", 1, ())
    differential = finding(1, handshake(Sni.NONE, Outcome.RESET, transcript=(CLIENT_HELLO, entry))).differential
    assert "  < ChangeCipherSpec (1 byte)" in transcript(differential, Terminal())


def test_a_reset_after_the_hello() -> None:
    """The seed's case: connected, hello sent, RST."""
    assert told(Outcome.RESET) == [
        "",
        "  no server name (hello modern, JA4 t13d...)",
        "  * connected to 192.0.2.1:443 in 0.4 ms",
        "  > ClientHello (512 bytes)",
        "      server_name: a.example",
        "      random: " + "ab" * 32,
        "  * RST received (ECONNRESET), 1.1 ms after the hello was sent (0 bytes received)",
    ]


@pytest.mark.parametrize(
    ("outcome", "changes", "expected"),
    [
        (
            Outcome.CERTIFICATE,
            {"stage": Stage.CERTIFICATE, "bytes_received": 1790},
            ["* the certificate was read, 1.1 ms after the hello was sent (1,790 bytes received)"],
        ),
        (
            Outcome.CERTIFICATE,
            {"stage": Stage.FINISHED, "bytes_received": 1790, "close": Close.FIN},
            ["* both Finished messages are done, 1.1 ms after the hello was sent (1,790 bytes received)", "* then FIN received"],
        ),
        (Outcome.CLOSED, {"close": Close.FIN}, ["* FIN received, 1.1 ms after the hello was sent (0 bytes received)"]),
        (
            Outcome.CLOSED,
            {"bytes_received": 7, "close": Close.RST},
            ["* close_notify received, 1.1 ms after the hello was sent (7 bytes received)", "* then RST received"],
        ),
        (
            Outcome.CLOSED,
            {"bytes_received": 7, "close": Close.NONE},
            ["* close_notify received, 1.1 ms after the hello was sent (7 bytes received)"],
        ),
        (
            Outcome.TIMEOUT,
            {"bytes_received": 4},
            ["* nothing more came until the deadline, 1.1 ms after the hello was sent (4 bytes received)"],
        ),
        (
            Outcome.TLS_ALERT,
            {"bytes_received": 7, "close": Close.RST},
            ["* tls_alert, 1.1 ms after the hello was sent (7 bytes received)", "* then RST received"],
        ),
        (
            Outcome.PROTOCOL_ERROR,
            {"bytes_received": 9, "detail": "ServerHello at offset 4: \x1b[31mred"},
            [
                "* protocol_error, 1.1 ms after the hello was sent (9 bytes received)",
                "* ServerHello at offset 4: \\x1b[31mred",
            ],
        ),
    ],
)
def test_how_a_connection_ended(outcome: Outcome, changes: dict[str, object], expected: list[str]) -> None:
    """What decided, how long after the hello, and what followed; nothing raw from the peer."""
    lines = told(outcome, **changes)
    assert [line.strip() for line in lines[lines.index("      random: " + "ab" * 32) + 1 :]] == expected


def test_a_connection_that_never_stood() -> None:
    """Says why, and claims nothing about a hello."""
    refused = {"stage": Stage.CONNECT, "errno": "ECONNREFUSED", "seconds": Seconds(0.0, None, None, 0.1), "transcript": ()}
    differential = finding(1, handshake(Sni.NONE, Outcome.REFUSED, **refused)).differential
    assert list(transcript(differential, Terminal()))[2:] == ["  * not connected to 192.0.2.1:443: refused, ECONNREFUSED"]


def test_a_name_that_does_not_resolve() -> None:
    """There was nothing to connect to."""
    unresolved = handshake(
        Sni.NONE, Outcome.RESOLVE_FAILED, stage=Stage.RESOLVE, errno="EAI_NONAME", detail="not known", seconds=Seconds(0.1)
    )
    differential: Differential = finding(1, unresolved).differential._replace(endpoint=None)
    assert list(transcript(differential, Terminal()))[2:] == [
        "  * 192.0.2.1 was not resolved: resolve_failed, EAI_NONAME, not known"
    ]


def test_resolution_is_told_where_there_was_one() -> None:
    """An IP literal needed none."""
    hello = handshake(Sni.NONE, seconds=Seconds(0.012, 0.0004, 0.0011, 0.0135))
    differential = finding(1, hello).differential._replace(endpoint=Endpoint("2001:db8::1", 443))
    assert list(transcript(differential, Terminal()))[2:4] == [
        "  * 192.0.2.1 resolved in 12.0 ms",
        "  * connected to [2001:db8::1]:443 in 0.4 ms",
    ]


def test_long_fields_are_cut_after_a_few_lines_of_the_terminals_width() -> None:
    """A hello's cipher suites would push everything else off the screen."""
    suites = TranscriptEntry(">", "ClientHello", 512, ("cipher_suites: " + ", ".join(f"TLS_SUITE_{n}" for n in range(88)),))
    differential = finding(1, handshake(Sni.NONE, transcript=(suites,))).differential
    lines = [line for line in transcript(differential, Terminal(width=70)) if "TLS_SUITE" in line]
    assert len(lines) == 4
    assert max(map(len, lines)) < 70
    assert lines[-1].endswith(" ...")
