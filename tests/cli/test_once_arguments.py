"""What ``prober once`` refuses before it sends a packet, and what it makes of its arguments."""

from __future__ import annotations

from pathlib import Path

import pytest

from prober.cli import build_parser, main
from prober.cli.once_targets import Recipe
from prober.model import Module, NonSniPolicy, Sni
from prober.tls.profiles import PROFILES


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([], "no TARGET; write what to probe, for example: prober once api.example.com"),
        (["http://a.example/"], "only https:// means TLS from the first byte"),
        (["a.example/path"], "has a path"),
        (["a.example:0"], "port 0 in 'a.example:0' is out of range"),
        (["::1:443:x"], "no IPv6 address"),
        (["a.example", "--sni", "known,nothing"], "'nothing' is no hello"),
        (["a.example", "--sni", ""], "'' is no hello"),
        (["a.example", "--timeout", "0"], "out of range"),
        (["a.example", "--timeout", "nan"], "out of range"),
        (["a.example", "--timeout", "soon"], "no duration"),
        (["a.example", "--concurrency", "0"], "too small"),
        (["a.example", "--concurrency", "many"], "no whole number"),
        (["a.example", "--connect-ip", "5"], "choose from 4, 6"),
        (["a.example", "--proxy-protocol", "v3"], "choose from v1, v2"),
        (["a.example", "--server-name", "https://b.example"], "write the name alone"),
        (["a.example", "--server-name", "*.b.example"], "is a pattern"),
        (["a.example", "--hello", "modem"], "there is no profile 'modem'; did you mean modern?"),
        (["a.example", "--hello", "tls13-only", "--tls", "1.2"], "--hello tls13-only --tls 1.2"),
        (["a.example", "--expect-non-sni", "reject"], "did you mean rejected?"),
        (["192.0.2.1", "--sni", "known"], "an address without a known name; say which with --server-name NAME"),
        (["--file", "/nonexistent/targets"], "--file /nonexistent/targets: No such file"),
        (["--file", "/"], "--file /: "),
        (["192.0.2.1", "--ca-file", "/nonexistent/ca.pem"], "--ca-file /nonexistent/ca.pem: cannot be read"),
        (["192.0.2.1", "--ca-file", "/dev/null"], "no PEM certificate"),
    ],
)
def test_a_wrong_argument_is_told_and_nothing_is_probed(
    arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit status 2, the reason on standard error, nothing on standard output."""
    assert main(["once", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert complaint in err
    assert err.startswith("prober once: ")


def test_all_wrong_targets_are_told_together(capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever mistyped two of them is told both."""
    assert main(["once", "good.example", "bad one", "http://worse"]) == 2
    assert [line.partition(" ")[0] for line in capsys.readouterr().err.splitlines()] == ["prober", "prober"]


def test_lists_the_profiles_with_their_fingerprints(capsys: pytest.CaptureFixture[str]) -> None:
    """``--hello list`` needs no target; the JA4 differs by d (name) and i (none)."""
    assert main(["once", "--hello", "list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(PROFILES)
    assert all(line.split()[1].startswith("t1") for line in lines)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("known", (Sni.KNOWN,)), ("unknown,none", (Sni.NONE, Sni.UNKNOWN)), (" none , known,none", (Sni.KNOWN, Sni.NONE))],
)
def test_hellos_are_chosen_by_name(text: str, expected: tuple[Sni, ...]) -> None:
    """In the order of the differential, each once."""
    assert build_parser().parse(["once", "a", "--sni", text]).sni == expected


@pytest.mark.parametrize(("text", "expected"), [("2.5", 2.5), ("500ms", 0.5), ("3s", 3.0), ("1m", 60.0), ("1e-2", 0.01)])
def test_durations_are_seconds_or_have_a_unit(text: str, expected: float) -> None:
    """As curl's number, or as Prometheus writes it."""
    assert build_parser().parse(["once", "a", "--timeout", text]).timeout == pytest.approx(expected)


def test_json_is_a_format_like_the_others() -> None:
    """``--json`` is ``--format json``; the last one that is written wins."""
    parse = build_parser().parse
    assert parse(["once", "a"]).format == "table"
    assert parse(["once", "a", "--json"]).format == "json"
    assert parse(["once", "a", "--json", "--format", "csv"]).format == "csv"


def recipe(*server_names: str, sni: tuple[Sni, ...] = tuple(Sni)) -> Recipe:
    """What the targets of a test share."""
    return Recipe(module=Module(sni=sni), server_names=server_names, timeout=5.0, non_sni=NonSniPolicy.CERTIFICATE)


@pytest.mark.parametrize(
    ("text", "host", "port", "names"),
    [
        ("api.example.com", "api.example.com", 443, ("api.example.com",)),
        ("api.example.com.:8443", "api.example.com.", 8443, ("api.example.com",)),
        ("https://api.example.com/", "api.example.com", 443, ("api.example.com",)),
        ("192.0.2.1:8443", "192.0.2.1", 8443, ()),
        ("[2001:db8::1]:8443", "2001:db8::1", 8443, ()),
    ],
)
def test_a_target_is_its_own_known_name_when_it_is_a_name(text: str, host: str, port: int, names: tuple[str, ...]) -> None:
    """An address has no known name of its own. The target is called what it was called on the command line."""
    target = recipe().target(text)
    assert target.name == text
    assert [(address.host, address.port) for address in target.addresses] == [(host, port)]
    assert target.server_names == names


def test_server_names_that_are_given_replace_the_targets_own() -> None:
    """All of them are known names, for each target."""
    assert recipe("a.example", "b.example").target("api.example.com").server_names == ("a.example", "b.example")


def test_a_server_name_that_is_repeated_is_asked_for_once(tmp_path: Path) -> None:
    """Otherwise the same hello would be sent twice, and be judged twice."""
    from prober.cli.once import _recipe

    parsed = build_parser().parse(["once", "192.0.2.1", "--server-name", "a.example", "--server-name", "a.example"])
    assert _recipe(parsed).server_names == ("a.example",)
