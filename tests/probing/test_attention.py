"""Since when this process is awake."""

from __future__ import annotations

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


def test_a_sleep_that_ended_is_remembered(attention: Attention) -> None:
    """What happened before it ended was noticed."""
    before = perf_counter()
    attention.after_io_wait(1.0)
    assert before <= attention.woke <= perf_counter()


def test_a_poll_that_did_not_sleep_is_no_attention(attention: Attention) -> None:
    """Trio polls with a timeout of zero while tasks are runnable."""
    attention.after_io_wait(0.0)
    assert attention.woke == 0.0


def test_time_in_which_the_processor_was_busy_elsewhere_was_not_attentive(attention: Attention, scheduling: Path) -> None:
    """Runnable since two seconds, running since now."""
    scheduling.write_text("200 2000005000 4\n", encoding="ascii")
    attention.after_io_wait(1.0)
    assert perf_counter() - attention.woke == pytest.approx(2.0, abs=0.2)
    attention.after_io_wait(1.0)
    assert perf_counter() - attention.woke < 1.0, "each delay counts once"


def test_a_kernel_that_does_not_tell_is_believed(tmp_path: Path) -> None:
    """Then waking is taken to be instant."""
    with closing(Attention(tmp_path / "missing")) as attention:
        before = perf_counter()
        attention.after_io_wait(1.0)
        assert attention.woke >= before


def test_this_kernel_tells() -> None:
    """The file's second number never shrinks."""
    with closing(Attention()) as attention:
        attention.after_io_wait(1.0)
        assert 0.0 < attention.woke <= perf_counter()
