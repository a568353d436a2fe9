"""Server programs as context managers: started in a process group of their own, ready when entered, gone when left.

Nothing outlives the test run: leaving the context ends the whole group, and the kernel ends the program should the test
process itself be killed. What a program printed is kept in a file and told when it fails, or when a test fails meanwhile.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from prober.model import Endpoint
from tests.servers.requirements import require_program

__all__ = ["RUNNING", "Program", "running", "wait_until_accepting"]

START_DEADLINE = 30.0
"""Seconds. Envoy needs one on an idle machine; a shared two-core machine under load needs patience."""
STOP_DEADLINE = 5.0
POLL = 0.01


@dataclass(slots=True)
class Program:
    """One running server program."""

    name: str
    process: subprocess.Popen[bytes]
    output: Path

    def log(self) -> str:
        """All that the program has printed so far."""
        return self.output.read_text(encoding="utf-8", errors="replace")

    def tail(self) -> str:
        """The last of it, for the report of a failing test."""
        return self.log()[-4096:]


RUNNING: list[Program] = []
"""The programs that run now, for the report of a failing test."""


@contextmanager
def running(
    command: Sequence[object],
    *,
    directory: Path,
    accepting: Iterable[Endpoint] = (),
    name: str | None = None,
    environment: dict[str, str] | None = None,
) -> Iterator[Program]:
    """Run ``command`` in ``directory`` until the context is left; entered once every endpoint of ``accepting`` accepts.

    Only on the main thread: `PR_SET_PDEATHSIG`, set by ``setpriv``, goes by the thread that started the child.
    """
    assert threading.current_thread() is threading.main_thread(), "the program would end with this thread"
    words = [str(word) for word in command]
    name = name or Path(words[0]).name
    output = directory / f"{name}.output"
    guard = [require_program("setpriv", package="util-linux"), "--pdeathsig", "TERM"]
    with output.open("wb") as sink:
        process = subprocess.Popen(
            [*guard, *words],
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(environment or {})},
            process_group=0,
        )
    program = Program(name, process, output)
    RUNNING.append(program)
    try:
        wait_until_accepting(program, accepting)
        yield program
    finally:
        RUNNING.remove(program)
        _end(process)


def wait_until_accepting(program: Program, endpoints: Iterable[Endpoint]) -> None:
    """Return once each endpoint accepts a TCP connection; AssertionError with the output when the program cannot."""
    deadline = time.monotonic() + START_DEADLINE
    waiting = list(endpoints)
    while True:
        status = program.process.poll()
        if status is not None:
            raise AssertionError(f"{program.name} ended with status {status}:\n{program.log()}")
        waiting = [endpoint for endpoint in waiting if not _accepts(endpoint)]
        if not waiting:
            return
        if time.monotonic() > deadline:
            places = ", ".join(map(str, waiting))
            raise AssertionError(f"{program.name} does not accept at {places} after {START_DEADLINE} s:\n{program.log()}")
        time.sleep(POLL)


def _accepts(endpoint: Endpoint) -> bool:
    try:
        socket.create_connection(endpoint, timeout=1.0).close()
    except OSError:
        return False
    return True


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ask the program, wait a little, then kill whatever is left of its process group."""
    if process.poll() is None:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(STOP_DEADLINE)
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
