"""The benchmark works: its figures mean nothing at these sizes, its outcomes everything."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.bench import handshakes, memory, serve, startup, truth
from tests.bench.figures import percentile, ratio, spread
from tests.bench.peers.native import go
from tests.bench.servers import Servers, servers
from tests.bench.sizes import TINY
from tests.servers.requirements import missing


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """All servers of the benchmark."""
    with servers(tmp_path_factory.mktemp("bench")) as these:
        yield these


def test_c_sees_what_every_server_does(running: Servers, capsys: pytest.CaptureFixture[str]) -> None:
    """Resets are resets and certificates are certificates; in TLS 1.3 they are encrypted."""
    assert handshakes.compare(running, TINY, only=frozenset({"C, epoll"})) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    for site in running.sites:
        assert f"\n{site.name}, concurrency 10;" in printed.out


def test_contenders_run_in_turn_on_the_same_server(running: Servers, capsys: pytest.CaptureFixture[str]) -> None:
    """Each has its row, with the ratio to C where C ran."""
    field = ("C, epoll", "Python ssl", "prober's engine", "prober once")
    assert handshakes.compare(replace(running, sites=running.sites[-1:]), TINY, only=frozenset(field)) == 0
    rows = {name: line for line in capsys.readouterr().out.splitlines() for name in field if line.startswith(f"  {name} ")}
    assert set(rows) == set(field)
    assert [row.count("[") for row in rows.values()] == [2, 3, 3, 3]


def test_a_contender_that_is_mistaken_is_told_of(running: Servers, capsys: pytest.CaptureFixture[str]) -> None:
    """Python's ssl verifies, so that a replayed flight, from which it is kept, is no certificate to it."""
    site = running["canned TLS 1.2 flight"]
    [contender] = (each for each in handshakes.CONTENDERS if each.name == "Python ssl")
    cost = contender.shake_hands(handshakes.Job(site, 1, 2, running, None))
    assert cost.wrong == cost.handshakes == 2


def test_a_service_is_watched(running: Servers, capsys: pytest.CaptureFixture[str]) -> None:
    """Its counters are read before and after: handshakes were run, and none was skipped or wrong."""
    assert serve.watch(running, TINY, with_peer=False) == 0
    printed = capsys.readouterr().out
    assert printed.count("not scraped") == printed.count("scraped every") == 1
    assert printed.count("skipped 0,") == 2
    assert " 0 a second" not in printed


def test_truth_is_known(running: Servers, capsys: pytest.CaptureFixture[str]) -> None:
    """The server's account of every handshake is matched with prober's."""
    assert truth.hold(running, TINY) == 0
    printed = capsys.readouterr().out
    for who in ("prober once    ", "prober's engine"):
        assert f"{who} reset       concurrency   10: bias" in printed
        assert f"{who} certificate concurrency   10: bias" in printed


def test_memory_and_start_are_measured(running: Servers, capsys: pytest.CaptureFixture[str]) -> None:
    """C and prober hold their handshakes, the service its targets, and each program starts."""
    memory.weigh(running, TINY, only=frozenset({"C, epoll", "prober once"}))
    memory.slope(running, TINY, 0.02)
    startup.race(running, TINY)
    printed = capsys.readouterr().out
    for what in ("C, epoll", "prober once", "prober serve", "slope", "prober --version"):
        assert f"{what} " in printed


@pytest.mark.timeout(400)
def test_go_sees_what_every_server_does(running: Servers, capsys: pytest.CaptureFixture[str]) -> None:
    """Complete, and stopped at the certificate; the first time it compiles Go's standard library."""
    if go() is None:
        missing("no Go is installed (make .venv/.bench)")
    assert handshakes.compare(running, TINY, only=frozenset({"Go, stops", "Go, complete"})) == 0
    assert capsys.readouterr().err == ""


def test_ratios_are_of_the_same_round() -> None:
    """A machine that is three times slower in one round does not change them."""
    assert ratio([1.0, 3.0, 1.0], [2.0, 6.0, 2.0]) == "0.50 [0.50..0.50]"
    assert spread([3.0, 1.0, 2.0]) == "2 [1..3]"
    assert percentile([float(number) for number in range(1, 101)], 0.99) == 100.0
