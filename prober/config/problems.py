"""What an operator wrote that cannot be used, with the place where it stands and the way out of it."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from difflib import get_close_matches

__all__ = ["ConfigError", "Problem", "Problems", "Wrong", "near_miss"]


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One complaint. Ordered as the file is read."""

    file: str
    line: int | None
    """Counted from 1; None where the file as a whole is meant."""
    path: str
    """``targets[0].addresses[1]``; empty for the whole document."""
    message: str
    """What is wrong; what to do."""

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        return f"{place}: {self.path}: {self.message}" if self.path else f"{place}: {self.message}"


class ConfigError(Exception):
    """A configuration that cannot be used. ``problems`` are all that were found, in the order of the file."""

    def __init__(self, problems: Collection[Problem]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = tuple(problems)


class Wrong(Exception):
    """Raised by a reader about the value that it was given: ``what is wrong; what to do``. Becomes a `Problem`."""


class Problems:
    """Collects complaints about one file; nothing is raised before everything was read.

    ``doubts`` are about what can be used, but hardly is what was meant.
    """

    __slots__ = ("_found", "doubts", "file")

    def __init__(self, file: str) -> None:
        self.file = file
        self._found: dict[Problem, None] = {}
        self.doubts: list[Problem] = []

    def add(self, line: int | None, path: str, message: str) -> None:
        """Take in a complaint. One that was already made (through an alias, say) is kept once."""
        self._found[Problem(self.file, line, path, message)] = None

    def __len__(self) -> int:
        return len(self._found)

    def __iter__(self) -> Iterator[Problem]:
        return iter(sorted(self._found, key=lambda problem: (problem.line or 0, problem.path)))

    def raise_if_any(self) -> None:
        """Raise `ConfigError` with all that was found, if there is something."""
        if self._found:
            raise ConfigError(tuple(self))


def near_miss(word: str, known: Collection[str]) -> str:
    """The way out of an unknown word: the known one that it resembles, else all that there are."""
    close = get_close_matches(word.lower(), known, n=1, cutoff=0.6)
    # The beginning of one alone, such as `ca` of `ca_file`, has too little of it to resemble it.
    close = close or ([one for one in known if one.startswith(word.lower())] if len(word) > 1 else [])
    if close:
        return f"did you mean {close[0]!r}?"
    return f"known are {', '.join(known)}" if known else "there are none"
