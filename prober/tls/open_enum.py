"""An enumeration that a peer may go beyond."""

from __future__ import annotations

from enum import IntEnum
from typing import Self

__all__ = ["OpenIntEnum"]


class OpenIntEnum(IntEnum):
    """An integer enumeration in which an unregistered value is a member-like value instead of a ValueError."""

    @classmethod
    def _missing_(cls, value: object) -> Self | None:
        if not isinstance(value, int) or value < 0:
            return None
        # The pseudo-member is made afresh each time and never stored, so that a peer cannot grow the class.
        member = int.__new__(cls, value)
        member._name_ = cls._unregistered_name(value)
        member._value_ = value
        return member

    @classmethod
    def _unregistered_name(cls, value: int) -> str:
        return f"0x{value:04X}"
