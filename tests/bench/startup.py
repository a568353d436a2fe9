"""How long a start takes: until the version is told, until one probe is printed, until a service with many targets is ready."""

from __future__ import annotations

import os
import time
from pathlib import Path

from tests.bench.contenders import PROBER
from tests.bench.figures import spread
from tests.bench.machine import CPUS, Cpus, run
from tests.bench.serve import document
from tests.bench.servers import SERVER_NAME, Servers
from tests.bench.sizes import Sizes
from tests.service.process import serving

__all__ = ["race"]


def race(servers: Servers, sizes: Sizes) -> None:
    """Print seconds."""
    port = servers["nginx TLS 1.3"].port
    there = f"127.0.0.1:{port}"
    programs: dict[str, list[object]] = {
        "prober --version": [*PROBER, "--version"],
        "prober once": [*PROBER, "once", there, "--server-name", SERVER_NAME, "--ca-file", servers.authority, "--no-color"],
        "openssl s_client": ["openssl", "s_client", "-connect", there, "-servername", SERVER_NAME, "-brief"],
    }
    seconds: dict[str, list[float]] = {name: [] for name in programs}
    for _ in range(sizes.starts):
        for name, command in programs.items():
            ran = run(command)
            assert ran.status == 0, f"{name}: {ran.output} {ran.errors}"
            seconds[name].append(ran.wall)
    print(f"\nstart: seconds, median [range] of {sizes.starts}, interleaved")
    for name, values in seconds.items():
        print(f"  {name:18} {spread(values, 3)}", flush=True)

    configuration = document(servers, servers["canned TLS 1.2 flight"], sizes.targets, sizes.interval)
    with serving(servers.directory, configuration, wrapper=Cpus.pin([], CPUS.client)) as service:
        listening = time.time() - _born(service.program.process.pid)
        service.wait_ready()
        ready = time.time() - _born(service.program.process.pid)
    print(f"  prober serve       {sizes.targets:,} targets each {sizes.interval} s: listens after {listening:.2f}, ", end="")
    print(f"first round done (/-/ready) after {ready:.2f}", flush=True)


def _born(pid: int) -> float:
    """When a process was started, as Unix time: proc_pid_stat(5), field 22, in clock ticks since the machine's start."""
    ticks = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    up = float(Path("/proc/uptime").read_text().split()[0])
    return time.time() - up + ticks / os.sysconf("SC_CLK_TCK")
