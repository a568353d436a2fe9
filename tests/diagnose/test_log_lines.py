"""Every dialect in every wrapping gives the same entry, and no damage stops the reading."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prober.diagnose.access_log import AccessLogEntry, Dialect
from prober.diagnose.log_lines import LogLine, read_lines

from .log_samples import ENTRY, ISTIO_TEXT, POD, cloud_logging, entry, strings, typed

PREFIX = f"[pod/{POD}/apigee-ingressgateway] "
STAMP = "2026-03-02T09:15:14.300118204Z "


def read(text: str) -> list[LogLine]:
    return list(read_lines(text.splitlines(keepends=True)))


def entries(text: str) -> list[AccessLogEntry]:
    return [line.entry for line in read(text) if line.entry is not None]


WRAPPED = {
    "raw": typed(),
    "strings": strings(),
    "kubectl --prefix": PREFIX + typed(),
    "kubectl --timestamps": STAMP + strings(),
    "kubectl --prefix --timestamps": PREFIX + STAMP + strings(),
    "CRI": STAMP + "stdout F " + typed(),
    "CRI in parts": f"{STAMP}stdout P {typed()[:90]}\n{STAMP}stdout F {typed()[90:]}",
    "CRI in parts, a message of the other stream between them": (
        f"{STAMP}stdout P {typed()[:90]}\n{STAMP}stderr F [2026-03-02 09:14:58.611][22][warning][config] updated\n"
        f"{STAMP}stdout F {typed()[90:]}"
    ),
    "docker json-file": json.dumps({"log": typed() + "\n", "stream": "stdout", "time": STAMP.strip()}),
    "docker json-file in parts": "\n".join(
        json.dumps({"log": part, "stream": "stdout", "time": STAMP.strip()}) for part in (typed()[:50], typed()[50:] + "\n")
    ),
    "docker json-file in parts, a message of the other stream between them": "\n".join(
        json.dumps({"log": part, "stream": stream, "time": STAMP.strip()})
        for part, stream in ((typed()[:50], "stdout"), ("[warning] updated\n", "stderr"), (typed()[50:] + "\n", "stdout"))
    ),
    "Cloud Logging line": json.dumps(cloud_logging(ENTRY)),
    "Cloud Logging array": json.dumps([cloud_logging(ENTRY)], indent=2),
    "Cloud Logging array on one line": json.dumps([cloud_logging(ENTRY)]),
    "Cloud Logging textPayload": json.dumps({"textPayload": typed(), "timestamp": STAMP.strip()}),
    "printed over several lines": json.dumps(ENTRY, indent=2),
    "printed over several lines, with kubectl --prefix --timestamps": "\n".join(
        PREFIX + STAMP + line for line in json.dumps(ENTRY, indent=2).split("\n")
    ),
    "several objects on a line": f"{typed()},",
}


@pytest.mark.parametrize("wrapped", WRAPPED.values(), ids=WRAPPED.keys())
def test_every_wrapping_gives_the_same_entry(wrapped: str) -> None:
    """What a transport adds is taken off again; both JSON dialects normalise to the same values."""
    [found] = entries(wrapped)

    expected = AccessLogEntry(
        dialect=found.dialect,
        start_time="2026-03-02T09:15:04.251Z",
        remote_ip="203.0.113.17",
        remote_port=40112,
        sni=None,
        status=0,
        details="filter_chain_not_found",
        flags="NR",
        host=None,
        tls_protocol=None,
        path=None,
        user_agent=None,
    )
    assert expected == found
    assert not any(line.damaged for line in read(wrapped))


def test_istio_text_is_read_from_both_ends() -> None:
    """The peer's address and the requested name are found behind a user agent that has quotes in it."""
    served = (
        '[2026-03-02T09:15:03.541Z] "GET /orders HTTP/2" 200 - via_upstream - "-" 0 5 1 1 "203.0.113.9" "odd "agent" 1.0" '
        '"9969c5e5" "api.example.com" "192.0.2.20:8998" outbound|8998||rt.apigee.svc 192.0.2.9:1 192.0.2.9:8443 '
        "203.0.113.17:40100 api.example.com default"
    )

    [rejected] = entries(ISTIO_TEXT)
    [found] = entries(served)

    assert (Dialect.ISTIO_TEXT, "filter_chain_not_found", "NR", None, "203.0.113.17") == (
        rejected.dialect,
        rejected.details,
        rejected.flags,
        rejected.sni,
        rejected.remote_ip,
    )
    assert ("api.example.com", "203.0.113.17", 200, "/orders") == (found.sni, found.remote_ip, found.status, found.path)


def test_an_unescaped_quote_in_a_value_does_not_lose_the_line() -> None:
    """A text format that only looks like JSON is read key by key."""
    line = strings(user_agent="QUOTED", sni_host="api.example.com").replace("QUOTED", 'odd "agent" 1.0')

    [found] = entries(line)

    assert found.dialect is Dialect.BROKEN_JSON
    assert (found.sni, found.user_agent, found.remote_ip) == ("api.example.com", 'odd "agent" 1.0', "203.0.113.17")


BRACES = ["a{", "b}", "{{{", "}}}", '"x": {', "\\", '\\"{']


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("wrapping", ["entries", "jsonPayload", "textPayload", "objects"])
def test_braces_within_a_clients_own_words_are_no_structure(wrapping: str, indent: int | None) -> None:
    """A user agent may hold what it wants: entries of an array, or printed over lines, end where they end."""
    rows: list[dict[str, object]] = [entry(user_agent=agent) for agent in BRACES]
    wrapped = {
        "entries": [*rows],
        "jsonPayload": [cloud_logging(row) for row in rows],
        "textPayload": [{"textPayload": json.dumps(row)} for row in rows],
        "objects": [*rows],
    }[wrapping]
    text = (
        "\n".join(json.dumps(row, indent=indent) for row in rows) if wrapping == "objects" else json.dumps(wrapped, indent=indent)
    )

    assert BRACES == [found.user_agent for found in entries(text)]
    assert not any(line.damaged for line in read(text))


@pytest.mark.parametrize(
    "damage",
    ['{"a": "' + '\\"' * 200_000 + "\n" + '"{' * 200_000 + "\\", '{"a":"\n' + "}\n" * 200_000, '{"a":"\n' + '"x\n' * 200_000],
    ids=["escaped quotes", "closing braces", "open strings"],
)
def test_damage_takes_no_quadratic_time(damage: str) -> None:
    """An object that never ends, with lines each of which might end it: seconds, where trying each anew takes minutes."""
    started = time.process_time()

    assert [] == entries(damage)
    assert time.process_time() - started < 10


def test_an_entry_of_istio_ends_the_wait_for_an_object_that_was_cut() -> None:
    """What was begun before costs itself, and not the entries behind it."""
    assert [Dialect.ISTIO_TEXT] * 2 == [found.dialect for found in entries(f'{{"anything": "cut\n{ISTIO_TEXT}\n{ISTIO_TEXT}\n')]


def test_a_long_array_on_one_line_may_come_in_pieces() -> None:
    """A file that is one line is read in pieces, and no entry is lost where two pieces meet."""
    line = json.dumps([entry(request_time=number) for number in range(500)])
    pieces = [line[start : start + 10_000] for start in range(0, len(line), 10_000)]

    assert 500 == sum(each.entry is not None for each in read_lines(pieces))


def test_lines_of_agents_are_no_entries_and_no_damage() -> None:
    """Istio's agent, Envoy's own log and klog are passed over."""
    text = (
        "2026-03-02T09:14:58.120Z\tinfo\txdsproxy\tconnected to delta upstream XDS server\n"
        "[2026-03-02 09:14:58.611][22][warning][config] listener '0.0.0.0_8443' updated\n"
        "E0302 09:14:58.611000 1 reflector.go:150] Failed to watch\n"
        '{"level": "info", "msg": "hello"}\n'
        "\n"
    )

    assert [(None, False)] * 5 == [(line.entry, line.damaged) for line in read(text)]


def test_an_object_that_never_ends_costs_one_damaged_entry() -> None:
    """The next entry on a line of its own ends the wait for the one that was cut."""
    lines = read("{\n" + typed()[1:80] + "\n" + typed() + "\n" + typed())

    assert [True, False, False] == [line.damaged for line in lines]
    assert 2 == sum(line.entry is not None for line in lines)


@given(st.integers(0, 400), st.integers(0, 400), st.sampled_from(sorted(WRAPPED)))
def test_a_cut_anywhere_never_raises_and_never_hides_the_next_line(start: int, end: int, wrapping: str) -> None:
    """However a wrapped entry is cut, reading goes on to the whole entry behind it."""
    text = WRAPPED[wrapping]
    cut = text[:start] + text[max(start, len(text) - end) :]

    # A CRI or docker part without its end is joined with what follows, so an ordinary line stands between.
    found = entries(cut + "\n\n" + STAMP + "stdout F {}\n" + typed(sni_host="last.example") + "\n")

    assert "last.example" in [each.sni for each in found]


@given(st.lists(st.text(max_size=60), max_size=20))
def test_arbitrary_text_never_raises(lines: list[str]) -> None:
    """No text crashes the reader, and every line is accounted for at most once."""
    found = list(read_lines(lines))

    assert len(found) <= sum(map(len, lines)) + len(lines) + 2


@pytest.mark.parametrize("remote", ["10.0.0.7:" + "7" * 5000, "[2001:db8::7]:" + "7" * 5000])
def test_a_remote_whose_port_is_absurd_is_no_crash(remote: str) -> None:
    """More digits than Python takes as a number; the entry itself counts."""
    [found] = entries(typed(remote_address=remote))

    assert ("filter_chain_not_found", None) == (found.details, found.remote_port)


def test_deep_nesting_is_damage_not_a_crash() -> None:
    """Brackets nested beyond the decoder's depth are reported like any other damage."""
    lines = read('{"a":' * 100_000 + "1" + "}" * 100_000 + "\n" + typed())

    assert [(True, False), (False, True)] == [(line.damaged, line.entry is not None) for line in lines]
