"""IP packets that came in parts, put together again; bounded in number, size and time. Pure.

Sources: RFC 791 §3.2, RFC 815, RFC 8200 §4.5 (60 s is what a receiver waits at most).
"""

from __future__ import annotations

from collections import OrderedDict

from prober.diagnose.packets import Fragment, is_carrier

__all__ = ["MAX_PACKETS", "Reassembly"]

MAX_PACKETS = 512
"""Unfinished packets at a time; with the largest packets that is 32 MiB."""
_MAX_BYTES = 65_535
_MAX_PARTS = 256
"""A packet of 64 KiB in parts of an MTU of 576 bytes has 118."""
_SECONDS = 60.0
# Behind the whole packet its parts may come again: captured on two interfaces.
_ECHO_SECONDS = 2.0


class _Packet:
    __slots__ = ("cut", "done", "first", "length", "parts", "time", "wanted")

    def __init__(self, time: float) -> None:
        self.time = time
        self.parts: dict[int, bytes] = {}
        self.first: Fragment | None = None
        self.length: int | None = None
        self.cut = False
        self.wanted = True
        self.done = False


class Reassembly:
    """Takes fragments, gives whole payloads."""

    def __init__(self) -> None:
        self._pending: OrderedDict[bytes, _Packet] = OrderedDict()
        self.lost = 0
        """Packets that never became whole, or whose parts the snaplen cut; those that are known to carry no TCP are not counted."""

    def add(self, fragment: Fragment, time: float) -> Fragment | None:
        """Take one part in. The whole packet (its first fragment, with all data) when this was the last that was missing."""
        self._forget(time)
        packet = self._pending.get(fragment.key)
        if packet is not None and packet.done and time - packet.time > _ECHO_SECONDS:
            packet = None  # the identification is used again
        if packet is None:
            packet = self._pending[fragment.key] = _Packet(time)
            self._pending.move_to_end(fragment.key)
        if packet.done or not packet.wanted:
            return None
        if len(packet.parts) >= _MAX_PARTS or fragment.offset + len(fragment.data) > _MAX_BYTES:
            return None
        if not fragment.offset:
            packet.first = fragment
            packet.wanted = is_carrier(fragment)
        packet.cut = packet.cut or fragment.cut
        if not fragment.more:
            packet.length = fragment.offset + len(fragment.data)
        if len(packet.parts.get(fragment.offset, b"")) < len(fragment.data):
            packet.parts[fragment.offset] = fragment.data
        return self._whole(packet, time)

    def finish(self) -> int:
        """Give up what is pending; how many packets were lost in all."""
        while self._pending:
            self._drop(next(iter(self._pending)))
        return self.lost

    def _whole(self, packet: _Packet, time: float) -> Fragment | None:
        if packet.first is None or packet.length is None or packet.cut:
            return None
        data = bytearray()
        for offset in sorted(packet.parts):
            if offset > len(data):
                return None
            # Where parts overlap, the one that begins first is kept; an attack by overlaps is no matter of ours.
            data += packet.parts[offset][len(data) - offset :]
        if len(data) < packet.length:
            return None
        packet.done, packet.time = True, time
        packet.parts.clear()
        return packet.first._replace(data=bytes(data[: packet.length]))

    def _forget(self, time: float) -> None:
        while self._pending:
            key, oldest = next(iter(self._pending.items()))
            if len(self._pending) < MAX_PACKETS and time - oldest.time <= _SECONDS:
                return
            self._drop(key)

    def _drop(self, key: bytes) -> None:
        packet = self._pending.pop(key)
        self.lost += packet.wanted and not packet.done
