"""Since when this process is awake."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from time import perf_counter

import pytest

from prober.probing.attention import Attention


@pytest.fixture
def scheduling(tmp_path: Path) -> Path:
    """In the place of the kernel's file: 100 ns on the processor, 5,000 ns waiting for it."""
    path = tmp_path / "schedstat"
    path.write_text("100 5000 3\n", encoding="ascii")
    return path


@pytest.fixture
def attention(scheduling: Path) -> Iterator[Attention]:
    """Reads that file."""
    with closing(Attention(scheduling)) as made:
        yield made


def sleep(attention: Attention, seconds: float, *, timeout: float = 9.0) -> None:
    """What Trio does around its poll."""
    attention.before_io_wait(timeout)
    time.sleep(seconds)
    attention.after_io_wait(timeout)


def test_a_sleep_that_ended_is_remembered(attention: Attention) -> None:
    """What happened before it ended was noticed."""
    sleep(attention, 0.001)
    after = perf_counter()
    assert 0.0 < after - attention.woke < 0.1


def test_a_poll_that_returned_at_once_was_no_sleep(attention: Attention) -> None:
    """Its events had been there before, who knows for how long."""
    attention.before_io_wait(9.0)
    attention.after_io_wait(9.0)
    assert attention.woke == 0.0


def test_a_poll_that_did_not_want_to_sleep_was_no_sleep(attention: Attention) -> None:
    """Trio polls with a timeout of zero while tasks are runnable."""
    sleep(attention, 0.001, timeout=0.0)
    assert attention.woke == 0.0


def test_time_in_which_the_processor_was_busy_elsewhere_was_not_attentive(attention: Attention, scheduling: Path) -> None:
    """Runnable for 100 of 120 ms."""
    scheduling.write_text("200 100005000 4\n", encoding="ascii")
    sleep(attention, 0.120)
    assert perf_counter() - attention.woke >= 0.1
    sleep(attention, 0.001)
    assert perf_counter() - attention.woke < 0.1, "each delay counts once"


def test_a_poll_that_only_waited_for_the_processor_was_no_sleep(attention: Attention, scheduling: Path) -> None:
    """Its events may have been there when it began."""
    scheduling.write_text("200 60000005000 4\n", encoding="ascii")
    sleep(attention, 0.001)
    assert attention.woke == 0.0


def test_a_kernel_that_does_not_tell_is_believed(tmp_path: Path) -> None:
    """Then waking is taken to be instant."""
    with closing(Attention(tmp_path / "missing")) as attention:
        sleep(attention, 0.001)
        assert attention.woke > 0.0


def test_this_kernel_tells() -> None:
    """The file's second number never shrinks."""
    with closing(Attention()) as attention:
        sleep(attention, 0.05)
        assert 0.0 < attention.woke <= perf_counter()
