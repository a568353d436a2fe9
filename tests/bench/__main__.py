"""``python -m tests.bench``: prober beside its peers, on this machine."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

from tests.bench import handshakes, machine, memory, serve, startup, truth
from tests.bench.servers import servers
from tests.bench.sizes import FULL, QUICK, Sizes

PARTS = ("handshakes", "serve", "truth", "memory", "startup")


def main(argv: list[str] | None = None) -> int:
    """Measure, and print; 1 when a contender did not do what it was measured for."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="three minutes instead of thirty")
    parser.add_argument("--only", action="append", choices=PARTS, help="this part, repeatable (default: all)")
    parser.add_argument("--rounds", type=int, help="rounds of the handshake table")
    parser.add_argument("--concurrency", type=int, action="append", help="of the handshake table, repeatable")
    parser.add_argument("--minutes", type=float, default=0.0, help="also watch a service's memory for so long, at 2,000 a second")
    parser.add_argument("--workers", type=int, default=1, help="worker processes of `prober serve`; then nothing is pinned")
    args = parser.parse_args(argv)
    if machine.CPUS.server is not None:
        os.sched_setaffinity(0, {machine.CPUS.server})  # what drives and scrapes is not to be in the way of what is measured
    sizes = QUICK if args.quick else FULL
    if args.rounds:
        sizes = sizes.with_rounds(args.rounds)
    if args.concurrency:
        sizes = sizes.at(*args.concurrency)
    return bench(args.only or PARTS, sizes, minutes=args.minutes, workers=args.workers)


def bench(parts: tuple[str, ...] | list[str], sizes: Sizes, *, minutes: float = 0.0, workers: int = 1) -> int:
    """Run these parts."""
    began = time.monotonic()
    machine.raise_limits()
    print(machine.describe(), flush=True)
    wrong = 0
    with tempfile.TemporaryDirectory(prefix="prober-bench-") as name, servers(Path(name)) as running:
        if "handshakes" in parts:
            wrong += handshakes.compare(running, sizes)
        if "serve" in parts:
            wrong += serve.watch(running, sizes, workers)
        if "truth" in parts:
            wrong += truth.hold(running, sizes)
        if "memory" in parts:
            memory.weigh(running, sizes)
            if minutes:
                memory.slope(running, sizes, minutes)
        if "startup" in parts:
            startup.race(running, sizes)
    print(f"\n{time.monotonic() - began:.0f} s; handshakes that were wrong: {wrong}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
