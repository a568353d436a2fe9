"""``prober check-config``: says everything that is wrong with a configuration file, or that nothing is."""

from __future__ import annotations

import argparse
import sys

__all__ = ["add_parser", "run"]

_EPILOG = """\
examples:
  prober check-config prober.yml            before a reload, or in the pipeline that ships the file
  prober check-config config/*.yml          several files

exit status: 0 all can be used; 2 at least one cannot
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command's parser."""
    parser = subparsers.add_parser(
        "check-config",
        help="check a configuration file",
        description="Prints every error in a configuration file as FILE:LINE: path: what is wrong; what to do.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("files", metavar="FILE", nargs="+", help="configuration file of `prober serve`")


def run(args: argparse.Namespace) -> int:
    """0 when all files can be used, 2 otherwise."""
    from prober.config import ConfigError, load

    status = 0
    for file in args.files:
        try:
            config = load(file)
        except ConfigError as error:
            sys.stdout.flush()
            print(error, file=sys.stderr)
            status = 2
        else:
            for doubt in config.doubts:
                print(f"{doubt} (a warning)", file=sys.stderr)
            addresses = sum(len(target.addresses) for target in config.targets)
            modules = len(config.modules)
            print(
                f"{file}: ok: {_count(len(config.targets), 'target')}, {_count(addresses, 'address')}, {_count(modules, 'module')}"
            )
    return status


def _count(number: int, noun: str) -> str:
    plural = f"{noun}es" if noun.endswith("s") else f"{noun}s"
    return f"{number} {noun if number == 1 else plural}"
