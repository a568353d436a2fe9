"""What a handshake in flight and a configured target take, and whether it stays at that.

User memory: resident bytes that no file backs (RssAnon). What the kernel keeps for a socket is the same for everybody. The
interpreter and whatever else does not grow is taken out by measuring twice.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Sequence

from tests.bench.contenders import once_command
from tests.bench.handshakes import left_out
from tests.bench.machine import CPUS, Cpus, anonymous_memory, descriptors
from tests.bench.peers.blackbox import blackbox
from tests.bench.peers.native import build, build_go, c_server
from tests.bench.serve import document, steady
from tests.bench.servers import SERVER_NAME, Servers, address
from tests.bench.sizes import Sizes
from tests.service.process import eventually, serving

__all__ = ["slope", "weigh"]

_PATIENCE = 60.0
_SETTLE = 0.5
_SAMPLE_EVERY = 5.0
_LONG_RATE = 2000


def weigh(servers: Servers, sizes: Sizes, only: frozenset[str] | None = None) -> None:
    """Print bytes for each handshake in flight, prober beside its peers, and for each target of a service. ``only``: these peers."""
    many = sizes.in_flight
    few = many // 10
    print(f"\nmemory a handshake in flight, {many:,} that get no answer")
    with c_server("hole", cpu=CPUS.server) as hole:
        port = hole.port
        python = [sys.executable, "-m"]
        commands: dict[str, Callable[[int], Sequence[object]]] = {
            "C, epoll": lambda n: [build("cli"), port, n, n, servers.hello, servers.key],
            "Go, stops": lambda n: [build_go("goclient"), "-port", port, "-concurrency", n, "-total", n, "-stop"],
            "Python ssl": lambda n: [*python, "tests.bench.peers.python_ssl", port, n, n, SERVER_NAME, servers.authority],
            "prober's engine": lambda n: [*python, "tests.bench.peers.engine_alone", port, n, n, SERVER_NAME],
            "prober once": lambda n: _once(servers, port, n),
        }
        for name, command in commands.items():
            if only is None or name in only:
                with left_out(name):
                    _say(name, [_weighed(command(count), count) for count in (few, many)], many - few)
        if only is None:
            with left_out("blackbox_exporter"):
                _say("blackbox_exporter", [_exporter_weighed(servers, port, count) for count in (few, many)], many - few)
    _targets(servers, sizes)


def _once(servers: Servers, port: int, count: int) -> Sequence[object]:
    """Three handshakes an address: what is in flight is told by its descriptors, and may be two less than asked for."""
    targets = servers.directory / f"waiting-{count}.txt"
    targets.write_text("".join(f"{address(number)}:{port}\n" for number in range(count // 3 + 1)))
    return once_command(targets, servers.authority, count)


def _say(name: str, held: Sequence[int], more: int) -> None:
    print(f"  {name:18} {(held[1] - held[0]) / more / 1024:7.2f} KB  ({held[1] / 1e6:.0f} MB in all)", flush=True)


def _weighed(command: Sequence[object], count: int) -> int:
    """Resident bytes of the program once it has ``count`` sockets."""
    quiet = subprocess.DEVNULL
    with subprocess.Popen(Cpus.pin(command, CPUS.client), stdin=quiet, stdout=quiet, stderr=quiet) as process:
        try:
            eventually(lambda: descriptors(process.pid) >= count, f"{count} sockets of {command}", _PATIENCE)
            time.sleep(_SETTLE)
            return anonymous_memory(process.pid)
        finally:
            process.kill()


def _exporter_weighed(servers: Servers, port: int, count: int) -> int:
    """Resident bytes of the exporter while it runs ``count`` probes; for each it has a socket for the question, too."""
    with blackbox(servers.directory, SERVER_NAME, servers.authority) as exporter:
        command = exporter.command([f"127.0.0.1:{port}=0"], concurrency=count, total=count)
        quiet = subprocess.DEVNULL
        with subprocess.Popen(Cpus.pin(command, CPUS.server), stdin=quiet, stdout=quiet, stderr=quiet) as driver:
            try:
                eventually(lambda: descriptors(exporter.pid) >= 2 * count, f"{count} probes of the exporter", _PATIENCE)
                time.sleep(_SETTLE)
                return anonymous_memory(exporter.pid)
            finally:
                driver.kill()


def _targets(servers: Servers, sizes: Sizes) -> None:
    """Each shows the canned certificate, or half of them reset; after two rounds."""
    few = max(sizes.targets // 10, 1)
    print(f"memory a target, {few:,} and {sizes.targets:,} of them, three hellos each, after two rounds")
    for well in (True, False):
        held = []
        for count in (few, sizes.targets):
            configuration = document(servers, servers["canned TLS 1.2 flight"], count, sizes.interval, well=well)
            with serving(servers.directory, configuration, wrapper=Cpus.pin([], CPUS.client)) as service:
                service.wait_ready()
                time.sleep(sizes.interval)
                held.append(anonymous_memory(service.program.process.pid))
        _say("all are well" if well else "half of them fail", held, sizes.targets - few)


def slope(servers: Servers, sizes: Sizes, minutes: float) -> None:
    """Watch a service at 2,000 handshakes a second."""
    with steady(servers, servers["canned TLS 1.2 flight"], _LONG_RATE, sizes.interval) as service:
        began = time.monotonic()
        samples: list[tuple[float, float]] = []
        while (passed := time.monotonic() - began) < minutes * 60:
            samples.append((passed / 60, anonymous_memory(service.program.process.pid) / 1024))
            time.sleep(_SAMPLE_EVERY)
    settled = samples[len(samples) // 4 :]
    print(f"memory over {minutes:g} minutes at {_LONG_RATE:,} handshakes a second")
    print(f"  prober serve       {samples[0][1] / 1024:.1f} MB at first, {samples[-1][1] / 1024:.1f} MB at last, ", end="")
    print(f"slope of the last three quarters {_slope(settled):+.1f} KB a minute", flush=True)


def _slope(samples: Sequence[tuple[float, float]]) -> float:
    """Least squares."""
    if len(samples) < 2:
        return 0.0
    mean_x = sum(x for x, _ in samples) / len(samples)
    mean_y = sum(y for _, y in samples) / len(samples)
    return sum((x - mean_x) * (y - mean_y) for x, y in samples) / sum((x - mean_x) ** 2 for x, _ in samples)
