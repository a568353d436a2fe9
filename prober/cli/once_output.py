"""Standard output, written to from wherever: whole texts, flushed, with nothing that the encoding lacks."""

from __future__ import annotations

import os
from select import POLLOUT, poll
from typing import TextIO

__all__ = ["Output"]


class Output:
    """A stream that takes whole texts. `write` blocks as long as the reader at its other end makes it."""

    def __init__(self, stream: TextIO) -> None:
        stream.flush()
        self._descriptor = stream.fileno()
        self._encoding = stream.encoding or "utf-8"
        self.busy = False
        """A text is being written, in a thread perhaps."""

    def write(self, text: str) -> None:
        """Write and flush. Raises `OSError`; `BrokenPipeError` where nobody reads any more."""
        if not text:
            return
        self.busy = True
        try:
            rest = memoryview(text.encode(self._encoding, "backslashreplace"))
            while rest:
                try:
                    rest = rest[os.write(self._descriptor, rest) :]
                except BlockingIOError:
                    # Somebody who shares the descriptor has made it non-blocking.
                    waiter = poll()
                    waiter.register(self._descriptor, POLLOUT)
                    waiter.poll()
        finally:
            self.busy = False
