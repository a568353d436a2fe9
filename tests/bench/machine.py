"""The machine of a benchmark: which processors, and what a process has cost so far."""

from __future__ import annotations

import os
import platform
import resource
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from time import perf_counter
from typing import NamedTuple

__all__ = ["CPUS", "Cpus", "Ran", "anonymous_memory", "cpu_seconds", "describe", "descriptors", "raise_limits", "run"]

_PATIENCE = 300.0
"""Seconds after which a contender has hung."""


class Cpus(NamedTuple):
    """Which processor runs what; None: they share one, or are not to be pinned."""

    client: int | None
    server: int | None

    @staticmethod
    def pin(command: Sequence[object], cpu: int | None) -> list[str]:
        """``command``, on that processor alone."""
        words = [str(word) for word in command]
        return words if cpu is None else ["taskset", "-c", str(cpu), *words]


def _cpus() -> Cpus:
    allowed = sorted(os.sched_getaffinity(0))
    return Cpus(allowed[0], allowed[1]) if len(allowed) > 1 else Cpus(None, None)


CPUS = _cpus()


def describe() -> str:
    """Processor, kernel, Python, and who runs where."""
    model = next((line.partition(":")[2].strip() for line in _lines(Path("/proc/cpuinfo")) if line.startswith("model name")), "?")
    pinned = f"clients on processor {CPUS.client}, servers on {CPUS.server}" if CPUS.client is not None else "nothing pinned"
    return (
        f"{os.cpu_count()} x {model}, {platform.system()} {platform.release()}, Python {platform.python_version()};"
        f" {pinned}; load {os.getloadavg()[0]:.1f}; all traffic is loopback"
    )


def raise_limits() -> None:
    """As many descriptors as this process, and what it starts, may have."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


class Ran(NamedTuple):
    """A program that was run to its end."""

    output: str
    errors: str
    status: int
    cpu: float
    """Seconds of user and system time, of the process and its own children, from wait4(2)."""
    wall: float
    """Seconds."""


def run(command: Sequence[object], *, cpu: int | None = CPUS.client, patience: float = _PATIENCE) -> Ran:
    """Run a program to its end, on the clients' processor unless told otherwise."""
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        began = perf_counter()
        process = subprocess.Popen(Cpus.pin(command, cpu), stdin=subprocess.DEVNULL, stdout=output, stderr=errors)
        watchdog = threading.Timer(patience, process.kill)
        watchdog.start()
        try:
            _, status, used = os.wait4(process.pid, 0)
        finally:
            watchdog.cancel()
        wall = perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        errors.seek(0)
        return Ran(output.read().decode(), errors.read().decode(), process.returncode, used.ru_utime + used.ru_stime, wall)


def cpu_seconds(pid: int) -> float:
    """What a process, its threads and its children that live have used, to the nanosecond (Documentation/scheduler/sched-stats)."""
    return sum(
        int(line.split()[0]) * 1e-9 for each in _family(pid) for task in _tasks(each) for line in _lines(task / "schedstat")
    )


def anonymous_memory(pid: int) -> int:
    """Resident bytes of a process and its children that no file backs."""
    lines = (line for each in _family(pid) for line in _lines(Path(f"/proc/{each}/status")))
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon:"))


def descriptors(pid: int) -> int:
    """How many are open."""
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())


def _family(pid: int) -> Iterator[int]:
    yield pid
    for task in _tasks(pid):
        for line in _lines(task / "children"):
            for child in line.split():
                yield from _family(int(child))


def _tasks(pid: int) -> list[Path]:
    with suppress(FileNotFoundError):
        return list(Path(f"/proc/{pid}/task").iterdir())
    return []


def _lines(path: Path) -> list[str]:
    with suppress(OSError):
        return path.read_text().splitlines()
    return []
