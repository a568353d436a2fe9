"""What systemd is told, as it hears it: datagrams on a real socket."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio
import trio.testing

from prober.service.service_manager import ServiceManager
from tests.service.process import PATIENCE, serving


class Manager:
    """The manager's side."""

    def __init__(self, address: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(address)
        self.socket.settimeout(PATIENCE)

    def hear(self) -> dict[str, str]:
        """The next message that is no sign of life."""
        while True:
            message = dict(line.split("=", 1) for line in self.socket.recv(4096).decode().splitlines())
            if message != {"WATCHDOG": "1"}:
                return message


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    made = Manager(str(tmp_path / "notify"))
    yield made
    made.socket.close()


@pytest.mark.timeout(120)
def test_the_service_says_when_it_is_ready_reloads_and_stops(tmp_path: Path, manager: Manager) -> None:
    """Ready means that it answers; a reload that is refused ends too; the last word is that it stops."""
    wrapper = ("env", f"NOTIFY_SOCKET={tmp_path / 'notify'}")
    with serving(tmp_path, {"targets": []}, wrapper=wrapper) as service:
        ready = manager.hear()
        assert ready == {"READY": "1", "STATUS": f"watching 0 targets; {service.url}"}
        assert service.get("/-/healthy").status == 200
        before = time.monotonic_ns() // 1000
        service.rewrite({"listen": "127.0.0.1:0", "targets": [{"name": "edge", "addresses": ["127.0.0.1:1"]}]})
        assert service.get("/-/reload", "POST").status == 200
        begun = manager.hear()
        assert begun["RELOADING"] == "1"
        assert before <= int(begun["MONOTONIC_USEC"]) <= time.monotonic_ns() // 1000
        assert manager.hear() == {"READY": "1", "STATUS": f"watching 1 target; {service.url}"}
        service.rewrite("targets: 3")
        assert service.get("/-/reload", "POST").status == 400
        assert manager.hear()["RELOADING"] == "1"
        assert manager.hear()["READY"] == "1"
        assert service.end()[0] == 0
        assert manager.hear() == {"STOPPING": "1", "STATUS": "stopping"}
        assert "does not listen" not in service.program.log()


@pytest.mark.timeout(120)
def test_the_watchdog_hears_that_the_service_lives(tmp_path: Path, manager: Manager) -> None:
    """Twice in the time within which it must hear something."""
    wrapper = ("env", f"NOTIFY_SOCKET={tmp_path / 'notify'}", "WATCHDOG_USEC=200000")
    with serving(tmp_path, {"targets": []}, wrapper=wrapper) as service:
        heard = 0
        while heard < 5:
            heard += manager.socket.recv(4096) == b"WATCHDOG=1"
        assert service.end()[0] == 0


def test_without_a_manager_nothing_is_said(tmp_path: Path) -> None:
    """Nor where what the variable says is no address of this kind."""
    for environment in ({}, {"NOTIFY_SOCKET": ""}, {"NOTIFY_SOCKET": "vsock:2:1234"}):
        ServiceManager.from_environment(environment, 1).ready("ready")
        assert environment == {}


def test_processes_that_the_service_starts_do_not_speak_for_it() -> None:
    """The variables are gone."""
    environment = {"NOTIFY_SOCKET": "/run/notify", "WATCHDOG_USEC": "1", "WATCHDOG_PID": "1", "PATH": "/bin"}
    ServiceManager.from_environment(environment, 1)
    assert environment == {"PATH": "/bin"}


def test_an_abstract_socket_is_reached() -> None:
    """Its name begins with @ in the variable, with a zero octet for the kernel."""
    name = f"prober-test-{os.getpid()}"
    listener = Manager(f"\0{name}")
    ServiceManager.from_environment({"NOTIFY_SOCKET": f"@{name}"}, 1).ready("here")
    assert listener.hear() == {"READY": "1", "STATUS": "here"}
    listener.socket.close()


def test_a_manager_that_is_gone_stops_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It is logged once, and again after it has come back and gone again."""
    address = tmp_path / "notify"
    service = ServiceManager(str(address))
    service.ready("one")
    service.ready("two")
    assert len(caplog.records) == 1
    listener = Manager(str(address))
    service.ready("three")
    assert listener.hear()["STATUS"] == "three"
    listener.socket.close()
    service.ready("four")
    assert len(caplog.records) == 2


@pytest.mark.parametrize(
    ("variables", "beats"),
    [
        ({"WATCHDOG_USEC": "3000000"}, 3),
        ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "17"}, 3),
        ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "18"}, 0),
        ({"WATCHDOG_USEC": "0"}, 0),
        ({"WATCHDOG_USEC": "soon"}, 0),
        ({}, 0),
    ],
)
async def test_the_watchdog_is_heard_by_whom_it_is_meant_for(
    variables: dict[str, str], beats: int, manager: Manager, tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    """The process of the number, where one is given; nobody without a time."""
    service = ServiceManager.from_environment({"NOTIFY_SOCKET": str(tmp_path / "notify"), **variables}, 17)
    with trio.move_on_after(4.0):
        await service.run()
    manager.socket.setblocking(False)
    heard = []
    while True:
        try:
            heard.append(manager.socket.recv(4096))
        except BlockingIOError:
            break
    assert heard == [b"WATCHDOG=1"] * beats
