"""The C and Go programs of this directory: compiled on demand, run, and asked."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.servers.requirements import require_program

__all__ = ["Answer", "CServer", "build", "build_go", "c_server", "go"]

_HERE = Path(__file__).parent
_LIBRARIES = {"cli": ("-lcrypto",)}
_SLOW_COMPILER = 600
"""Seconds: Go compiles crypto/tls once, for its own cache, which takes a minute."""


_Command = Callable[[Path], Sequence[object]]
"""The compiler's words, for the name of the program."""


def build(name: str) -> Path:
    """The executable of ``<name>.c``; compiled once for each content of the source."""
    compiler = require_program("cc", package="build-essential")
    source = _HERE / f"{name}.c"
    return _built(source, lambda program: [compiler, "-O2", "-Wall", "-Wextra", "-o", program, source, *_LIBRARIES.get(name, ())])


def go() -> str | None:
    """The Go toolchain: the ``bench`` extra's, or the system's; None when there is none."""
    return shutil.which("go", path=str(Path(sys.executable).parent)) or shutil.which("go")


def build_go(name: str) -> Path:
    """The executable of ``<name>/main.go``, which needs nothing but the standard library."""
    compiler = go()
    if compiler is None:
        # Also where CI=true: the compiler is larger than all that the tests need.
        pytest.skip("there is no Go (pip install -e '.[bench]', or package golang)")
    source = _HERE / name / "main.go"
    environment = {**os.environ, "GO111MODULE": "off", "GOTOOLCHAIN": "local", "GOCACHE": str(_directory() / "go-cache")}
    return _built(source, lambda program: [compiler, "build", "-o", program, source], environment, stem=name)


def _built(source: Path, command: _Command, environment: dict[str, str] | None = None, *, stem: str | None = None) -> Path:
    digest = hashlib.sha256(source.read_bytes()).hexdigest()[:16]
    program = _directory() / f"{stem or source.stem}-{digest}"
    if not program.exists():
        unfinished = program.with_suffix(f".{os.getpid()}")
        words = [str(word) for word in command(unfinished)]
        subprocess.run(words, check=True, env=environment, timeout=_SLOW_COMPILER)
        unfinished.replace(program)  # two test processes may build at the same time
    return program


def _directory() -> Path:
    directory = Path(tempfile.gettempdir()) / f"prober-bench-{os.getuid()}"
    directory.mkdir(mode=0o700, exist_ok=True)
    return directory


@dataclass(frozen=True, slots=True)
class Answer:
    """What the server says about one answer of its own. Unix times in nanoseconds."""

    address: str
    """Which of the server's addresses was called."""
    asked: int
    """When the kernel had the client's first bytes."""
    answered: int
    """Right after the answer was given to the kernel."""


@dataclass(slots=True)
class CServer:
    """A running ``srv``."""

    port: int
    process: subprocess.Popen[str]

    def stop(self) -> list[Answer]:
        """End it; all its answers, if they were asked for."""
        output, _ = self.process.communicate(timeout=20)
        lines = (line.split() for line in output.splitlines())
        return [Answer(address, int(asked), int(answered)) for address, asked, answered in lines]


@contextmanager
def c_server(mode: str, flight: Path | None = None, *, truth: bool = False, cpu: int | None = None) -> Iterator[CServer]:
    """``srv MODE`` on all addresses: ``rst``, ``canned`` (with the bytes of ``flight``), ``fin`` or ``hole``.

    It costs as little processor time as a server can. ``truth``: it keeps the moment of every answer, see `CServer.stop`.
    ``cpu`` pins it.
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
