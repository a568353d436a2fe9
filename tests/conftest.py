"""What every test may ask for."""

from __future__ import annotations

import os
import signal

import pytest
from hypothesis import HealthCheck, settings

from tests.servers.requirements import require_program

# Deterministic and patient: a shared two-core machine may pause any example for a second.
settings.register_profile(
    "prober",
    deadline=None,
    derandomize=True,
    max_examples=100,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("thorough", parent=settings.get_profile("prober"), derandomize=False, max_examples=2000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "prober"))

# A shell without job control starts what it puts into the background deaf to Ctrl-C, and every program that a test starts would
# inherit that: those that are to be ended by it would never end.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def openssl() -> str:
    """The path of the ``openssl`` program: the independent witness for chains and names."""
    return require_program("openssl")
