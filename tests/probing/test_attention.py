"""Since when this process is awake."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from time import perf_counter

import pytest

from prober.probing.attention import Attention


class Clock:
    """In the place of `time.perf_counter`: stands still unless it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.switches = 7
        """How often the thread has given up the processor."""

    def __call__(self) -> float:
        """The time."""
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock that `Attention` reads."""
    made = Clock()
    monkeypatch.setattr("prober.probing.attention.perf_counter", made)
    return made


@pytest.fixture
def scheduling(tmp_path: Path) -> Path:
    """In the place of the kernel's file: 100 ns on the processor, 5,000 ns waiting for it."""
    path = tmp_path / "schedstat"
    path.write_text("100 5000 3\n", encoding="ascii")
    return path


@pytest.fixture
def attention(scheduling: Path, clock: Clock) -> Iterator[Attention]:
    """Reads that file and that clock."""
    with closing(Attention(scheduling, lambda: clock.switches)) as made:
        yield made


def sleep(attention: Attention, clock: Clock, seconds: float, *, timeout: float = 9.0, switches: int = 1) -> None:
    """What Trio does around its poll."""
    attention.before_io_wait(timeout)
    clock.now += seconds
    clock.switches += switches
    attention.after_io_wait(timeout)


def test_a_sleep_that_ended_is_remembered(attention: Attention, clock: Clock) -> None:
    """What happened before it ended was noticed."""
    sleep(attention, clock, 0.5)
    clock.now += 1.0
    assert attention.woke == 1000.5


@pytest.mark.parametrize("seconds", [0.0, 5e-6, 40e-6])
def test_a_poll_that_returned_at_once_was_no_sleep(attention: Attention, clock: Clock, seconds: float) -> None:
    """Its events had been there before, who knows for how long."""
    sleep(attention, clock, seconds)
    assert attention.woke == 0.0


def test_a_poll_that_took_long_and_never_gave_up_the_processor_was_no_sleep(attention: Attention, clock: Clock) -> None:
    """Its events had been there before; what took long was the host of this machine, or a fault in a page."""
    sleep(attention, clock, 0.5, switches=0)
    assert attention.woke == 0.0


def test_a_poll_that_did_not_want_to_sleep_was_no_sleep(attention: Attention, clock: Clock) -> None:
    """Trio polls with a timeout of zero while tasks are runnable."""
    sleep(attention, clock, 0.5, timeout=0.0)
    assert attention.woke == 0.0


def test_time_in_which_the_processor_was_busy_elsewhere_was_not_attentive(
    attention: Attention, clock: Clock, scheduling: Path
) -> None:
    """Runnable for the last 100 of 120 ms; each delay counts once."""
    scheduling.write_text("200 100005000 4\n", encoding="ascii")
    sleep(attention, clock, 0.120)
    assert attention.woke == pytest.approx(1000.020)
    sleep(attention, clock, 0.5)
    assert attention.woke == pytest.approx(1000.620)


def test_a_poll_that_only_waited_for_the_processor_was_no_sleep(attention: Attention, clock: Clock, scheduling: Path) -> None:
    """Its events may have been there when it began."""
    scheduling.write_text("200 60000005000 4\n", encoding="ascii")
    sleep(attention, clock, 0.5)
    assert attention.woke == 0.0


def test_a_kernel_that_does_not_tell_is_believed(tmp_path: Path, clock: Clock) -> None:
    """Then waking is taken to be instant."""
    with closing(Attention(tmp_path / "missing", lambda: clock.switches)) as attention:
        sleep(attention, clock, 0.5)
        assert attention.woke == 1000.5


def test_this_kernel_tells() -> None:
    """The real thing, once: a sleep gives up the processor, and has ended by now."""
    with closing(Attention()) as attention:
        attention.before_io_wait(9.0)
        began = perf_counter()
        time.sleep(0.1)
        attention.after_io_wait(9.0)
        assert began < attention.woke <= perf_counter()
