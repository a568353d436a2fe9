"""What ends a command that watches until it is told to stop: Ctrl-C, and SIGTERM, as ``timeout 60 prober ...`` sends it."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["until_stopped"]


@contextmanager
def until_stopped() -> Iterator[None]:
    """Within it SIGTERM is Ctrl-C (KeyboardInterrupt): what was seen so far is wanted, whoever ends the watching."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
