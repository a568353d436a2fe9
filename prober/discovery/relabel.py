"""``relabel_configs`` as Prometheus means them. Pure.

Regular expressions match the whole text; ``.`` matches line breaks; a label with an empty value does not exist.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from hashlib import md5
from typing import assert_never

from prober.sources import LABEL_NAME, Action, LabelSet, RelabelRule

__all__ = ["relabel"]

# Go's Regexp.Expand: $name or ${name}, the longest run of word characters; $$ is a dollar.
_REFERENCE = re.compile(r"\$(?:(?P<dollar>\$)|\{(?P<braced>\w+)\}|(?P<plain>\w+))", re.ASCII)


def relabel(labels: LabelSet, rules: Iterable[RelabelRule]) -> LabelSet | None:
    """The labels as the rules leave them; None when a rule drops the whole set."""
    now = {name: value for name, value in labels.items() if value}
    for rule in rules:
        if not _apply(rule, now):
            return None
    return now


def _apply(rule: RelabelRule, labels: dict[str, str]) -> bool:
    """Change the labels in place; False when the set is dropped."""
    text = rule.separator.join(labels.get(name, "") for name in rule.source_labels)
    match rule.action:
        case Action.KEEP:
            return rule.regex.fullmatch(text) is not None
        case Action.DROP:
            return rule.regex.fullmatch(text) is None
        case Action.KEEPEQUAL:
            return labels.get(rule.target_label, "") == text
        case Action.DROPEQUAL:
            return labels.get(rule.target_label, "") != text
        case Action.REPLACE:
            found = rule.regex.fullmatch(text)
            if found is not None:
                target = _expand(rule.target_label, found)
                if LABEL_NAME.match(target):
                    _set(labels, target, _expand(rule.replacement, found))
        case Action.HASHMOD:
            # Prometheus: the last eight bytes of the MD5 sum, big-endian. Half a character is refused where it is used, not here.
            digest = md5(text.encode("utf-8", "replace"), usedforsecurity=False).digest()
            _set(labels, rule.target_label, str(int.from_bytes(digest[8:], "big") % rule.modulus))
        case Action.LABELMAP:
            # In the order of names, as Prometheus: of two that are mapped to one, the last wins.
            for name, value in sorted(labels.items()):
                if (found := rule.regex.fullmatch(name)) is not None:
                    _set(labels, _expand(rule.replacement, found), value)
        case Action.LABELDROP:
            _keep(labels, lambda name: rule.regex.fullmatch(name) is None)
        case Action.LABELKEEP:
            _keep(labels, lambda name: rule.regex.fullmatch(name) is not None)
        case Action.LOWERCASE:
            _set(labels, rule.target_label, text.lower())
        case Action.UPPERCASE:
            _set(labels, rule.target_label, text.upper())
        case _:
            assert_never(rule.action)
    return True


def _set(labels: dict[str, str], name: str, value: str) -> None:
    if value:
        labels[name] = value
    else:
        labels.pop(name, None)


def _keep(labels: dict[str, str], wanted: Callable[[str], bool]) -> None:
    for name in [name for name in labels if not wanted(name)]:
        del labels[name]


def _expand(template: str, found: re.Match[str]) -> str:
    def reference(match: re.Match[str]) -> str:
        if match["dollar"]:
            return "$"
        name = match["braced"] or match["plain"]
        try:
            return found[int(name) if name.isdigit() else name] or ""
        except IndexError:
            return ""  # as Go: a group that there is not is empty

    return _REFERENCE.sub(reference, template)
