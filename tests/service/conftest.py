"""What the tests of rounds share."""

from __future__ import annotations

import logging

import pytest
from trio.testing import MockClock

from tests.service.watching import Watching


@pytest.fixture
def watching(autojump_clock: MockClock) -> Watching:
    return Watching(autojump_clock)


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.DEBUG, logger="prober.service")
    return caplog
