"""Lists that one reads on a terminal: real ones, of different widths."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
from contextlib import suppress

import pytest

from prober.lab.behaviours import BEHAVIOURS
from prober.tls.profiles import PROFILES


def on_terminal(width: int, *arguments: str) -> list[str]:
    """The lines that prober writes to a terminal of this width."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 500, width, 0, 0))
    environ = {name: value for name, value in os.environ.items() if name not in {"COLUMNS", "FORCE_COLOR"}}
    process = subprocess.Popen([sys.executable, "-m", "prober", *arguments], stdout=theirs, stderr=theirs, env=environ)
    os.close(theirs)
    said = b""
    with suppress(OSError):  # EIO: nobody has its other end open any more
        while piece := os.read(ours, 65536):
            said += piece
    os.close(ours)
    assert process.wait(30) == 0, said
    return said.decode().splitlines()


@pytest.mark.parametrize("width", [60, 80])
@pytest.mark.parametrize(
    ("arguments", "names"),
    [(("once", "--hello", "list"), PROFILES), (("lab", "--list"), BEHAVIOURS)],
    ids=["hellos", "behaviours"],
)
def test_a_list_fits_the_terminal(arguments: tuple[str, ...], names: dict[str, object], width: int) -> None:
    """A line that the terminal breaks is hard to read; each entry begins at the left, and nothing else does."""
    lines = on_terminal(width, *arguments)
    assert max(map(len, lines)) < width
    assert [line.split()[0] for line in lines if not line.startswith(" ")] == list(names)


def test_a_hello_says_which_fingerprint_is_whose() -> None:
    """With a server name and without one it is another."""
    lines = on_terminal(80, "once", "--hello", "list")
    named = [line for line in lines if line.startswith("  JA4 t1") and line.endswith(" with a name")]
    nameless = [line for line in lines if line.startswith("      t1") and line.endswith(" without")]
    assert [line.split("_")[0][-7] for line in named] == ["d"] * len(PROFILES)
    assert [line.split("_")[0][-7] for line in nameless] == ["i"] * len(PROFILES)
