"""How the pages say things."""

from __future__ import annotations

import pytest

from prober.model import Outcome, Verdict
from prober.outlets.wording import OUTCOME_WORDS, VERDICT_TITLES, age, duration


def test_every_verdict_and_outcome_has_words() -> None:
    """Nothing shows as a blank."""
    assert set(VERDICT_TITLES) == set(Verdict)
    assert set(OUTCOME_WORDS) == set(Outcome)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.00004, "0.04 ms"),
        (0.00042, "0.42 ms"),
        (0.0042, "4.2 ms"),
        (0.012, "12 ms"),
        (0.9, "900 ms"),
        (3.14, "3.1 s"),
        (15, "15 s"),
        (5, "5 s"),
    ],
)
def test_durations_have_two_digits(seconds: float, words: str) -> None:
    """That is what the eye compares."""
    assert duration(seconds) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-1, "0 s"),
        (8, "8 s"),
        (754, "12 min"),
        (7200, "2 h"),
        (11100, "3 h 5 min"),
        (180000, "2 d 2 h"),
        (172800, "2 d"),
        (8640000, "100 d"),
    ],
)
def test_ages_have_two_units_at_most(seconds: float, words: str) -> None:
    """A clock that was set back makes no negative age."""
    assert age(seconds) == words
