"""Randomness in blocks is the source's, byte for byte, and no byte is handed out twice."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from prober.probing.entropy import EntropyBlock


class Counting:
    """A source whose bytes tell their place: each group of four is the next number."""

    def __init__(self) -> None:
        self.given = b""

    def __call__(self, size: int) -> bytes:
        """The next ``size`` bytes."""
        start = len(self.given)
        self.given += b"".join(number.to_bytes(4) for number in range(start // 4, (start + size) // 4 + 1))[:size]
        return self.given[start:]


@given(st.lists(st.sampled_from([0, 4, 8, 64, 1024, 16 * 1024, 20 * 1024]), max_size=40))
def test_each_byte_is_taken_once_and_has_the_size_that_was_asked_for(sizes: list[int]) -> None:
    """Whole numbers come out, each at most once, in the order of the source within a block."""
    source = Counting()
    block = EntropyBlock(source)
    taken = [block.take(size) for size in sizes]
    assert [len(part) for part in taken] == sizes
    numbers = [part[place : place + 4] for part in taken for place in range(0, len(part), 4)]
    assert len(set(numbers)) == len(numbers)
    assert all(number in source.given for number in set(numbers[:5]))


def test_the_system_is_asked_once_for_many_hellos() -> None:
    """That is what the block is for."""
    calls: list[int] = []

    def source(size: int) -> bytes:
        calls.append(size)
        return bytes(size)

    block = EntropyBlock(source)
    for _ in range(200):
        block.take(64)
    assert len(calls) == 1
