"""Templates of YAML (Jinja, Go templates as helm's) made readable: control lines go, expressions become placeholders. Pure.

Line numbers stay. Of alternatives (``if`` ... ``else``) the first is read, since both together would be what no rendering is: two
certificates, or a key twice. An expression that fills lines of its own stands for entries that nobody knows: it becomes an entry
that says so, in the shape of what is around it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import accumulate

__all__ = ["without_templates"]

_COMMENTS = (("{#", "#}"), ("{{/*", "*/}}"), ("{{- /*", "*/ -}}"))
_EXPRESSION = re.compile(r"\{\{-?((?:[^{}]|\{[^{}]*\})*)\}\}")
_STATEMENT = re.compile(r"\{%[^%]*%\}")
_CONTROL = re.compile(
    r"^\s*(?:\{%[-+]?\s*(?P<jinja>\w+)[^%]*%\}"
    r"|\{\{-?\s*(?P<go>if|else|end|range|with|define|block|template|\$\w*\s*:?=)(?![\w.])[^{}]*\}\})\s*$"
)
_ALONE = re.compile(r"^\s*\{\{([^{}]*)\}\}\s*$")
_DEPTH = re.compile(r"\bn?indent\s+(\d{1,3})")
_VALUE_OF_STATEMENTS = re.compile(r"^(\s*(?:-\s+)*[\w.\"'-]+:\s+)[^{]*\{%.*$")

_OPENING = frozenset({"if", "for", "with", "range", "define", "block", "macro", "filter", "raw", "call"})
_CLOSING = re.compile(r"end\w*")


def without_templates(text: str) -> str:
    """The text with placeholders ``<<<...>>>`` for what a template would fill in; as it is where it is no template."""
    if "{{" not in text and "{%" not in text and "{#" not in text:
        return text
    for opening, closing in _COMMENTS:
        text = _without_comments(text, opening, closing)
    lines = _first_alternatives(text.split("\n"))
    lines = [_without_statements(line) for line in lines]
    above = list(accumulate(["", *lines[:-1]], _last_said))
    below = list(accumulate(["", *lines[:0:-1]], _last_said))[::-1]
    return "\n".join(map(_in_shape, lines, above, below))


def _without_comments(text: str, opening: str, closing: str) -> str:
    """Comments left out, their line ends kept."""
    kept: list[str] = []
    place = 0
    while (start := text.find(opening, place)) >= 0 and (end := text.find(closing, start)) >= 0:
        kept += (text[place:start], "\n" * text.count("\n", start, end))
        place = end + len(closing)
    return "".join((*kept, text[place:]))


def _last_said(before: str, line: str) -> str:
    return line if line.strip() and not line.lstrip().startswith("#") else before


def _first_alternatives(lines: Sequence[str]) -> list[str]:
    """Control lines blanked, and with them the lines between an ``else`` and its end."""
    kept: list[str] = []
    alternative: list[bool] = []  # for each open block, whether its else was reached
    left_out = 0  # how many of them were
    for line in lines:
        control = _CONTROL.match(line)
        if control is None:
            kept.append("" if left_out else line)
            continue
        kept.append("")
        word = control["jinja"] or control["go"]
        if word in _OPENING:
            alternative.append(False)
        elif word in {"else", "elif"} and alternative:
            left_out += not alternative[-1]
            alternative[-1] = True
        elif _CLOSING.fullmatch(word) and alternative:
            left_out -= alternative.pop()
    return kept


def _without_statements(line: str) -> str:
    """Statements within a line: a value that is made of them is open, and elsewhere what stands between them is read."""
    if "{%" not in line:
        return line
    if match := _VALUE_OF_STATEMENTS.match(line):
        return f"{match[1]}<<<statements>>>"
    return _STATEMENT.sub("", line)


def _in_shape(line: str, above: str, below: str) -> str:
    """A line with its expressions as placeholders, given the lines above and below that say something."""
    alone = _ALONE.match(line)
    if alone is None:
        return _EXPRESSION.sub(lambda match: _placeholder(match[1]), line)
    depth = _DEPTH.search(alone[1])
    indentation = int(depth[1]) if depth else _indentation(line)
    unknown = _placeholder(alone[1])
    item = above.startswith(" " * indentation + "- ")
    if above.rstrip().endswith(":"):
        key = _indentation(above)
        if _indentation(below) <= key or _ALONE.match(below):
            return " " * max(indentation, key + 1) + unknown  # the key's whole value
        indentation, item = _indentation(below), below.lstrip().startswith("- ")
    return " " * indentation + (f"- {unknown}" if item else f"{unknown}: ")


def _indentation(line: str) -> int:
    return len(line) - len(line.lstrip(" "))


def _placeholder(expression: str) -> str:
    return "<<<" + re.sub(r"[^\w.]", "_", expression.strip(" -")) + ">>>"
