"""Worker processes: what readers see is what one process would show, and no process outlives or misses another one."""

from __future__ import annotations

import os
import re
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.servers.processes import running
from tests.servers.scripted import hold, read_hello, reset, scripted
from tests.service.process import Service, eventually, serving

_CONTROL = re.compile(r"curl -X PUT --data envoy-reset (\S+)/")
_SERIES = re.compile(r"^(\w+(?:\{.*\})?) \S+$")
_OWN = ("process_", "python_")
# On a busy host any handshake may time out once, which a counter remembers.
_STRAY = re.compile(
    r'probe_handshakes_total\{target="(?!silent|dribble).*outcome="timeout"|prober_handshake_seconds_\w+\{sni="known",outcome="timeout"'
)
ROUND = {"interval": "1s", "timeout": "800ms"}
PATIENT = {"interval": "3s", "timeout": "2500ms"}


@pytest.fixture
def resetting() -> Iterator[str]:
    with scripted(read_hello(), reset()) as peer:
        yield str(peer.endpoint)


def target(name: str, *addresses: object, **more: Any) -> dict[str, Any]:
    return {"name": name, "addresses": [str(address) for address in addresses], "server_names": ["a.example.test"], **more}


def children(pid: int) -> set[int]:
    """Processes that this one has started and that still run."""
    found = set()
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent = status.read_text().rpartition(")")[2].split()[:2]
        except OSError:  # it has ended meanwhile
            continue
        if int(parent) == pid and state != "Z":
            found.add(int(status.parent.name))
    return found


def alive(pid: int) -> bool:
    """Whether a process runs; one that nobody has waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def series(service: Service) -> set[str]:
    """Names and labels of all series but the process's own; what the number of workers is named by is its value."""
    lines = service.get("/metrics").text.splitlines()
    found = {match[1] for line in lines if (match := _SERIES.match(line))}
    return {name for name in found if not name.startswith(_OWN) and not _STRAY.match(name)}


def shown(service: Service) -> dict[str, Any]:
    """The targets of the API without what differs from round to round: moments, durations, canaries."""

    def bare(value: Any) -> Any:
        if isinstance(value, list):
            return [bare(each) for each in value]
        if isinstance(value, dict):
            canary = value.get("sni") == "unknown"
            return {
                key: None if key in _MOVING or (canary and key == "server_name") else bare(each) for key, each in value.items()
            }
        return value

    targets = service.json("/api/v1/targets")["targets"]
    for target in targets:  # they stand in the order in which they were first judged
        target["addresses"].sort(key=lambda one: (one["address"], one["port"]))
    return {target["name"]: bare(target) for target in targets}


_MOVING = {"since", "seconds", "bytes_received"}
"""A signature of ECDSA has 70 to 72 bytes, so bytes received move, too."""


def became(service: Service) -> dict[tuple[str, str], str]:
    """Of the history, what each endpoint became last."""
    told = service.json("/api/v1/history")["changes"]
    return {(change["target"], change["address"]): change["to"] for change in reversed(told)}


@pytest.mark.timeout(120)
def test_two_workers_show_what_one_process_shows(tmp_path: Path) -> None:
    """Every behaviour of the lab, names and addresses, a flip, an alert: the same series, the same API, the same history."""
    options = ["--port", "0", "--control-port", "0", "--directory", str(tmp_path / "lab")]
    with (
        running([sys.executable, "-u", "-m", "prober", "lab", *options], directory=tmp_path, name="prober-lab") as lab,
        ExitStack() as stack,
    ):
        eventually(lambda: _CONTROL.search(lab.log()), "the lab's announcement")
        document = yaml.safe_load((tmp_path / "lab" / "prober.yml").read_text()) | PATIENT | {"alerting": {"failures": 1}}
        healthy = next(one for one in document["targets"] if one["name"] == "healthy")
        address = healthy["addresses"][0]
        port = address.rpartition(":")[2]
        # The name leads to the address that its target lists as well, and to one that is nobody's.
        document["targets"].append({**healthy, "name": "names", "addresses": [f"localhost:{port}", address, "nowhere.invalid"]})
        services = []
        for count in (1, 2):
            directory = tmp_path / str(count)
            directory.mkdir()
            services.append(stack.enter_context(serving(directory, document, "--workers", str(count))))
        one, two = services
        for service in services:
            service.wait_ready()
        assert children(two.program.process.pid) != set()
        assert (one.value("prober_workers"), two.value("prober_workers")) == (1, 2)

        def same() -> bool:
            return series(one) == series(two) and shown(one) == shown(two) and became(one) == became(two)

        try:
            eventually(same, "the same series, targets and history")
        finally:
            print(
                sorted(series(one) ^ series(two)), shown(one), shown(two), became(one), became(two), sep="\n"
            )  # for who reads a failure
        control = _CONTROL.search(lab.log())
        assert control is not None
        with running(
            [
                sys.executable,
                "-m",
                "prober",
                "lab",
                "flip",
                "healthy",
                "envoy-reset",
                "--control-port",
                control[1].rpartition(":")[2],
            ],
            directory=tmp_path,
            name="prober-lab-flip",
        ) as flip:
            assert flip.process.wait(30) == 0
        for service in services:
            eventually(lambda service=service: service.verdicts()[f"healthy {address}"] == "non_sni_reset", "the flip")
        eventually(same, "the same after the flip")
        for service in services:
            eventually(
                lambda service=service: (
                    {"alert=NonSniHandshakesFailing", "target=healthy"}
                    <= {word for line in service.program.log().splitlines() if '"alert firing"' in line for word in line.split()}
                ),
                "the alert",
            )
        # Counted once a round, and durations once a handshake: nothing is lost between the processes.
        assert two.value("prober_worker_deaths_total") == 0
        counted = sum(value for _, value in two.samples("probe_handshakes_total"))
        eventually(lambda: (two.value("prober_schedule_lateness_seconds_count") or 0) >= counted, "all of them in the tallies")


@pytest.mark.timeout(120)
def test_a_worker_that_is_killed_is_replaced_and_its_states_stay(tmp_path: Path, resetting: str) -> None:
    """Noticed at once, counted, logged; its targets keep their verdicts meanwhile and are probed again; nothing is resolved."""
    targets = [target(f"edge-{number}", resetting) for number in range(8)]
    document = {**ROUND, "targets": targets, "alerting": {"failures": 1}}
    with serving(tmp_path, document, "--workers", "2") as service:
        service.wait_ready()
        verdicts = service.verdicts()
        assert set(verdicts.values()) == {"tls_failing"}
        victim = min(children(service.program.process.pid))
        os.kill(victim, signal.SIGKILL)
        killed = time.time()
        eventually(lambda: service.value("prober_worker_deaths_total") == 1, "the death is counted")
        assert service.verdicts() == verdicts
        eventually(lambda: service.value("prober_workers") == 2, "two workers again")
        assert victim not in children(service.program.process.pid)

        def probed_since() -> bool:
            assert service.verdicts() == verdicts
            return all(at > killed + 2 for _, at in service.samples("probe_last_run_timestamp_seconds"))

        eventually(probed_since, "every target is probed again")
        log = service.program.log()
        assert f"pid={victim} how=SIGKILL" in log
        assert "alert resolved" not in log
        assert log.count("msg=verdict") == len(targets)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_no_worker_outlives_the_service(number: signal.Signals, tmp_path: Path) -> None:
    """Status 0 where there is a choice, though handshakes are under way; workers end by themselves where there is none."""
    with (
        scripted(read_hello(), hold()) as silent,
        serving(
            tmp_path,
            {"interval": "1m", "timeout": "50s", "targets": [target("silent", silent.endpoint, interval="51s")]},
            "--workers",
            "2",
        ) as service,
    ):
        eventually(lambda: service.value("prober_workers") == 2, "two workers")
        workers = children(service.program.process.pid)
        assert len(workers) == 2
        status, seconds = service.end(number)
        assert status == (-number if number == signal.SIGKILL else 0)
        assert seconds < 5
        eventually(lambda: not any(map(alive, workers)), "no worker")
        if number != signal.SIGKILL:
            assert "level=error" not in service.program.log()


def test_a_signal_to_the_whole_process_group_stops_in_order(tmp_path: Path, resetting: str) -> None:
    """Ctrl-C reaches the workers, too: they leave it to the service, and nobody takes their end for a death."""
    with serving(tmp_path, {**ROUND, "targets": [target("edge", resetting)]}, "--workers", "2") as service:
        service.wait_ready()
        os.killpg(service.program.process.pid, signal.SIGINT)
        assert service.program.process.wait(30) == 0
        assert "ended unasked" not in service.program.log()


@pytest.mark.timeout(120)
def test_a_reload_moves_no_phase_and_loses_no_round(tmp_path: Path, resetting: str) -> None:
    """Kept targets go on at their moments with their counters; removed ones vanish at once, added ones come."""
    kept = [target(f"kept-{number}", resetting) for number in range(6)]
    every = {"interval": "2s", "timeout": "1500ms"}
    document = {**every, "targets": [*kept, target("removed", resetting)]}
    with serving(tmp_path, document, "--workers", "2") as service:
        service.wait_ready()
        eventually(lambda: [count for _, count in kept_rounds(service).values() if count >= 2][5:], "two rounds of each")
        before = kept_rounds(service)
        for number in range(5):
            extra = target(f"added-{number}", resetting, labels={"team": "blue"})
            service.rewrite({"listen": "127.0.0.1:0", **every, "targets": [*kept, extra]})
            assert service.get("/-/reload", "POST").status == 200
            assert service.samples("probe_success", target="removed") == []
            eventually(lambda number=number: f"added-{number} {resetting}" in service.verdicts(), "the added target")
            assert service.samples("probe_success", target=f"added-{number - 1}") == []
        now = kept_rounds(service)
        skipped = sum(value for _, value in service.samples("prober_probes_skipped_total"))
        for name, (at, count) in before.items():
            rounds = round((now[name][0] - at) / 2)
            assert abs(now[name][0] - at - 2 * rounds) < 0.8, "the phase has moved"
            # A host that is too busy skips rounds, and says so; nothing else may be missing, and nothing is there twice.
            assert 0 <= rounds - (now[name][1] - count) <= skipped


def kept_rounds(service: Service) -> dict[str, tuple[float, float]]:
    """When each kept target was probed last, and how often it was; of one scrape, so that both are of the same round."""
    text = service.get("/metrics?name[]=probe_last_run_timestamp_seconds&name[]=probe_handshakes_total").text
    last = {match[1]: float(match[2]) for match in _LAST.finditer(text)}
    return {match[1]: (last[match[1]], float(match[2])) for match in _COUNTED.finditer(text)}


_LAST = re.compile(r'^probe_last_run_timestamp_seconds\{target="(kept-\d+)".*sni="known"\} (\S+)$', re.MULTILINE)
_COUNTED = re.compile(r'^probe_handshakes_total\{target="(kept-\d+)".*sni="known",outcome="reset"\} (\S+)$', re.MULTILINE)


def test_descriptors_that_a_worker_lacks_are_counted(tmp_path: Path) -> None:
    """Each worker has its own limit; its EMFILE is a local error of the prober, as in one process."""
    with (
        scripted(read_hello(), hold()) as silent,
        serving(
            tmp_path,
            {"interval": "2s", "timeout": "1500ms", "targets": [target(f"t{number}", silent.endpoint) for number in range(120)]},
            "--workers",
            "2",
            wrapper=["prlimit", "--nofile=80:80"],
        ) as service,
    ):
        eventually(lambda: (service.value("prober_local_errors_total", errno="EMFILE") or 0) > 0, "EMFILE")
        assert service.end()[0] == 0


def test_a_probe_on_demand_is_answered_without_a_worker(tmp_path: Path, resetting: str) -> None:
    """By the service's own process, with the configured target's names, wherever the target is watched."""
    with serving(tmp_path, {**ROUND, "targets": [target("edge", resetting)]}, "--workers", "3") as service:
        answer = service.get(f"/probe?target={resetting}")
        assert answer.status == 200
        assert 'probe_verdict_info{verdict="tls_failing"} 1\n' in answer.text


def test_a_number_of_workers_that_is_none_is_a_usage_error(tmp_path: Path) -> None:
    """Before anything else is read."""
    command = [sys.executable, "-m", "prober", "serve", "--config", str(tmp_path / "none.yml"), "--workers", "0"]
    with running(command, directory=tmp_path, name="prober-serve") as program:
        assert program.process.wait(30) == 2
        assert "'0' is no number of workers; write one from 1 to 64" in program.log()
