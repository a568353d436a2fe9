"""How files are seen to have changed."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TypeAlias

__all__ = ["Stamp", "stamp"]

Stamp: TypeAlias = tuple[tuple[str, int, int, int] | str, ...]


def stamp(files: Iterable[str]) -> Stamp:
    """Changes when one of the files is written or replaced, also through a symbolic link."""
    return tuple(map(_of_one, files))


def _of_one(file: str) -> tuple[str, int, int, int] | str:
    try:
        found = Path(file).stat()
    except OSError:
        return file
    return file, found.st_ino, found.st_size, found.st_mtime_ns
