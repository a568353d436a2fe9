"""How long a handshake whose outcome is known, or nearly, waits for the rest. Seconds."""

from __future__ import annotations

from typing import Final

__all__ = ["GRACE", "LEAVE", "LISTEN"]

GRACE: Final = 2.0
"""What TLS 1.2 has, after the Certificate, to say the group and whether it wants a client certificate.

Nearly all servers send the whole flight at once; Java's sends it message by message, and a cold one signs for over half a second.
"""

LISTEN: Final = 0.1
"""In which a FIN or RST counts as what followed. A server that closes after an alert does so at once."""

LEAVE: Final = 0.5
"""In which the peer may answer close_notify by closing first, so that the TIME_WAIT is not ours; then we close."""
