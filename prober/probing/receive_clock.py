"""When the kernel received what we read: SO_TIMESTAMPNS, where there is one.

A stamp taken after recv() tells when this process got round to it; under load that is milliseconds late. Linux stamps every
packet as it arrives and hands the stamp of the last byte read to recvmsg(), unprivileged, also on TCP sockets.

The kernel turns stamping on lazily and off when the last socket that wants it is closed; switching costs a round of code
patching (0.14 ms at p99). One idle socket that is kept open with the option on avoids that. It is done by a kernel thread, so
packets of the first instants may bear no stamp yet.
"""

from __future__ import annotations

import socket
import struct
import sys
from time import perf_counter
from typing import Final

from prober.probing.wall_clock import WallClock

__all__ = ["ANCILLARY_SIZE", "SO_TIMESTAMPNS", "TIMESPEC", "ReceiveClock"]

# <asm-generic/socket.h> SO_TIMESTAMPNS_OLD: the socket module does not have it. Its message is a struct timespec of two longs.
SO_TIMESTAMPNS: Final = 35
TIMESPEC: Final = struct.Struct("@ll")

ANCILLARY_SIZE: Final = socket.CMSG_SPACE(TIMESPEC.size)
"""What recvmsg() needs for one stamp."""

# A packet is stamped a few microseconds before its socket becomes readable, so a true stamp may lie just before the interval
# in which the poll saw it. A stamp that is further out is from a clock that was set meanwhile.
_SLACK: Final = 0.001


class ReceiveClock:
    """Kernel receive times on the scale of `time.perf_counter`."""

    __slots__ = ("_idle", "_wall_clock")

    def __init__(self) -> None:
        self._wall_clock = WallClock()  # of its own: it is asked about now, the engine about starts that may be seconds old
        self._idle: socket.socket | None = None
        if sys.platform != "linux":
            return
        idle = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            idle.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        except OSError:
            idle.close()  # a sandbox that emulates sockets
            return
        self._idle = idle

    @property
    def available(self) -> bool:
        """Whether this kernel stamps."""
        return self._idle is not None

    def want(self, sock: socket.SocketType) -> None:
        """Ask for stamps on ``sock``; also packets that have arrived already bear one."""
        sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)

    def read(self, ancillary: list[tuple[int, int, bytes]], earliest: float) -> float | None:
        """The stamp in ``recvmsg``'s ancillary data, in seconds of perf_counter; None when there is none to be trusted.

        ``earliest`` is the last time at which nothing was there to be read.
        """
        for level, kind, data in ancillary:
            if level == socket.SOL_SOCKET and kind == SO_TIMESTAMPNS and len(data) == TIMESPEC.size:
                now = perf_counter()
                seconds, nanoseconds = TIMESPEC.unpack(data)
                stamp: float = seconds + nanoseconds * 1e-9 - self._wall_clock.offset(now)
                return stamp if earliest - _SLACK <= stamp <= now else None
        return None

    def close(self) -> None:
        """Give the idle socket back."""
        if self._idle is not None:
            self._idle.close()
