"""Who shakes hands: prober and its peers, each as one function from a job to what it cost.

Every contender is asked what it saw, and whatever is not what the server does is counted as wrong. Processor time is that of the
whole process, from wait4(2), except where a contender's docstring says otherwise.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from tests.bench.machine import Ran, cpu_seconds, run
from tests.bench.peers.blackbox import Blackbox
from tests.bench.peers.native import build, build_go
from tests.bench.servers import SERVER_NAME, Servers, Site, address

__all__ = ["CONTENDERS", "PROBER", "Contender", "Cost", "Job", "once_command"]

PROBER = [sys.executable, "-m", "prober"]


@dataclass(frozen=True, slots=True)
class Job:
    """So many handshakes with one server, so many of them at the same time."""

    site: Site
    concurrency: int
    total: int
    servers: Servers
    exporter: Blackbox | None


class Cost(NamedTuple):
    """What a job came to."""

    handshakes: int
    cpu: float
    """Seconds."""
    wall: float
    """Seconds."""
    wrong: int
    """Handshakes that ended in another way than the server's."""

    @property
    def microseconds(self) -> float:
        """Of processor time, a handshake."""
        return self.cpu / self.handshakes * 1e6

    @property
    def rate(self) -> float:
        """Handshakes a second."""
        return self.handshakes / self.wall


def _said(job: Job, ran: Ran) -> Cost:
    """From the line of JSON that the small programs print."""
    if ran.status != 0:
        raise AssertionError(f"ended with status {ran.status}: {ran.errors}")
    said = json.loads(ran.output)
    right = said["outcomes"].get(job.site.outcome, 0)
    return Cost(job.total, said.get("cpu", ran.cpu), said["seconds"], job.total - right)


def c_epoll(job: Job) -> Cost:
    """C, epoll, the system calls alone; in TLS 1.3 also X25519, the key schedule and AES-GCM, by OpenSSL."""
    return _said(job, run([build("cli"), job.site.port, job.concurrency, job.total, job.servers.hello, job.servers.key]))


def _go(job: Job, *more: str) -> Cost:
    counts = ["-concurrency", job.concurrency, "-total", job.total]
    return _said(job, run([build_go("goclient"), "-port", job.site.port, *counts, "-name", SERVER_NAME, *more]))


def go_full(job: Job) -> Cost:
    """Go's crypto/tls, complete handshakes."""
    return _go(job)


def go_stop(job: Job) -> Cost:
    """Go's crypto/tls, stopped by VerifyPeerCertificate."""
    return _go(job, "-stop")


def python_ssl(job: Job) -> Cost:
    """Python's ssl, complete and verified. Without the interpreter's start."""
    words = [sys.executable, "-m", "tests.bench.peers.python_ssl", job.site.port, job.concurrency, job.total]
    return _said(job, run([*words, SERVER_NAME, job.servers.authority]))


def engine_alone(job: Job) -> Cost:
    """The engine of prober without judgement and output. Without the interpreter's start."""
    words = [sys.executable, "-m", "tests.bench.peers.engine_alone", job.site.port, job.concurrency, job.total]
    return _said(job, run([*words, SERVER_NAME]))


def s_client(job: Job) -> Cost:
    """One process a handshake, complete."""
    cpu = wall = 0.0
    wrong = 0
    expected = {"reset": "errno=104", "certificate": "Peer certificate: CN"}[job.site.outcome]
    for number in range(job.total):
        there = ["-connect", f"127.0.0.{number % 200 + 1}:{job.site.port}", "-servername", SERVER_NAME]
        ran = run(["openssl", "s_client", *there, "-CAfile", job.servers.authority, "-brief"])
        cpu, wall = cpu + ran.cpu, wall + ran.wall
        wrong += expected not in ran.errors
    return Cost(job.total, cpu, wall, wrong)


def exporter(job: Job) -> Cost:
    """blackbox_exporter, asked over HTTP by another process; what that costs is not counted."""
    assert job.exporter is not None
    before = cpu_seconds(job.exporter.pid)
    success = int(job.site.outcome == "certificate")
    targets = [f"127.0.0.{number + 1}:{job.site.port}={success}" for number in range(200)]
    right, seconds = job.exporter.drive(targets, concurrency=job.concurrency, total=job.total)
    return Cost(job.total, cpu_seconds(job.exporter.pid) - before, seconds, job.total - right)


def once_command(targets: Path, authority: Path, concurrency: int) -> list[str]:
    """`prober once` as it is used in bulk."""
    options = ["--format", "jsonl", "--server-name", SERVER_NAME, "--ca-file", str(authority), "--timeout", "60"]
    return [*PROBER, "once", "--file", str(targets), "--concurrency", str(concurrency), *options]


def _once(job: Job, addresses: int) -> Cost:
    targets = job.servers.directory / "targets.txt"
    targets.write_text("".join(f"{address(number)}:{job.site.port}\n" for number in range(addresses)))
    ran = run(once_command(targets, job.servers.authority, job.concurrency))
    results = [json.loads(line) for line in ran.output.splitlines()]
    outcomes = Counter(handshake["outcome"] for result in results for handshake in result["handshakes"])
    wrong = 3 * addresses - outcomes[job.site.outcome]
    if job.site.outcome == "certificate":
        wrong += sum(result["verdict"] != "ok" for result in results)
    return Cost(3 * addresses, ran.cpu, ran.wall, wrong)


def prober_once(job: Job) -> Cost:
    """`prober once --file`: the whole process, its start, three hellos an address, judgement and output. ``jsonl`` to a file."""
    return _once(job, max(job.total // 3, 1))


def prober_start(job: Job) -> Cost:
    """`prober once` with a single address: what the row above spends before its work."""
    return _once(job, 1)


class Contender(NamedTuple):
    """One row of the table."""

    name: str
    shake_hands: Callable[[Job], Cost]
    typical: float
    """Microseconds of processor time a handshake, roughly: how many of them fit into a round."""
    finishes: bool = False
    """Goes beyond the certificate, which a replayed flight does not survive."""
    most: int = 1000
    """The greatest concurrency."""


CONTENDERS = (
    Contender("C, epoll", c_epoll, 40),
    Contender("Go, stops", go_stop, 150),
    Contender("Go, complete", go_full, 400, finishes=True),
    Contender("blackbox_exporter", exporter, 1000, finishes=True),
    Contender("openssl s_client", s_client, 15_000, finishes=True, most=1),
    Contender("Python ssl", python_ssl, 1200, finishes=True),
    Contender("prober's engine", engine_alone, 80),
    Contender("prober once", prober_once, 0),
)
"""``typical`` 0: it takes `Sizes.bulk` handshakes, for its start is counted."""
