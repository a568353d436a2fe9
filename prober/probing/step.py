"""Where a handshake is on its way through the engine."""

from __future__ import annotations

from enum import IntEnum

__all__ = ["Step"]


class Step(IntEnum):
    """A flight's steps, in order; any of the middle ones may be left out."""

    NEW = 0
    """Not started."""
    CONNECTING = 1
    """connect() is on its way."""
    EXCHANGING = 2
    """The connection stands: the hello goes out, answers come in. A certificate may have been read already, while the rest of
    the server's flight is still wanted."""
    LISTENING = 3
    """The outcome is known; what the peer does next (FIN, RST, nothing) is waited for, briefly."""
    LEAVING = 4
    """Depth ``finished`` was reached and close_notify sent; the peer may close first."""
    OVER = 5
    """Closed, and the observation made."""
