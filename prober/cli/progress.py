"""A progress bar on standard error, where a person is looking at it; nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

__all__ = ["REFRESH", "Bar", "bar_for"]

REFRESH = 0.2
"""Seconds between two drawings."""


class Bar:
    """One line at the bottom of a terminal. Drawn only when told to: a thread that draws would delay handshakes' stamps."""

    def __init__(self, stream: TextIO, total: int | None, *, shares_terminal: bool) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            SpinnerColumn,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        self._stream = stream
        self._shares_terminal = shares_terminal
        known = total is not None
        self._progress: Progress = Progress(
            *(
                (BarColumn(bar_width=None), MofNCompleteColumn())
                if known
                else (SpinnerColumn(), TextColumn("{task.completed:,}"))
            ),
            TextColumn("{task.fields[at_fault]:,} at fault"),
            TimeElapsedColumn(),
            *((TimeRemainingColumn(),) if known else ()),
            console=Console(file=stream),
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._task: TaskID = self._progress.add_task("probing", total=total, at_fault=0)

    def start(self) -> None:
        """Draw it for the first time."""
        self._progress.start()
        self._progress.refresh()

    def draw(self, done: int, at_fault: int) -> None:
        """Draw it as it is now. ``done`` counts targets."""
        self._progress.update(self._task, completed=done, at_fault=at_fault)
        self._progress.refresh()

    def make_room(self) -> None:
        """Take it away where standard output is about to write to the same terminal."""
        if self._shares_terminal:
            self.clear()

    def clear(self) -> None:
        """Take it away; the next `draw` brings it back, below what was written meanwhile."""
        self._stream.write("\r\x1b[2K")
        self._stream.flush()

    def stop(self) -> None:
        """Take it away for good."""
        self._progress.stop()


def bar_for(stdout: TextIO, stderr: TextIO, *, total: int | None, many: bool) -> Bar | None:
    """The bar, where there is somebody to see it and something to wait for."""
    if not many or not stderr.isatty():
        return None
    return Bar(stderr, total, shares_terminal=stdout.isatty())
