"""What ``make demo`` runs, in a network of its own, since its ports are fixed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.deploy.rendering import DEPLOY
from tests.servers.namespaces import alone

_LAST_LINE = "Ctrl-C ends both."


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
def test_the_demo_leaves_nothing_running(number: signal.Signals, tmp_path: Path) -> None:
    """Ctrl-C, a plain kill, and a terminal that is closed (which signals every process in it) end the lab and the service."""
    prober = Path(sys.executable).with_name("prober")
    with (
        alone() as network,
        subprocess.Popen(
            [*network.enter, "sh", str(DEPLOY / "demo.sh")],
            cwd=tmp_path,
            env={**os.environ, "PROBER": str(prober)},
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
            # A shell cannot trap what it was started deaf to, as everything below nohup is.
            preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),
        ) as demo,
    ):
        assert demo.stdout is not None
        try:
            said = ""
            while _LAST_LINE not in said:
                line = demo.stdout.readline()
                assert line, (tmp_path / ".demo" / "serve.log").read_text()
                said += line

            os.killpg(demo.pid, number)
            demo.wait(timeout=20)

            with pytest.raises(ProcessLookupError):
                os.killpg(demo.pid, 0)
        finally:
            if demo.poll() is None or _lives(demo.pid):
                os.killpg(demo.pid, signal.SIGKILL)


def _lives(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True
