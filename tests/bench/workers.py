"""What a second worker brings: ``python -m tests.bench.workers [ROUNDS]`` (default: 3).

`prober serve` with more targets than one core can do, half of which reset and half replay a real TLS 1.2 flight: how many handshakes a
second come through with ``--workers 1`` and with ``--workers 2``, interleaved. All traffic is loopback: on a machine of two cores the
servers and whatever else runs take their share of what two workers would have. So the CPU time of each process is told beside it, which
says what comes through where every process has a core of its own.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from math import inf
from pathlib import Path
from typing import NamedTuple

from tests.bench.flights import SERVER_NAME, record
from tests.bench.peers.native import c_server
from tests.bench.servers import address
from tests.service.process import Service, serving
from tests.service.test_workers import children

TARGETS, INTERVAL = 4_000, "1s"
"""12,000 handshakes a second are wanted."""
WARM_SECONDS, SECONDS = 3.0, 10.0


def handshakes(service: Service) -> float:
    """How many were counted so far."""
    # That sample alone: rendering all series of so many targets is work for seconds.
    return float(service.get("/metrics?name[]=prober_schedule_lateness_seconds_count").text.split()[-1])


class Measured(NamedTuple):
    """One run."""

    rate: float
    """Handshakes a second."""
    cpu: float
    """µs a handshake of a process that runs them."""
    keeping: float
    """µs a handshake of the process that keeps the books, where that is another one."""

    @property
    def possible(self) -> float:
        """Handshakes a second where every process has a core of its own."""
        return min(self.rate_of_workers, 1e6 / self.keeping if self.keeping else inf)

    @property
    def rate_of_workers(self) -> float:
        """Of all processes that run handshakes, together."""
        return (2e6 if self.keeping else 1e6) / self.cpu


def measure(directory: Path, document: dict[str, object], workers: int) -> Measured:
    """One run."""
    with serving(directory, document, "--workers", str(workers)) as service:
        service.wait_ready()
        time.sleep(WARM_SECONDS)
        pid = service.program.process.pid
        runners = children(pid) or {pid}
        began, before = time.perf_counter(), handshakes(service)
        keeping, running = cpu(pid), sum(map(cpu, runners))
        time.sleep(SECONDS)
        count, seconds = handshakes(service) - before, time.perf_counter() - began
        keeping, running = cpu(pid) - keeping, sum(map(cpu, runners)) - running
        return Measured(count / seconds, running / count * 1e6, keeping / count * 1e6 if pid not in runners else 0.0)


def cpu(pid: int) -> float:
    """Seconds of CPU that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main(rounds: int) -> None:
    """Print each round, then the median ratio."""
    came: list[float] = []
    possible: list[float] = []
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        flight, authority = record(directory)
        with c_server("rst") as resetting, c_server("canned", flight) as replaying:
            ports = resetting.port, replaying.port
            document: dict[str, object] = {
                "interval": INTERVAL,
                "timeout": "900ms",
                "modules": {"default": {"ca_file": str(authority)}},
                "targets": [
                    {
                        "name": f"target-{number}",
                        "addresses": [f"{address(number)}:{ports[number % 2]}"],
                        "server_names": [SERVER_NAME],
                    }
                    for number in range(TARGETS)
                ],
            }
            for _ in range(rounds):
                one, two = (measure(directory, document, workers) for workers in (1, 2))
                came.append(two.rate / one.rate)
                possible.append(two.possible / one.possible)
                print(f"workers  one: {one.rate:,.0f} handshakes a second, {one.cpu:.0f} µs of CPU each")
                print(
                    f"         two: {two.rate:,.0f} handshakes a second, {two.cpu:.0f} µs each, and {two.keeping:.0f} µs to keep the books",
                    flush=True,
                )
    print(f"workers  came through: {_told(came)}; with a core for each process: {_told(possible)}")


def _told(ratios: list[float]) -> str:
    return f"{statistics.median(ratios):.2f} x (median; {min(ratios):.2f} to {max(ratios):.2f})"


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
