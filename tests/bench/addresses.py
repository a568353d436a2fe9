"""Whom to call."""

from __future__ import annotations

__all__ = ["address"]


def address(number: int) -> str:
    """One of 60,000 addresses of this host: more than there are local ports to one of them."""
    return f"127.{10 + number // 62500}.{number // 250 % 250}.{number % 250 + 1}"
