"""``prober serve``: watches the targets of a configuration file until it is told to stop."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

__all__ = ["add_parser", "run"]

_EPILOG = """\
examples:
  prober serve --config prober.yml                      metrics at http://127.0.0.1:9859/metrics
  prober serve --config prober.yml --log-format json    for log pipelines
  kill -HUP PID                                         read the configuration again, as POST /-/reload does

exit status: 0 after SIGTERM or SIGINT; 2 the configuration cannot be used, or the port cannot be had
"""

# Named here and not imported from prober.service.logs: `prober serve --help` need not load the service.
_LEVELS = ("debug", "info", "warning", "error")
_FORMATS = ("logfmt", "json")


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command's parser."""
    parser = subparsers.add_parser(
        "serve",
        help="watch targets, export metrics",
        description="Probes every configured ingress address at a steady interval and exports what happens as Prometheus metrics.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--config", metavar="FILE", required=True, type=Path, help="configuration file (YAML)")
    parser.add_argument(
        "--web.config.file",
        dest="web_config_file",
        metavar="FILE",
        type=Path,
        help="TLS, users and headers of the HTTP listener, as the Prometheus exporters take them (default: the key web_config_file)",
    )
    parser.add_argument("--log-level", choices=_LEVELS, default="info", help="what is logged at all (default: %(default)s)")
    parser.add_argument("--log-format", choices=_FORMATS, default="logfmt", help="form of log lines (default: %(default)s)")


def run(args: argparse.Namespace) -> int:
    """0 after a signal, 2 when the service cannot start."""
    from prober.config import ConfigError
    from prober.service.plan import load_plan
    from prober.service.signals import stoppable

    stoppable()
    try:
        plan = load_plan(args.config, args.web_config_file)
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

    try:
        history = life.open_history(plan)
    except StateError as error:
        print(f"prober: {error}", file=sys.stderr)
        return 2
    life.run(args.config, plan, listeners, history)
    return 0
