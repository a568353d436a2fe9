"""The targets of one run: from the command line, and line by line from files of any length."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from prober.addresses import is_ip, parse_address
from prober.model import Module, NonSniPolicy, Sni, Target

__all__ = ["BadLine", "LineSplitter", "Recipe", "TargetFile"]

_BLOCK = 64 * 1024
_LINE_LIMIT = 4096
"""A longer line holds no target (a name has at most 253 characters), and a file without line ends must not fill the memory."""


class BadLine(NamedTuple):
    """A line that holds no target. It is reported and the others are probed."""

    place: str
    """``FILE:LINE``"""
    reason: str

    def __str__(self) -> str:
        return f"{self.place}: {self.reason}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What all targets of one run share."""

    module: Module
    server_names: tuple[str, ...]
    timeout: float
    non_sni: NonSniPolicy

    def target(self, text: str) -> Target:
        """The target that ``text`` names; ``ValueError`` says why it names none, or why nothing can be asked of it."""
        address = parse_address(text)
        names = self.server_names or (() if is_ip(address.host) else (address.host.rstrip("."),))
        if not names and self.module.sni == (Sni.KNOWN,):
            raise ValueError(f"{text!r} is an address without a known name; say which with --server-name NAME")
        return Target(
            name=text,
            addresses=(address,),
            server_names=names,
            module=self.module,
            timeout=self.timeout,
            non_sni=self.non_sni,
        )


class TargetFile:
    """A file of targets, read in blocks. ``-`` is standard input. `OSError` from opening is the caller's to report."""

    def __init__(self, path: str) -> None:
        self.name = "standard input" if path == "-" else path
        self._descriptor = os.dup(0) if path == "-" else os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        mode = os.fstat(self._descriptor).st_mode
        if stat.S_ISDIR(mode):
            self.close()
            raise IsADirectoryError(f"{path} is a directory")
        self.is_regular = stat.S_ISREG(mode)

    def read(self) -> bytes:
        """The next bytes, as soon as there are any; ``b""`` at the end. Blocks where the file is a pipe or a terminal."""
        return os.read(self._descriptor, _BLOCK)

    def count_lines(self) -> int | None:
        """How many lines the file has from here to its end, for a progress bar; None where reading would consume them."""
        if not self.is_regular:
            return None
        start = os.lseek(self._descriptor, 0, os.SEEK_CUR)
        lines = sum(block.count(b"\n") for block in iter(self.read, b""))
        os.lseek(self._descriptor, start, os.SEEK_SET)
        return lines

    def close(self) -> None:
        """Close the descriptor; safe to repeat."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


class LineSplitter:
    """Turns blocks of bytes into targets and bad lines. Keeps no more than one line."""

    def __init__(self, name: str, recipe: Recipe) -> None:
        self._name = name
        self._recipe = recipe
        self._line = 0
        self._rest = b""
        self._overlong = False

    def feed(self, block: bytes) -> Iterator[Target | BadLine]:
        """What the lines that end in this block hold; ``b""`` ends the file, and with it the last line."""
        lines = (self._rest + block).split(b"\n")
        self._rest = lines.pop()
        for line in lines:
            if (item := self._read(line)) is not None:
                yield item
        if len(self._rest) > _LINE_LIMIT:
            self._rest, self._overlong = b"", True
        if not block and (self._rest or self._overlong):
            last, self._rest = self._rest, b""
            if (item := self._read(last)) is not None:
                yield item

    def _read(self, line: bytes) -> Target | BadLine | None:
        """What a line holds; None: nothing but white space or a comment."""
        self._line += 1
        place = f"{self._name}:{self._line}"
        if self._overlong or len(line) > _LINE_LIMIT:
            self._overlong = False
            return BadLine(place, f"the line is longer than {_LINE_LIMIT} bytes; write one target a line")
        try:
            text = line.decode("utf-8-sig" if self._line == 1 else "utf-8").partition("#")[0].strip()
            return self._recipe.target(text) if text else None
        except UnicodeDecodeError as error:
            return BadLine(place, f"the line is not UTF-8 (byte {error.object[error.start]:#04x} at column {error.start + 1})")
        except ValueError as error:
            return BadLine(place, str(error))
