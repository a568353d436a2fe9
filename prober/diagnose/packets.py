"""From a captured frame to a TCP segment: link layers, IPv4 and IPv6, and what may be wrapped around them.

Index arithmetic on one bytes object rather than objects a layer: a capture of 1 GB has a million frames, and what is wanted of
each is a dozen numbers. What cannot be read is never silently nothing: it is `Unread`, with the reason.

Sources: RFC 791, RFC 8200 §4, RFC 9293 §3.1, IEEE 802.1Q and 802.1ad, RFC 3032 (MPLS), RFC 2516 (PPPoE), and LINKTYPE_LINUX_SLL/SLL2
of tcpdump.org; tunnels are in `tunnels`.
"""

from __future__ import annotations

import socket
from typing import NamedTuple, TypeAlias

from prober.diagnose.tunnels import GRE, IPV4, IPV6, UDP, Inner, Tunnel, gre, udp_tunnel

__all__ = [
    "ACK",
    "FIN",
    "LINK_TYPES",
    "MAX_NESTING",
    "PSH",
    "RST",
    "SYN",
    "WRAPPED",
    "Decoded",
    "Fragment",
    "TcpSegment",
    "Unread",
    "address_text",
    "decode",
    "decode_payload",
    "is_carrier",
    "quick_key",
]

FIN, SYN, RST, PSH, ACK = 0x01, 0x02, 0x04, 0x08, 0x10

MAX_NESTING = 4
"""Tunnels within tunnels that are followed; a node's overlay within an IPsec or GRE tunnel between sites makes two."""

_VLAN_TAGS = frozenset({0x8100, 0x88A8, 0x9100})
_MPLS = frozenset({0x8847, 0x8848})
_PPPOE, _PPP = 0x8864, {0x0021: IPV4, 0x0057: IPV6}
_TCP, _IPV4_IN_IP, _IPV6_IN_IP, _ESP, _AUTHENTICATION = 6, 4, 41, 50, 51
_CARRIERS = frozenset({_TCP, UDP, GRE, _IPV4_IN_IP, _IPV6_IN_IP, _AUTHENTICATION})
# Hop-by-hop, routing, destination options: all have their length in the second byte (RFC 8200 §4.3-4.6).
_EXTENSION_HEADERS = frozenset({0, 43, 60})
_FRAGMENT = 44
_OPTION_END, _OPTION_NOP, _OPTION_TIMESTAMPS = 0, 1, 8
# What Linux, and most others, begin the options of a segment with: two paddings, then the timestamps (RFC 7323 appendix A).
_USUAL_TIMESTAMPS = b"\x01\x01\x08\x0a"

WRAPPED = frozenset({*_VLAN_TAGS, *_MPLS, _PPPOE})
"""EtherTypes of what may stand before an IP packet."""

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

# Where the EtherType stands, and where what it names begins. Without an EtherType (None) the IP version tells.
_LINKS: dict[int, tuple[int | None, int]] = {
    0: (None, 4), 1: (12, 14), 12: (None, 0), 14: (None, 0), 101: (None, 0), 108: (None, 4), 113: (14, 16), 228: (None, 0),
    229: (None, 0), 276: (0, 20),
}  # fmt: skip


class TcpSegment(NamedTuple):
    """One TCP segment; ``payload`` is what was captured of it."""

    flow: bytes
    """Source, destination, source port, destination port as on the wire: 12 bytes for IPv4, 36 for IPv6."""
    sequence: int
    acknowledgement: int
    flags: int
    payload: bytes
    payload_length: int
    """On the wire; more than ``len(payload)`` where the capture was truncated."""
    ttl: int
    timestamps: bool
    """Whether the TCP timestamps option (RFC 7323) is there."""
    via: Tunnel | None = None
    """The outermost tunnel that it came in."""


class Fragment(NamedTuple):
    """A part of an IP packet."""

    key: bytes
    """What all parts of one packet have in common: addresses, protocol, identification."""
    offset: int
    more: bool
    data: bytes
    cut: bool
    """The snaplen cut bytes off."""
    protocol: int
    addresses: bytes
    ttl: int
    depth: int
    via: Tunnel | None


class Unread(NamedTuple):
    """A packet that may hold a TCP segment, and was not read."""

    reason: str


Decoded: TypeAlias = "TcpSegment | Fragment | Unread | None"
"""None: something else than TCP."""

_CUT = Unread("cut off, or damaged, within their headers")
_NESTED = Unread(f"encapsulated more than {MAX_NESTING} times")
_ENCRYPTED = Unread("encrypted by IPsec (ESP)")


def address_text(packed: bytes) -> str:
    """A packed address as text."""
    return socket.inet_ntop(socket.AF_INET if len(packed) == 4 else socket.AF_INET6, packed)


def quick_key(link_type: int, data: bytes) -> tuple[bytes, int] | None:
    """`TcpSegment.flow` and the flags of a segment in the plainest of frames; None: `decode` must look.

    Most of a capture are segments of connections about which everything is known; this tells them by two slices.
    """
    place, start = _LINKS[link_type]
    head = data[start : start + 34]
    if len(head) < 34 or head[0] != 0x45 or head[9] != _TCP or head[6] & 0x3F or head[7]:
        return None
    if place is not None and data[place : place + 2] != b"\x08\x00":
        return None
    return head[12:24], head[33]


def decode(link_type: int, data: bytes) -> Decoded:
    """The TCP segment in a frame of one of the `LINK_TYPES`, whatever tunnels it came in."""
    place, start = _LINKS[link_type]
    try:
        return _network(data, start, _by_version(data[start]) if place is None else _u16(data, place), 0, None)
    except IndexError:
        return _CUT


def decode_payload(whole: Fragment) -> Decoded:
    """What the payload of a packet is that was put together from its fragments."""
    try:
        return _transport(whole.protocol, whole.data, 0, len(whole.data), whole.addresses, whole.ttl, whole.depth, whole.via)
    except IndexError:
        return _CUT


def is_carrier(fragment: Fragment) -> bool:
    """Whether a first fragment may hold, or lead to, a TCP segment: UDP only as a tunnel's."""
    if fragment.protocol != UDP:
        return fragment.protocol in _CARRIERS
    return len(fragment.data) < 8 or udp_tunnel(_u16(fragment.data, 2)) is not None


def _u16(data: bytes, offset: int) -> int:
    return data[offset] << 8 | data[offset + 1]


def _by_version(first: int) -> int:
    return {4: IPV4, 6: IPV6}.get(first >> 4, 0)


def _network(data: bytes, offset: int, protocol: int, depth: int, via: Tunnel | None) -> Decoded:
    """``protocol`` is an EtherType; behind tags and labels there is IP, or something that is of no interest."""
    while protocol in _VLAN_TAGS:
        protocol = _u16(data, offset + 2)
        offset += 4
    if protocol in _MPLS:
        while not data[offset + 2] & 0x01:  # the label at the bottom of the stack has this bit
            offset += 4
        offset += 4
        protocol = _by_version(data[offset])
    elif protocol == _PPPOE:
        protocol = _PPP.get(_u16(data, offset + 6), 0)
        offset += 8
    if protocol == IPV4:
        return _ipv4(data, offset, depth, via)
    return _ipv6(data, offset, depth, via) if protocol == IPV6 else None


def _ipv4(data: bytes, start: int, depth: int, via: Tunnel | None) -> Decoded:
    header = (data[start] & 0x0F) * 4
    place = _u16(data, start + 6)
    protocol, ttl = data[start + 9], data[start + 8]
    if data[start] >> 4 != 4 or header < 20:
        return _CUT
    total = _u16(data, start + 2)
    # TCP segmentation offload leaves the total length 0 in captures of the sending host.
    end = start + total if total else len(data)
    addresses = data[start + 12 : start + 20]
    if place & 0x3FFF:
        key = b"%b%b%b" % (addresses, data[start + 9 : start + 10], data[start + 4 : start + 6])
        return _fragment(
            key, place & 0x1FFF, bool(place & 0x2000), data, start + header, end, protocol, addresses, ttl, depth, via
        )
    return _transport(protocol, data, start + header, end, addresses, ttl, depth, via)


def _ipv6(data: bytes, start: int, depth: int, via: Tunnel | None) -> Decoded:
    length, following = _u16(data, start + 4), data[start + 6]
    if data[start] >> 4 != 6:
        return _CUT
    end = start + 40 + length if length else len(data)
    offset = start + 40
    addresses, ttl = data[start + 8 : start + 40], data[start + 7]
    while True:
        if following in _EXTENSION_HEADERS:
            following, offset = data[offset], offset + 8 + data[offset + 1] * 8
        elif following == _FRAGMENT:
            place, protocol, identification = _u16(data, offset + 2), data[offset], data[offset + 4 : offset + 8]
            offset += 8
            if place & 0xFFF9:
                key = b"%b%c%b" % (addresses, protocol, identification)
                return _fragment(key, place >> 3, bool(place & 1), data, offset, end, protocol, addresses, ttl, depth, via)
            following = protocol  # an "atomic" fragment (RFC 6946): the whole packet in one
        else:
            return _transport(following, data, offset, end, addresses, ttl, depth, via)


def _fragment(
    key: bytes, place: int, more: bool, data: bytes, start: int, end: int, protocol: int, addresses: bytes, ttl: int,
    depth: int, via: Tunnel | None,
) -> Fragment | Unread | None:  # fmt: skip
    if protocol == _ESP:
        return _ENCRYPTED
    if protocol not in _CARRIERS:
        return None
    return Fragment(key, place * 8, more, data[start:end], end > len(data), protocol, addresses, ttl, depth, via)


def _transport(
    protocol: int, data: bytes, start: int, end: int, addresses: bytes, ttl: int, depth: int, via: Tunnel | None
) -> Decoded:
    while protocol == _AUTHENTICATION:
        protocol, start = data[start], start + 8 + data[start + 1] * 4
    if protocol == _TCP:
        return _tcp(data, start, end, addresses, ttl, via)
    if protocol == UDP:
        reader = udp_tunnel(_u16(data, start + 2))
        inner: Inner | str | None = None if reader is None else reader(data, start + 8)
    elif protocol == GRE:
        inner = gre(data, start)
    elif protocol in {_IPV4_IN_IP, _IPV6_IN_IP}:
        inner = Inner(Tunnel.IP_IN_IP, start, IPV4 if protocol == _IPV4_IN_IP else IPV6)
    elif protocol == _ESP:
        return _ENCRYPTED
    else:
        return None
    if inner is None:
        return None
    if isinstance(inner, str):
        return Unread(inner)
    if depth >= MAX_NESTING:
        return _NESTED
    kind, offset = inner.ether_type, inner.offset
    if inner.ethernet:
        kind, offset = _u16(data, offset + 12), offset + 14
    return _network(data, offset, kind, depth + 1, via or inner.tunnel)


def _tcp(data: bytes, start: int, end: int, addresses: bytes, ttl: int, via: Tunnel | None) -> Decoded:
    header = (data[start + 12] >> 4) * 4
    if header < 20 or start + header > end:
        return _CUT
    return TcpSegment(
        addresses + data[start : start + 4],
        int.from_bytes(data[start + 4 : start + 8]),
        int.from_bytes(data[start + 8 : start + 12]),
        data[start + 13],
        # The end bounds it: short frames of Ethernet are padded.
        data[start + header : end],
        end - start - header,
        ttl,
        header > 20
        and (data[start + 20 : start + 24] == _USUAL_TIMESTAMPS or _has_timestamps(data[start + 20 : start + header])),
        via,
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
