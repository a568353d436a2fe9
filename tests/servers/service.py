"""``prober serve`` as its users run it: a process of its own, ready when its first round is done."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from prober.model import Endpoint
from tests.servers.ports import Ports
from tests.servers.processes import Program, running

__all__ = ["serving"]

_PATIENCE = 30.0


@contextmanager
def serving(directory: Path, configuration: str) -> Iterator[Endpoint]:
    """The running service's address; ``configuration`` is YAML without ``listen``."""
    with Ports() as ports:
        endpoint = ports.take()
        file = directory / "prober.yml"
        file.write_text(f"listen: {endpoint}\n{configuration}")
        command = [sys.executable, "-m", "prober", "serve", "--config", file]
        with running(command, directory=directory, accepting=[endpoint], name="prober-serve") as program:
            _wait_until_ready(program, endpoint)
            yield endpoint


def _wait_until_ready(program: Program, endpoint: Endpoint) -> None:
    deadline = time.monotonic() + _PATIENCE
    while httpx.get(f"http://{endpoint}/-/ready", trust_env=False).status_code != 200:
        assert program.process.poll() is None, program.log()
        assert time.monotonic() < deadline, program.log()
        time.sleep(0.05)
