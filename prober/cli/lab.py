"""``prober lab``: start the rehearsal ingress, or flip one of its listeners while it runs."""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
import tempfile
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

from prober.cli.descriptors import require_descriptors
from prober.whole_numbers import whole_number

__all__ = ["add_parser", "run"]

_PORTS = 65535

_EPILOG = """\
examples:
  prober lab                           one listener for each behaviour
  prober lab --listener shop=healthy --listener api=envoy-reset --port 0
  prober lab --count 200               200 more healthy listeners
  prober lab flip healthy envoy-reset  a running one resets clients without SNI
  prober lab flip healthy healthy      and is mended
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the command."""
    parser = subparsers.add_parser(
        "lab",
        help="start a rehearsal ingress on loopback",
        description="Start a small ingress on loopback with one listener for each behaviour, to\nrehearse an incident with.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "flip", nargs="*", metavar="flip LISTENER BEHAVIOUR", help="change a listener of a running lab, then exit"
    )
    parser.add_argument("--host", default="127.0.0.1", metavar="IP", help="loopback address to listen on (default: %(default)s)")
    parser.add_argument(
        "--port",
        type=_port,
        default=9443,
        metavar="N",
        help="port of the first listener, the others follow; 0: free ones (default: %(default)s)",
    )
    parser.add_argument(
        "--control-port", type=_port, default=9860, metavar="N", help="port to flip listeners by (default: %(default)s)"
    )
    parser.add_argument(
        "--listener",
        action="append",
        default=[],
        metavar="NAME=BEHAVIOUR",
        help="start this listener instead of one for each behaviour; repeatable",
    )
    parser.add_argument("--count", type=_count, default=0, metavar="N", help="start N healthy listeners more (target-000, ...)")
    parser.add_argument(
        "--directory", type=Path, metavar="DIR", help="where to write ca.pem and prober.yml (default: a temporary directory)"
    )
    parser.add_argument("--list", action="store_true", help="print the behaviours and exit")


def run(args: argparse.Namespace) -> int:
    """Carry out the command; the exit status."""
    if args.list:
        _list()
        return 0
    if args.flip:
        if len(args.flip) != 3 or args.flip[0] != "flip":
            return _usage("write `prober lab flip LISTENER BEHAVIOUR`, or no word at all to start the lab")
        return _flip(args.flip[1], args.flip[2], args.control_port)
    return _start(args)


def _list() -> None:
    """One line each, which a terminal that is narrower gets wrapped behind the name."""
    from prober.cli.table import wrap
    from prober.cli.terminal import Terminal
    from prober.lab.behaviours import BEHAVIOURS

    room = max(map(len, BEHAVIOURS)) + 2
    terminal = Terminal.of(sys.stdout, os.environ)
    for row in BEHAVIOURS.values():
        lines = wrap(row.meaning, terminal, " " * room) if sys.stdout.isatty() else [" " * room + row.meaning]
        print(row.name.ljust(room) + "\n".join(lines)[room:])


def _port(text: str) -> int:
    port = whole_number(text, 0, _PORTS)
    if port is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no port; write 0 (a free one) to {_PORTS}")
    return port


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is no number of listeners; write 0 or more")
    # Each takes a port of its own. Whether there are enough is known only when all are made, and a billion fill the memory first.
    count = whole_number(text, 0, _PORTS)
    if count is None:
        raise argparse.ArgumentTypeError(f"{text!r} is more listeners than there are ports; write 0 to {_PORTS}")
    return count


def _usage(message: str) -> int:
    print(f"prober lab: {message}", file=sys.stderr)
    return 2


def _flip(listener: str, behaviour: str, control_port: int) -> int:
    import httpx

    url = httpx.URL(scheme="http", host="127.0.0.1", port=control_port, path=f"/{listener}")
    try:
        answer = httpx.put(url, content=behaviour, timeout=5, trust_env=False)
    except httpx.HTTPError:
        return _usage(f"no lab answers on 127.0.0.1:{control_port}; start one with `prober lab`, or give its --control-port")
    if answer.status_code != httpx.codes.OK:
        return _usage(answer.text.strip())
    print(answer.text, end="")
    return 0


def _start(args: argparse.Namespace) -> int:
    require_descriptors()
    import ipaddress

    import trio

    from prober.lab.behaviours import Behaviour, find
    from prober.lab.rehearsal import LabError, LabOptions, default_listeners, run_lab

    try:
        loopback = ipaddress.ip_address(args.host).is_loopback
    except ValueError:
        return _usage(f"--host {args.host!r} is no IP address; write 127.0.0.1 or ::1")
    if not loopback:
        return _usage(f"--host {args.host} is not loopback; a rehearsal stays on this machine")
    listeners: list[tuple[str, Behaviour]] = []
    for text in args.listener:
        name, equals, behaviour = text.partition("=")
        if not name or not equals or "/" in name:
            return _usage(f"--listener {text}: write NAME=BEHAVIOUR, with a name without '/'")
        try:
            listeners.append((name, find(behaviour)))
        except ValueError as error:
            return _usage(f"--listener {text}: {error}")
    if len({name for name, _ in listeners}) != len(listeners):
        return _usage("two listeners have the same name")
    healthy = default_listeners(args.count)
    chosen = (*listeners, *healthy[-args.count :]) if listeners and args.count else tuple(listeners) or healthy
    if args.port > _PORTS - len(chosen):
        return _usage(f"--port {args.port} leaves no room for {len(chosen)} listeners below 65536")
    try:
        place = contextlib.nullcontext(args.directory) if args.directory else tempfile.TemporaryDirectory(prefix="prober-lab-")
    except OSError as error:
        return _usage(f"there is no temporary directory to write to ({error.strerror}); name one with --directory")
    with place as directory:
        options = LabOptions(
            listeners=chosen,
            directory=Path(directory),
            host=args.host,
            port=args.port,
            control_port=args.control_port,
        )
        status = 0
        unwritten: list[OSError] = []

        def announce(text: str) -> None:
            try:
                print(text, flush=True)
            except OSError as error:
                unwritten.append(error)
                raise LabError from error

        try:
            trio.run(_until_stopped, partial(run_lab, options, announce))
        except* LabError as errors:
            status = 0 if unwritten else _usage(str(errors.exceptions[0]))
    if unwritten:
        raise unwritten[0]  # by itself, as every other command's
    return status


async def _until_stopped(lab: Callable[[], Awaitable[object]]) -> None:
    """Run the lab until Ctrl-C or SIGTERM; also where a shell's ``&`` has SIGINT ignored. The directory is cleared up behind it."""
    import trio

    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lab)
            async for _ in signals:
                break
            nursery.cancel_scope.cancel()
