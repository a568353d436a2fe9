"""Classic BPF programs for packet sockets: assembled from steps with labels, and attached.

Source: linux/filter.h; "The BSD Packet Filter" (McCanne, Jacobson 1993) for the instructions.
"""

from __future__ import annotations

import ctypes
import socket
import struct
from collections.abc import Sequence
from typing import Final, NamedTuple

__all__ = ["INSTRUCTION_BYTES", "Step", "assemble", "attach"]

INSTRUCTION_BYTES: Final = 8

# asm-generic/socket.h: the socket module does not have it.
_SO_ATTACH_FILTER: Final = 26


class Step(NamedTuple):
    """One instruction; a jump names the label that it goes to when the comparison holds, else the next one follows."""

    code: int
    constant: int
    label: str = ""
    to: str = ""


def assemble(steps: Sequence[Step]) -> bytes:
    """The program, `INSTRUCTION_BYTES` an instruction (struct sock_filter)."""
    places = {step.label: place for place, step in enumerate(steps) if step.label}
    return b"".join(
        struct.pack("HBBI", step.code, places[step.to] - place - 1 if step.to else 0, 0, step.constant)
        for place, step in enumerate(steps)
    )


def attach(sock: socket.socket, program: bytes) -> None:
    """Let ``sock`` receive what ``program`` takes; OSError where the kernel refuses."""
    buffer = ctypes.create_string_buffer(program, len(program))
    # struct sock_fprog: the number of instructions, and where they are.
    fprog = struct.pack("HL", len(program) // INSTRUCTION_BYTES, ctypes.addressof(buffer))
    sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, fprog)
