"""The engine as the service runs it: few handshakes at a time, for ever, with nobody waiting for one of them."""

from __future__ import annotations

from prober.probing.engine import Engine
from prober.probing.packet_clock import PacketClock

__all__ = ["new_engine"]

# The three hellos of a differential are connected, and answered, at nearly the same moments: with a nap these are two wake-ups for
# all three instead of six, and at some hundred handshakes a second a wake-up costs more than a handshake. A reset is told half a
# millisecond late at most, as its uncertainty says.
_NAP = 500e-6
_CROWD = 2


def new_engine(*, packet_timestamps: bool) -> Engine:
    """One for each process. `PacketClockUnavailable` where packets cannot be stamped, and are to be."""
    return Engine(nap=_NAP, crowd=_CROWD, packet_clock=PacketClock() if packet_timestamps else None)
