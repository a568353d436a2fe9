"""The C programs of this directory: compiled on demand, run, and asked.

`resetting_server` and its kin cost as little CPU as a server can, and know the truth about their own answers.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.servers.requirements import require_program

__all__ = ["Answer", "CServer", "build", "c_server"]

_HERE = Path(__file__).parent


def build(name: str) -> Path:
    """The executable of ``<name>.c``; compiled once for each content of the source."""
    source = _HERE / f"{name}.c"
    digest = hashlib.sha256(source.read_bytes()).hexdigest()[:16]
    directory = Path(tempfile.gettempdir()) / f"prober-bench-{os.getuid()}"
    directory.mkdir(mode=0o700, exist_ok=True)
    program = directory / f"{name}-{digest}"
    if not program.exists():
        unfinished = program.with_suffix(f".{os.getpid()}")
        compiler = require_program("cc", package="build-essential")
        subprocess.run([compiler, "-O2", "-Wall", "-Wextra", "-o", unfinished, source], check=True)
        unfinished.replace(program)  # two test processes may build at the same time
    return program


@dataclass(frozen=True, slots=True)
class Answer:
    """What the server says about one answer of its own."""

    client_port: int
    at: float
    """Unix time in seconds, right after the answer was given to the kernel."""


@dataclass(slots=True)
class CServer:
    """A running ``srv``."""

    port: int
    process: subprocess.Popen[str]

    def stop(self) -> list[Answer]:
        """End it; all its answers, if they were asked for."""
        output, _ = self.process.communicate(timeout=20)
        lines = (line.split() for line in output.splitlines())
        return [Answer(int(port), float(at)) for port, at in lines]


@contextmanager
def c_server(mode: str, flight: Path | None = None, *, truth: bool = False, cpu: int | None = None) -> Iterator[CServer]:
    """``srv MODE`` on all addresses: ``rst``, ``canned`` (with the bytes of ``flight``), ``fin`` or ``hole``.

    ``truth``: it keeps the moment of every answer, see `CServer.stop`. ``cpu`` pins it.
    """
    command = [str(build("srv")), mode, *([] if flight is None else [str(flight)])]
    if cpu is not None:
        command = [require_program("taskset", package="util-linux"), "-c", str(cpu), *command]
    environment = {**os.environ, **({"TRUTH": "1"} if truth else {})}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment) as process:
        try:
            assert process.stdout is not None
            yield CServer(int(process.stdout.readline()), process)
        finally:
            process.terminate()
