"""How many sockets there may be."""

from __future__ import annotations

import resource
from collections.abc import Iterator

import pytest

from prober.probing.descriptors import handshake_ceiling, raise_descriptor_limit


@pytest.fixture
def limits() -> Iterator[tuple[int, int]]:
    """The soft and the hard limit; restored afterwards."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield before
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_the_soft_limit_is_raised_to_the_hard_one(limits: tuple[int, int]) -> None:
    """And what is in force is told."""
    _, hard = limits
    resource.setrlimit(resource.RLIMIT_NOFILE, (512, hard))
    granted = raise_descriptor_limit()
    assert granted == resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    assert granted > 512
    if hard != resource.RLIM_INFINITY:
        assert granted == hard


def test_raising_twice_is_raising_once(limits: tuple[int, int]) -> None:
    """It is called wherever a command begins."""
    assert raise_descriptor_limit() == raise_descriptor_limit()


@pytest.mark.parametrize(("soft", "ceiling"), [(1024, 960), (256, 192), (100, 75)])
def test_some_descriptors_are_kept_from_handshakes(limits: tuple[int, int], soft: int, ceiling: int) -> None:
    """64 of them, but no more than a quarter of a small table."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, limits[1]))
    assert handshake_ceiling() == ceiling
