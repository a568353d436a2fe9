"""What a second worker brings: ``python -m tests.bench.workers [ROUNDS]`` (default: 3).

`prober serve` with more targets than one core can do, half of which reset and half replay a real TLS 1.2 flight: how many handshakes a
second come through with ``--workers 1`` and with ``--workers 2``, interleaved. All traffic is loopback, and the servers' share of the
same cores is told beside it: on a machine of two cores they and two workers share what one process has to itself.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path

from tests.bench.flights import SERVER_NAME, record
from tests.bench.peers.native import c_server
from tests.bench.scale import addresses
from tests.service.process import Service, serving

TARGETS, INTERVAL = 4_000, "1s"
"""12,000 handshakes a second are wanted."""
WARM_SECONDS, SECONDS = 3.0, 10.0


def handshakes(service: Service) -> float:
    """How many were counted so far."""
    # That sample alone: rendering all series of so many targets is work for seconds.
    return float(service.get("/metrics?name[]=prober_schedule_lateness_seconds_count").text.split()[-1])


def measure(directory: Path, document: dict[str, object], workers: int) -> float:
    """Handshakes a second."""
    with serving(directory, document, "--workers", str(workers)) as service:
        service.wait_ready()
        time.sleep(WARM_SECONDS)
        began, before = time.perf_counter(), handshakes(service)
        time.sleep(SECONDS)
        return (handshakes(service) - before) / (time.perf_counter() - began)


def main(rounds: int) -> None:
    """Print each round, then the median ratio."""
    ratios = []
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
                    {"name": f"target-{number}", "addresses": [f"{ip}:{ports[number % 2]}"], "server_names": [SERVER_NAME]}
                    for number, ip in enumerate(addresses(TARGETS))
                ],
            }
            for _ in range(rounds):
                one, two = (measure(directory, document, workers) for workers in (1, 2))
                ratios.append(two / one)
                print(f"workers  one {one:,.0f} handshakes a second, two {two:,.0f}: {two / one:.2f} x", flush=True)
    print(f"workers  median {statistics.median(ratios):.2f} x ({min(ratios):.2f} to {max(ratios):.2f})")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
