"""Routes that lead nowhere, in a network namespace that the test makes and that ends with it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.servers.requirements import missing, require_program

Ending = list[str | None]


@pytest.fixture(scope="module")
def endings() -> dict[str, Ending]:
    """What `tests.probing.in_namespace` printed."""
    unshare = require_program("unshare", package="util-linux")
    require_program("ip", package="iproute2")
    if os.geteuid() != 0:
        missing("making a network namespace needs root")
    command = [unshare, "--net", sys.executable, "-m", "tests.probing.in_namespace"]
    root = Path(__file__).parents[2]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=50, check=False)
    if done.returncode and "Operation not permitted" in done.stderr:
        missing("this root may not make a network namespace")
    assert done.returncode == 0, done.stderr
    endings: dict[str, Ending] = json.loads(done.stdout)
    return endings


@pytest.mark.parametrize(
    ("case", "ending"),
    [
        ("unreachable route", ["unreachable", "connect", "EHOSTUNREACH", "none"]),
        ("prohibit route", ["unreachable", "connect", "EACCES", "none"]),
        ("blackhole route", ["unreachable", "connect", "EINVAL", "none"]),
        ("no route", ["unreachable", "connect", "ENETUNREACH", "none"]),
        ("dropped SYN", ["connect_timeout", "connect", None, "none"]),
        ("unreachable route, IPv6", ["unreachable", "connect", "EHOSTUNREACH", "none"]),
        ("prohibit route, IPv6", ["unreachable", "connect", "EACCES", "none"]),
        ("no route, IPv6", ["unreachable", "connect", "ENETUNREACH", "none"]),
        ("dropped SYN, IPv6", ["connect_timeout", "connect", None, "none"]),
        ("link-local without scope", ["unreachable", "connect", "EINVAL", "none"]),
        ("no local port", ["local_error", "connect", "EADDRNOTAVAIL", "none"]),
    ],
)
def test_what_the_way_to_an_ingress_does_is_told_apart(endings: dict[str, Ending], case: str, ending: Ending) -> None:
    """The network's fault is ``unreachable``, silence is ``connect_timeout``, this host's lack of ports is ``local_error``."""
    assert endings[case] == ending
