"""Two clocks at one moment, also on a machine that takes the processor away between them."""

from __future__ import annotations

from time import perf_counter, time

import pytest

from prober.probing import engine, wall_clock
from prober.probing.wall_clock import unix_offset


def test_it_is_the_difference_of_the_two_clocks() -> None:
    """Read here with brackets of its own."""
    earliest = time() - perf_counter()
    offset = unix_offset()
    assert abs(offset - earliest) < 0.05


def test_readings_between_which_the_processor_was_lost_are_taken_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first reading of Unix time comes 20 ms late."""
    ticks = iter([10.0, 10.020, 10.030, 10.030001])
    unix = iter([1000.020, 1000.030])
    monkeypatch.setattr(wall_clock, "perf_counter", lambda: next(ticks))
    monkeypatch.setattr(wall_clock, "time", lambda: next(unix))
    assert unix_offset() == pytest.approx(990.0, abs=1e-9)


def test_a_machine_that_never_grants_two_readings_together_gets_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not an endless loop."""
    now = 0.0

    def later() -> float:
        nonlocal now
        now += 0.001
        return now

    monkeypatch.setattr(wall_clock, "perf_counter", later)
    monkeypatch.setattr(wall_clock, "time", lambda: later() + 500.0)
    assert unix_offset() == pytest.approx(500.001, abs=1e-6)


def test_the_engine_compares_the_clocks_again_before_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """Handshakes that started within a hundredth of a second share a comparison; a clock that was set is heeded by the next one."""
    offsets = iter([1000.0, 2000.0, 3000.0])
    monkeypatch.setattr(wall_clock, "unix_offset", lambda: next(offsets))
    running = engine.Engine()
    assert running.unix_time(5.0) == 1005.0
    assert running.unix_time(5.009) == pytest.approx(1005.009)
    assert running.unix_time(4.995) == pytest.approx(1004.995)
    assert running.unix_time(5.02) == pytest.approx(2005.02)
    assert running.unix_time(1.0) == pytest.approx(3001.0)
