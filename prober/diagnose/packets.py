"""From a captured frame to a TCP segment: link layers, VLAN tags, IPv4 and IPv6 with extension headers.

Index arithmetic on one bytes object rather than objects a layer: a capture of 1 GB has a million frames, and what is wanted of
each is a dozen numbers.

Sources: RFC 791, RFC 8200 §4, RFC 9293 §3.1, IEEE 802.1Q, and LINKTYPE_LINUX_SLL/SLL2 of tcpdump.org.
"""

from __future__ import annotations

import socket
from typing import NamedTuple

__all__ = ["LINK_TYPES", "TcpSegment", "decode"]

FIN, SYN, RST, PSH, ACK = 0x01, 0x02, 0x04, 0x08, 0x10

_IPV4, _IPV6 = 0x0800, 0x86DD
_VLAN_TAGS = frozenset({0x8100, 0x88A8, 0x9100})
_TCP = 6
# Hop-by-hop, routing, destination options: all have their length in the second byte (RFC 8200 §4.3-4.6).
_EXTENSION_HEADERS = frozenset({0, 43, 60})
_FRAGMENT, _AUTHENTICATION = 44, 51
_OPTION_END, _OPTION_NOP, _OPTION_TIMESTAMPS = 0, 1, 8

LINK_TYPES = {
    0: "NULL",
    1: "EN10MB",
    12: "RAW",
    14: "RAW",
    101: "RAW",
    108: "LOOP",
    113: "LINUX_SLL",
    228: "IPV4",
    229: "IPV6",
    276: "LINUX_SLL2",
}
"""The link types that `decode` reads, by number; BSDs write RAW as 12 or 14."""


class TcpSegment(NamedTuple):
    """One TCP segment. Addresses are packed (4 or 16 bytes); ``payload`` is what was captured of it."""

    source: bytes
    source_port: int
    destination: bytes
    destination_port: int
    sequence: int
    acknowledgement: int
    flags: int
    payload: bytes
    payload_length: int
    """On the wire; more than ``len(payload)`` where the capture was truncated."""
    ttl: int
    timestamps: bool
    """Whether the TCP timestamps option (RFC 7323) is there."""


def address_text(packed: bytes) -> str:
    """A packed address as text."""
    return socket.inet_ntop(socket.AF_INET if len(packed) == 4 else socket.AF_INET6, packed)


def decode(link_type: int, data: bytes) -> TcpSegment | None:
    """The TCP segment in a frame; None for everything else (other protocols, later fragments, damage)."""
    try:
        start, protocol = _network_layer(link_type, data)
        if protocol == _IPV4:
            return _ipv4(data, start)
        return _ipv6(data, start) if protocol == _IPV6 else None
    except IndexError:
        return None


def _u16(data: bytes, offset: int) -> int:
    return data[offset] << 8 | data[offset + 1]


def _network_layer(link_type: int, data: bytes) -> tuple[int, int]:
    """Where the network layer begins, and its EtherType."""
    name = LINK_TYPES.get(link_type)
    if name == "EN10MB":
        offset, protocol = 14, _u16(data, 12)
    elif name == "LINUX_SLL":
        offset, protocol = 16, _u16(data, 14)
    elif name == "LINUX_SLL2":
        offset, protocol = 20, _u16(data, 0)
    elif name in {"NULL", "LOOP"}:
        # The address family is a host's own number in a host's own order; the IP version says the same in one way.
        offset, protocol = 4, _by_version(data[4])
    elif name is not None:
        offset, protocol = 0, _by_version(data[0])
    else:
        return 0, 0
    while protocol in _VLAN_TAGS:
        protocol = _u16(data, offset + 2)
        offset += 4
    return offset, protocol


def _by_version(first: int) -> int:
    return {4: _IPV4, 6: _IPV6}.get(first >> 4, 0)


def _ipv4(data: bytes, start: int) -> TcpSegment | None:
    header = (data[start] & 0x0F) * 4
    fragment = _u16(data, start + 6)
    if data[start] >> 4 != 4 or header < 20 or data[start + 9] != _TCP or fragment & 0x1FFF:
        return None
    total = _u16(data, start + 2)
    # TCP segmentation offload leaves the total length 0 in captures of the sending host.
    end = start + total if total else len(data)
    return _tcp(data, start + header, end, data[start + 12 : start + 16], data[start + 16 : start + 20], data[start + 8])


def _ipv6(data: bytes, start: int) -> TcpSegment | None:
    length, following = _u16(data, start + 4), data[start + 6]
    end = start + 40 + length if length else len(data)
    offset = start + 40
    while following != _TCP:
        if following in _EXTENSION_HEADERS:
            following, offset = data[offset], offset + 8 + data[offset + 1] * 8
        elif following == _AUTHENTICATION:
            following, offset = data[offset], offset + 8 + data[offset + 1] * 4
        elif following == _FRAGMENT and not _u16(data, offset + 2) & 0xFFF8:
            following, offset = data[offset], offset + 8
        else:
            return None
    return _tcp(data, offset, end, data[start + 8 : start + 24], data[start + 24 : start + 40], data[start + 7])


def _tcp(data: bytes, start: int, end: int, source: bytes, destination: bytes, ttl: int) -> TcpSegment | None:
    header = (data[start + 12] >> 4) * 4
    if header < 20 or start + header > end:
        return None
    return TcpSegment(
        source=source,
        source_port=_u16(data, start),
        destination=destination,
        destination_port=_u16(data, start + 2),
        sequence=int.from_bytes(data[start + 4 : start + 8]),
        acknowledgement=int.from_bytes(data[start + 8 : start + 12]),
        flags=data[start + 13],
        # The end bounds it: short frames of Ethernet are padded.
        payload=data[start + header : end],
        payload_length=end - start - header,
        ttl=ttl,
        timestamps=header > 20 and _has_timestamps(data[start + 20 : start + header]),
    )


def _has_timestamps(options: bytes) -> bool:
    offset = 0
    while offset < len(options):
        kind = options[offset]
        if kind == _OPTION_TIMESTAMPS:
            return True
        if kind == _OPTION_END:
            return False
        if kind == _OPTION_NOP:
            offset += 1
        elif offset + 1 >= len(options) or options[offset + 1] < 2:
            return False
        else:
            offset += options[offset + 1]
    return False
