"""What a flight needs from the engine that it is in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from prober.probing.receive_clock import ReceiveClock

if TYPE_CHECKING:
    from prober.probing.flight import Flight
    from prober.probing.packet_clock import PacketClock

__all__ = ["Host"]


class Host(Protocol):
    """The engine, as its flights see it. Times are `time.perf_counter` seconds."""

    ceiling: int
    """The first descriptor number that a handshake may not have."""
    clock: ReceiveClock
    packet_clock: PacketClock | None
    """For RSTs and FINs, where there is one."""

    def watch(self, flight: Flight, fd: int) -> None:
        """Call `Flight.advance` when ``fd`` changes; OSError when the kernel has no room."""

    def again(self, flight: Flight) -> None:
        """Call `Flight.advance` soon: its events are not dealt with yet."""

    def alarm(self, flight: Flight, time: float) -> None:
        """Call `Flight.advance` with ``woken`` set at ``time``, and at no other time."""

    def ended(self, flight: Flight, fd: int) -> None:
        """The flight is over; ``fd`` (-1: none) was closed."""
