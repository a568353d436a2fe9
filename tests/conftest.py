"""What every test may ask for."""

from __future__ import annotations

import os

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


@pytest.fixture(scope="session")
def openssl() -> str:
    """The path of the ``openssl`` program: the independent witness for chains and names."""
    return require_program("openssl")
