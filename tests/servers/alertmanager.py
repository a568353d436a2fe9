"""A real Alertmanager, asked through its HTTP API."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from prober.model import Endpoint
from tests.servers.ports import Ports
from tests.servers.processes import running
from tests.servers.requirements import require_program

__all__ = ["Alertmanager", "alertmanager"]

_PATIENCE = 40.0

_CONFIGURATION = """\
route: {receiver: nobody}
receivers:
- name: nobody
"""


@dataclass(frozen=True, slots=True)
class Alertmanager:
    """A running Alertmanager."""

    endpoint: Endpoint

    @property
    def url(self) -> str:
        """Its base."""
        return f"http://{self.endpoint}"

    def alerts(self) -> list[dict[str, Any]]:
        """The active ones, but that the prober is late: that goes by the machine on which the tests run."""
        answer = httpx.get(f"{self.url}/api/v2/alerts", trust_env=False)
        answer.raise_for_status()
        return [alert for alert in answer.json() if alert["labels"]["alertname"] != "ProberLate"]

    def alerts_until(self, enough: Callable[[list[dict[str, Any]]], bool]) -> list[dict[str, Any]]:
        """The first answer that is ``enough``; AssertionError with the last one when none is."""
        deadline = time.monotonic() + _PATIENCE
        while not enough(found := self.alerts()):
            assert time.monotonic() < deadline, found
            time.sleep(0.05)
        return found


@contextmanager
def alertmanager(directory: Path, endpoint: Endpoint | None = None) -> Iterator[Alertmanager]:
    """Run it with nobody to notify, on a port of its own or on ``endpoint``."""
    program = require_program("prometheus-alertmanager")
    file = directory / "alertmanager.yml"
    file.write_text(_CONFIGURATION)
    with Ports() as ports:
        endpoint = endpoint or ports.take()
        command = [program, "--config.file", file, "--storage.path", directory / "alertmanager-data"]
        command += ["--web.listen-address", str(endpoint), "--cluster.listen-address=", "--log.level=warn"]
        with running(command, directory=directory, accepting=[endpoint], name="alertmanager"):
            yield Alertmanager(endpoint)
