"""Prometheus as the tests meet it: scraping every second, asked through its HTTP API."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from prober.model import Endpoint
from tests.servers.ports import Ports
from tests.servers.processes import running
from tests.servers.requirements import require_program

__all__ = ["Prometheus", "Sample", "prometheus"]

_PATIENCE = 40.0
"""Seconds within which a scraped value must show up."""

Sample = tuple[Mapping[str, str], float]
"""Labels and value."""


@dataclass(frozen=True, slots=True)
class Prometheus:
    """A running Prometheus."""

    endpoint: Endpoint

    def query(self, expression: str) -> list[Sample]:
        """The instant vector of ``expression``, now."""
        answer = httpx.get(f"http://{self.endpoint}/api/v1/query", params={"query": expression}, trust_env=False)
        answer.raise_for_status()
        data: dict[str, Any] = answer.json()["data"]
        return [(sample["metric"], float(sample["value"][1])) for sample in data["result"]]

    def query_until(self, expression: str, enough: Callable[[list[Sample]], bool]) -> list[Sample]:
        """The first answer that is ``enough``; AssertionError with the last answer when none is."""
        deadline = time.monotonic() + _PATIENCE
        while True:
            try:
                samples = self.query(expression)
            except httpx.HTTPStatusError as error:
                # It listens before it has read its log, and gives up a query that a busy machine does not get to.
                if error.response.status_code != httpx.codes.SERVICE_UNAVAILABLE or time.monotonic() >= deadline:
                    raise
            else:
                if enough(samples):
                    return samples
                assert time.monotonic() < deadline, f"{expression} is {samples}"
            time.sleep(0.1)


@contextmanager
def prometheus(directory: Path, configuration: str) -> Iterator[Prometheus]:
    """Prometheus with ``configuration`` (YAML), its data in ``directory``."""
    program = require_program("prometheus")
    file = directory / "prometheus.yml"
    file.write_text(configuration)
    with Ports() as ports:
        endpoint = ports.take()
        command = [program, "--config.file", file, "--storage.tsdb.path", directory / "data"]
        command += ["--web.listen-address", str(endpoint), "--log.level", "warn"]
        with running(command, directory=directory, accepting=[endpoint], name="prometheus"):
            yield Prometheus(endpoint)
