"""The system's resolver in threads of its own: names that nobody answers for hold up neither other names nor anything else.

A thread in getaddrinfo(3) cannot be interrupted; with a name server that is gone it stays there for ten seconds and more, long after
the round that asked has given up. In the threads that Trio has for everything (40), a few dozen such names would stop a service's reloads,
its compressed answers of ``/metrics`` and every other name, and healthy ingresses would be called unreachable. So there is one thread a
question at most, whoever else asks it meanwhile, and the threads are apart.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from functools import partial
from typing import Any

import trio

__all__ = ["MOST_THREADS", "Names"]

MOST_THREADS = 512
"""Questions at a time. More than so many names that hang do hold up the others."""

_Question = tuple[Any, ...]


class _Answer:
    __slots__ = ("come", "error", "found")

    def __init__(self) -> None:
        self.come = trio.Event()
        self.found: Any = None
        self.error: Exception | None = None


class Names(trio.abc.HostnameResolver):
    """What `trio.socket.getaddrinfo` asks, for whoever needs a name. ``ask`` is the blocking function (default: the system's)."""

    def __init__(self, ask: Callable[..., Any] | None = None) -> None:
        self._ask = socket.getaddrinfo if ask is None else ask
        self._threads = trio.CapacityLimiter(MOST_THREADS)
        self._asked: dict[_Question, _Answer] = {}
        self._nursery: trio.Nursery | None = None

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Answer until cancelled."""
        async with trio.open_nursery() as self._nursery:
            trio.socket.set_custom_hostname_resolver(self)
            try:
                task_status.started()
                await trio.sleep_forever()
            finally:
                trio.socket.set_custom_hostname_resolver(None)

    async def getaddrinfo(self, *question: Any) -> Any:
        """The answer to this question, which may be under way already. Who stops waiting for it leaves it to the others."""
        answer = self._asked.get(question)
        if answer is None:
            assert self._nursery is not None
            answer = self._asked[question] = _Answer()
            self._nursery.start_soon(self._look_up, question, answer)
        await answer.come.wait()
        if answer.error is not None:
            # One of its own for everybody who waits: an exception that is raised twice tells two stories.
            raise type(answer.error)(*answer.error.args)
        return answer.found

    async def getnameinfo(self, sockaddr: tuple[str, int] | tuple[str, int, int, int], flags: int) -> tuple[str, str]:
        """As Trio's own: in one of its threads, for nobody here asks for it."""
        return await trio.to_thread.run_sync(socket.getnameinfo, sockaddr, flags, abandon_on_cancel=True)

    async def _look_up(self, question: _Question, answer: _Answer) -> None:
        try:
            call = partial(self._ask, *question)
            answer.found = await trio.to_thread.run_sync(call, abandon_on_cancel=True, limiter=self._threads)
        except Exception as error:
            answer.error = error  # theirs who asked
        finally:
            del self._asked[question]
            answer.come.set()
