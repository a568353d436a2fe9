"""What a packet may be wrapped in on its way to the ingress's pod: VXLAN, GENEVE, GRE (with ERSPAN), IP in IP. Pure.

Overlay networks of clusters, and mirrored traffic of clouds, are captured so. Each reader says where the inner packet begins.

Sources: RFC 7348 (VXLAN), RFC 8926 (GENEVE), RFC 2784 and RFC 2890 (GRE), draft-foschiano-erspan-03, RFC 2003 (IP in IP).
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import NamedTuple

__all__ = ["GRE", "IPV4", "IPV6", "TUNNEL_PORTS", "UDP", "Inner", "Tunnel", "gre", "udp_tunnel"]

IPV4, IPV6 = 0x0800, 0x86DD
UDP, GRE = 17, 47

_ETHERNET = 0x6558
_ERSPAN_2, _ERSPAN_3 = 0x88BE, 0x22EB
# IP, VLAN tags, MPLS
_WITHIN_GRE = frozenset({IPV4, IPV6, 0x8100, 0x88A8, 0x8847})


class Tunnel(StrEnum):
    """Ways to wrap a packet that are read."""

    VXLAN = "VXLAN"
    GENEVE = "GENEVE"
    GRE = "GRE"
    ERSPAN = "ERSPAN"
    IP_IN_IP = "IP in IP"


class Inner(NamedTuple):
    """Where the inner packet begins, and what it is."""

    tunnel: Tunnel
    offset: int
    ether_type: int
    """Of the inner packet; not used where that is an Ethernet frame, which says itself."""
    ethernet: bool = False


def _u16(data: bytes, offset: int) -> int:
    return data[offset] << 8 | data[offset + 1]


def _vxlan(data: bytes, start: int) -> Inner | str | None:
    if not data[start] & 0x08:
        return None  # without the flag that says so there is no network identifier, and no frame
    return Inner(Tunnel.VXLAN, start + 8, 0, ethernet=True)


def _geneve(data: bytes, start: int) -> Inner | str | None:
    if data[start] >> 6:
        return "GENEVE of an unknown version"
    kind = _u16(data, start + 2)
    return Inner(Tunnel.GENEVE, start + 8 + (data[start] & 0x3F) * 4, kind, ethernet=kind == _ETHERNET)


def _wireguard(data: bytes, start: int) -> Inner | str | None:
    return "encrypted by WireGuard" if data[start] in {1, 2, 3, 4} and not any(data[start + 1 : start + 4]) else None


TUNNEL_PORTS: dict[int, Callable[[bytes, int], Inner | str | None]] = {
    4789: _vxlan,
    8472: _vxlan,  # Linux's own default, which flannel and Cilium use
    6081: _geneve,
    51820: _wireguard,
    51871: _wireguard,  # Cilium's
}
"""By UDP destination port."""


def udp_tunnel(port: int) -> Callable[[bytes, int], Inner | str | None] | None:
    """The reader for a UDP datagram's payload; it returns a reason where that is a tunnel's and cannot be read, None where it is none's."""
    return TUNNEL_PORTS.get(port)


def gre(data: bytes, start: int) -> Inner | str | None:
    """What is within GRE; a reason where that cannot be read."""
    flags, kind = _u16(data, start), _u16(data, start + 2)
    if flags & 0x0007:
        return "GRE of version 1 (PPTP)"
    # Checksum with its reserved half, key, sequence number: each is four bytes where its flag is set.
    offset = start + 4 + 4 * sum(bool(flags & bit) for bit in (0x8000, 0x2000, 0x1000))
    if flags & 0x4000:
        return "GRE with source routes"
    if kind == _ETHERNET:
        return Inner(Tunnel.GRE, offset, 0, ethernet=True)
    if kind == _ERSPAN_2:  # type I has no sequence number, and no header of its own
        return Inner(Tunnel.ERSPAN, offset + 8 * bool(flags & 0x1000), 0, ethernet=True)
    if kind == _ERSPAN_3:
        # The lowest bit of its header says that a platform's 8 bytes follow.
        return Inner(Tunnel.ERSPAN, offset + 12 + 8 * (data[offset + 11] & 1), 0, ethernet=True)
    if kind not in _WITHIN_GRE:
        return f"GRE with protocol {kind:#06x}"
    return Inner(Tunnel.GRE, offset, kind)
