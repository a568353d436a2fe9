"""The kernel's filter for live traffic: TCP, and whatever may carry TCP; what cannot be read is cut to its headers, and counted. Pure.

A classic BPF program that counts from the IP header on, as an AF_PACKET socket of type SOCK_DGRAM sees packets.
"""

from __future__ import annotations

from prober.diagnose.packets import WRAPPED
from prober.diagnose.tunnels import TUNNEL_PORTS
from prober.packet_filter import BY_IP_VERSION, Op, Step, assemble

__all__ = ["filter_program"]

_UDP, _ESP = 17, 50
_PROTOCOL = 0xFFFFF000
"""Where the EtherType is: the kernel's own place for it (linux/filter.h: SKF_AD_OFF + SKF_AD_PROTOCOL)."""
_HEADERS = 96
"""Bytes of a packet that is only counted."""
# TCP, IP in IP, IPv6 in IP, GRE, authentication header.
_CARRIERS = (6, 4, 41, 47, 51)
# In IPv6 what follows may stand behind these: hop-by-hop, routing, fragment, destination options.
_EXTENSIONS = (0, 43, 44, 60)


def filter_program(longest: int) -> bytes:
    """The program; packets are taken up to ``longest`` bytes."""
    ports = sorted(TUNNEL_PORTS)
    steps = [
        # Of two VLAN tags the kernel takes one off; what is within is told behind the filter.
        Step(Op.LOAD_HALF, _PROTOCOL),
        *(Step(Op.EQUAL, kind, to="take") for kind in sorted(WRAPPED)),
        *BY_IP_VERSION,
        Step(Op.LOAD_BYTE, 9, label="IPv4"),
        *(Step(Op.EQUAL, protocol, to="take") for protocol in _CARRIERS),
        Step(Op.EQUAL, _ESP, to="headers"),
        Step(Op.EQUAL, _UDP, to="UDP in IPv4"),
        Step(Op.RETURN, 0),
        Step(Op.LOAD_HALF, 6, label="UDP in IPv4"),
        Step(Op.AND, 0x3FFF),
        Step(Op.EQUAL, 0, to="ports of IPv4"),
        Step(Op.RETURN, longest),  # a fragment: its port may be in another one
        Step(Op.HEADER_SIZE_TO_X, 0, label="ports of IPv4"),
        Step(Op.LOAD_HALF_AT_X, 2),
        *(Step(Op.EQUAL, port, to="take") for port in ports),
        Step(Op.RETURN, 0),
        Step(Op.LOAD_BYTE, 6, label="IPv6"),
        *(Step(Op.EQUAL, protocol, to="take") for protocol in (*_CARRIERS, *_EXTENSIONS)),
        Step(Op.EQUAL, _ESP, to="headers"),
        Step(Op.EQUAL, _UDP, to="ports of IPv6"),
        Step(Op.RETURN, 0),
        Step(Op.LOAD_HALF, 42, label="ports of IPv6"),
        *(Step(Op.EQUAL, port, to="take") for port in ports),
        Step(Op.RETURN, 0),
        Step(Op.RETURN, longest, label="take"),
        Step(Op.RETURN, _HEADERS, label="headers"),
    ]
    return assemble(steps)
