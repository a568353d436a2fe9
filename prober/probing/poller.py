"""Edge-triggered readiness of many sockets behind one pollable descriptor: epoll on Linux, kqueue on macOS and the BSDs.

A socket is added once and never modified; closing it removes it. Both kernels then report each change once, so a reader must
read until the kernel has no more (or says less than was asked for, which is the same: a later arrival is a new edge).
"""

from __future__ import annotations

import select
import sys
from typing import Final, Protocol

__all__ = ["BATCH", "BROKEN", "CLOSING", "READABLE", "WRITABLE", "Poller", "new_poller"]

# The masks that `Poller.poll` reports, with epoll's values so that the hot path translates nothing.
READABLE: Final = 0x001
WRITABLE: Final = 0x004
_ERROR: Final = 0x008
_HANGUP: Final = 0x010
_PEER_CLOSED: Final = 0x2000

BROKEN: Final = _ERROR | _HANGUP
"""The connection failed or is gone."""
CLOSING: Final = BROKEN | _PEER_CLOSED
"""A FIN or RST is there, behind what is still to be read."""

BATCH: Final = 1024
"""The most that one `Poller.poll` reports."""


class Poller(Protocol):
    """Readiness of the sockets that were added. Not thread-safe."""

    def fileno(self) -> int:
        """A descriptor that is readable while `poll` has something to report."""

    def add(self, fd: int) -> None:
        """Watch a connecting or connected socket; OSError when the kernel has no room."""

    def poll(self) -> list[tuple[int, int]]:
        """(descriptor, mask) of those that changed since the last call; never waits."""

    def close(self) -> None:
        """Give the descriptor back."""


if sys.platform == "linux":

    class _EpollPoller:
        __slots__ = ("_epoll",)

        _WANTED: Final = select.EPOLLIN | select.EPOLLOUT | select.EPOLLRDHUP | select.EPOLLET

        def __init__(self) -> None:
            self._epoll = select.epoll()

        def fileno(self) -> int:
            return self._epoll.fileno()

        def add(self, fd: int) -> None:
            self._epoll.register(fd, self._WANTED)

        def poll(self) -> list[tuple[int, int]]:
            return self._epoll.poll(0, BATCH)

        def close(self) -> None:
            self._epoll.close()

    def new_poller() -> Poller:
        """The platform's poller."""
        return _EpollPoller()

else:

    class _KqueuePoller:
        __slots__ = ("_kqueue",)

        def __init__(self) -> None:
            self._kqueue = select.kqueue()

        def fileno(self) -> int:
            return self._kqueue.fileno()

        def add(self, fd: int) -> None:
            flags = select.KQ_EV_ADD | select.KQ_EV_CLEAR
            self._kqueue.control(
                [select.kevent(fd, select.KQ_FILTER_READ, flags), select.kevent(fd, select.KQ_FILTER_WRITE, flags)], 0
            )

        def poll(self) -> list[tuple[int, int]]:
            ready: list[tuple[int, int]] = []
            for event in self._kqueue.control(None, BATCH, 0):
                mask = READABLE if event.filter == select.KQ_FILTER_READ else WRITABLE
                if event.flags & select.KQ_EV_EOF:
                    # fflags holds the socket's error, if it has one. EOF on the writing side means that both sides are shut.
                    mask |= _ERROR if event.fflags else _PEER_CLOSED if mask == READABLE else _HANGUP
                ready.append((event.ident, mask))
            return ready

        def close(self) -> None:
            self._kqueue.close()

    def new_poller() -> Poller:
        """The platform's poller."""
        return _KqueuePoller()
