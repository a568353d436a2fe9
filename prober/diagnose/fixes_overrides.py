"""A diff of overrides.yaml that links the wildcard route, made against the file as it is: comments, order and style stay. Pure.

The file's text is edited, not its values written anew. What comes of it is read again, and a diff is offered only if every
virtual host then lists the route and nothing else changed.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection
from dataclasses import replace

from prober.diagnose.manifest import read_manifests
from prober.diagnose.overrides import OverridesFacts, VirtualHost, read_overrides

__all__ = ["link_diff", "linked_text"]


def link_diff(facts: OverridesFacts, text: str, route: str, *, only: Collection[str] | None = None) -> str | None:
    """A unified diff; None where nothing is to be done, or where the text cannot be edited safely.

    ``only``: the virtual hosts to link; None: all that may be (one that demands client certificates is never linked, since a
    client could then leave its certificate at home by sending no name).
    """
    changed = linked_text(facts, text, route, only=only)
    if changed is None or changed == text:
        return None
    name = facts.file
    lines = difflib.unified_diff(text.splitlines(keepends=True), changed.splitlines(keepends=True), f"a/{name}", f"b/{name}", n=2)
    return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)


def linked_text(facts: OverridesFacts, text: str, route: str, *, only: Collection[str] | None = None) -> str | None:
    """The whole text after the change; None where it cannot be edited safely."""
    wanted = [
        host
        for host in facts.virtual_hosts
        if route not in host.additional_gateways and host.tls_mode != "MUTUAL" and (only is None or host.name in only)
    ]
    lines = text.splitlines(keepends=True)
    for host in reversed(wanted):  # from the end, so that lines before keep their numbers
        if not _edit(lines, host, route):
            return None
    changed = "".join(lines)
    return changed if _as_intended(facts, changed, route, {host.name for host in wanted}) else None


def _as_intended(before: OverridesFacts, changed: str, route: str, names: Collection[str]) -> bool:
    after = read_overrides(read_manifests(before.file, changed))
    expected = [
        replace(
            host,
            additional_gateways=_sorted(*host.additional_gateways, *([route] if host.name in names else ())),
            additional_gateways_line=None,
            line=0,
        )
        for host in before.virtual_hosts
    ]
    found = [
        replace(host, additional_gateways=_sorted(*host.additional_gateways), additional_gateways_line=None, line=0)
        for host in after.virtual_hosts
    ]
    return found == expected and after.gateways_named == before.gateways_named


def _sorted(*names: str) -> tuple[str, ...]:
    return tuple(sorted(names))


_LIST = re.compile(r"^(\s*(?:-\s+)?additionalGateways\s*:\s*)\[(.*)\](\s*(?:#.*)?)$", re.DOTALL)
_SCALAR = re.compile(r"^(\s*(?:-\s+)?additionalGateways\s*:\s*)([^\s\[\]{}#&*!|>][^#]*?)(\s*(?:#.*)?)$", re.DOTALL)
_BLOCK = re.compile(r"^(\s*(?:-\s+)?)additionalGateways\s*:\s*(?:#.*)?$", re.DOTALL)
_ITEM = re.compile(r"^(\s*)-(\s+)\S")


def _edit(lines: list[str], host: VirtualHost, route: str) -> bool:
    if host.additional_gateways_line is not None:
        return _extend(lines, host.additional_gateways_line - 1, route)
    index = host.line - 1
    match = _ITEM.match(lines[index]) if index < len(lines) else None
    if match is None:
        return False
    line = lines[index]
    if line[match.end() - 1] == "{":  # the whole virtual host on one line
        body, brace, rest = line.rpartition("}")
        if not brace:
            return False
        lines[index] = f'{body.rstrip()}, additionalGateways: ["{route}"]}}{rest}'
        return True
    # Behind the item's first key, where nothing can belong to a value that goes on: its own value may, so that is looked for.
    indentation = len(match[1]) + 1 + len(match[2])
    following = index + 1
    while following < len(lines) and _goes_on(lines[following], indentation):
        following += 1
    if not lines[following - 1].endswith("\n"):
        lines[following - 1] += "\n"
    lines.insert(following, " " * indentation + f'additionalGateways: ["{route}"]\n')
    return True


def _goes_on(line: str, indentation: int) -> bool:
    """Whether a line belongs to the value of the key before it: deeper, or blank, or a list at the key's own depth."""
    bare = line.strip()
    if not bare:
        return False
    depth = len(line) - len(line.lstrip(" "))
    return depth > indentation or (depth == indentation and bare.startswith("- "))


def _extend(lines: list[str], index: int, route: str) -> bool:
    if index >= len(lines):
        return False
    line = lines[index].rstrip("\n")
    end = "\n" if lines[index].endswith("\n") else ""
    if match := _LIST.match(line):
        inside = match[2].strip()
        items = f'{inside}, "{route}"' if inside else f'"{route}"'
        lines[index] = f"{match[1]}[{items}]{match[3]}{end}"
        return True
    if _BLOCK.match(line):
        first = lines[index + 1] if index + 1 < len(lines) else ""
        if not first.lstrip().startswith("- "):
            return False
        depth = len(first) - len(first.lstrip(" "))
        lines.insert(index + 1, " " * depth + f'- "{route}"\n')
        return True
    if match := _SCALAR.match(line):
        lines[index] = f'{match[1]}[{match[2].strip()}, "{route}"]{match[3]}{end}'
        return True
    return False
