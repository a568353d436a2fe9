"""The real servers, once a session, and what they printed while a test failed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.real.matrix import Truths
from tests.real.probes import Probes
from tests.servers.fleets import Fleets
from tests.servers.material import make_material
from tests.servers.processes import RUNNING


@pytest.fixture(scope="session")
def fleets(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleets]:
    """Every server program of the tests, each started when a test first asks for it."""
    directory = tmp_path_factory.mktemp("servers")
    with Fleets(directory, make_material(directory)) as running:
        yield running


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Show with a failing test what the servers printed that are named in its parameters."""
    report = yield
    if report.failed:  # type: ignore[attr-defined]
        concerned = [program for program in RUNNING if program.name.removeprefix("s_server-") in item.name]
        report.sections += [(f"output of {program.name}", program.tail()) for program in concerned]  # type: ignore[attr-defined]
    return report


@pytest.fixture(scope="session")
def truths(fleets: Fleets) -> Truths:
    """What independent clients saw of the real servers."""
    return Truths(fleets)


@pytest.fixture(scope="session")
def probes(fleets: Fleets) -> Probes:
    """What prober says about the real servers."""
    return Probes(fleets)
