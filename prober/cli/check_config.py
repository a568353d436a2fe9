"""``prober check-config``: says everything that is wrong with a configuration file, or that nothing is."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prober.config import Config

__all__ = ["add_parser", "run"]

_EPILOG = """\
examples:
  prober check-config prober.yml            before a reload, for example
  prober check-config config/*.yml          several files
  prober check-config prober.yml --web.config.file web.yml

exit status:
  0  all can be used; there may be warnings
  2  at least one cannot
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command's parser."""
    parser = subparsers.add_parser(
        "check-config",
        help="check a configuration file",
        description=(
            "Print every error in a configuration file as\n"
            "FILE:LINE: path: what is wrong; what to do.\n"
            "Warnings are about what can be used and hardly is what was meant, and about\n"
            "what is left out of the files of targets that its discovery names."
        ),
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
            for doubt in (*config.doubts, *_unusable_targets(config)):
                print(f"{doubt} (a warning)", file=sys.stderr)
            addresses = sum(len(target.addresses) for target in config.targets)
            modules = len(config.modules)
            print(
                f"{file}: ok: {_count(len(config.targets), 'target')}, {_count(addresses, 'address')}, {_count(modules, 'module')}"
            )
    return status


def _unusable_targets(config: Config) -> Iterator[str]:
    """What the service would leave out of the files of targets, and log. It runs all the same, so that it is no error of the configuration.

    A file that is not there yet may come.
    """
    from prober.config.discovered import discovered
    from prober.config.target_files import read_target_file
    from prober.discovery.files import matching
    from prober.discovery.relabel import relabel
    from prober.sources import SourceError, TargetFiles

    configured = [target.name for target in config.targets]
    for source in config.discovery:
        for pattern in source.how.patterns if isinstance(source.how, TargetFiles) else ():
            try:
                paths = matching(pattern)
            except OSError:
                continue
            for path in filter(os.path.exists, sorted(paths)):
                try:
                    read = read_target_file(path, config.defaults)
                except SourceError as error:
                    yield from str(error).splitlines()
                    continue
                labels = tuple(kept for each in read if (kept := relabel(each, source.relabelling)) is not None)
                yield from (
                    f"{path}: {problem}" for problem in discovered({path: labels}, config.defaults, configured).problems[path]
                )


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
