"""Whole numbers, read from what people and programs write. Pure."""

from __future__ import annotations

__all__ = ["whole_number"]


def whole_number(text: str, least: int, most: int) -> int | None:
    """What decimal digits write, when it is within; else None.

    Text of any length can be given: from thousands of digits Python makes no number, but an error with words of its own.
    """
    if not (text.isascii() and text.isdigit()):
        return None
    digits = text.lstrip("0") or "0"
    if len(digits) > len(str(most)):
        return None
    number = int(digits)
    return number if least <= number <= most else None
