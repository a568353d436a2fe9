"""A worker that cannot be started costs nothing but its own part, and is tried again."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from trio.testing import memory_stream_pair

from prober.service import child, workers
from prober.service.child import Child
from prober.service.frames import FrameStream
from prober.service.recording import Recorder
from prober.service.shares import Welcome
from prober.service.workers import Workers
from prober.snapshot import Statistics, Store
from tests.outlets.fleet import NOW, trust

Start = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def no_room(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The host has no room for the first two processes; what was refused is in the list."""
    refused: list[int] = []
    start: Start = subprocess.Popen

    def popen(*arguments: Any, **options: Any) -> subprocess.Popen[bytes]:
        if len(refused) < 2:
            refused.append(errno.EAGAIN)
            raise OSError(errno.EAGAIN, "Resource temporarily unavailable")
        return start(*arguments, **options)

    monkeypatch.setattr(child.subprocess, "Popen", popen)
    monkeypatch.setattr(workers, "FIRST_PAUSE", 0.01)
    return refused


async def test_a_host_without_room_for_a_worker_does_not_end_the_service(
    no_room: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    """It is said, and tried again until there is room; nothing died."""
    statistics, store = Statistics(lambda: 0, NOW), Store()
    service = Workers(1, store, statistics, Recorder(store, lambda _: None), Welcome("error", "logfmt", False))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(service.run)
        with trio.fail_after(30):
            while not statistics.workers():  # noqa: ASYNC110
                await trio.sleep(0.01)
        service.stop()
    assert len(no_room) == 2
    assert statistics.worker_deaths == 0
    assert [record.getMessage() for record in caplog.records] == ["a worker cannot be started; it is tried again"] * 2


async def test_a_worker_is_not_blamed_for_the_time_in_which_this_process_stood_still(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What it has said meanwhile is there, and is taken in; one that is stopped itself is killed, and another one started."""
    monkeypatch.setattr(workers, "SILENCE_SECONDS", 4.0)
    monkeypatch.setattr(workers, "DOUBT_SECONDS", 2.0)
    statistics, store = Statistics(lambda: 0, NOW), Store()
    service = Workers(1, store, statistics, Recorder(store, lambda _: None), Welcome("error", "logfmt", False))
    started: list[int] = []
    running = Child.running

    @asynccontextmanager
    async def noted() -> AsyncIterator[Child]:
        async with running() as process:
            started.append(process.pid)
            yield process

    monkeypatch.setattr(workers.Child, "running", noted)
    service.replace({}, {None: trust()})
    caplog.clear()  # that there is no target
    async with trio.open_nursery() as nursery:
        nursery.start_soon(service.run)
        await trio.sleep(3)  # it says something each second
        time.sleep(5)  # noqa: ASYNC251  (this process stands still)
        await trio.sleep(2)
        assert (len(started), statistics.worker_deaths, caplog.records) == (1, 0, [])
        os.kill(started[0], signal.SIGSTOP)
        with trio.fail_after(30):
            while len(started) < 2:  # noqa: ASYNC110
                await trio.sleep(0.01)
        service.stop()
    assert statistics.worker_deaths == 1
    assert caplog.records[0].getMessage() == "a worker hangs; it is killed"


@pytest.mark.parametrize(
    ("number", "told"), [(signal.SIGKILL, "SIGKILL"), (signal.SIGRTMIN + 1, f"signal {signal.SIGRTMIN + 1}")]
)
def test_how_a_worker_ended_is_told_whatever_the_signal(number: int, told: str) -> None:
    """Of the real-time signals only the first and the last have names in Python."""
    process = subprocess.Popen(["sleep", "60"])
    process.send_signal(number)
    process.wait()
    assert Child(process, FrameStream(memory_stream_pair()[0])).how == told
