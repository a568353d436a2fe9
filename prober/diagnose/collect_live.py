"""Live traffic of one interface as frames, through an AF_PACKET socket (Linux; needs CAP_NET_RAW).

The socket is of type SOCK_DGRAM, so that the kernel takes the link layer off and every interface, also ``any``, gives plain IP; and
it carries a filter that lets only TCP and its tunnels through, so that what is not looked at is not copied.

Source: packet(7).
"""

from __future__ import annotations

import select
import socket
import struct
import sys
import time
from collections.abc import Callable, Generator

from prober.diagnose.capture_files import MAX_FRAME, Frame
from prober.diagnose.live_filter import filter_program
from prober.diagnose.packets import WRAPPED
from prober.diagnose.tunnels import IPV4, IPV6
from prober.packet_filter import ETH_P_ALL, SOL_PACKET, attach

__all__ = ["LiveError", "live_frames"]

_PACKET_STATISTICS = 6
_RAW, _COOKED = 101, 276
_VLAN = 0x8100
_WRAPPED_WHOLE = WRAPPED - {_VLAN, 0x88A8, 0x9100}
_BEHIND_TAG = {IPV4.to_bytes(2): 4, IPV6.to_bytes(2): 6}
# Bursts are what gets lost; 8 MiB are a few milliseconds of 10 Gbit/s.
_BUFFER = 8 * 1024 * 1024
_TICK = 0.5


class LiveError(Exception):
    """The interface cannot be watched (on); the text says why, and what to do."""


def live_frames(interface: str, on_tick: Callable[[int], None]) -> Generator[Frame, None, None]:
    """Frames of ``interface`` (``any``: all of them) until the caller stops asking.

    ``on_tick`` is called twice a second, with the number of packets that the kernel had to drop since the last time.

    When this returns, the interface is watched: what passes before the first frame is asked for is not missed. Raises LiveError
    when there is no such interface, no right to watch it, or no AF_PACKET (other systems than Linux); while frames are asked for,
    when the interface goes down.
    """
    if not sys.platform.startswith("linux"):
        raise LiveError(
            "live traffic is read through AF_PACKET, which only Linux has; capture with tcpdump -w, and give the file"
        )
    return _frames(interface, _open(interface), on_tick)


def _frames(interface: str, sock: socket.socket, on_tick: Callable[[int], None]) -> Generator[Frame, None, None]:
    with sock:
        ready = select.poll()
        ready.register(sock, select.POLLIN)
        tick = time.monotonic() + _TICK
        while True:
            if ready.poll(_TICK * 1000):
                try:
                    data, address = sock.recvfrom(MAX_FRAME)
                except OSError as error:  # ENETDOWN: the interface went down or away
                    raise LiveError(f"{interface} cannot be watched on: {error.strerror}") from None
                yield _frame(data, address[1])
            if time.monotonic() >= tick:
                tick = time.monotonic() + _TICK
                on_tick(_dropped(sock))


def _frame(data: bytes, ether_type: int) -> Frame:
    # Of two tags the kernel takes one off; the other stands before the packet, whichever EtherType it names (since 6.11 the packet's
    # own). What this host sends comes without it. A length of 2,048 and an identification beginning with 4 would be taken for one.
    version = _BEHIND_TAG.get(data[2:4])
    if version is not None and data[4:5] and data[4] >> 4 == version:
        ether_type = _VLAN
    elif ether_type not in _WRAPPED_WHOLE:
        return Frame(time.time(), _RAW, data, len(data))
    # As the cooked link layer of files has it: the EtherType, and what is of no interest here.
    return Frame(time.time(), _COOKED, struct.pack(">H18x", ether_type) + data, len(data) + 20)


def _dropped(sock: socket.socket) -> int:
    """Reading the statistics sets them back to zero (struct tpacket_stats: packets, drops)."""
    drops: int = struct.unpack("II", sock.getsockopt(SOL_PACKET, _PACKET_STATISTICS, 8))[1]
    return drops


def _open(interface: str) -> socket.socket:
    try:
        sock = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_ALL))
    except PermissionError:
        hint = "run it as root, or give the Python interpreter the capability CAP_NET_RAW"
        raise LiveError(f"no right to watch {interface}: {hint}") from None
    except OSError as error:
        raise LiveError(f"cannot watch {interface}: {error.strerror}") from None
    try:
        attach(sock, filter_program(MAX_FRAME))
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        if interface != "any":
            sock.bind((interface, ETH_P_ALL))
    except OSError as error:
        sock.close()
        known = ", ".join(name for _, name in socket.if_nameindex())
        raise LiveError(f"cannot watch {interface}: {error.strerror}; there are {known} and any") from None
    return sock
