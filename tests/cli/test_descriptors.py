"""A limit of open files that lets nothing be probed is told in a line, whatever it is."""

from __future__ import annotations

import resource
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from prober.cli.descriptors import NEEDED, require_descriptors
from prober.cli.parser import UsageError
from tests.servers.ports import Ports


def limited(limit: int, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run the program with this limit of open files, soft and hard."""
    return subprocess.run(
        [sys.executable, "-m", "prober", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        preexec_fn=partial(resource.setrlimit, resource.RLIMIT_NOFILE, (limit, limit)),
    )


@pytest.mark.parametrize("command", ["once", "serve", "diagnose", "lab"])
def test_too_few_descriptors_are_told_with_what_to_do(command: str, tmp_path: Path) -> None:
    """One line and status 2, as for whatever else must be put right before anything can be probed."""
    config = tmp_path / "prober.yml"
    config.write_text(
        "listen: 127.0.0.1:0\ntargets: [{name: edge, addresses: ['127.0.0.1:1'], server_names: [api.example.test]}]\n"
    )
    arguments = {
        "once": ("127.0.0.1:1",),
        "serve": ("--config", config),
        "diagnose": ("probe", "127.0.0.1:1"),
        "lab": ("--port", 0),
    }[command]
    ran = limited(10, command, *arguments)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr.startswith(f"prober {command}: too few file descriptors: ")
    assert "of the 10 that this process may have" in ran.stderr
    assert "ulimit -n" in ran.stderr
    assert ran.stderr.count("\n") == 1


@pytest.mark.parametrize("limit", [5, 6, 7, 8, 9])
def test_also_where_python_itself_can_hardly_start(limit: int) -> None:
    """It is asked before the modules are read, and is not called an output that cannot be written."""
    ran = limited(limit, "once", "127.0.0.1:1")
    assert (ran.returncode, ran.stdout) == (2, "")
    assert "too few file descriptors" in ran.stderr
    assert ran.stderr.count("\n") == 1


def test_the_least_that_is_taken_is_enough_to_probe() -> None:
    """Refused is only what would not work."""
    with Ports() as ports:
        ran = limited(NEEDED + 3, "once", ports.take("127.0.0.1"), "--server-name", "api.example.test", "--concurrency", 500)
    assert ran.returncode == 1
    assert "refused" in ran.stdout
    assert "local_error" not in ran.stdout
    assert ran.stderr == "prober once: --concurrency 500: this process may have 7 sockets (ulimit -n); using 7\n"


def test_what_was_inherited_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A high limit is of no use where the table is full."""
    monkeypatch.setattr("prober.cli.descriptors._free", lambda: NEEDED - 1)
    with pytest.raises(UsageError, match="too few file descriptors"):
        require_descriptors()
