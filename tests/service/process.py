"""`prober serve` as a process of its own, for tests that see it as an operator does."""

from __future__ import annotations

import json
import re
import signal
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.servers.processes import Program, running

__all__ = ["Answer", "Service", "eventually", "serving"]

PATIENCE = 30.0
"""Seconds after which a test that waits for the service has failed: generous, for a machine that is shared."""

_URL = re.compile(r"msg=started .*?url=(\S+)")
_SAMPLE = re.compile(r"^(?P<name>[a-z_]+)(?:\{(?P<labels>.*)\})? (?P<value>\S+)$")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


@dataclass(frozen=True)
class Answer:
    """An HTTP answer."""

    status: int
    text: str


def eventually(holds: Callable[[], object], what: str, patience: float = PATIENCE) -> None:
    """Return once ``holds`` does; fail with ``what`` when it never does."""
    deadline = time.monotonic() + patience
    while not holds():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {patience} s: {what}")
        time.sleep(0.02)


@dataclass
class Service:
    """A running service."""

    program: Program
    config: Path
    url: str

    def get(self, path: str, method: str = "GET") -> Answer:
        """One request; any status is an answer."""
        request = urllib.request.Request(self.url + path, method=method)
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as response:
                return Answer(response.status, response.read().decode())
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, error.read().decode())

    def json(self, path: str) -> Any:
        """A JSON answer."""
        return json.loads(self.get(path).text)

    def samples(self, name: str, **labels: str) -> list[tuple[Mapping[str, str], float]]:
        """The samples of a metric whose labels are at least these."""
        return [(have, value) for _, have, value in self.scrape(name) if labels.items() <= have.items()]

    def scrape(self, *names: str, path: str = "/metrics") -> Iterator[tuple[str, Mapping[str, str], float]]:
        """Name, labels and value of the samples with these names, all of one scrape."""
        for line in self.get(path).text.splitlines():
            match = _SAMPLE.match(line)
            if match is not None and match["name"] in names:
                yield match["name"], dict(_LABEL.findall(match["labels"] or "")), float(match["value"])

    def value(self, name: str, **labels: str) -> float | None:
        """The one sample with these labels; None when there is none."""
        found = self.samples(name, **labels)
        assert len(found) <= 1, found
        return found[0][1] if found else None

    def verdicts(self) -> dict[str, str]:
        """The current verdict by target and address, as "target address"."""
        return {
            f"{labels['target']} {labels['address']}": labels["verdict"]
            for labels, value in self.samples("probe_verdict_info")
            if value
        }

    def wait_ready(self) -> None:
        """Return once the first round is done."""
        eventually(lambda: self.get("/-/ready").status == 200, f"ready; the log says:\n{self.program.log()}")

    def rewrite(self, document: Mapping[str, Any] | str) -> None:
        """Change the configuration file."""
        self.config.write_text(document if isinstance(document, str) else yaml.safe_dump(dict(document)))

    def end(self, number: signal.Signals = signal.SIGTERM) -> tuple[int, float]:
        """Send a signal; the exit status, and how many seconds it took."""
        began = time.monotonic()
        self.program.process.send_signal(number)
        return self.program.process.wait(PATIENCE), time.monotonic() - began


@contextmanager
def serving(
    directory: Path,
    document: Mapping[str, Any],
    *options: str,
    wrapper: Sequence[str] = (),
    program: Sequence[str] = (sys.executable, "-m", "prober"),
) -> Iterator[Service]:
    """Run the service on a free port; ``wrapper`` is a command that runs it, such as one that sets limits."""
    config = directory / "prober.yml"
    config.write_text(yaml.safe_dump({"listen": "127.0.0.1:0", **document}))
    command = [*wrapper, *program, "serve", "--config", str(config), *options]
    with running(command, directory=directory, name="prober-serve") as started:
        eventually(
            lambda: started.process.poll() is not None or _URL.search(started.log()), f"started; the log says:\n{started.log()}"
        )
        match = _URL.search(started.log())
        assert match is not None, started.log()
        yield Service(started, config, match[1])
