"""The heap of alarms."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

from hypothesis import given
from hypothesis import strategies as st

from prober.probing.deadlines import DeadlineQueue


@dataclass(eq=False)
class Waiter:
    """Something with an alarm."""

    alarm: float = inf


def test_waiters_are_woken_in_the_order_of_their_alarms() -> None:
    """Not in the order in which these were set."""
    queue: DeadlineQueue[Waiter] = DeadlineQueue()
    late, early, later = Waiter(), Waiter(), Waiter()
    queue.set(late, 2.0)
    queue.set(early, 1.0)
    queue.set(later, 3.0)
    assert queue.next() == 1.0
    assert queue.due(2.5) == [early, late]
    assert queue.due(2.5) == []
    assert queue.next() == 3.0


def test_an_alarm_that_is_moved_goes_off_once_at_its_new_time() -> None:
    """Earlier or later."""
    queue: DeadlineQueue[Waiter] = DeadlineQueue()
    waiter = Waiter()
    queue.set(waiter, 5.0)
    queue.set(waiter, 1.0)
    assert queue.due(1.0) == [waiter]
    queue.set(waiter, 2.0)
    queue.set(waiter, 8.0)
    assert queue.due(7.0) == []
    assert queue.due(8.0) == [waiter]
    assert queue.due(99.0) == []


def test_a_dropped_alarm_does_not_go_off() -> None:
    """Dropping twice is dropping once."""
    queue: DeadlineQueue[Waiter] = DeadlineQueue()
    waiter = Waiter()
    queue.set(waiter, 1.0)
    queue.drop(waiter)
    queue.drop(waiter)
    assert queue.next() == inf
    assert queue.due(9.0) == []


def test_memory_does_not_grow_with_alarms_that_are_called_off() -> None:
    """A hundred thousand handshakes that end in time leave nothing behind, while one far alarm stays."""
    queue: DeadlineQueue[Waiter] = DeadlineQueue()
    queue.set(Waiter(), 0.5)
    for number in range(100_000):
        waiter = Waiter()
        queue.set(waiter, 10.0 + number)
        queue.drop(waiter)
    assert len(queue) < 1000


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("set"), st.integers(0, 5), st.integers(0, 20)),
            st.tuples(st.just("drop"), st.integers(0, 5), st.just(0)),
            st.tuples(st.just("due"), st.just(0), st.integers(0, 20)),
        ),
        max_size=60,
    )
)
def test_the_queue_agrees_with_a_dictionary(operations: list[tuple[str, int, int]]) -> None:
    """Whatever is set, moved, dropped and taken out."""
    queue: DeadlineQueue[Waiter] = DeadlineQueue()
    waiters = [Waiter() for _ in range(6)]
    expected: dict[int, int] = {}
    for operation, who, time in operations:
        if operation == "set":
            queue.set(waiters[who], float(time))
            expected[who] = time
        elif operation == "drop":
            queue.drop(waiters[who])
            expected.pop(who, None)
        else:
            due = {number for number, when in expected.items() if when <= time}
            assert {waiters.index(waiter) for waiter in queue.due(float(time))} == due
            expected = {number: when for number, when in expected.items() if when > time}
        assert queue.next() == min(expected.values(), default=inf)
