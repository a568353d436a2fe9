"""Packet sockets, and classic BPF programs for them: assembled from steps with labels, and attached.

Source: linux/filter.h; "The BSD Packet Filter" (McCanne, Jacobson 1993) for the instructions.
"""

from __future__ import annotations

import ctypes
import socket
import struct
from collections.abc import Sequence
from enum import IntEnum
from typing import Final, NamedTuple

__all__ = ["BY_IP_VERSION", "ETH_P_ALL", "INSTRUCTION_BYTES", "SOL_PACKET", "Op", "Step", "assemble", "attach"]

INSTRUCTION_BYTES: Final = 8

# linux/if_packet.h, linux/if_ether.h: the socket module does not have them.
SOL_PACKET: Final = 263
ETH_P_ALL: Final = 0x0003

# asm-generic/socket.h: the socket module does not have it.
_SO_ATTACH_FILTER: Final = 26


class Op(IntEnum):
    """What an instruction does (linux/bpf_common.h). X is the index register; RETURN says how many bytes are taken."""

    X_TO = 0x01
    RETURN = 0x06
    EQUAL = 0x15
    LOAD_HALF = 0x28
    LOAD_BYTE = 0x30
    AT_LEAST = 0x35
    ANY_BIT = 0x45
    LOAD_HALF_AT_X = 0x48
    LOAD_BYTE_AT_X = 0x50
    AND = 0x54
    HEADER_SIZE_TO_X = 0xB1
    """Four times the low half of a byte: of an IPv4 header the size."""


class Step(NamedTuple):
    """One instruction; a jump names the label that it goes to when the comparison holds, else the next one follows."""

    op: Op
    constant: int
    label: str = ""
    to: str = ""


BY_IP_VERSION: Final = (
    Step(Op.LOAD_BYTE, 0),
    Step(Op.AND, 0xF0),
    Step(Op.EQUAL, 0x40, to="IPv4"),
    Step(Op.EQUAL, 0x60, to="IPv6"),
    Step(Op.RETURN, 0),
)
"""On to the labels ``IPv4`` and ``IPv6`` of the program, by the first byte of the network header; other packets are not taken."""


def assemble(steps: Sequence[Step]) -> bytes:
    """The program, `INSTRUCTION_BYTES` an instruction (struct sock_filter)."""
    places = {step.label: place for place, step in enumerate(steps) if step.label}
    return b"".join(
        struct.pack("HBBI", step.op, places[step.to] - place - 1 if step.to else 0, 0, step.constant)
        for place, step in enumerate(steps)
    )


def attach(sock: socket.socket, program: bytes) -> None:
    """Let ``sock`` receive what ``program`` takes; OSError where the kernel refuses."""
    buffer = ctypes.create_string_buffer(program, len(program))
    # struct sock_fprog: the number of instructions, and where they are.
    fprog = struct.pack("HL", len(program) // INSTRUCTION_BYTES, ctypes.addressof(buffer))
    sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, fprog)
