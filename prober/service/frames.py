"""Frames between two processes of the same prober: four bytes of length, and that many bytes.

What is in them is `marshal` or `pickle`: both ends are the same program, started by the same person, over a socket that nobody
else can reach. They are the only two ways of the standard library that take some microseconds for a round.
"""

from __future__ import annotations

from struct import Struct

import trio

__all__ = ["FrameStream"]

_LENGTH = Struct("=I")
_PIECE = 1 << 18


class FrameStream:
    """A stream as frames. One task may send, and one receive."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream = stream
        self._received = bytearray()

    async def send(self, frame: bytes) -> None:
        """Raises `trio.BrokenResourceError` once the other process has ended."""
        await self._stream.send_all(_LENGTH.pack(len(frame)) + frame)

    async def receive(self) -> bytes | None:
        """The next frame; None once the other process has ended."""
        while (frame := self._take()) is None:
            try:
                piece = await self._stream.receive_some(_PIECE)
            except trio.BrokenResourceError:  # a killed process may leave a reset behind instead of an end
                return None
            if not piece:
                return None
            self._received += piece
        return frame

    def _take(self) -> bytes | None:
        received = self._received
        if len(received) < _LENGTH.size:
            return None
        end = _LENGTH.size + _LENGTH.unpack_from(received)[0]
        if len(received) < end:
            return None
        frame = bytes(memoryview(received)[_LENGTH.size : end])
        del received[:end]
        return frame

    async def aclose(self) -> None:
        """Close: the other process sees an end."""
        await self._stream.aclose()
