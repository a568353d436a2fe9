"""Captures made by hand: TCP segments in every link layer, and pcap and pcapng files around them."""

from __future__ import annotations

import ipaddress
import struct
from typing import NamedTuple

FIN, SYN, RST, PSH, ACK = 0x01, 0x02, 0x04, 0x08, 0x10
CLIENT, SERVER = "192.0.2.7", "198.51.100.1"


class Segment(NamedTuple):
    """What a test says about a segment; the rest has sensible values."""

    source: str
    destination: str
    flags: int
    sequence: int
    acknowledgement: int = 0
    payload: bytes = b""
    source_port: int = 40000
    destination_port: int = 443
    ttl: int = 64
    timestamps: bool = False


def ip_packet(segment: Segment, *, fragment: int = 0, extension: bytes = b"") -> bytes:
    """An IPv4 or IPv6 packet; checksums are zero, nobody looks at them in a capture."""
    options = b"\x01\x01\x08\x0a" + bytes(8) if segment.timestamps else b""
    tcp = (
        struct.pack(
            ">HHIIBBHHH",
            segment.source_port,
            segment.destination_port,
            segment.sequence & 0xFFFFFFFF,
            segment.acknowledgement & 0xFFFFFFFF,
            (20 + len(options)) // 4 << 4,
            segment.flags,
            65535,
            0,
            0,
        )
        + options
        + segment.payload
    )
    source, destination = ipaddress.ip_address(segment.source), ipaddress.ip_address(segment.destination)
    if source.version == 4:
        header = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(tcp), 1, fragment, segment.ttl, 6, 0)
        return header + source.packed + destination.packed + tcp
    following = 0 if extension else 6
    header = struct.pack(">IHBB", 0x60000000, len(extension) + len(tcp), following, segment.ttl)
    return header + source.packed + destination.packed + extension + tcp


def frame(segment: Segment, link: str = "EN10MB", **how: object) -> tuple[int, bytes]:
    """The link type's number and the frame."""
    packet = ip_packet(segment, **how)  # type: ignore[arg-type]
    kind = b"\x08\x00" if packet[0] >> 4 == 4 else b"\x86\xdd"
    return {
        "EN10MB": (1, bytes(12) + kind + packet),
        "VLAN": (1, bytes(12) + b"\x81\x00\x00\x05" + kind + packet),
        "QinQ": (1, bytes(12) + b"\x88\xa8\x00\x05\x81\x00\x00\x06" + kind + packet),
        "padded": (1, bytes(12) + kind + packet + bytes(8)),
        "LINUX_SLL": (113, bytes(14) + kind + packet),
        "LINUX_SLL2": (276, kind + bytes(18) + packet),
        "RAW": (101, packet),
        "IPV4": (228, packet),
        "NULL": (0, struct.pack("<I", 2) + packet),
        "LOOP": (108, struct.pack(">I", 2) + packet),
    }[link]


def handshake(
    hello: bytes, end: str, *, client: str = CLIENT, server: str = SERVER, answer: bytes = b"", port: int = 40000
) -> list[Segment]:
    """One connection: SYN to the hello, acknowledged, ``answer`` if there is one, then ``end`` (``rst``, ``fin``, ``none``)."""
    there = {"source": client, "destination": server, "source_port": port}
    back = {"source": server, "destination": client, "source_port": 443, "destination_port": port, "timestamps": True}
    acknowledged = 1001 + len(hello)
    segments = [
        Segment(flags=SYN, sequence=1000, **there),
        Segment(flags=SYN | ACK, sequence=5000, acknowledgement=1001, **back),
        Segment(flags=ACK, sequence=1001, acknowledgement=5001, **there),
        Segment(flags=PSH | ACK, sequence=1001, acknowledgement=5001, payload=hello, **there),
        Segment(flags=ACK, sequence=5001, acknowledgement=acknowledged, **back),
    ]
    if answer:
        segments.append(Segment(flags=PSH | ACK, sequence=5001, acknowledgement=acknowledged, payload=answer, **back))
    if end == "rst":
        segments.append(Segment(flags=RST | ACK, sequence=5001 + len(answer), acknowledgement=acknowledged, **back))
    if end == "fin":
        segments.append(Segment(flags=FIN | ACK, sequence=5001 + len(answer), acknowledgement=acknowledged, **back))
    return segments


def pcap(frames: list[tuple[int, bytes]], *, order: str = "<", nanoseconds: bool = False, snaplen: int = 262144) -> bytes:
    """A pcap file, a frame every 10 ms."""
    magic = 0xA1B23C4D if nanoseconds else 0xA1B2C3D4
    unit = 10_000_000 if nanoseconds else 10_000
    data = struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, snaplen, frames[0][0] if frames else 1)
    for number, (_, content) in enumerate(frames):
        seconds, hundredths = divmod(number, 100)
        kept = content[:snaplen]
        data += struct.pack(order + "IIII", 1_700_000_000 + seconds, hundredths * unit, len(kept), len(content)) + kept
    return data


def pcapng(frames: list[tuple[int, bytes]], *, order: str = "<") -> bytes:
    """A pcapng file with one interface for each link type, nanosecond resolution, and an unknown block in between."""

    def block(kind: int, body: bytes) -> bytes:
        body += bytes(-len(body) % 4)
        size = struct.pack(order + "I", len(body) + 12)
        return struct.pack(order + "I", kind) + size + body + size

    links = sorted({link for link, _ in frames})
    data = b"\x0a\x0d\x0d\x0a" + block(0, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1))[4:]
    for link in links:
        data += block(1, struct.pack(order + "HHI", link, 0, 0) + struct.pack(order + "HHB3xHH", 9, 1, 9, 0, 0))
    data += block(0xBAD, b"whatever")
    for number, (link, content) in enumerate(frames):
        stamp = 1_700_000_000_000_000_000 + number * 10_000_000
        data += block(
            6,
            struct.pack(order + "IIIII", links.index(link), stamp >> 32, stamp & 0xFFFFFFFF, len(content), len(content))
            + content,
        )
    return data


def outer(protocol: int, payload: bytes, *, v6: bool = False, place: int = 0, identification: int = 7) -> bytes:
    """An IP packet between two nodes with any payload; ``place``: flags and fragment offset of IPv4."""
    if v6:
        head = struct.pack(">IHBB", 0x60000000, len(payload), protocol, 64)
        return head + ipaddress.ip_address("2001:db8:1::1").packed + ipaddress.ip_address("2001:db8:1::2").packed + payload
    head = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(payload), identification, place, 64, protocol, 0)
    return head + bytes((10, 0, 0, 1, 10, 0, 0, 2)) + payload


def udp(port: int, payload: bytes) -> bytes:
    """A datagram."""
    return struct.pack(">HHHH", 55555, port, 8 + len(payload), 0) + payload


def ethernet(packet: bytes) -> bytes:
    """A frame around an IP packet."""
    return bytes(12) + (b"\x08\x00" if packet[0] >> 4 == 4 else b"\x86\xdd") + packet


def cut_up(packet: bytes, size: int, identification: int = 9) -> list[bytes]:
    """An IPv4 or IPv6 packet (without extension headers) in fragments with ``size`` bytes of payload each, a multiple of 8."""
    head = 20 if packet[0] >> 4 == 4 else 40
    payload = packet[head:]
    parts = []
    for offset in range(0, len(payload), size):
        part = payload[offset : offset + size]
        more = offset + size < len(payload)
        if head == 20:
            place = offset // 8 | 0x2000 * more
            parts.append(packet[:2] + struct.pack(">HHH", 20 + len(part), identification, place) + packet[8:20] + part)
        else:
            extension = struct.pack(">BBHI", packet[6], 0, offset | more, identification)
            parts.append(packet[:4] + struct.pack(">HB", 8 + len(part), 44) + packet[7:40] + extension + part)
    return parts
