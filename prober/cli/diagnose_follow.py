"""``prober diagnose logs --follow FILE...``: logs while they grow; who is turned away is said as it happens, Ctrl-C (or SIGTERM) prints the result."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Sequence

from prober.cli.diagnose_gather import Gathered, LogReading
from prober.cli.ending import until_stopped
from prober.cli.terminal import printable
from prober.diagnose.collect_files import Input, InputError
from prober.diagnose.log_lines import MAX_PENDING

__all__ = ["follow"]

_POLL = 0.5
"""Seconds between two looks at the ends of the logs."""
_BLOCK = 1 << 16


def follow(paths: Sequence[str], gathered: Gathered) -> None:
    """Read all of them as they grow, side by side, until Ctrl-C; standard input, which is followed alone, until its end."""
    growing: list[_Growing] = []
    for path in paths:
        try:
            # Standard input is followed alone, and may be waited for; a named pipe that nobody writes to must not hide the others.
            source = Input(path, waiting=path == "-")
        except InputError as error:
            gathered.failed("logs", path, str(error))
        else:
            growing.append(_Growing(source, gathered.reading(source.name)))
    told: dict[str, int] = {}
    try:
        with until_stopped():
            while growing:
                # Every file in its turn: one that is written without a pause must not hide the others.
                if any([each.more() for each in growing]):  # noqa: C419
                    continue
                _tell(gathered, told)
                if paths == ["-"]:
                    break
                time.sleep(_POLL)
    except KeyboardInterrupt:
        print(file=sys.stderr)
    for each in growing:
        each.finish()


class _Growing:
    """One log and the file that takes its place when it is rotated."""

    def __init__(self, source: Input, reading: LogReading) -> None:
        self._source = source
        self._reading = reading
        self._rest = b""

    def more(self) -> bool:
        """Read on for a moment; whether there was something."""
        block = self._source.stream().read1(_BLOCK)  # type: ignore[attr-defined]
        if not block:
            return self._renewed()
        whole, newline, after = block.rpartition(b"\n")
        if newline:
            self._count(self._rest + whole)
            self._rest = after
        else:
            self._rest += block
        if len(self._rest) > MAX_PENDING:
            self._count(self._rest)
            self._rest = b""
        return True

    def _renewed(self) -> bool:
        if not self._source.moved:
            return False
        with contextlib.suppress(InputError):  # between two steps of the rotation
            fresh = Input(self._source.path, waiting=False)
            # A line that was cut off with its file is not continued by the first one of the next.
            self._count_rest()
            self._source.close()
            self._source = fresh
            return True
        return False

    def finish(self) -> None:
        """Count what is left, and close the file."""
        self._count_rest()
        self._reading.finish()
        self._source.close()

    def _count_rest(self) -> None:
        if self._rest:
            self._count(self._rest)
            self._rest = b""

    def _count(self, text: bytes) -> None:
        self._reading.add(text.decode("utf-8", "replace"))


def _tell(gathered: Gathered, told: dict[str, int]) -> None:
    facts = gathered.logs
    for source, tally in list({} if facts is None else facts.rejected_without_sni.items()):
        if tally.count != told.get(source):
            told[source] = tally.count
            who = printable(f"{tally.last or time.strftime('%H:%M:%S')}  {source}")
            print(f"{who}  no server name, no filter chain ({tally.count} so far)", file=sys.stderr)
