"""What can be wrong with a peer's bytes, as one documented exception with three kinds.

``receive_data`` raises nothing else. Each error says what was expected, what came, and at which offset of which message,
and names the TLS alert that a client would answer with (RFC 8446 §6.2). Exceptions are ordinary classes: a frozen dataclass
breaks when ``contextlib`` assigns its ``__traceback__``.
"""

from __future__ import annotations

from prober.tls.registry import AlertDescription

__all__ = ["DecodeError", "NotTLS", "PeerMisbehaved", "ProtocolError", "UnexpectedMessage"]


class ProtocolError(Exception):
    """The peer sent something that TLS, or our offer, does not allow.

    ``message`` is the handshake message or layer it happened in (``ServerHello``, ``record``), ``offset`` where in it, in bytes
    and with its header, the field begins that is wrong (0: it is wrong as a whole), ``implies`` the alert that RFC 8446 prescribes.
    """

    implies: AlertDescription = AlertDescription.illegal_parameter

    def __init__(self, reason: str, *, message: str = "record", offset: int = 0) -> None:
        super().__init__(reason)
        self.reason = reason
        self.message = message
        self.offset = offset

    def __str__(self) -> str:
        return f"{self.message} at offset {self.offset}: {self.reason}"


class DecodeError(ProtocolError):
    """The bytes do not have the shape that the RFC gives: a length that lies, a truncated or over-long field."""

    implies = AlertDescription.decode_error


class UnexpectedMessage(ProtocolError):
    """A well-formed message that may not come now. ``expected`` and ``got`` are message names."""

    implies = AlertDescription.unexpected_message

    def __init__(self, *, expected: str, got: str, message: str = "handshake") -> None:
        super().__init__(f"expected {expected}, got {got}", message=message)
        self.expected = expected
        self.got = got


class PeerMisbehaved(ProtocolError):
    """Well-formed and in order, but outside what was offered, or cryptographically wrong."""

    def __init__(
        self,
        reason: str,
        *,
        message: str,
        implies: AlertDescription = AlertDescription.illegal_parameter,
        offset: int = 0,
    ) -> None:
        super().__init__(reason, message=message, offset=offset)
        self.implies = implies


class NotTLS(ProtocolError):
    """The first bytes are no TLS record. ``guess`` is a protocol name (``http``, ``ssh``, ...) or None."""

    implies = AlertDescription.unexpected_message

    def __init__(self, reason: str, *, first_bytes: bytes, guess: str | None) -> None:
        super().__init__(reason, message="first bytes", offset=0)
        self.first_bytes = first_bytes
        self.guess = guess
