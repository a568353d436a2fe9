"""``prober history``: the timeline of verdicts and alerts, from the state directory of a service that runs or ran."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from time import time
from typing import TYPE_CHECKING, NamedTuple

from prober.cli.parser import UsageError
from prober.timestamps import rfc3339_milliseconds

if TYPE_CHECKING:
    from prober.changelog import VerdictChange
    from prober.cli.terminal import Paint, Terminal
    from prober.history.reading import AlertNotice

__all__ = ["add_parser", "run"]

_EPILOG = """\
examples:
  prober history                              the last day, oldest first
  prober history --target apigee-prod --since 7d
  prober history --config prober.yml          where `state` is another directory
  prober history --config prober.yml --json | jq '.changes[]'

exit status:
  0  also when nothing happened
  2  there is no history that can be read
"""

_LIMIT = 100_000

DEFAULT_STATE = Path("/var/lib/prober")
"""Where the image, the systemd unit and the example configuration keep it."""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command's parser."""
    parser = subparsers.add_parser(
        "history",
        help="print what happened to the watched targets",
        description="Print when verdicts changed and when alerts fired and were resolved. The service\nmay be running meanwhile.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "--config", metavar="FILE", type=Path, help="configuration file of `prober serve`, which names the directory"
    )
    where.add_argument("--state", metavar="DIR", type=Path, help=f"the state directory itself (default: {DEFAULT_STATE})")
    parser.add_argument("--target", metavar="NAME", help="this target alone (default: all)")
    parser.add_argument(
        "--since", metavar="DURATION", default="24h", help="how far back: 30m, 24h, 7d, ... (default: %(default)s)"
    )
    parser.add_argument("--format", choices=("table", "json"), default="table", help="form of the output (default: %(default)s)")
    parser.add_argument("--json", action="store_const", const="json", dest="format", help="the same as --format json")
    parser.add_argument("--no-color", action="store_true", help="no colours (also: NO_COLOR in the environment)")


class _Line(NamedTuple):
    """One event of the timeline."""

    at: float
    order: int
    target: str
    address: str
    paint: Paint
    mark: str
    text: str
    detail: str


def run(args: argparse.Namespace) -> int:
    """0, or 2 when there is nothing to read from."""
    from sqlite3 import Error

    from prober.history.database import StateError
    from prober.history.reading import changes, notices, open_for_reading

    since = time() - _since(args.since)
    directory = _directory(args)
    try:
        with closing(open_for_reading(directory)) as connection:
            verdicts = changes(connection, args.target, _LIMIT, since)[::-1]
            alerts = notices(connection, args.target, _LIMIT, since)[::-1]
            known = args.target is None or bool(changes(connection, args.target, 1))
    except StateError as error:
        raise UsageError(str(error)) from None
    except Error as error:
        raise UsageError(f"what is in {directory} is damaged: {error}; move it away, and the service begins anew") from None
    if args.format == "json":
        print(json.dumps(_document(verdicts, alerts), indent=1))
    else:
        of = (
            ""
            if args.target is None
            else f" for {args.target}"
            if known
            else f" for {args.target}, of which nothing is remembered"
        )
        _print_table(verdicts, alerts, f"Nothing changed in the last {args.since}{of}.", colour=not args.no_color)
    return 0


def _since(text: str) -> float:
    from prober.config.durations import parse_duration

    try:
        return parse_duration(text)
    except ValueError as error:
        raise UsageError(f"--since: {error}") from None


def _directory(args: argparse.Namespace) -> Path:
    if args.state is not None:
        return Path(args.state)
    if args.config is None:
        return DEFAULT_STATE
    from prober.config import ConfigError, load

    try:
        state = load(args.config).state
    except ConfigError as error:
        raise UsageError(str(error)) from None
    if state is None:
        raise UsageError(f"{args.config} has no key `state`, so its service keeps its history in memory; see /api/v1/history")
    return Path(state)


def _document(verdicts: Sequence[VerdictChange], alerts: Sequence[AlertNotice]) -> dict[str, object]:
    return {
        "schema": 1,
        "changes": [
            {
                "target": change.target,
                "address": change.address,
                "port": change.port,
                "from": change.previous,
                "to": change.verdict,
                "expected": change.expected,
                "at": rfc3339_milliseconds(change.at),
            }
            for change in verdicts
        ],
        "alerts": [
            {
                "alert": notice.name,
                "severity": notice.severity,
                "target": notice.target,
                "address": notice.address,
                "state": notice.phase,
                "summary": notice.summary,
                "at": rfc3339_milliseconds(notice.at),
            }
            for notice in alerts
        ],
    }


def _print_table(verdicts: Sequence[VerdictChange], alerts: Sequence[AlertNotice], nothing: str, *, colour: bool) -> None:
    import os

    from prober.cli.terminal import Paint, Terminal, printable

    terminal = Terminal.of(sys.stdout, os.environ, colour=colour)
    lines = sorted([*_of_verdicts(verdicts, terminal), *_of_alerts(alerts, terminal)])
    if not lines:
        print(printable(nothing))
        return
    day = ""
    for line in lines:
        moment = datetime.fromtimestamp(line.at, UTC)
        if (today := moment.strftime("%Y-%m-%d")) != day:
            print(("" if not day else "\n") + terminal.paint(f"{today} UTC", Paint.STRONG))
            day = today
        where = printable(" ".join(filter(None, (line.target, line.address)))) or "prober"
        head = f"{moment.strftime('%H:%M:%S')}  {line.mark} {line.text}"
        room = max(terminal.width - len(head) - 2, 16)
        print(f"{head[:8]}  {terminal.paint(head[10:], line.paint)}  {terminal.shorten(where, room)}")
        if line.detail:
            for wrapped in _wrapped(printable(line.detail), terminal):
                print(terminal.paint(wrapped, Paint.FAINT))


def _wrapped(text: str, terminal: Terminal) -> list[str]:
    from prober.cli.table import wrap

    return wrap(text, terminal, " " * 12)


def _of_verdicts(verdicts: Sequence[VerdictChange], terminal: Terminal) -> Iterator[_Line]:
    from prober.cli.terminal import Paint
    from prober.model import Address, Verdict

    arrow = terminal.symbol("→", "->")
    for number, change in enumerate(verdicts):
        paint, fancy, plain = Paint.BAD, "✗", "x"
        if change.expected or change.verdict is Verdict.OK:
            paint, fancy, plain = Paint.GOOD, "✓", "+"
        elif change.verdict is Verdict.INCONCLUSIVE:
            paint, fancy, plain = Paint.UNSURE, "?", "?"
        text = change.verdict.value if change.previous is None else f"{change.previous} {arrow} {change.verdict}"
        where = str(Address(change.address, change.port))
        yield _Line(change.at, number, change.target, where, paint, terminal.symbol(fancy, plain), text, "")


def _of_alerts(alerts: Sequence[AlertNotice], terminal: Terminal) -> Iterator[_Line]:
    from prober.cli.terminal import Paint

    for notice in alerts:
        fires = notice.phase == "firing"
        mark = terminal.symbol("▲", "!") if fires else terminal.symbol("▽", "-")
        text, paint = (f"{notice.name} fires", Paint.BAD) if fires else (f"{notice.name} resolved", Paint.GOOD)
        # After the verdicts of the same moment, which are its reason.
        order = 1_000_000_000 + notice.sequence
        yield _Line(notice.at, order, notice.target, notice.address, paint, mark, text, notice.summary if fires else "")
