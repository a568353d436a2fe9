"""Standard output, written to from wherever: whole texts, flushed, with nothing that the encoding lacks."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from select import PIPE_BUF, POLLOUT, poll
from typing import TextIO

__all__ = ["Output"]

_FILE_BLOCK = 64 * 1024


class Output:
    """A stream that takes whole texts. `write` blocks as long as the reader at its other end makes it."""

    def __init__(self, stream: TextIO) -> None:
        stream.flush()
        self._descriptor = stream.fileno()
        self._encoding = stream.encoding or "utf-8"
        status = os.fstat(self._descriptor)
        endless = stat.S_ISREG(status.st_mode) or (
            stat.S_ISCHR(status.st_mode) and os.path.samestat(status, Path(os.devnull).stat())
        )
        # select.PIPE_BUF: so much can be written without blocking where poll() says that a pipe has room. A terminal or a socket
        # promises nothing of the kind, a file takes everything.
        self._certain = _FILE_BLOCK if endless else PIPE_BUF if stat.S_ISFIFO(status.st_mode) else 0
        self._room = poll()
        self._room.register(self._descriptor, POLLOUT)
        self.busy = False
        """A text is being written, in a thread perhaps."""

    def write_at_once(self, text: str) -> memoryview:
        """Write what the reader takes without being waited for; what is left is for `finish`. Raises as `write` does.

        Handing a text to a thread costs as much as the handshakes that it tells of.
        """
        rest = memoryview(text.encode(self._encoding, "backslashreplace"))
        while rest and self._certain and self._room.poll(0):
            try:
                rest = rest[os.write(self._descriptor, rest[: self._certain]) :]
            except BlockingIOError:
                break  # somebody else has filled it meanwhile
        return rest

    def finish(self, rest: memoryview) -> None:
        """Write what `write_at_once` has left."""
        self.busy = True
        try:
            while rest:
                try:
                    rest = rest[os.write(self._descriptor, rest) :]
                except BlockingIOError:
                    # Somebody who shares the descriptor has made it non-blocking.
                    self._room.poll()
        finally:
            self.busy = False

    def write(self, text: str) -> None:
        """Write and flush. Raises `OSError`; `BrokenPipeError` where nobody reads any more."""
        self.finish(memoryview(text.encode(self._encoding, "backslashreplace")))
