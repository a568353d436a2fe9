"""The kernel's filter for live traffic: TCP, and whatever may carry TCP; what cannot be read is cut to its headers, and counted. Pure.

A classic BPF program that counts from the IP header on, as an AF_PACKET socket of type SOCK_DGRAM sees packets.

Source: linux/filter.h; "The BSD Packet Filter" (McCanne, Jacobson 1993) for the instructions.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from prober.diagnose.tunnels import TUNNEL_PORTS

__all__ = ["INSTRUCTION_BYTES", "filter_program"]

INSTRUCTION_BYTES = 8

_LOAD_BYTE, _LOAD_HALF, _LOAD_HALF_AT_X, _HEADER_LENGTH = 0x30, 0x28, 0x48, 0xB1
_AND, _EQUAL, _RETURN = 0x54, 0x15, 0x06
_UDP, _ESP = 17, 50
_HEADERS = 96
"""Bytes of a packet that is only counted."""
# TCP, IP in IP, IPv6 in IP, GRE, authentication header.
_CARRIERS = (6, 4, 41, 47, 51)
# In IPv6 what follows may stand behind these: hop-by-hop, routing, fragment, destination options.
_EXTENSIONS = (0, 43, 44, 60)


class _Step(NamedTuple):
    """One instruction; a jump names the label that it goes to when the comparison holds, else the next one follows."""

    code: int
    constant: int
    label: str = ""
    to: str = ""


def filter_program(longest: int) -> bytes:
    """The program, `INSTRUCTION_BYTES` an instruction; packets are taken up to ``longest`` bytes."""
    ports = sorted(TUNNEL_PORTS)
    steps = [
        _Step(_LOAD_BYTE, 0),
        _Step(_AND, 0xF0),
        _Step(_EQUAL, 0x40, to="IPv4"),
        _Step(_EQUAL, 0x60, to="IPv6"),
        _Step(_RETURN, 0),
        _Step(_LOAD_BYTE, 9, label="IPv4"),
        *(_Step(_EQUAL, protocol, to="take") for protocol in _CARRIERS),
        _Step(_EQUAL, _ESP, to="headers"),
        _Step(_EQUAL, _UDP, to="UDP in IPv4"),
        _Step(_RETURN, 0),
        _Step(_LOAD_HALF, 6, label="UDP in IPv4"),
        _Step(_AND, 0x3FFF),
        _Step(_EQUAL, 0, to="ports of IPv4"),
        _Step(_RETURN, longest),  # a fragment: its port may be in another one
        _Step(_HEADER_LENGTH, 0, label="ports of IPv4"),
        _Step(_LOAD_HALF_AT_X, 2),
        *(_Step(_EQUAL, port, to="take") for port in ports),
        _Step(_RETURN, 0),
        _Step(_LOAD_BYTE, 6, label="IPv6"),
        *(_Step(_EQUAL, protocol, to="take") for protocol in (*_CARRIERS, *_EXTENSIONS)),
        _Step(_EQUAL, _ESP, to="headers"),
        _Step(_EQUAL, _UDP, to="ports of IPv6"),
        _Step(_RETURN, 0),
        _Step(_LOAD_HALF, 42, label="ports of IPv6"),
        *(_Step(_EQUAL, port, to="take") for port in ports),
        _Step(_RETURN, 0),
        _Step(_RETURN, longest, label="take"),
        _Step(_RETURN, _HEADERS, label="headers"),
    ]
    places = {step.label: place for place, step in enumerate(steps) if step.label}
    return b"".join(
        struct.pack("HBBI", step.code, places[step.to] - place - 1 if step.to else 0, 0, step.constant)
        for place, step in enumerate(steps)
    )
