"""The bounded memory."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from prober.tls.remembered import Remembered


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(1, 12)), max_size=300))
def test_it_never_holds_more_than_its_capacity_and_never_lies(steps: list[tuple[int, int]]) -> None:
    """Whatever is kept in whatever order: the weight stays bounded, and what is answered is what was kept last."""
    memory: Remembered[int, tuple[int, int]] = Remembered(40)
    last: dict[int, tuple[int, int]] = {}
    for number, (key, weight) in enumerate(steps):
        found = memory.get(key)
        assert found is None or found == last[key]
        last[key] = (number, weight)
        memory.keep(key, last[key], weight)
        assert sum(value[1] for candidate in range(31) if (value := _peek(memory, candidate)) is not None) <= 40


def _peek(memory: Remembered[int, tuple[int, int]], key: int) -> tuple[int, int] | None:
    return memory._young.get(key) or memory._old.get(key)


def test_what_is_asked_for_stays_while_others_come_and_go() -> None:
    """A steady set of chains survives any number of strangers."""
    memory: Remembered[str, str] = Remembered(10)
    memory.keep("steady", "here")
    for number in range(1000):
        memory.keep(f"stranger {number}", "")
        assert memory.get("steady") == "here"
    assert len(memory) <= 10
    assert memory.get("stranger 0") is None


def test_what_is_too_heavy_is_not_kept() -> None:
    """One certificate of a quarter of a megabyte must not push out all others."""
    memory: Remembered[str, str] = Remembered(10)
    memory.keep("light", "here")
    assert memory.keep("heavy", "there", 6) == "there"
    assert memory.get("heavy") is None
    assert memory.get("light") == "here"
