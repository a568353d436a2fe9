"""Where a handshake is on its way through the engine, and how long the steps after the decision may take."""

from __future__ import annotations

from enum import IntEnum
from typing import Final

__all__ = ["GRACE", "LEAVE", "LISTEN", "Step"]


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


GRACE: Final = 2.0
"""Seconds that TLS 1.2 has, after the Certificate, to say the group and whether it wants a client certificate.

Nearly all servers send the whole flight at once; Java's sends it message by message, and a cold one signs for over half a second.
"""

LISTEN: Final = 0.1
"""In which a FIN or RST counts as what followed. A server that closes after an alert does so at once."""

LEAVE: Final = 0.5
"""In which the peer may answer close_notify by closing first, so that the TIME_WAIT is not ours; then we close."""
