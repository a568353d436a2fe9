"""YAML text -> nodes that know their places, by libyaml where PyYAML was built with it: ten times as fast, and the nodes are the same.

PyYAML's composer recurses in C, a call for each level, and no RecursionError ends that: a hundred kilobytes of brackets overran the
stack and took the process with them. So levels are counted first, by events, which need no stack.
"""

from __future__ import annotations

from typing import cast

import yaml

__all__ = ["MOST_LEVELS", "compose"]

MOST_LEVELS = 500
"""A hundred times what is nested in configurations and manifests, a fiftieth of what a thread's stack of 8 MiB bears."""

_LOADER: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_OPENERS = "[{:-?"
"""Each level begins with one of these; a text with few of them is not nested deeply."""


def compose(text: str) -> yaml.Node | None:
    """The root of the one document, None where there is nothing.

    `yaml.YAMLError` when it is no YAML, or has more than `MOST_LEVELS` levels.
    """
    if sum(map(text.count, _OPENERS)) > MOST_LEVELS:
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
