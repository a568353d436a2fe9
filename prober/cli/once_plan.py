"""What ``prober once`` is to do, and what is made of that before anything is probed."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from prober.cli.formats import Csv, Format, JsonDocument, JsonLines, Table
from prober.cli.once_targets import Recipe, TargetFile
from prober.cli.parser import UsageError
from prober.cli.progress import Bar, bar_for
from prober.cli.terminal import Terminal
from prober.model import Target
from prober.probing.descriptors import handshake_ceiling, raise_descriptor_limit
from prober.probing.resolve import IpFamily

if TYPE_CHECKING:
    from prober.probing.packet_clock import PacketClock

__all__ = ["Plan", "bar_of", "concurrency_of", "format_of", "packet_clock"]

_DEFAULT_CONCURRENCY = 256
_MANY = 16
"""Targets on the command line from which on a progress bar is worth its line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to do, checked as far as words can be checked."""

    targets: list[Target]
    files: list[TargetFile]
    recipe: Recipe
    family: IpFamily | None
    concurrency: int | None
    format: str
    transcript: bool
    packet_timestamps: bool
    colour: bool


def packet_clock() -> PacketClock:
    """The kernel's stamps of packets; `UsageError` where they cannot be had."""
    from prober.probing.packet_clock import PacketClock, PacketClockUnavailable

    try:
        return PacketClock()
    except PacketClockUnavailable as error:
        raise UsageError(f"--packet-timestamps: {error}") from None


def format_of(plan: Plan) -> Format:
    """What writes the results."""
    match plan.format:
        case "json":
            return JsonDocument()
        case "jsonl":
            return JsonLines()
        case "csv":
            return Csv()
        case _:
            terminal = Terminal.of(sys.stdout, os.environ, colour=plan.colour)
            return Table(terminal, plan.recipe.module.sni, _now, verbose=plan.transcript)


def concurrency_of(plan: Plan) -> int:
    """How many handshakes may be in flight: what was asked for, as far as this process may have sockets."""
    asked = plan.concurrency
    raise_descriptor_limit()
    possible = handshake_ceiling() - 32
    if asked is not None and asked > possible:
        print(
            f"prober once: --concurrency {asked}: this process may have {possible} sockets (ulimit -n); using {possible}",
            file=sys.stderr,
        )
    return min(asked or _DEFAULT_CONCURRENCY, possible)


def bar_of(plan: Plan) -> Bar | None:
    """A progress bar, where somebody looks who has to wait."""
    if not sys.stderr.isatty():
        return None
    lines = [file.count_lines() for file in plan.files]
    total = None if None in lines else len(plan.targets) + sum(filter(None, lines))
    return bar_for(sys.stdout, sys.stderr, total=total, many=bool(plan.files) or len(plan.targets) > _MANY)


def _now() -> datetime:
    return datetime.now(UTC)
