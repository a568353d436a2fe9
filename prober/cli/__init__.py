"""The ``prober`` program: finds the command, imports that one alone, and turns what comes out of it into an exit status.

A command is one module of this package with ``add_parser(subparsers)`` and ``run(args) -> int``. Only the module of the command
that was asked for is imported, so that ``prober --version`` and ``prober once`` do not pay for the web server.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import NamedTuple, Protocol, cast

from prober.cli.parser import Parser, UsageError
from prober.version import __version__

__all__ = ["COMMANDS", "Command", "build_parser", "main"]

_DESCRIPTION = """\
Tells what happens to a TLS client that sends the right server name, one that
sends none, and one that sends a name nobody serves, and why.
"""

_EPILOG = """\
examples:
  prober once api.example.com              every address of a name
  prober once 203.0.113.10:8443 --server-name api.example.com
  prober once --file ingresses.txt --json  many of them, as one document
  prober serve --config prober.yml         watch them, and export metrics
  prober lab                               an ingress that fails on demand

`prober COMMAND --help` says more about a command.
"""

EXIT_USAGE = 2
_EXIT_BUG = 70  # EX_SOFTWARE of sysexits.h: not 1, which says that an ingress is at fault
_EXIT_INTERRUPTED = 130  # 128 + SIGINT
_EXIT_BROKEN_PIPE = 141  # 128 + SIGPIPE


class Command(NamedTuple):
    """One command: its name, the module of this package that holds it, and what `prober --help` says about it."""

    name: str
    module: str
    summary: str


# In the order of `prober --help`.
COMMANDS = (
    Command("once", "once", "probe now, and say what is wrong"),
    Command("serve", "serve", "watch targets, export metrics, raise alerts"),
    Command("check-config", "check_config", "check a configuration file"),
    Command("diagnose", "diagnose", "find the cause of failing clients, and the fix"),
    Command("history", "history", "print what happened to the watched targets"),
    Command("lab", "lab", "start a rehearsal ingress on loopback"),
    Command("completion", "completion", "print a completion script for bash, zsh or fish"),
)


class _CommandModule(Protocol):
    add_parser: Callable[[argparse._SubParsersAction[argparse.ArgumentParser]], object]
    run: Callable[[argparse.Namespace], int]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program with these arguments (default: the process's own); the exit status."""
    _prepare_streams()
    try:
        status = _run(sys.argv[1:] if argv is None else argv)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return _EXIT_INTERRUPTED
    except BrokenPipeError:
        _discard_output()
        return _EXIT_BROKEN_PIPE
    except OSError as error:
        # What commands read and connect to they report themselves; what arrives here is an output that cannot be written.
        _discard_output()
        print(f"prober: cannot write the output: {error.strerror or error}", file=sys.stderr)
        return EXIT_USAGE
    except (Exception, BaseExceptionGroup) as error:
        if isinstance(error, BaseExceptionGroup) and error.subgroup(KeyboardInterrupt) is not None:
            return _EXIT_INTERRUPTED  # Trio raises it within a nursery
        import traceback

        traceback.print_exc()
        print("prober: this is a bug in prober, not a fault of the ingress", file=sys.stderr)
        return _EXIT_BUG
    return status


def _run(argv: Sequence[str]) -> int:
    chosen = _chosen(argv)
    module = _load(chosen) if chosen is not None else None
    parser = build_parser(loaded={chosen.name: module} if chosen is not None and module is not None else {})
    try:
        args = parser.parse(argv)
        assert module is not None  # the parser refuses a command line without a command
        return module.run(args)
    except SystemExit as leaving:  # argparse: --help, --version, and every usage error
        return leaving.code if isinstance(leaving.code, int) else EXIT_USAGE
    except UsageError as error:
        for line in str(error).splitlines():
            print(f"prober {args.command}: {line}", file=sys.stderr)
        return EXIT_USAGE


def build_parser(*, loaded: dict[str, _CommandModule] | None = None) -> Parser:
    """The parser. Commands in ``loaded`` are complete, the others are only named; None: all are complete."""
    parser = Parser(prog="prober", description=_DESCRIPTION, epilog=_EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--version", action="version", version=f"prober {__version__}")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands", required=True)
    for command in COMMANDS:
        module = _load(command) if loaded is None else loaded.get(command.name)
        if module is None:
            subparsers.add_parser(command.name, help=command.summary)
        else:
            # Commands know argparse alone; the parsers that they add are this package's.
            module.add_parser(cast("argparse._SubParsersAction[argparse.ArgumentParser]", subparsers))
    return parser


def _chosen(argv: Sequence[str]) -> Command | None:
    # No option of `prober` itself takes a value, so the first word that is no option is the command.
    word = next((argument for argument in argv if not argument.startswith("-")), None)
    return next((command for command in COMMANDS if command.name == word), None)


def _load(command: Command) -> _CommandModule:
    return cast("_CommandModule", import_module(f"prober.cli.{command.module}"))


def _prepare_streams() -> None:
    """Give the process the standard streams that its caller closed (``>&-``): empty ones, and not the next socket that is opened."""
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_RDWR), "r" if name == "stdin" else "w"))
    if isinstance(sys.stdout, io.TextIOWrapper):
        # As standard error has it: names that the terminal's encoding lacks are spelled out.
        sys.stdout.reconfigure(errors="backslashreplace")


def _discard_output() -> None:
    """Keep the interpreter from writing, and complaining, once more when it flushes standard output at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
