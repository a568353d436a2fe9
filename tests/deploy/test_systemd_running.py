"""A real systemd runs the unit, with everything that it confines."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
import yaml

from tests.deploy.image import built_image, require_mounts
from tests.deploy.machine import CONFIGURATION, Machine, booted
from tests.deploy.test_systemd import UNIT
from tests.service.process import eventually

pytestmark = pytest.mark.timeout(240)

_TARGET = {"name": "rehearsal", "addresses": ["127.0.0.1:9444"], "server_names": ["api.lab.test"]}
_GOOD = yaml.safe_dump({"state": "/var/lib/prober", "targets": [_TARGET]})
_NAME = UNIT.name


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """It has the image's environment at /opt/prober, as the unit's header asks for, and has started the unit."""
    directory = tmp_path_factory.mktemp("built")
    require_mounts(directory)
    with (
        built_image(directory, _GOOD) as image,
        booted(directory, directory / "image" / "root", image, UNIT) as running,
    ):
        yield running


@pytest.fixture
def well(machine: Machine) -> Machine:
    """The service runs, with a configuration that it can use."""
    machine.write(CONFIGURATION, _GOOD)
    machine.run("systemctl", "reset-failed", _NAME)
    started = machine.run("systemctl", "restart", _NAME)
    assert started.returncode == 0, started.stderr + machine.journal(_NAME)
    return machine


def test_it_starts_confined_and_says_what_it_watches(well: Machine) -> None:
    """systemd waits for its word; it probes; its state belongs to a user that exists only while it runs."""
    eventually(lambda: "ready: first round done" in well.journal(_NAME), "it has probed")

    assert well.show(_NAME, "ActiveState") == "active"
    assert well.show(_NAME, "StatusText") == "watching 1 target; http://127.0.0.1:9859"
    status = well.run("sh", "-c", f"cat /proc/$(systemctl show {_NAME} --value --property MainPID)/status").stdout
    user = re.findall(r"^Uid:\t(\d+)", status, re.MULTILINE)[0]
    assert int(user) >= 61184  # of systemd's dynamic users, the first
    assert re.findall(r"^Cap(Eff|Bnd|Amb):\t0+$", status, re.MULTILINE) == ["Eff", "Bnd", "Amb"]
    owner = well.run("stat", "--format=%u %a", "/var/lib/private/prober/state.db").stdout.split()
    assert owner == [user, "600"]


def test_a_reload_is_waited_for_and_a_bad_one_changes_nothing(well: Machine) -> None:
    """`systemctl reload` takes a changed file into use; one that cannot be used is told in the journal."""
    well.write(CONFIGURATION, yaml.safe_dump({"state": "/var/lib/prober", "targets": [_TARGET, {**_TARGET, "name": "second"}]}))
    assert well.run("systemctl", "reload", _NAME).returncode == 0
    eventually(lambda: well.show(_NAME, "StatusText").startswith("watching 2 targets;"), "reloaded")
    process = well.show(_NAME, "MainPID")

    well.write(CONFIGURATION, "targets: [")
    assert well.run("systemctl", "reload", _NAME).returncode == 0
    eventually(lambda: 'msg="reload refused"' in well.journal(_NAME), "refused")

    eventually(lambda: well.show(_NAME, "ActiveState") == "active", "active")
    assert well.show(_NAME, "StatusText").startswith("watching 2 targets;")
    assert well.show(_NAME, "MainPID") == process


def test_a_configuration_that_cannot_be_used_is_tried_once(well: Machine) -> None:
    """It fails, says where and why, and is not started again and again."""
    well.write(CONFIGURATION, "targets: [")

    assert well.run("systemctl", "restart", _NAME).returncode != 0

    assert well.show(_NAME, "ActiveState") == "failed"
    assert well.show(_NAME, "ExecMainStatus") == "2"
    assert f"{CONFIGURATION}:" in well.journal(_NAME)


def test_a_service_that_stands_still_is_started_again(well: Machine) -> None:
    """The watchdog ends it, and the next one takes its state up."""
    well.write(f"/etc/systemd/system/{_NAME}.d/soon.conf", "[Service]\nWatchdogSec=2s\nRestartSec=100ms\n")
    try:
        assert well.run("systemctl", "daemon-reload").returncode == 0
        assert well.run("systemctl", "restart", _NAME).returncode == 0
        stopped = well.show(_NAME, "MainPID")
        assert well.run("kill", "-STOP", stopped).returncode == 0

        eventually(lambda: well.show(_NAME, "NRestarts") == "1" and well.show(_NAME, "ActiveState") == "active", "started again")

        assert "Failed with result 'watchdog'" in well.journal(_NAME)
        assert well.show(_NAME, "MainPID") != stopped
    finally:
        well.run("rm", f"/etc/systemd/system/{_NAME}.d/soon.conf")
        well.run("systemctl", "daemon-reload")


def test_it_stops_at_once_and_without_complaint(well: Machine) -> None:
    """SIGTERM ends it with status 0."""
    assert well.run("systemctl", "stop", _NAME).returncode == 0

    assert (well.show(_NAME, "ActiveState"), well.show(_NAME, "Result")) == ("inactive", "success")
