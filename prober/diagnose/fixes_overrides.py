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


_KEY = r"(additionalGateways[\"']?[ \t]*:[ \t]*)"
_LIST = re.compile(rf"{_KEY}\[([^\[\]]*)\]")
_SCALAR = re.compile(rf"^(\s*(?:-\s+)?[\"']?){_KEY}([^\s\[\]{{}}#&*!|>][^#]*?)(\s*(?:#.*)?)$", re.DOTALL)
_OPEN = re.compile(rf"^(\s*(?:-\s+)?[\"']?){_KEY}(?:null|Null|NULL|~)?(\s*(?:#.*)?)$", re.DOTALL)
_ITEM = re.compile(r"^(\s*)-(\s+)[^\s#]")


def _edit(lines: list[str], host: VirtualHost, route: str) -> bool:
    if host.additional_gateways_line is not None:
        return _extend(lines, host.additional_gateways_line - 1, route)
    index = host.line - 1
    if index >= len(lines):
        return False
    line = lines[index]
    match = _ITEM.match(line)
    if match is not None and line[match.end() - 1] == "{":  # the whole virtual host on one line
        body, brace, rest = line.rpartition("}")
        if not brace:
            return False
        lines[index] = f'{body.rstrip().removesuffix(",")}, additionalGateways: ["{route}"]}}{rest}'
        return True
    # An item whose dash stands in a line of its own begins with its first key.
    indentation = len(match[1]) + 1 + len(match[2]) if match is not None else _depth(line)
    following = _behind_value(lines, index, indentation)
    end = "\r\n" if line.endswith("\r\n") else "\n"
    if not lines[following - 1].endswith("\n"):
        lines[following - 1] += end
    lines.insert(following, " " * indentation + f'additionalGateways: ["{route}"]{end}')
    return True


def _behind_value(lines: list[str], index: int, indentation: int) -> int:
    """Behind an item's first key and all that belongs to its value: deeper lines, a list at the key's own depth, blanks among them."""
    following = index + 1
    for place in range(index + 1, len(lines)):
        bare = lines[place].strip()
        if not bare:
            continue
        depth = _depth(lines[place])
        if depth < indentation or (depth == indentation and not bare.startswith("- ")):
            break
        following = place + 1
    return following


def _depth(line: str) -> int:
    return len(line) - len(line.lstrip(" "))


def _extend(lines: list[str], index: int, route: str) -> bool:
    if index >= len(lines):
        return False
    line = lines[index]
    if match := _LIST.search(line):
        inside = match[2].strip().removesuffix(",").rstrip()
        items = f'{inside}, "{route}"' if inside else f'"{route}"'
        lines[index] = f"{line[: match.start()]}{match[1]}[{items}]{line[match.end() :]}"
        return True
    if match := _OPEN.match(line):
        first = next((place for place in range(index + 1, len(lines)) if not _says_nothing(lines[place])), index)
        if (
            lines[first].lstrip().startswith("- ")
            and _depth(lines[first]) >= _depth(line)
            and not _is_next_item(line, lines[first])
        ):
            end = "\r\n" if line.endswith("\r\n") else "\n"
            lines.insert(first, " " * _depth(lines[first]) + f'- "{route}"{end}')
        else:
            lines[index] = f'{match[1]}{match[2].rstrip()} ["{route}"]{" " * match[3].startswith("#")}{match[3]}'
        return True
    if match := _SCALAR.match(line):
        lines[index] = f'{match[1]}{match[2]}[{match[3].strip()}, "{route}"]{match[4]}'
        return True
    return False


def _is_next_item(line: str, other: str) -> bool:
    """Whether the key that a line has is an item's first one, and another line begins the item behind it."""
    return line.lstrip().startswith("- ") and _depth(line) == _depth(other)


def _says_nothing(line: str) -> bool:
    return not line.strip() or line.lstrip().startswith("#")
