"""So many requests at once, one more each interval, and 429 beyond."""

from __future__ import annotations

from typing import Any

import pytest
import trio
import trio.testing

from prober.operations import RateLimit
from prober.outlets.rate_limit import Limiter


class Door:
    """The middleware before an application that answers 200."""

    def __init__(self, limit: RateLimit | None) -> None:
        self.limit = limit
        self._app = Limiter(self._inside, lambda: self.limit)

    async def _inside(self, scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def knock(self, kind: str = "http") -> Any:
        """The first message that is sent for one request."""
        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append(message)

        async def receive() -> Any:
            raise AssertionError("nothing is read")

        await self._app({"type": kind, "path": "/-/healthy"}, receive, send)
        return sent[0]

    async def statuses(self, count: int) -> list[int]:
        """Of so many requests."""
        return [(await self.knock())["status"] for _ in range(count)]


async def test_a_burst_is_let_in_and_then_one_each_interval(autojump_clock: trio.testing.MockClock) -> None:
    """What was not used comes back, up to the burst."""
    door = Door(RateLimit(2.0, 3))
    assert await door.statuses(5) == [200, 200, 200, 429, 429]
    await trio.sleep(1.9)
    assert await door.statuses(1) == [429]
    await trio.sleep(0.1)
    assert await door.statuses(2) == [200, 429]
    await trio.sleep(5.0)
    assert await door.statuses(3) == [200, 200, 429]
    await trio.sleep(3600.0)
    assert await door.statuses(4) == [200, 200, 200, 429]


async def test_steady_requests_at_the_limit_are_all_let_in(autojump_clock: trio.testing.MockClock) -> None:
    """However the intervals are rounded."""
    door = Door(RateLimit(0.1, 1))
    for _ in range(1000):
        assert await door.statuses(1) == [200]
        await trio.sleep(0.1)


@pytest.mark.parametrize(("interval", "seconds"), [(0.001, b"1"), (1.0, b"1"), (90.0, b"90")])
async def test_who_is_refused_is_told_when_to_come_back(
    interval: float, seconds: bytes, autojump_clock: trio.testing.MockClock
) -> None:
    """In whole seconds."""
    door = Door(RateLimit(interval, 1))
    await door.knock()
    refusal = await door.knock()
    assert refusal["status"] == 429
    assert dict(refusal["headers"])[b"retry-after"] == seconds


async def test_a_changed_limit_counts_at_once(autojump_clock: trio.testing.MockClock) -> None:
    """And begins with its whole burst; without a limit everybody is let in."""
    door = Door(RateLimit(60.0, 1))
    assert await door.statuses(2) == [200, 429]
    door.limit = RateLimit(60.0, 2)
    assert await door.statuses(3) == [200, 200, 429]
    door.limit = None
    assert await door.statuses(10) == [200] * 10


async def test_a_web_socket_is_no_way_around(autojump_clock: trio.testing.MockClock) -> None:
    """It takes a token, or is closed."""
    door = Door(RateLimit(60.0, 1))
    await door.knock("websocket")
    assert await door.knock("websocket") == {"type": "websocket.close"}
