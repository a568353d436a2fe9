"""Long answers in pieces: put together to a size that is worth a system call, compressed where the client takes it.

Compression runs in a worker thread (zlib lets the interpreter go); 75 MB of series would hold the probing loop for a second.
"""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator

import trio
from starlette.responses import StreamingResponse

from prober.outlets.exposition import gzip_accepted

__all__ = ["streamed"]

_PIECE_BYTES = 256 * 1024

# Series repeat themselves: level 1 makes 6 % of them, level 6 makes 4 % in four times the time.
_LEVEL = 1
_GZIP_WINDOW = 31


def streamed(pieces: AsyncIterator[bytes], *, content_type: str, accept_encoding: str) -> StreamingResponse:
    """A response from ``pieces``, gzipped if ``accept_encoding`` allows it."""
    headers = {"Content-Type": content_type, "Vary": "Accept, Accept-Encoding"}
    if gzip_accepted(accept_encoding):
        return StreamingResponse(_gzipped(_gathered(pieces)), headers={**headers, "Content-Encoding": "gzip"})
    return StreamingResponse(_gathered(pieces), headers=headers)


async def _gathered(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    waiting: list[bytes] = []
    size = 0
    async for piece in pieces:
        waiting.append(piece)
        size += len(piece)
        if size >= _PIECE_BYTES:
            yield b"".join(waiting)
            waiting, size = [], 0
    if waiting:
        yield b"".join(waiting)


async def _gzipped(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    compressor = zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP_WINDOW)
    async for piece in pieces:
        if compressed := await trio.to_thread.run_sync(compressor.compress, piece):
            yield compressed
    yield compressor.flush()
