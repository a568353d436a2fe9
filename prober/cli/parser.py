"""The argument parser of all commands: argparse, with a hint where a word is nearly right, and no abbreviations."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn

__all__ = ["Parser", "UsageError", "near_miss", "positive_int", "seconds", "server_name"]


class UsageError(Exception):
    """What was asked for cannot be done; the text says what to write instead. Exit status 2."""


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors say what to do. Parsers of commands are of this class too."""

    def __init__(self, **settings: Any) -> None:
        # An abbreviation that a script relies on breaks on the day that a second option begins the same way.
        settings.setdefault("allow_abbrev", False)
        super().__init__(**settings)
        self._intermixing = False
        self._given: Sequence[str] = ()

    def parse(self, arguments: Sequence[str]) -> argparse.Namespace:
        """The arguments' values; unknown options are refused with the nearest known one."""
        parsed: argparse.Namespace
        parsed, unknown = self.parse_known_args(arguments)
        if unknown:
            parser = self._of_command(parsed)
            # A word behind an unknown option may be the option's value: it is not a mistake of its own.
            options = [word for word in unknown if word.startswith("-")]
            parser.error("; ".join(parser._describe_unknown(word) for word in options or unknown))
        return parsed

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As argparse's, but words may stand before, between and behind the options."""
        if not self._intermixing:
            self._given = args or ()
        if self._intermixing or self._subparsers is not None:
            return super().parse_known_args(args, namespace)
        self._intermixing = True  # until Python 3.13 the call below comes back here
        try:
            return self.parse_known_intermixed_args(args, namespace)
        finally:
            self._intermixing = False

    def error(self, message: str) -> NoReturn:
        """Print one line on standard error, and leave with exit status 2."""
        if "required" in message and (unknown := self._unknown_options()):
            # What is missing is what was meant by the option that there is not.
            message = "; ".join(map(self._describe_unknown, unknown))
        print(f"{self.prog}: {message}\n(`{self.prog} --help` shows how it is used)", file=sys.stderr)
        raise SystemExit(2)

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            choices = [str(choice) for choice in action.choices]
            name = "command" if isinstance(action, argparse._SubParsersAction) else repr(value)
            what = f"{value!r} is no {name}" if name == "command" else f"{value!r} is not one of the choices"
            raise argparse.ArgumentError(
                None if name == "command" else action, f"{what}{near_miss(str(value), choices)}; choose from {', '.join(choices)}"
            )

    def _of_command(self, parsed: argparse.Namespace) -> Parser:
        """The parser of the command, or the command's command, that was asked for."""
        for action in self._actions:
            if isinstance(action, argparse._SubParsersAction):
                found = action.choices.get(getattr(parsed, action.dest, ""))
                if isinstance(found, Parser):
                    return found._of_command(parsed)
        return self

    def _unknown_options(self) -> list[str]:
        words = self._given[: self._given.index("--")] if "--" in self._given else self._given
        return [word for word in words if word.startswith("--") and word.partition("=")[0] not in self._option_string_actions]

    def _describe_unknown(self, word: str) -> str:
        if not word.startswith("-"):
            return f"unexpected argument {word!r}"
        option = word.partition("=")[0]
        if option in self._option_string_actions:
            return f"{option} stands before {self.prog.rpartition(' ')[2]!r}; write it behind"
        return f"unknown option {option}{near_miss(option, self._option_string_actions)}"


def near_miss(word: str, known: Iterable[str]) -> str:
    """``"; did you mean X?"`` where one known word is near, else the empty string."""
    from difflib import get_close_matches

    matches = get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"; did you mean {matches[0]}?" if matches else ""


def positive_int(text: str) -> int:
    """A whole number from 1 on."""
    try:
        number = int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number") from None
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is too small; the least is 1")
    return number


def seconds(text: str) -> float:
    """A duration from 1 ms to an hour, in seconds; the units ``ms``, ``s`` and ``m`` may be written."""
    number, scale = text.strip(), 1.0
    for unit, of_unit in (("ms", 0.001), ("s", 1.0), ("m", 60.0)):
        if number.endswith(unit):
            number, scale = number.removesuffix(unit), of_unit
            break
    try:
        duration = float(number) * scale
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no duration; write seconds (2.5), or 500ms, 5s, 1m") from None
    if not 0.001 <= duration <= 3600:  # also false for NaN
        raise argparse.ArgumentTypeError(f"{text!r} is out of range; write 0.001 to 3600 seconds")
    return duration


def server_name(text: str) -> str:
    """What a hello may carry as server name."""
    from prober.addresses import parse_server_name

    try:
        return parse_server_name(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
