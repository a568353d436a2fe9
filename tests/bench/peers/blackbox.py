"""blackbox_exporter, as Debian packages it, and the program that asks it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from prober.model import Endpoint
from tests.bench.machine import CPUS, Cpus, run
from tests.bench.peers.native import build_go
from tests.servers.ports import Ports
from tests.servers.processes import Program, running
from tests.servers.requirements import require_program

__all__ = ["Blackbox", "blackbox"]

_MODULES = """\
modules:
  tls:
    prober: tcp
    timeout: 60s
    tcp:
      tls: true
      preferred_ip_protocol: ip4
      tls_config: {{ca_file: {authority}, server_name: {name}}}
"""


@dataclass(frozen=True, slots=True)
class Blackbox:
    """A running exporter."""

    program: Program
    driver: Path
    url: str

    @property
    def pid(self) -> int:
        """Its process."""
        return self.program.process.pid

    def command(self, targets: Sequence[str], *, concurrency: int, total: int, rate: float = 0.0) -> list[str]:
        """The program that asks for ``total`` probes; a target is ``HOST:PORT=0`` or ``=1``, which is what success must be."""
        counts = ["-concurrency", str(concurrency), "-total", str(total), "-rate", str(rate)]
        return [str(self.driver), "-exporter", self.url, *counts, *targets]

    def drive(self, targets: Sequence[str], *, concurrency: int, total: int, rate: float = 0.0) -> tuple[int, float]:
        """Ask, on the servers' processor: how many probes were right, and how many seconds it took."""
        ran = run(self.command(targets, concurrency=concurrency, total=total, rate=rate), cpu=CPUS.server)
        said = json.loads(ran.output)
        return said["outcomes"]["0"] + said["outcomes"]["1"], said["seconds"]


@contextmanager
def blackbox(directory: Path, name: str, authority: Path) -> Iterator[Blackbox]:
    """Run the exporter on the clients' processor. It verifies, as prober does."""
    program = require_program("prometheus-blackbox-exporter")
    driver = build_go("godrive")
    configuration = directory / "blackbox.yml"
    configuration.write_text(_MODULES.format(authority=authority, name=name))
    with Ports() as ports:
        here = ports.take("127.0.0.1")
        words = [program, f"--config.file={configuration}", f"--web.listen-address={here.ip}:{here.port}", "--log.level=error"]
        with running(Cpus.pin(words, CPUS.client), directory=directory, name="blackbox", accepting=[Endpoint(*here)]) as exporter:
            yield Blackbox(exporter, driver, f"http://{here.ip}:{here.port}")
