"""Durations as Prometheus writes them: ``1h30m``, ``15s``, ``500ms``; units from y to ms, each at most once, big to small."""

from __future__ import annotations

import re

__all__ = ["format_duration", "parse_duration"]

_LONGEST_YEARS = 292
"""As in Prometheus, whose durations are nanoseconds in 64 bits. Dates can be counted with it, too."""

_MILLISECONDS = {"y": 31_536_000_000, "w": 604_800_000, "d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1_000, "ms": 1}
_MOST_DIGITS = 13
"""Of one number: 292 years in milliseconds."""
_SHOWN = 40
_DURATION = re.compile("".join(rf"(?:(?P<{unit}>[0-9]+){unit})?" for unit in _MILLISECONDS) + r"\Z")
_FORM = "write a number and a unit (ms, s, m, h, d, w, y), for example 15s, 1m30s or 500ms"


def parse_duration(text: str) -> float:
    """Seconds; ``ValueError`` says what is wrong."""
    if text == "0":
        return 0.0
    if re.fullmatch(r"[0-9]+(\.[0-9]+)?", text):
        raise ValueError(
            f"{text} has no unit; write {text}s if seconds are meant" if text.isdigit() else f"{text} has no unit; {_FORM}"
        )
    if re.fullmatch(r"[0-9]*\.[0-9]+[a-z]+", text):
        raise ValueError(f"{text!r} has a fraction; write whole numbers, for example 1s500ms for one and a half seconds")
    match = _DURATION.match(text)
    if not text or match is None:
        raise ValueError(f"{text!r} is no duration; {_FORM}")
    counts = {unit: count.lstrip("0") for unit, count in match.groupdict(default="0").items()}
    # Not converted before it is known to be short: integers and floats have their limits.
    milliseconds = sum(int(count or "0") * _MILLISECONDS[unit] for unit, count in counts.items() if len(count) <= _MOST_DIGITS)
    if any(len(count) > _MOST_DIGITS for count in counts.values()) or milliseconds > _LONGEST_YEARS * _MILLISECONDS["y"]:
        shown = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
        raise ValueError(f"{shown} is too long; write at most {_LONGEST_YEARS}y")
    return milliseconds / 1000


def format_duration(seconds: float) -> str:
    """The shortest form that `parse_duration` reads back; finer than a millisecond is rounded."""
    rest = round(seconds * 1000)
    if not rest:
        return "0s"
    parts: list[str] = []
    for unit, size in _MILLISECONDS.items():
        # Weeks and years read badly in mixtures (1w1d): they are used only where nothing remains.
        if rest >= size and (unit not in "yw" or rest % size == 0):
            parts.append(f"{rest // size}{unit}")
            rest %= size
    return "".join(parts)
