"""YAML text -> nodes that know their places, by libyaml where PyYAML was built with it: ten times as fast, and the nodes are the same.

PyYAML's composer recurses in C, a call for each level, and no RecursionError ends that: a hundred kilobytes of brackets overran the
stack and took the process with them. So levels are counted first, by events, which need no stack.
"""

from __future__ import annotations

import re
from typing import cast

import yaml

__all__ = ["MOST_LEVELS", "compose"]

MOST_LEVELS = 500
"""A hundred times what is nested in configurations and manifests, a fiftieth of what a thread's stack of 8 MiB bears."""

_LOADER: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_FLOW = "[{"
"""In flow style each level begins with one of these."""
_FEW = MOST_LEVELS // 4
# Counting costs a fifth of composing, and nearly all texts can do without. In block style a level begins at the start of a line, behind
# spaces and indicators alone, and at a column of its own, which only a list shares with the mapping that it is in: two levels a column.
_FAR_IN = re.compile(rf"(?:\A|[\n\r\x85\u2028\u2029])[ \t?:-]{{{_FEW}}}")


def compose(text: str) -> yaml.Node | None:
    """The root of the one document, None where there is nothing.

    `yaml.YAMLError` when it is no YAML, or has more than `MOST_LEVELS` levels.
    """
    if sum(map(text.count, _FLOW)) > _FEW or _FAR_IN.search(text):
        _count_levels(text)
    return yaml.compose(text, Loader=_LOADER)


def _count_levels(text: str) -> None:
    level = 0
    for event in yaml.parse(text, Loader=_LOADER):
        if isinstance(event, yaml.CollectionStartEvent):
            level += 1
            if level > MOST_LEVELS:
                raise yaml.MarkedYAMLError(
                    problem=f"lists and mappings are nested more than {MOST_LEVELS} deep",
                    problem_mark=cast("yaml.Mark", event.start_mark),
                )
        elif isinstance(event, yaml.CollectionEndEvent):
            level -= 1
