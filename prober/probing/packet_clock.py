"""When the kernel received the RSTs and FINs that end handshakes: an option, for who may open a packet socket (CAP_NET_RAW).

A segment without data leaves no stamp on its socket (see `receive_clock`), so that a reset is known to have come between two polls
of ours, and no better. A packet socket sees every segment as it arrives, with the kernel's stamp. The kernel filters: of all the
traffic of the host, only RSTs and FINs to ports from which connections are made come here. What is not found here, be it lost,
or changed by a NAT on this very host, is stamped by the poll as ever.
"""

from __future__ import annotations

import socket
import sys
from collections import OrderedDict
from pathlib import Path
from time import perf_counter
from typing import Final, NamedTuple

from prober.model import Endpoint
from prober.packet_filter import BY_IP_VERSION, ETH_P_ALL, SOL_PACKET, Op, Step, assemble, attach
from prober.probing.receive_clock import ANCILLARY_SIZE, SO_TIMESTAMPNS, TIMESPEC
from prober.probing.wall_clock import unix_offset

__all__ = ["PacketClock", "PacketClockUnavailable"]

# linux/if_packet.h: the socket module does not have it.
_PACKET_IGNORE_OUTGOING: Final = 23

_RECEIVE_BUFFER: Final = 1 << 20
"""Bytes: some two thousand segments, more than come while this process does something else."""
_SEGMENT: Final = 80
"""Bytes of a segment that are read: an IP header with some options, and TCP's ports."""
_AT_ONCE: Final = 4096
"""Segments that are read in one go. On a host where more connections end, the rest waits, and may be lost."""
_KEPT: Final = 16_384
"""Ends that are remembered; of other programs' connections, too, which nobody will ask for."""

# A segment is stamped a few microseconds before its socket tells.
_SLACK: Final = 0.001

_PORT_RANGE: Final = Path("/proc/sys/net/ipv4/ip_local_port_range")

_FIN_OR_RST: Final = 0x05


class PacketClockUnavailable(OSError):
    """No packet socket is to be had; the text says why."""


class _End(NamedTuple):
    """Whose connection ended: the sender of the RST or FIN, and the port of ours that it was sent to."""

    ip: bytes
    port: int
    local_port: int


class PacketClock:
    """Arrival times of RSTs and FINs on the scale of `time.perf_counter`. Raises `PacketClockUnavailable` where there are none.

    Not for threads: its engine's alone.
    """

    __slots__ = ("_ends", "_socket")

    def __init__(self) -> None:
        if sys.platform != "linux":
            raise PacketClockUnavailable("packet sockets exist on Linux alone")
        try:
            kind = socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
            packets = socket.socket(socket.AF_PACKET, kind, socket.htons(ETH_P_ALL))
        except OSError as error:
            raise PacketClockUnavailable(f"no packet socket: {error.strerror}; it takes the capability CAP_NET_RAW") from error
        try:
            attach(packets, _ends_from(_first_local_port()))
            packets.setsockopt(SOL_PACKET, _PACKET_IGNORE_OUTGOING, 1)  # else loopback tells everything twice
            packets.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
            packets.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
        except OSError as error:
            packets.close()
            raise PacketClockUnavailable(f"the packet socket cannot be set up: {error.strerror}") from error
        self._socket = packets
        self._ends: OrderedDict[_End, float] = OrderedDict()
        self._read()
        self._ends.clear()  # what had come before the filter was there

    def ended(self, peer: Endpoint, local_port: int, earliest: float) -> float | None:
        """When ``peer`` ended the connection from ``local_port``, in seconds of perf_counter; None: not seen, or not to be trusted.

        ``earliest`` is the last time at which that end was not there yet.
        """
        self._read()
        end = _End(_packed(peer.ip), peer.port, local_port)
        arrived = self._ends.pop(end, None)
        if arrived is None:
            return None
        stamp = arrived - unix_offset()
        return stamp if earliest - _SLACK <= stamp <= perf_counter() else None

    def close(self) -> None:
        """Give the descriptor back."""
        self._socket.close()

    def _read(self) -> None:
        """Take in what has arrived."""
        ends = self._ends
        for _ in range(_AT_ONCE):
            try:
                segment, ancillary, _, _ = self._socket.recvmsg(_SEGMENT, ANCILLARY_SIZE)
            except OSError:
                break  # nothing more; or an interface went down, which is told here once
            end = _end_of(segment)
            for level, kind, data in ancillary:
                if end is not None and level == socket.SOL_SOCKET and kind == SO_TIMESTAMPNS and len(data) == TIMESPEC.size:
                    seconds, nanoseconds = TIMESPEC.unpack(data)
                    # The first counts: a RST may follow a FIN.
                    ends.setdefault(end, seconds + nanoseconds * 1e-9)
        while len(ends) > _KEPT:
            ends.popitem(last=False)


def _first_local_port() -> int:
    """The lowest port from which this host connects by itself (ip_local_port_range of ip(7))."""
    try:
        return int(_PORT_RANGE.read_text("ascii").split()[0])
    except (OSError, ValueError, IndexError):
        return 32_768


def _packed(ip: str) -> bytes:
    family = socket.AF_INET6 if ":" in ip else socket.AF_INET
    return socket.inet_pton(family, ip.partition("%")[0])


def _end_of(segment: bytes) -> _End | None:
    """The sender and the two ports, from the network header on; None for what is cut short."""
    version = segment[0] >> 4 if segment else 0
    if version == 4:
        header = 4 * (segment[0] & 0x0F)
        source = segment[12:16]
    else:
        header = 40
        source = segment[8:24]
    if len(segment) < header + 4:
        return None
    return _End(source, int.from_bytes(segment[header : header + 2]), int.from_bytes(segment[header + 2 : header + 4]))


# -- what the kernel lets through --------------------------------------------------------------------------------------------


def _ends_from(first_port: int) -> bytes:
    """A filter for RSTs and FINs over IPv4 and IPv6 to ports from ``first_port`` on.

    Offsets are from the network header, for such is what a packet socket of type SOCK_DGRAM sees.
    """
    return assemble(
        [
            *BY_IP_VERSION,
            Step(Op.LOAD_BYTE, 9, label="IPv4"),
            Step(Op.EQUAL, socket.IPPROTO_TCP, to="TCP in IPv4"),
            Step(Op.RETURN, 0),
            Step(Op.LOAD_HALF, 6, label="TCP in IPv4"),
            Step(Op.AND, 0x1FFF),
            Step(Op.EQUAL, 0, to="header of IPv4"),
            Step(Op.RETURN, 0),  # a fragment behind the first has no TCP header
            Step(Op.HEADER_SIZE_TO_X, 0, label="header of IPv4"),
            Step(Op.LOAD_HALF_AT_X, 2),
            Step(Op.AT_LEAST, first_port, to="flags"),
            Step(Op.RETURN, 0),
            Step(Op.LOAD_BYTE, 6, label="IPv6"),
            Step(Op.EQUAL, socket.IPPROTO_TCP, to="TCP in IPv6"),  # as the first header: nobody puts an extension in front of TCP
            Step(Op.RETURN, 0),
            Step(Op.X_TO, 40, label="TCP in IPv6"),
            Step(Op.LOAD_HALF_AT_X, 2),
            Step(Op.AT_LEAST, first_port, to="flags"),
            Step(Op.RETURN, 0),
            Step(Op.LOAD_BYTE_AT_X, 13, label="flags"),
            Step(Op.ANY_BIT, _FIN_OR_RST, to="take"),
            Step(Op.RETURN, 0),
            Step(Op.RETURN, _SEGMENT, label="take"),
        ]
    )
