"""Moments as they are written for programs: RFC 3339, in UTC. Pure."""

from __future__ import annotations

from datetime import UTC, datetime

__all__ = ["rfc3339_milliseconds", "rfc3339_seconds"]


def rfc3339_seconds(at: float) -> str:
    """``2026-01-02T03:04:05Z`` for Unix time."""
    return _zulu(datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds"))


def rfc3339_milliseconds(at: float) -> str:
    """``2026-01-02T03:04:05.678Z`` for Unix time."""
    return _zulu(datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds"))


def _zulu(written: str) -> str:
    return written.removesuffix("+00:00") + "Z"
