"""Readers of single values: each takes a `Value` and returns what it means, or raises `Wrong`."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

from prober.config.durations import format_duration, parse_duration
from prober.config.nodes import Value
from prober.config.problems import Wrong
from prober.whole_numbers import whole_number

__all__ = [
    "called",
    "choice",
    "duration",
    "each",
    "filled",
    "member",
    "mode_of",
    "no_repeats",
    "number",
    "optional",
    "parsed",
    "readable_file",
    "text",
    "word",
]

_CONTROL = re.compile("[\\x00-\\x1f\\x7f]")

T = TypeVar("T")
E = TypeVar("E", bound=StrEnum)


def text(value: Value) -> str:
    """A string. What YAML takes for something else is refused: ``name: on`` and ``name: 010`` do not mean what they look like."""
    raw = value.raw
    if not value.is_string:
        what = "is empty; write a value" if value.is_null else f'{raw} is {value.kind} to YAML; write it in quotes: "{raw}"'
        raise Wrong(what)
    if _CONTROL.search(raw):
        raise Wrong("has a control character; write printable text on one line")
    return raw


def word(value: Value) -> str:
    """A string that is not empty."""
    raw = text(value).strip()
    if not raw:
        raise Wrong("is empty; write a value")
    return raw


def parsed(parse: Callable[[str], T]) -> Callable[[Value], T]:
    """A reader of a string's meaning, by a function that raises ``ValueError`` with ``what is wrong; what to do``."""

    def read(value: Value) -> T:
        try:
            return parse(text(value))
        except ValueError as error:
            raise Wrong(str(error)) from None

    return read


def duration(*, at_least: float) -> Callable[[Value], float]:
    """A reader of seconds in Prometheus's notation (``1m30s``), at least so many."""

    def read(value: Value) -> float:
        raw = value.raw
        if value.is_null:
            raise Wrong("is empty; write a duration, for example 15s")
        try:
            seconds = parse_duration(raw)
        except ValueError as error:
            raise Wrong(str(error)) from None
        if seconds < at_least:
            raise Wrong(f"{raw} is too short; write at least {format_duration(at_least)}")
        return seconds

    return read


def number(what: str, least: int, most: int) -> Callable[[Value], int]:
    """A reader of a whole number within a range; ``what`` is said of what is none."""

    def read(value: Value) -> int:
        raw = value.raw.strip()
        found = whole_number(raw, least, most)
        if found is None:
            raise Wrong(f"{raw!r} is no {what}; write a whole number from {least} to {most}")
        return found

    return read


def called(what: str) -> Callable[[Value], str]:
    """A reader of the name that is given to a ``what``: in metrics, logs and files it needs no quotes."""

    def read(value: Value) -> str:
        name = word(value)
        if not re.fullmatch(r"[A-Za-z0-9_.:-]{1,64}", name):
            raise Wrong(f"{name!r} is no name of a {what}; write up to 64 letters, digits, dots, colons, hyphens or underscores")
        return name

    return read


def choice(words: Sequence[str]) -> Callable[[Value], str]:
    """A reader of one of some words. Numbers are compared as they are written, so that ``tls: 1.2`` needs no quotes."""

    def read(value: Value) -> str:
        raw = value.raw.strip()
        if value.is_null and raw not in words:
            raise Wrong(f"is empty; write one of {', '.join(words)}")
        if raw not in words:
            raise Wrong(f"{raw!r} is none of the words that are known here; write one of {', '.join(words)}")
        return raw

    return read


def member(kind: type[E]) -> Callable[[Value], E]:
    """A reader of a member of an enumeration of words."""
    read_word = choice([str(one) for one in kind])
    return lambda value: kind(read_word(value))


def optional(reader: Callable[[Value], T]) -> Callable[[Value], T | None]:
    """A reader that takes ``null`` for None."""
    return lambda value: None if value.is_null else reader(value)


def each(reader: Callable[[Value], T]) -> Callable[[Value], tuple[tuple[Value, T], ...]]:
    """A reader of a list; entries that the reader complains about are left out. Results come with their values."""

    def read(value: Value) -> tuple[tuple[Value, T], ...]:
        results: list[tuple[Value, T]] = []
        for item in value.items():
            try:
                results.append((item, reader(item)))
            except Wrong as wrong:
                item.complain(str(wrong))
        return tuple(results)

    return read


def filled(reader: Callable[[Value], T], hint: str) -> Callable[[Value], T]:
    """The same reader of a list, which must have entries; ``hint`` says what to write."""

    def read(value: Value) -> T:
        if not value.items():
            raise Wrong(f"is an empty list; {hint}")
        return reader(value)

    return read


def no_repeats(results: Iterable[tuple[Value, T]], what: Callable[[T], str] = str) -> tuple[T, ...]:
    """The results of `each`, once each; a repeated one (compared without case) is complained about."""
    first: dict[str, Value] = {}
    kept: list[T] = []
    for value, result in results:
        key = what(result).lower()
        if key in first:
            value.complain(f"{what(result)!r} is written twice, first as {first[key].path}; keep one")
        else:
            first[key] = value
            kept.append(result)
    return tuple(kept)


def readable_file(value: Value) -> str:
    """The path of a file that exists and can be read; a relative one is relative to the configuration file."""
    path = Path(value.problems.file).parent / word(value)
    mode = mode_of(path)
    if mode is None:
        raise Wrong(f"there is no file {path}; relative paths are relative to the file that names them")
    if not stat.S_ISREG(mode):
        raise Wrong(f"{path} is no file; name a file")
    if not os.access(path, os.R_OK):
        raise Wrong(f"{path} cannot be read; check its permissions")
    return str(path)


def mode_of(path: Path) -> int | None:
    """What is there, as ``st_mode``; None where nothing is. Complains where that cannot be told, as behind another user's directory."""
    try:
        return path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise Wrong(f"{path} cannot be looked at: {error.strerror}; check the path and its permissions") from None
