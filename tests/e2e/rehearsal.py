"""`prober lab` as a process of its own with many listeners, flipped through its control interface."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import yaml

from tests.servers.processes import running
from tests.service.process import Service, eventually

__all__ = ["Rehearsal", "all_well", "rehearsal"]

_CONTROL = re.compile(r"List: +curl (\S+)/ ")


class Rehearsal:
    """A running lab, the process ``pid``. ``targets`` are its listeners as a configuration lists them, ``addresses`` their addresses by name."""

    def __init__(self, pid: int, control: str, document: Mapping[str, Any], count: int) -> None:
        self.pid = pid
        self._client = httpx.Client(base_url=f"http://{control}", timeout=20, trust_env=False)
        self.targets: list[dict[str, Any]] = [one for one in document["targets"] if one["name"].startswith("target-")]
        assert len(self.targets) == count
        # Two hellos of the three: a Python server needs a whole core for two hundred listeners and three handshakes a second each.
        self.modules: dict[str, Any] = {
            name: {**module, "sni": ["known", "none"]} for name, module in document["modules"].items()
        }
        self.addresses: dict[str, str] = {one["name"]: one["addresses"][0] for one in self.targets}
        self.names = tuple(self.addresses)

    def flip(self, names: Iterable[str], behaviour: str) -> float:
        """As `prober lab flip` does; the Unix time after the last one."""
        for name in names:
            self._client.put(f"/{name}", content=behaviour).raise_for_status()
        return time.time()

    def close(self) -> None:
        """Close the connection to the control interface."""
        self._client.close()


@contextmanager
def rehearsal(directory: Path, count: int) -> Iterator[Rehearsal]:
    """``count`` healthy listeners, ``target-000`` and so on."""
    options = ["--port", "0", "--control-port", "0", "--directory", directory / "lab", "--count", count]
    # Unbuffered: the announcement says where the control interface is. One listener of its own, instead of one a behaviour.
    command = [sys.executable, "-u", "-m", "prober", "lab", *options, "--listener", "spare=refuse"]
    with running(command, directory=directory, name="prober-lab") as program:
        eventually(lambda: _CONTROL.search(program.log()), "the lab's announcement")
        control = _CONTROL.search(program.log())
        assert control is not None
        made = Rehearsal(program.process.pid, control[1], yaml.safe_load((directory / "lab" / "prober.yml").read_text()), count)
        try:
            yield made
        finally:
            made.close()


def all_well(service: Service, count: int) -> bool:
    """Whether so many endpoints are judged, all of them well."""
    verdicts = service.verdicts()
    return len(verdicts) == count and set(verdicts.values()) == {"ok"}
