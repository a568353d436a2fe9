"""The unit of systemd is accepted by systemd, and what it runs is what there is."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import pytest

from prober.cli import main
from tests.servers.requirements import optional_program, require_program

UNIT = Path(__file__).parents[2] / "deploy" / "systemd" / "prober.service"
PROGRAM = "/opt/prober/bin/prober"


def settings() -> dict[str, str]:
    """Directive to value, the last one of each."""
    return dict(re.findall(r"^(\w+)=(.*)$", UNIT.read_text(), re.MULTILINE))


def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run systemd-analyze; it needs no running systemd for this."""
    program = optional_program("systemd-analyze")
    return subprocess.run([program, *arguments], capture_output=True, text=True, timeout=60, check=False)


def test_systemd_accepts_the_unit(tmp_path: Path) -> None:
    """`systemd-analyze verify` is silent once the command is where this machine has one."""
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text().replace(PROGRAM, require_program("true", package="coreutils")))

    done = analyze("verify", str(unit))

    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_systemd_finds_little_exposed() -> None:
    """`systemd-analyze security` stays at or below 2.0 of 10, which it calls OK."""
    done = analyze("security", "--offline=true", "--threshold=20", str(UNIT))

    assert done.returncode == 0, done.stdout[-300:] + done.stderr


def test_the_command_exists(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Command and options are understood: what is missed is the file alone."""
    program, *arguments = shlex.split(settings()["ExecStart"])
    missing = str(tmp_path / "prober.yml")

    status = main([missing if argument.endswith(".yml") else argument for argument in arguments])

    assert program == PROGRAM
    assert status == 2
    assert missing in capsys.readouterr().err


def test_the_service_is_reloaded_by_the_signal_that_it_hears_and_keeps_no_privilege() -> None:
    """What the hardening promises, in the words of systemd."""
    expected = {
        "Type": "notify",
        "NotifyAccess": "main",
        "WatchdogSec": "40s",
        "ExecReload": "/bin/kill -HUP $MAINPID",
        "DynamicUser": "yes",
        "ProtectSystem": "strict",
        "StateDirectory": "prober",
        "CapabilityBoundingSet": "",
        "AmbientCapabilities": "",
        "NoNewPrivileges": "yes",
    }
    found = settings()

    assert {name: found.get(name) for name in expected} == expected
