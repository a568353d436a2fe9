"""Packet captures as files: pcap (microseconds and nanoseconds, both byte orders) and pcapng, frame by frame, in bounded memory.

Our own reader, since dpkt's knows one link type a file, while ``mergecap`` and ``tcpdump -i any`` on newer kernels write pcapng with
one a interface, and since a capture that was cut off must give what it holds.

Sources: draft-ietf-opsawg-pcap, draft-ietf-opsawg-pcapng, and the "Link-layer header types" registry of tcpdump.org.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

__all__ = ["MAX_FRAME", "CaptureError", "Frame", "is_capture", "read_frames"]

# No snaplen in use is larger (libpcap's own limit, MAXIMUM_SNAPLEN); a longer frame is damage, not data.
MAX_FRAME = 262_144
_BLOCK = 256 * 1024
# A block of pcapng may hold comments and options beside its frame.
_MAX_BLOCK = 16 * 1024 * 1024

_PCAP_MAGIC = {
    b"\xd4\xc3\xb2\xa1": ("<", 1e-6),
    b"\xa1\xb2\xc3\xd4": (">", 1e-6),
    b"\x4d\x3c\xb2\xa1": ("<", 1e-9),
    b"\xa1\xb2\x3c\x4d": (">", 1e-9),
}
_SECTION_HEADER = b"\x0a\x0d\x0d\x0a"
_INTERFACE, _OBSOLETE_PACKET, _SIMPLE_PACKET, _ENHANCED_PACKET = 0x1, 0x2, 0x3, 0x6
_OPTION_END, _OPTION_TSRESOL = 0, 9


class CaptureError(Exception):
    """The file is no capture, or is damaged from some place on; what was read before stays valid."""


class Frame(NamedTuple):
    """One captured frame. ``data`` may be shorter than what was on the wire (snaplen)."""

    time: float
    """Unix time in seconds."""
    link_type: int
    data: bytes
    wire_length: int


def is_capture(head: bytes) -> bool:
    """Whether a file that begins with ``head`` (4 bytes or more) is a pcap or pcapng file."""
    return head[:4] in _PCAP_MAGIC or head[:4] == _SECTION_HEADER


def read_frames(file: BinaryIO) -> Iterator[Frame]:
    """The frames of a capture in the file's order. Raises CaptureError where it cannot be read on."""
    magic = file.read(4)
    if magic in _PCAP_MAGIC:
        yield from _pcap(file, *_PCAP_MAGIC[magic])
    elif magic == _SECTION_HEADER:
        yield from _pcapng(file)
    elif not magic:
        raise CaptureError("is empty")
    else:
        raise CaptureError(f"begins with {magic.hex(' ')}, so it is neither pcap nor pcapng")


def _exactly(file: BinaryIO, size: int, what: str) -> bytes:
    data = file.read(size)
    if len(data) < size:
        raise CaptureError(f"ends within {what}: the capture was cut off")
    return data


def _pcap(file: BinaryIO, order: str, resolution: float) -> Iterator[Frame]:
    header = _exactly(file, 20, "the file header")
    # The upper bits of the link type say how long a frame check sequence is (draft-ietf-opsawg-pcap §4).
    link_type = struct.unpack(order + "I", header[16:20])[0] & 0x0FFFFFFF
    unpack = struct.Struct(order + "IIII").unpack_from
    buffer, position, wanted = b"", 0, 16
    while True:
        # In blocks: two calls a frame would be half of all the time.
        if len(buffer) - position < wanted:
            block = file.read(max(_BLOCK, wanted))
            buffer, position = buffer[position:] + block, 0
            if not buffer:
                return
            if len(buffer) < wanted:
                what = "a record's header" if wanted == 16 else "a frame"
                raise CaptureError(f"ends within {what}: the capture was cut off")
        seconds, fraction, captured, original = unpack(buffer, position)
        if captured > MAX_FRAME:
            raise CaptureError(f"has a record of {captured} bytes, more than any capture holds: it is damaged from here on")
        wanted = 16 + captured
        if len(buffer) - position < wanted:
            continue
        start = position + 16
        position += wanted
        wanted = 16
        yield Frame(seconds + fraction * resolution, link_type, buffer[start:position], original)


class _Interface(NamedTuple):
    link_type: int
    snaplen: int
    resolution: float


def _pcapng(file: BinaryIO) -> Iterator[Frame]:
    order = _section(file)
    interfaces: list[_Interface] = []
    while head := file.read(8):
        if len(head) < 8:
            raise CaptureError("ends within a block's header: the capture was cut off")
        if head[:4] == _SECTION_HEADER:
            order = _section(file, head[4:])
            interfaces = []
            continue
        kind, length = struct.unpack(order + "II", head)
        if not 12 <= length <= _MAX_BLOCK or length % 4:
            raise CaptureError(f"has a block of {length} bytes: it is damaged from here on")
        body = _exactly(file, length - 8, "a block")[:-4]
        if kind == _INTERFACE:
            interfaces.append(_interface(body, order))
        elif kind in {_ENHANCED_PACKET, _OBSOLETE_PACKET, _SIMPLE_PACKET}:
            yield _packet(kind, body, order, interfaces)


def _section(file: BinaryIO, length: bytes | None = None) -> str:
    """Reads a section header block behind its type; the byte order of what follows."""
    length = length if length is not None else _exactly(file, 4, "the section header")
    magic = _exactly(file, 4, "the section header")
    order = {b"\x4d\x3c\x2b\x1a": "<", b"\x1a\x2b\x3c\x4d": ">"}.get(magic)
    if order is None:
        raise CaptureError("has a section header without a byte-order magic: it is damaged from here on")
    size = struct.unpack(order + "I", length)[0]
    if not 28 <= size <= _MAX_BLOCK:
        raise CaptureError(f"has a section header of {size} bytes: it is damaged from here on")
    _exactly(file, size - 12, "the section header")
    return order


def _interface(body: bytes, order: str) -> _Interface:
    if len(body) < 8:
        raise CaptureError("has an interface description that is too short")
    link_type, _, snaplen = struct.unpack_from(order + "HHI", body)
    resolution, offset = 1e-6, 8
    while offset + 4 <= len(body):
        code, size = struct.unpack_from(order + "HH", body, offset)
        if code == _OPTION_END:
            break
        if code == _OPTION_TSRESOL and size >= 1 and offset + 4 < len(body):
            value = body[offset + 4]
            resolution = 2.0 ** -(value & 0x7F) if value & 0x80 else 10.0**-value
        offset += 4 + size + (-size % 4)
    return _Interface(link_type, snaplen or MAX_FRAME, resolution)


def _packet(kind: int, body: bytes, order: str, interfaces: list[_Interface]) -> Frame:
    fixed = {_ENHANCED_PACKET: "IIIII", _OBSOLETE_PACKET: "HHIIII", _SIMPLE_PACKET: "I"}[kind]
    size = struct.calcsize(order + fixed)
    if len(body) < size or not interfaces:
        raise CaptureError("has a packet block that is too short, or one before any interface description")
    values = struct.unpack_from(order + fixed, body)
    if kind == _SIMPLE_PACKET:
        interface, time, original = interfaces[0], 0.0, values[0]
        captured = min(original, interface.snaplen, len(body) - size)
    else:
        if values[0] >= len(interfaces):
            raise CaptureError(f"has a packet of interface {values[0]}, which was never described")
        interface = interfaces[values[0]]
        high, low, captured, original = values[-4:]
        time = (high << 32 | low) * interface.resolution
    if captured > len(body) - size:
        raise CaptureError("has a packet that is longer than its block: it is damaged from here on")
    return Frame(time, interface.link_type, body[size : size + captured], original)
