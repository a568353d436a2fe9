"""Files as evidence: opening them (gzip and standard input, too), and telling what they are by their content."""

from __future__ import annotations

import codecs
import gzip
import io
import os
import re
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, Literal

from prober.diagnose.access_log import AccessLogEntry
from prober.diagnose.capture_files import is_capture
from prober.diagnose.log_lines import MAX_PENDING, read_lines
from prober.diagnose.manifest import read_manifests
from prober.diagnose.overrides import is_overrides
from prober.diagnose.routes import has_routes

__all__ = ["CLOUD_LOGGING_YAML", "Input", "InputError", "Kind", "printed_for_people", "recognise"]

Kind = Literal["logs", "capture", "routes", "overrides"]

_HEAD = 64 * 1024
_BLOCK = 1024 * 1024
_MAX_MANIFEST = 32 * 1024 * 1024
"""The largest text that is taken for YAML: a cluster of a thousand routes prints a fifth of it."""
_GZIP = b"\x1f\x8b"
_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_CONTROLS = frozenset({*range(1, 9), *range(14, 27)})


_MEANT = re.compile(r"^(?P<overrides>virtualhosts|ingressGateways):|^\W*kind\W+ApigeeRoute", re.MULTILINE)


_FOR_PEOPLE = (
    (re.compile(r"\AName:[ \t]+\S.*?^Kind:[ \t]+ApigeeRoute", re.MULTILINE | re.DOTALL), "it is what kubectl describe prints"),
    (re.compile(r"\A(?:NAMESPACE +)?NAME +(?:\S+ +)*(?:STATE|AGE|CREATED AT)\b"), "it is the table that kubectl get prints"),
    (re.compile(r"\A(?:No resources found\b|error: |Error from server\b)"), "it is a message of kubectl's"),
    (re.compile(r'\A\[(?:"[^"\n]*",? ?)*\]\s*\Z'), "it is one field, as kubectl's jsonpath prints it"),
)


def printed_for_people(text: str) -> str:
    """What to say of text that kubectl prints and that is no object; empty where it is something else."""
    said = next((what for shape, what in _FOR_PEOPLE if shape.search(text.lstrip())), None)
    return f"; {said}: kubectl -n NAMESPACE get apigeeroutes -o yaml has what is needed" if said else ""


# What `gcloud logging read` prints unless it is told otherwise.
CLOUD_LOGGING_YAML = re.compile(r"\A(?:---\n)?(?:[a-zA-Z]+:.*\n|  .*\n)*?(?:insertId|jsonPayload|textPayload|logName):", re.ASCII)


class InputError(Exception):
    """A source that cannot be read, or not further. The text says which and why."""


class Input:
    """One file (``-``: standard input), unpacked where it is gzip. Can be looked at before it is read, also where it is a pipe."""

    def __init__(self, path: str, *, progress: Callable[[int], None] | None = None, waiting: bool = True) -> None:
        """``progress`` is called with the number of bytes that were read of the file, packed ones where it is packed.

        ``waiting`` False: a named pipe is not waited for; without a writer, or anything written, it has no bytes now.
        """
        self.path = path
        self.name = "standard input" if path == "-" else path
        self.size: int | None = None
        try:
            # Standard input is opened once more by its number, so that closing is always right.
            raw: io.RawIOBase = io.FileIO(
                0 if path == "-" else path, "rb", closefd=path != "-", opener=None if waiting else _open_at_once
            )
            if path != "-" and Path(path).is_file():
                self.size = Path(path).stat().st_size
        except OSError as error:
            raise InputError(f"{self.name}: {error.strerror or error}") from None
        self._counted = _Counted(raw, progress)
        stream: io.BufferedReader = io.BufferedReader(self._counted, _HEAD)
        self._packed: _Unpacked | None = None
        try:
            if stream.peek(2)[:2] == _GZIP:
                self._packed = _Unpacked(stream)
                stream = io.BufferedReader(self._packed, _HEAD)
            if stream.peek(2)[:2] in _UTF_16:  # as PowerShell's > writes it
                stream = io.BufferedReader(_Recoded(stream), _HEAD)
            if stream.peek(3)[:3] == codecs.BOM_UTF8:
                stream.read(3)
            self._stream = stream
            self.head = stream.peek(_HEAD)[:_HEAD]
        except OSError as error:
            self.close()
            raise InputError(f"{self.name}: cannot be read ({error.strerror or error})") from None
        if not self.head and self.damage is not None:
            self.close()
            raise InputError(self.damage)

    @property
    def is_binary(self) -> bool:
        """Whether it begins with what no text holds; zeros alone are what a rotated log may begin with."""
        return b"\0" in self.head and not _CONTROLS.isdisjoint(self.head)

    @property
    def identity(self) -> tuple[int, int] | None:
        """Device and inode, by which a file is known under every name; None of what is no regular file."""
        if self.size is None:
            return None
        own = os.fstat(self._counted.fileno())
        return own.st_dev, own.st_ino

    @property
    def moved(self) -> bool:
        """Whether another file has the name now, or this one was cut off: a log that was rotated."""
        if self.size is None:
            return False
        try:
            now, own = Path(self.path).stat(), os.fstat(self._counted.fileno())
        except OSError:
            return False  # between two steps of the rotation
        return (now.st_dev, now.st_ino) != (own.st_dev, own.st_ino) or now.st_size < self._counted.position

    @property
    def damage(self) -> str | None:
        """Why the bytes ended where they did, if gzip's file is cut off or damaged there; None before their end."""
        reason = None if self._packed is None else self._packed.damage
        return None if reason is None else f"{self.name}: cannot be unpacked further ({reason})"

    def stream(self) -> BinaryIO:
        """The bytes, from the first on; whether all of them came tells `damage`."""
        return self._stream

    def blocks(self) -> Iterator[str]:
        """The text in blocks of whole lines, without the end of the last line of each; a line longer than `MAX_PENDING` in pieces.

        Raises `InputError` where it cannot be read on.
        """
        rest = b""
        while True:
            try:
                block = self._stream.read1(_BLOCK)
            except OSError as error:
                raise InputError(f"{self.name}: cannot be read on ({error.strerror or error})") from None
            if not block:
                break
            whole, newline, after = block.rpartition(b"\n")
            if newline:
                yield (rest + whole).decode("utf-8", "replace")
                rest = after
            else:
                rest += block
            if len(rest) > MAX_PENDING:
                yield rest.decode("utf-8", "replace")
                rest = b""
        if rest:
            yield rest.decode("utf-8", "replace")
        if self.damage is not None:
            raise InputError(self.damage)

    def lines(self) -> Iterator[str]:
        """The text line by line, as `blocks` gives it."""
        for block in self.blocks():
            yield from block.split("\n")

    def text(self) -> str:
        """The whole text, for a manifest. Raises `InputError`, also where it is too long to be one."""
        try:
            data = self._stream.read(_MAX_MANIFEST + 1)
        except OSError as error:
            raise InputError(f"{self.name}: cannot be read on ({error.strerror or error})") from None
        if self.damage is not None:
            raise InputError(self.damage)
        if len(data) > _MAX_MANIFEST:
            raise InputError(f"{self.name}: larger than {_MAX_MANIFEST >> 20} MiB, so it is taken for no manifest")
        return data.decode("utf-8-sig", "replace")

    def close(self) -> None:
        """Close the file; safe to repeat."""
        self._counted.close()


def _open_at_once(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)


class _Counted(io.RawIOBase):
    """A raw file that says how far it was read."""

    def __init__(self, raw: io.RawIOBase, progress: Callable[[int], None] | None) -> None:
        self._raw = raw
        self._progress = progress
        self.position = 0

    def fileno(self) -> int:
        return self._raw.fileno()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int | None:  # type: ignore[override]
        count = self._raw.readinto(buffer)
        self.position += count or 0
        if self._progress is not None:
            self._progress(self.position)
        return count

    def close(self) -> None:
        if not self._raw.closed:
            self._raw.close()
        super().close()


class _Unpacked(io.RawIOBase):
    """What gzip has packed, as far as it can be unpacked: `damage` says why it ended early.

    No exception: that would take along what was unpacked just before it, of a capture whose tcpdump was killed up to all of it.
    """

    def __init__(self, source: io.BufferedReader) -> None:
        self._file = gzip.GzipFile(fileobj=source)
        self.damage: str | None = None

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int | None:  # type: ignore[override]
        filled = 0
        try:
            # As full as it can be: gzip gives small pieces, and each costs those above a round.
            while self.damage is None and filled < len(buffer) and (piece := self._file.read1(len(buffer) - filled)):
                buffer[filled : filled + len(piece)] = piece
                filled += len(piece)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            self.damage = str(error)
        return filled


class _Recoded(io.RawIOBase):
    """UTF-16 with a byte order mark, read as UTF-8."""

    def __init__(self, source: BinaryIO) -> None:
        self._source = source
        self._decoder = codecs.getincrementaldecoder("utf-16")("replace")
        self._rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int | None:  # type: ignore[override]
        while not self._rest:
            block = self._source.read(len(buffer))
            self._rest = self._decoder.decode(block, final=not block).encode("utf-8", "replace")
            if not block:
                break
        piece, self._rest = self._rest[: len(buffer)], self._rest[len(buffer) :]
        buffer[: len(piece)] = piece
        return len(piece)


def recognise(source: Input) -> Kind | None:
    """What a file is, by its first 64 KiB; None where nothing tells."""
    head = source.head
    if is_capture(head):
        return "capture"
    text = head.decode("utf-8-sig", "replace")
    # The last line may be cut; what is cut is no entry.
    if any(line.entry is not None and not _is_format(line.entry) for line in read_lines(text.split("\n"))):
        return "logs"
    if b"\x00" in head:
        return None
    if CLOUD_LOGGING_YAML.match(text.replace("\r\n", "\n")):
        return "logs"  # which says how it is to be printed
    manifest = read_manifests(source.name, text)
    if has_routes(manifest):
        return "routes"
    if is_overrides(manifest):
        return "overrides"
    if "apigee.cloud.google.com" in text:
        return "routes"
    # Of a file that is damaged as a whole its words still say what it was meant to be: then the damage is named, with its line.
    if manifest.flaws and (meant := _MEANT.search(text)) is not None:
        return "overrides" if meant["overrides"] else "routes"
    if printed_for_people(text) and "apigeeroute" in text.lower():
        return "routes"
    # Messages of an agent or of Envoy itself, with the access log turned off or further down.
    if any(mark in text for mark in ("][warning][", "][info][", "\tinfo\t", "filter_chain_not_found", "xdsproxy")):
        return "logs"
    return None


def _is_format(entry: AccessLogEntry) -> bool:
    """Whether it is the format of the entries, as ``istiod.accessLogFormat`` of an overrides.yaml has it: Envoy's operators for values."""
    return any(value is not None and value.startswith("%") for value in (entry.details, entry.sni, entry.flags))
