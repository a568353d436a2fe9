"""``relabel_configs``: rules in Prometheus' form, with RE2's regular expressions read as Python's."""

from __future__ import annotations

import re

from prober.config.nodes import Value
from prober.config.problems import Wrong
from prober.config.readers import each, member, number, text
from prober.sources import LABEL_NAME, Action, RelabelRule

__all__ = ["relabel_rule"]

_MOST_MODULUS = 2**64 - 1  # Prometheus reads an uint64
# https://github.com/google/re2/wiki/Syntax
_CLASSES = {
    "alnum": "0-9A-Za-z",
    "alpha": "A-Za-z",
    "ascii": r"\x00-\x7F",
    "blank": r"\t ",
    "cntrl": r"\x00-\x1F\x7F",
    "digit": "0-9",
    "graph": "!-~",
    "lower": "a-z",
    "print": " -~",
    "punct": r"!-/:-@\[-`{-~",
    "space": r"\t\n\v\f\r ",
    "upper": "A-Z",
    "word": "0-9A-Za-z_",
    "xdigit": "0-9A-Fa-f",
}
_TOKEN = re.compile(
    r"(?P<end>\\z)"
    r"|(?P<foreign>\\[1-9]|\(\?(?:[=!>(#]|<[=!]|P[=>])|[*+?}]\+)"
    r"|(?P<named>\(\?<)"
    r"|(?P<escaped>\\.)"
    r"|(?P<bracket>\[\^?\]?(?:\\.|\[:\w+:\]|[^\]\\])*\])",
    re.DOTALL,
)

_RULE_KEYS = ("source_labels", "separator", "regex", "modulus", "target_label", "replacement", "action")
# What a rule needs beside its action, and what it must not have: there it would do nothing.
_NEEDS: dict[Action, tuple[str, ...]] = {
    Action.REPLACE: ("target_label",),
    Action.KEEP: ("source_labels",),
    Action.DROP: ("source_labels",),
    Action.HASHMOD: ("source_labels", "target_label", "modulus"),
    Action.LABELMAP: ("regex",),
    Action.LABELDROP: ("regex",),
    Action.LABELKEEP: ("regex",),
    Action.LOWERCASE: ("source_labels", "target_label"),
    Action.UPPERCASE: ("source_labels", "target_label"),
    Action.KEEPEQUAL: ("source_labels", "target_label"),
    Action.DROPEQUAL: ("source_labels", "target_label"),
}
_TAKES: dict[Action, tuple[str, ...]] = {
    Action.REPLACE: ("source_labels", "separator", "regex", "replacement"),
    Action.KEEP: ("separator", "regex"),
    Action.DROP: ("separator", "regex"),
    Action.HASHMOD: ("separator",),
    Action.LABELMAP: ("replacement",),
    Action.LABELDROP: (),
    Action.LABELKEEP: (),
    Action.LOWERCASE: ("separator",),
    Action.UPPERCASE: ("separator",),
    Action.KEEPEQUAL: (),
    Action.DROPEQUAL: (),
}


def relabel_rule(value: Value) -> RelabelRule:
    """Reader of one entry of ``relabel_configs``."""
    fields = value.fields(_RULE_KEYS)
    default = RelabelRule()
    action = fields.read("action", _action, Action.REPLACE)
    if "action" in fields.failed:
        return default
    for key in _NEEDS[action]:
        if key not in fields:
            raise Wrong(f"{key} is missing; the action {action} needs it")
    for key in _RULE_KEYS[:-1]:
        if key in fields and key not in (*_NEEDS[action], *_TAKES[action]):
            fields.at(key).complain(f"means nothing with the action {action}; remove it")
    return RelabelRule(
        action=action,
        source_labels=tuple(label for _, label in fields.read("source_labels", each(_label), ())),
        separator=fields.read("separator", text, default.separator),
        regex=fields.read("regex", _regex, default.regex),
        modulus=fields.read("modulus", number("modulus", 1, _MOST_MODULUS), 0),
        target_label=fields.read("target_label", _target if action is Action.REPLACE else _label, ""),
        replacement=fields.read("replacement", text, default.replacement),
    )


def _action(value: Value) -> Action:
    """In any case of letters, as Prometheus reads it."""
    lowered = value.raw.strip().lower()
    return Action(lowered) if lowered in set(Action) else member(Action)(value)


def _label(value: Value) -> str:
    name = text(value)
    if not LABEL_NAME.match(name):
        raise Wrong(f"{name!r} is no label name; write letters, digits and underscores, no digit first")
    return name


def _target(value: Value) -> str:
    """May refer to groups of the regular expression."""
    name = text(value)
    return name if "$" in name else _label(value)


def _regex(value: Value) -> re.Pattern[str]:
    """As RE2 reads it: what RE2 knows and Python does not is translated, what Python knows and RE2 does not is refused."""
    written = text(value)
    try:
        # Prometheus: a point matches line breaks, too. RE2: \\d, \\w and \\b are about ASCII.
        return re.compile(_TOKEN.sub(_as_python, written), re.DOTALL | re.ASCII)
    except (re.error, OverflowError, RecursionError) as error:
        raise Wrong(f"{written!r} is no regular expression: {error}; correct it") from None


def _as_python(token: re.Match[str]) -> str:
    found = token[0]
    match token.lastgroup:
        case "bracket":
            return re.sub(r"\[:(\w+):\]|(?<!^)(?<!^\[)\[", _in_bracket, found)
        case "end":
            return r"\Z"
        case "named":
            return "(?P<"
        case "foreign":
            raise re.error(f"RE2, which Prometheus uses, knows no {found}")
        case _:
            return found


def _in_bracket(part: re.Match[str]) -> str:
    if part[1] is None:
        return r"\["  # a bracket within brackets is itself; Python warns that it might once be more
    if part[1] not in _CLASSES:
        raise re.error(f"there is no class {part[0]}")
    return _CLASSES[part[1]]
