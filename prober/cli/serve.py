"""``prober serve``: watches the targets of a configuration file until it is told to stop."""

from __future__ import annotations

import argparse
import gc
import os
import socket
import sys
from pathlib import Path

from prober.cli.descriptors import require_descriptors
from prober.cli.parser import UsageError
from prober.whole_numbers import whole_number

__all__ = ["add_parser", "run"]

_DESCRIPTION = """\
Probe every configured and discovered ingress address at a steady interval;
export what happens as Prometheus metrics, a status page and JSON, and send
alerts.
"""
_EPILOG = """\
examples:
  prober serve --config prober.yml            metrics at 127.0.0.1:9859/metrics
  prober serve --config prober.yml --log-format json       for log pipelines
  prober serve --config prober.yml --workers 2             on two cores
  prober serve --config prober.yml --shard 0/3   one of three that share the
                                                 targets, with 1/3 and 2/3
  prober serve --config prober.yml --shard auto/3     in a StatefulSet of three
  kill -HUP PID          read the configuration again, as POST /-/reload does

exit status:
  0  after SIGTERM or SIGINT
  2  the configuration cannot be used, or the port, the state directory, the
     packet socket or enough file descriptors cannot be had
"""

# Named here and not imported from prober.service.logs: `prober serve --help` need not load the service.
_LEVELS = ("debug", "info", "warning", "error")
_FORMATS = ("logfmt", "json")

MOST_WORKERS = 64
"""More than that is no machine but a fleet, and what --shard is for."""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command's parser."""
    parser = subparsers.add_parser(
        "serve",
        help="watch targets, export metrics, raise alerts",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--config", metavar="FILE", required=True, type=Path, help="configuration file (YAML)")
    parser.add_argument(
        "--web.config.file",
        dest="web_config_file",
        metavar="FILE",
        type=Path,
        help="TLS, users, headers and rate limit of the HTTP listener, as the Prometheus exporters take them (default: the key web_config_file)",
    )
    parser.add_argument(
        "--shard",
        metavar="N/M",
        default="0/1",
        help="watch only part N, from 0, of M; auto/M takes N from the pod's name (POD_NAME, else the host's name), as a StatefulSet "
        "counts them (default: %(default)s, all targets)",
    )
    parser.add_argument(
        "--workers",
        metavar="N",
        type=_workers,
        default=1,
        help="processes that run handshakes, for more than one core can do (default: %(default)s, all in one process)",
    )
    parser.add_argument(
        "--vantage",
        metavar="NAME",
        help="where this prober looks from, when others watch the same targets from elsewhere (default: the key vantage)",
    )
    parser.add_argument(
        "--packet-timestamps",
        action="store_true",
        help="time resets by the kernel's stamps of packets (Linux, CAP_NET_RAW); certificates are so timed without it",
    )
    parser.add_argument("--log-level", choices=_LEVELS, default="info", help="what is logged at all (default: %(default)s)")
    parser.add_argument("--log-format", choices=_FORMATS, default="logfmt", help="form of log lines (default: %(default)s)")


def _workers(text: str) -> int:
    workers = whole_number(text, 1, MOST_WORKERS)
    if workers is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of workers; write one from 1 to {MOST_WORKERS}")
    return workers


def run(args: argparse.Namespace) -> int:
    """0 after a signal, 2 when the service cannot start."""
    from prober.service.signals import stoppable

    stoppable()  # the program's first line has done so, unless options stood before the command
    require_descriptors()
    from prober.config import ConfigError
    from prober.notices import parse_vantage
    from prober.service.plan import Options, load_plan
    from prober.sharding import parse_shard

    # What a configuration becomes stays: looking for garbage in it again and again takes as long as reading it.
    gc.disable()
    try:
        shard = parse_shard(args.shard, os.environ.get("POD_NAME") or socket.gethostname())
    except ValueError as error:
        raise UsageError(f"--shard: {error}") from None
    try:
        vantage = None if args.vantage is None else parse_vantage(args.vantage)
    except ValueError as error:
        raise UsageError(f"--vantage: {error}") from None
    try:
        options = Options(
            web_config_file=args.web_config_file,
            shard=shard,
            vantage=vantage,
            workers=args.workers,
            packet_timestamps=args.packet_timestamps,
            log_level=args.log_level,
            log_format=args.log_format,
        )
        plan = load_plan(args.config, options)
    except ConfigError as error:
        print(error, file=sys.stderr)
        return 2

    from prober.service import life, logs

    logs.configure(args.log_level, args.log_format)
    try:
        listeners = life.open_listeners(plan)
    except OSError as error:
        print(f"prober: {error.strerror}", file=sys.stderr)
        return 2
    from prober.history.database import StateError
    from prober.probing.packet_clock import PacketClockUnavailable

    try:
        engine = life.open_engine(plan)
    except PacketClockUnavailable as error:
        print(f"prober: --packet-timestamps: {error}", file=sys.stderr)
        return 2
    try:
        history = life.open_history(plan)
    except StateError as error:
        print(f"prober: {error}", file=sys.stderr)
        return 2
    life.run(args.config, plan, listeners, history, engine)
    return 0
