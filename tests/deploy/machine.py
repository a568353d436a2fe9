"""A systemd that runs: the image of `tests.deploy.image`, booted by systemd-nspawn with the unit under test as its only goal.

Its root is a view whose changes are kept in memory, its network is a loopback of its own. It is asked by nsenter, as root.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.deploy.image import Image
from tests.servers.processes import Program, running
from tests.servers.requirements import not_permitted, require_program
from tests.service.process import eventually

__all__ = ["CONFIGURATION", "Machine", "booted"]

CONFIGURATION = "/etc/prober/prober.yml"

# The interpreter of this process may have a library of its own, at a path that is written into it and not there.
_DROP_IN = "[Service]\nEnvironment=LD_LIBRARY_PATH=/usr/local/lib\n"


@dataclass(frozen=True, slots=True)
class Machine:
    """It has booted: its systemd answers."""

    init: int
    """Its first process, as seen from here."""

    def run(self, *command: str, text: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run something in it as root, to its end; ``text`` is its standard input."""
        inside = ["nsenter", "--target", str(self.init), "--mount", "--uts", "--ipc", "--net", "--pid"]
        return subprocess.run([*inside, *command], input=text, capture_output=True, text=True, timeout=60, check=False)

    def show(self, unit: str, name: str) -> str:
        """One property of a unit."""
        return self.run("systemctl", "show", unit, "--value", "--property", name).stdout.strip()

    def journal(self, unit: str) -> str:
        """All that systemd and the unit's processes said of it so far."""
        return self.run("journalctl", "--no-pager", "--output", "cat", "--unit", unit).stdout

    def write(self, path: str, text: str) -> None:
        """Write a file in it."""
        done = self.run("sh", "-c", 'mkdir -p "${1%/*}" && cat > "$1"', "sh", path, text=text)
        assert done.returncode == 0, done.stderr


@contextmanager
def booted(directory: Path, view: Path, image: Image, unit: Path) -> Iterator[Machine]:
    """Boot ``image``, whose root is ``view`` in the mount namespace of its holder, until the context is left."""
    nspawn = require_program("systemd-nspawn", package="systemd-container")
    drop_in = directory / "library.conf"
    drop_in.write_text(_DROP_IN)
    place = f"/etc/systemd/system/{unit.name}"
    command = ["nsenter", "--target", str(image.holder), "--mount", nspawn, "--directory", str(view), "--volatile=overlay"]
    command += ["--private-network", "--register=no", "--keep-unit", "--link-journal=no", "--console=pipe", "--quiet"]
    # What the image mounts over the view is not in the overlay over that.
    command += [] if sys.base_prefix == "/usr" else [f"--bind-ro={sys.base_prefix}:/usr/local"]
    command += ["--tmpfs=/var/lib:mode=0755", f"--bind-ro={unit}:{place}", f"--bind-ro={drop_in}:{place}.d/library.conf"]
    command += ["--boot", "--", f"--unit={unit.name}"]
    with running(command, directory=directory, name="nspawn") as program:
        machine = Machine(_init(program))
        # "degraded" is running, too: units of the machine under the view may find nothing to do here.
        states = {"running", "degraded"}
        eventually(lambda: machine.run("systemctl", "is-system-running").stdout.strip() in states, "booted")
        yield machine


def _init(program: Program) -> int:
    """The first process of the container, once it is systemd."""
    children = Path(f"/proc/{program.process.pid}/task/{program.process.pid}/children")

    def found() -> list[int]:
        if program.process.poll() is not None:
            not_permitted(f"systemd-nspawn cannot start a container here: {program.log().strip()[-300:]}")
        pids = map(int, children.read_text().split())
        return [pid for pid in pids if Path(f"/proc/{pid}/comm").read_text().strip() == "systemd"]

    eventually(found, "systemd is the container's first process")
    return found()[0]
