"""``prober completion``: a script for the shell, written from the parsers themselves, so that it knows every option there is."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from typing import NamedTuple

__all__ = ["add_parser", "run"]

_EPILOG = """\
examples:
  bash   prober completion bash > ~/.local/share/bash-completion/completions/prober
  zsh    prober completion zsh > "${fpath[1]}/_prober"
  fish   prober completion fish > ~/.config/fish/completions/prober.fish
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the command."""
    parser = subparsers.add_parser(
        "completion",
        help="print a completion script for bash, zsh or fish",
        description="Print a script that completes commands, options and their values.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("shell", choices=tuple(_SHELLS))


def run(args: argparse.Namespace) -> int:
    """Print the script."""
    from prober.cli import build_parser

    print("\n".join(_SHELLS[args.shell](list(_commands(build_parser())))))
    return 0


class _Option(NamedTuple):
    """One option, or the words of a command that are no options (``names`` is empty)."""

    names: tuple[str, ...]
    help: str
    takes_value: bool
    values: tuple[str, ...]
    """The words to choose from; empty where they are not known."""
    path: str
    """``file``, ``directory`` or the empty string."""
    repeatable: bool


class _Command(NamedTuple):
    """A command, or a command of a command: ``logs`` below ``diagnose``."""

    above: str
    """The command that it belongs to, or the empty string."""
    name: str
    summary: str
    options: tuple[_Option, ...]
    words: _Option | None

    @property
    def path(self) -> str:
        """As it is typed: ``once``, ``diagnose logs``."""
        return f"{self.above} {self.name}".lstrip()


def _commands(parser: argparse.ArgumentParser, above: str = "") -> Iterator[_Command]:
    """All commands, each behind the one that it belongs to."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            summaries = {each.dest: each.help or "" for each in action._choices_actions}
            for name, command in action.choices.items():
                options = [_option(each) for each in command._actions if each.help is not argparse.SUPPRESS]
                words = next((option for option in options if not option.names), None)
                yield _Command(above, name, summaries[name], tuple(option for option in options if option.names), words)
                yield from _commands(command, name)


def _option(action: argparse.Action) -> _Option:
    metavar = action.metavar if isinstance(action.metavar, str) else ""
    text = (action.help or "") % {**vars(action), "prog": "prober"}
    return _Option(
        tuple(action.option_strings),
        " ".join(text.split()),
        action.nargs != 0,
        tuple(map(str, action.choices)) if action.choices else _known_values(metavar),
        "directory" if metavar == "DIR" else "file" if metavar.startswith("FILE") else "",
        isinstance(action, argparse._AppendAction),
    )


def _known_values(metavar: str) -> tuple[str, ...]:
    if metavar == "PROFILE":
        from prober.tls.profiles import PROFILES

        return ("list", *PROFILES)
    if metavar == "flip LISTENER BEHAVIOUR":
        from prober.lab.behaviours import BEHAVIOURS

        return ("flip", *BEHAVIOURS)  # listeners are called as their behaviours unless they were named
    return ()


def _bash(commands: list[_Command]) -> Iterator[str]:
    yield "# bash completion for prober"
    yield "_prober() {"
    yield "    local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]} command= word words="
    # The shell takes --format=js for three words, and what is completed for the last of them.
    yield "    if [[ $current == = ]]; then current=; elif [[ $previous == = ]]; then previous=${COMP_WORDS[COMP_CWORD-2]}; fi"
    yield '    for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do'
    paths = "|".join(f'"{command.above} {command.name}"' for command in commands)
    yield f'        case "$command $word" in {paths}) command="${{command:+$command }}$word";; esac'
    yield "    done"
    yield '    case "$command $previous" in'
    for command in commands:
        for option in command.options:
            if option.takes_value:
                patterns = "|".join(f'"{command.path} {name}"' for name in option.names)
                yield f"        {patterns}) {_bash_reply(option)}; return;;"
    yield "    esac"
    yield "    case $command in"
    for command in commands:
        names = " ".join(name for option in command.options for name in option.names)
        yield f'        "{command.path}") words="{names}";;'
    yield f'        *) words="{" ".join(command.name for command in commands if not command.above)} --help --version";;'
    yield "    esac"
    yield "    if [[ $current != -* && -n $command ]]; then"
    yield "        case $command in"
    for command in commands:
        if command.words is not None:
            yield f'            "{command.path}") {_bash_reply(command.words)};;'
    yield "        esac"
    yield "    else"
    yield '        COMPREPLY=( $(compgen -W "$words" -- "$current") )'
    yield "    fi"
    yield "}"
    yield "complete -F _prober prober"


def _bash_reply(option: _Option) -> str:
    if option.values:
        return f'COMPREPLY=( $(compgen -W "{" ".join(option.values)}" -- "$current") )'
    if option.path:
        # Names with spaces are one a line; macOS has a bash of 2007, which knows neither mapfile nor compopt.
        listed = f'COMPREPLY=( $(compgen -{option.path[0]} -- "$current") )'
        return f"local IFS=$'\\n'; {listed}; type compopt >/dev/null 2>&1 && compopt -o filenames"
    return "COMPREPLY=()"


def _zsh(commands: list[_Command]) -> Iterator[str]:
    yield "#compdef prober"
    yield "_prober() {"
    yield "    local -a commands"
    yield "    local state"
    first = [command for command in commands if not command.above]
    yield f"    commands=({' '.join(_quoted(f'{command.name}:{command.summary}') for command in first)})"
    yield "    _arguments -C '(-)--help[show help]' '(-)--version[show the version]' '1: :->command' '*:: :->argument'"
    yield "    case $state in"
    yield "    command) _describe command commands;;"
    yield "    argument)"
    yield "        case $words[1] in"
    for command in first:
        below = [each for each in commands if each.above == command.name]
        if not below:
            yield f"        {command.name}) {_zsh_arguments(command)};;"
            continue
        options = [_zsh_option(option, name) for option in command.options for name in option.names]
        names = f"1: :({' '.join(each.name for each in below)})"
        yield f"        {command.name}) _arguments -C {' '.join(map(_quoted, [*options, names, '*:: :->below']))}"
        yield "            if [[ $state == below ]]; then case $words[1] in"
        for each in below:
            yield f"            {each.name}) {_zsh_arguments(each)};;"
        yield "            esac; fi;;"
    yield "        esac;;"
    yield "    esac"
    yield "}"
    yield '_prober "$@"'


def _zsh_arguments(command: _Command) -> str:
    specifications = [_zsh_option(option, name) for option in command.options for name in option.names]
    if command.words is not None:
        specifications.append(f"*:{command.name}:{_zsh_values(command.words)}")
    return f"_arguments {' '.join(map(_quoted, specifications))}"


def _zsh_option(option: _Option, name: str) -> str:
    described = option.help.replace("[", "\\[").replace("]", "\\]")
    value = f": :{_zsh_values(option)}" if option.takes_value else ""
    equals = "=" if option.takes_value and name.startswith("--") else ""  # --format json and --format=json
    return f"{'*' if option.repeatable else ''}{name}{equals}[{described}]{value}"


def _zsh_values(option: _Option) -> str:
    if option.values:
        return f"({' '.join(option.values)})"
    return {"file": "_files", "directory": "_files -/"}.get(option.path, " ")


def _fish(commands: list[_Command]) -> Iterator[str]:
    yield "complete -c prober -f"
    for command in commands:
        others = " ".join(each.name for each in commands if each.above == command.above)
        within = f"__fish_seen_subcommand_from {command.above}; and " if command.above else ""
        offered = f"{within}not __fish_seen_subcommand_from {others}"
        yield f"complete -c prober -n '{offered}' -a {command.name} -d {_quoted(command.summary)}"
    for command in commands:
        below = " ".join(each.name for each in commands if each.above == command.name)
        within = f"__fish_seen_subcommand_from {command.above}; and " if command.above else ""
        without = f"; and not __fish_seen_subcommand_from {below}" if below else ""
        here = f"complete -c prober -n '{within}__fish_seen_subcommand_from {command.name}{without}'"
        for option in command.options:
            flags = " ".join(f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}" for name in option.names)
            yield f"{here} {flags}{_fish_values(option)} -d {_quoted(option.help)}"
        if command.words is not None and (command.words.values or command.words.path) and not below:
            yield here + _fish_values(command.words).replace(" -r", "").replace(" -x", "")


def _fish_values(option: _Option) -> str:
    if not option.takes_value:
        return ""
    if option.values:
        return f" -x -a {_quoted(' '.join(option.values))}"
    return {"file": " -r -F", "directory": " -x -a '(__fish_complete_directories)'"}.get(option.path, " -x")


def _quoted(text: str) -> str:
    """In single quotes, as all three shells read them."""
    return "'" + text.replace("'", "'\\''") + "'"


_SHELLS: dict[str, Callable[[list[_Command]], Iterator[str]]] = {"bash": _bash, "zsh": _zsh, "fish": _fish}
