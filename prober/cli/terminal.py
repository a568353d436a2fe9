"""What the terminal can show: its width, its colours, its characters. Nothing that a peer sent reaches it unescaped."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import TextIO

__all__ = ["Paint", "Terminal", "columns", "printable"]

_NARROWEST = 60
"""Below this a table cannot be kept in shape; its lines then wrap as the terminal wraps them."""


class Paint(Enum):
    """What a piece of text means, as an ANSI SGR sequence's parameters. Colour never carries a meaning alone."""

    GOOD = "32"
    BAD = "31"
    UNSURE = "33"
    STRONG = "1"
    FAINT = "2"


@dataclass(frozen=True, slots=True, kw_only=True)
class Terminal:
    """What can be shown where the output goes."""

    width: int = 80
    colour: bool = False
    unicode: bool = True

    @classmethod
    def of(cls, stream: TextIO, environ: Mapping[str, str], *, colour: bool = True) -> Terminal:
        """Find out. ``NO_COLOR`` (no-color.org), ``FORCE_COLOR``, ``COLUMNS`` and ``TERM=dumb`` are honoured."""
        is_terminal = stream.isatty()
        wanted = bool(environ.get("FORCE_COLOR")) or (is_terminal and environ.get("TERM", "") != "dumb")
        encoding = (stream.encoding or "ascii").lower().replace("-", "")
        return cls(
            width=max(_width(environ), _NARROWEST),
            colour=colour and wanted and not environ.get("NO_COLOR"),
            unicode=encoding in {"utf8", "utf16", "utf32"},
        )

    def paint(self, text: str, *paints: Paint) -> str:
        """``text`` in colour, where there is colour."""
        if not self.colour or not text or not paints:
            return text
        return f"\x1b[{';'.join(paint.value for paint in paints)}m{text}\x1b[0m"

    def symbol(self, fancy: str, plain: str) -> str:
        """A character that not every encoding has, or its stand-in."""
        return fancy if self.unicode else plain

    def shorten(self, text: str, width: int) -> str:
        """``text`` in at most ``width`` columns; what is left out is marked."""
        if columns(text) <= width:
            return text
        mark = self.symbol("…", "..")
        room = width - len(mark)
        while columns(text) > room > 0:
            text = text[: min(len(text) - 1, room)]
        return text.rstrip(".") + mark if room > 0 else mark[:width]


def _width(environ: Mapping[str, str]) -> int:
    # Piped through a pager, standard output is no terminal, but standard error still is the one that the person looks at.
    wanted = environ.get("COLUMNS", "")
    if wanted.isdecimal() and len(wanted) <= 9:
        return int(wanted)
    for descriptor in (1, 2):
        try:
            return os.get_terminal_size(descriptor).columns or 80
        except (OSError, ValueError):
            continue
    return 80


def printable(text: str) -> str:
    """``text`` with everything escaped that could move a cursor, hide or forge a line."""
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() else character.encode("unicode_escape").decode() for character in text)


def columns(text: str) -> int:
    """How many terminal columns ``text`` takes."""
    if text.isascii():
        return len(text)
    from unicodedata import combining, east_asian_width

    return sum(0 if combining(character) else 2 if east_asian_width(character) in "WF" else 1 for character in text)
