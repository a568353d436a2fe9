"""``prober check-config``: says everything that is wrong with a configuration file, or that nothing is."""

from __future__ import annotations

import argparse
import sys

__all__ = ["add_parser", "run"]

_EPILOG = """\
examples:
  prober check-config prober.yml            before a reload, for example
  prober check-config config/*.yml          several files
  prober check-config prober.yml --web.config.file web.yml

exit status:
  0  all can be used
  2  at least one cannot
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command's parser."""
    parser = subparsers.add_parser(
        "check-config",
        help="check a configuration file",
        description="Print every error in a configuration file as\nFILE:LINE: path: what is wrong; what to do.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("files", metavar="FILE", nargs="*", help="configuration file of `prober serve`")
    parser.add_argument(
        "--web.config.file", dest="web_config_file", metavar="FILE", help="web configuration file of `prober serve`; checked too"
    )
    parser.set_defaults(usage_error=parser.error)


def run(args: argparse.Namespace) -> int:
    """0 when all files can be used, 2 otherwise."""
    from prober.config import ConfigError, load

    if not args.files and args.web_config_file is None:
        args.usage_error("name at least one FILE")
    status = 0 if args.web_config_file is None else _check_web_file(args.web_config_file)
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


def _check_web_file(file: str) -> int:
    from prober.config import ConfigError
    from prober.config.web_file import load_web_file

    try:
        web = load_web_file(file)
    except ConfigError as error:
        print(error, file=sys.stderr)
        return 2
    print(f"{file}: ok: {'TLS' if web.tls is not None else 'no TLS'}, {_count(len(web.users), 'user')}")
    return 0


def _count(number: int, noun: str) -> str:
    plural = f"{noun}es" if noun.endswith("s") else f"{noun}s"
    return f"{number} {noun if number == 1 else plural}"
