"""Prometheus's durations."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prober.config.durations import format_duration, parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("15s", 15.0),
        ("1m30s", 90.0),
        ("500ms", 0.5),
        ("1h", 3600.0),
        ("1d", 86_400.0),
        ("1w", 604_800.0),
        ("1y", 31_536_000.0),
        ("1h30m15s250ms", 5415.25),
        ("0s", 0.0),
        ("0", 0.0),
        ("90s", 90.0),
    ],
)
def test_durations_are_read_as_prometheus_reads_them(text: str, seconds: float) -> None:
    """Units from years to milliseconds, each at most once, big to small; 0 needs none."""
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "15", "1.5s", "s", "15 s", "30s1m", "1s1s", "-1s", "1S", "15sec", "1µs", "٣s", "1s\n"])
def test_what_prometheus_refuses_is_refused(text: str) -> None:
    """No guess at what a number without unit, or a unit out of order, may mean."""
    with pytest.raises(ValueError, match="; "):
        parse_duration(text)


@pytest.mark.parametrize(
    "text", ["293y", "292y1ms", "9" * 14 + "ms", "9" * 400 + "s", "9" * 5000 + "y", "1y" + "9" * 5000 + "ms"]
)
def test_what_prometheus_cannot_count_is_too_long(text: str) -> None:
    """Not an overflow further on, however many digits; the complaint does not repeat them all."""
    with pytest.raises(ValueError, match="is too long; write at most 292y") as refused:
        parse_duration(text)
    assert len(str(refused.value)) < 100


@pytest.mark.parametrize(("text", "seconds"), [("292y", 9_208_512_000.0), ("0" * 5000 + "15s", 15.0)])
def test_what_prometheus_can_count_is_read(text: str, seconds: float) -> None:
    """The longest, and zeros that say nothing."""
    assert parse_duration(text) == seconds


@given(st.integers(min_value=0, max_value=10**12))
def test_what_is_shown_reads_back_as_the_same_time(milliseconds: int) -> None:
    """The written form loses nothing down to a millisecond."""
    assert parse_duration(format_duration(milliseconds / 1000)) == milliseconds / 1000


@pytest.mark.parametrize(("seconds", "text"), [(0.0, "0s"), (15.0, "15s"), (90.0, "1m30s"), (0.5, "500ms"), (864_000.0, "10d")])
def test_durations_are_shown_as_people_write_them(seconds: float, text: str) -> None:
    """The shortest usual form."""
    assert format_duration(seconds) == text
