"""How many, how fast, how late: ``python -m tests.bench.scale [bulk] [serve] [start]`` (default: all three).

bulk   ``prober once --file`` with 20,000 addresses, half of which reset and half replay a real TLS 1.2 flight: every outcome is checked
serve  ``prober serve`` with 2,000 targets, three hellos each, every 15 s, for a minute: what was skipped, and how late it was
start  ``prober once`` against one local server, start-up included, beside ``openssl s_client``

All traffic is loopback, to servers that are started here. Figures are of whole processes, output included.
"""

from __future__ import annotations

import json
import os
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.bench.flights import SERVER_NAME, record
from tests.bench.peers.native import c_server
from tests.service.process import serving

PROBER = [sys.executable, "-m", "prober"]
BULK = 20_000
TARGETS, INTERVAL, MINUTE = 2_000, 15, 60
RUNS = 9


def addresses(count: int) -> list[str]:
    """Distinct addresses of this host."""
    return [f"127.{10 + number // 62500}.{number // 250 % 250}.{number % 250 + 1}" for number in range(count)]


def bulk(directory: Path, reset: int, canned: int, authority: Path) -> None:
    """20,000 addresses through `prober once`."""
    targets = directory / "targets.txt"
    targets.write_text("".join(f"{ip}:{(reset, canned)[number % 2]}\n" for number, ip in enumerate(addresses(BULK))))
    command = [
        *PROBER,
        "once",
        "--file",
        str(targets),
        "--format",
        "jsonl",
        "--server-name",
        SERVER_NAME,
        "--ca-file",
        str(authority),
    ]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        outcomes: Counter[tuple[bool, str]] = Counter()
        results = 0
        for line in process.stdout:
            result = json.loads(line)
            results += 1
            outcomes.update((result["port"] == reset, each["outcome"]) for each in result["handshakes"])
        process.wait()
    seconds = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    handshakes = sum(outcomes.values())
    wrong = handshakes - outcomes[True, "reset"] - outcomes[False, "certificate"]
    print(f"bulk    {results:,} addresses, {handshakes:,} handshakes in {seconds:.1f} s ({handshakes / seconds:,.0f} a second)")
    print(
        f"        {cpu / handshakes * 1e6:.0f} µs of CPU a handshake, peak memory {after.ru_maxrss / 1024:.0f} MB, wrong outcomes: {wrong}"
    )


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def serve(directory: Path, reset: int, canned: int, authority: Path) -> None:
    """2,000 targets through `prober serve`."""
    document = {
        "listen": "127.0.0.1:0",
        "interval": f"{INTERVAL}s",
        "modules": {"default": {"ca_file": str(authority)}},
        "targets": [
            {"name": f"target-{number}", "addresses": [f"{ip}:{(reset, canned)[number % 2]}"], "server_names": [SERVER_NAME]}
            for number, ip in enumerate(addresses(TARGETS))
        ],
    }
    with serving(directory, document) as service:
        time.sleep(INTERVAL)
        pid = service.program.process.pid
        begun, cpu = time.perf_counter(), _cpu(pid)
        first = _scrape(service.get("/metrics").text)
        time.sleep(MINUTE)
        last = _scrape(service.get("/metrics").text)
        share = (_cpu(pid) - cpu) / (time.perf_counter() - begun)
        memory = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    assert memory is not None
    change = {name: value - first.get(name, 0.0) for name, value in last.items()}
    handshakes = change["prober_schedule_lateness_seconds_count"]
    skipped = sum(value for name, value in change.items() if name.startswith("prober_probes_skipped_total"))
    late = {
        float(name.split('"')[1]): value
        for name, value in change.items()
        if name.startswith("prober_schedule_lateness_seconds_bucket")
    }
    p99 = next(bound for bound, count in sorted(late.items()) if count >= 0.99 * handshakes)
    print(
        f"serve   {TARGETS:,} targets, {handshakes:,.0f} handshakes in {MINUTE} s, skipped: {skipped:.0f}, lateness p99 <= {p99 * 1000:g} ms"
    )
    print(f"        {share * 100:.0f} % of one core, {int(memory[1]) / 1024:.0f} MB resident")


def _scrape(text: str) -> dict[str, float]:
    samples = (line.rsplit(" ", 1) for line in text.splitlines() if line.startswith("prober_"))
    return {name: float(value) for name, value in samples}


def start(canned: int) -> None:
    """One probe, start-up included."""
    commands = {
        "prober --version": [*PROBER, "--version"],
        "prober once": [*PROBER, "once", f"127.0.0.1:{canned}", "--server-name", SERVER_NAME],
        "openssl s_client": ["openssl", "s_client", "-connect", f"127.0.0.1:{canned}", "-servername", SERVER_NAME, "-tls1_2"],
    }
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(RUNS):
        for name, command in commands.items():
            began = time.perf_counter()
            # s_client waits for an answer that the replaying server never gives; its own time is that of its handshake's start.
            with subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
            ) as process:
                assert process.stdout is not None
                process.stdout.read(1) if name == "openssl s_client" else process.stdout.read()
                seconds[name].append(time.perf_counter() - began)
                process.kill()
    for name, values in seconds.items():
        print(f"start   {name:17} {statistics.median(values):.3f} s (median of {RUNS}; {min(values):.3f} to {max(values):.3f})")


def main(which: list[str]) -> None:
    """Run what was asked for."""
    which = which or ["bulk", "serve", "start"]
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        flight, authority = record(directory)
        with c_server("rst") as resetting, c_server("canned", flight) as replaying:
            if "bulk" in which:
                bulk(directory, resetting.port, replaying.port, authority)
            if "serve" in which:
                serve(directory, resetting.port, replaying.port, authority)
            if "start" in which:
                start(replaying.port)


if __name__ == "__main__":
    main(sys.argv[1:])
