"""YAML and JSON as people really have them: with line numbers, duplicate keys, templates' placeholders, and mistakes.

Everything that can be read is read. A document that is no YAML is read again section by section (what begins in the first
column), so that one bad indentation costs its own section and not the file; each thing that was wrong is a `Flaw` with its line.
Jinja expressions and ``${VAR}`` stay as text that says that it is unresolved (`is_unresolved`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import yaml

from prober.diagnose.templates import without_templates
from prober.yaml_text import compose

__all__ = ["Flaw", "Manifest", "Node", "is_unresolved", "read_manifests"]

Plain: TypeAlias = "str | int | float | bool | list[Plain] | dict[str, Plain] | None"

# Bounds the work on aliases of aliases ("billion laughs"): a manifest of a cluster's every route has some 10^5 nodes.
_MAX_NODES = 1_000_000


@dataclass(frozen=True, slots=True)
class Flaw:
    """Something that keeps the text from meaning what it seems to. ``kind`` is ``yaml-error`` or ``duplicate-key``."""

    kind: str
    line: int
    text: str


@dataclass(frozen=True, slots=True)
class Node:
    """A value and where it stands. ``value`` is a scalar, a tuple of nodes or a mapping to nodes; ``line`` counts from 1.

    ``style`` is the quote that a scalar was written in, or the empty string: YAML's ``1.2`` and ``"1.2"`` differ in nothing else.
    """

    value: object
    line: int
    style: str = ""

    def get(self, *path: str) -> Node | None:
        """The node under a path of keys; None where there is none, or where null is written."""
        node: Node | None = self
        for key in path:
            if node is None or not isinstance(node.value, Mapping):
                return None
            node = node.value.get(key)
        return None if node is None or node.value is None else node

    def text(self, *path: str) -> str | None:
        """A scalar under a path as text; None where there is none."""
        node = self.get(*path)
        if node is None or isinstance(node.value, (Mapping, tuple)):
            return None
        if isinstance(node.value, bool):
            return "true" if node.value else "false"
        return str(node.value)

    def items(self, *path: str) -> tuple[Node, ...]:
        """The elements of a list under a path; empty where there is no list."""
        node = self.get(*path)
        return node.value if node is not None and isinstance(node.value, tuple) else ()

    def mapping(self, *path: str) -> Mapping[str, Node]:
        """The entries of a mapping under a path; empty where there is none."""
        node = self.get(*path)
        return node.value if node is not None and isinstance(node.value, Mapping) else {}

    def texts(self, *path: str) -> tuple[str, ...]:
        """The scalars of a list under a path."""
        return tuple(text for each in self.items(*path) if (text := each.text()) is not None)

    def plain(self) -> Plain:
        """The value without places."""
        if isinstance(self.value, Mapping):
            return {key: node.plain() for key, node in self.value.items()}
        if isinstance(self.value, tuple):
            return [node.plain() for node in self.value]
        assert self.value is None or isinstance(self.value, (str, int, float, bool))
        return self.value


@dataclass(slots=True)
class Manifest:
    """One file's documents that could be read, and what was wrong."""

    name: str
    documents: list[Node] = field(default_factory=list)
    flaws: list[Flaw] = field(default_factory=list)


_SHELL = re.compile(r"\$\{([^{}\n]*)\}")
_SPACE = re.compile(r"\s*")
_UNRESOLVED = re.compile(r"\$\{[^}]*\}|\$\([^)]*\)|\$[A-Z_][A-Z0-9_]*|<<<.*?>>>|^[A-Z][A-Z0-9]*(?:_[A-Z][A-Z0-9]*)+$")


def is_unresolved(text: str) -> bool:
    """Whether a value still is a template's placeholder: ``${VAR}``, ``$(VAR)``, ``$VAR``, Jinja, or ``A_NAME_IN_CAPITALS``."""
    return _UNRESOLVED.search(text) is not None


def read_manifests(name: str, text: str) -> Manifest:
    """All documents of a YAML stream or a JSON text. Never raises: what could not be read is among the flaws."""
    manifest = Manifest(name)
    for first_line, written in _documents(without_templates(text)):
        if not written.strip():
            continue
        part = written
        node = _compose(part, first_line, manifest.flaws)
        if node is None and "${" in part:
            # Within a flow mapping, {a: ${B}}, a placeholder's braces are the mapping's.
            manifest.flaws.pop()
            part = _SHELL.sub(r"<<<\1>>>", part)
            node = _compose(part, first_line, manifest.flaws)
        nodes = [node] if node is not None else []
        if node is None and part.lstrip()[:1] in {"{", "["}:
            nodes = _json(part, first_line, manifest.flaws)
        elif node is None and (node := _by_sections(part, first_line, manifest.flaws)) is not None:
            nodes = [node]
        for node in nodes:
            # A list of objects, as jq '.items' prints it, is the objects.
            objects = node.value if isinstance(node.value, tuple) else (node,)
            manifest.documents += (each for each in objects if each.value is not None)
    # The mapping of an anchor is read anew for each of its aliases, and each time its mistakes are found.
    manifest.flaws = sorted(dict.fromkeys(manifest.flaws), key=lambda flaw: flaw.line)
    return manifest


def _documents(text: str) -> Iterator[tuple[int, str]]:
    """The documents of a stream with their first line's number: split by hand, so that a bad one costs only itself."""
    start = 1
    part: list[str] = []
    for number, line in enumerate(text.split("\n"), start=1):
        if line.startswith("---") and (len(line) == 3 or line[3] in " \t\r"):
            yield start, "\n".join(part)
            start, part = number, [line[3:]]
        elif line.rstrip() == "..." or line.startswith("%"):
            part.append("")
        else:
            part.append(line)
    yield start, "\n".join(part)


def _json(text: str, first_line: int, flaws: list[Flaw]) -> list[Node]:
    """JSON that YAML refuses: texts one behind the other (``kubectl get`` in a loop), or tabs between the tokens, then without places."""
    decoder = json.JSONDecoder()
    nodes: list[Node] = []
    end, line = 0, first_line
    while (start := _after_space(text, end)) < len(text):
        line += text.count("\n", end, start)
        try:
            value, end = decoder.raw_decode(text, start)
        except (ValueError, RecursionError):
            return nodes
        nodes.append(_compose(text[start:end], line, []) or _placed(value, line))
        line += text.count("\n", start, end)
    flaws.pop()
    return nodes


def _after_space(text: str, start: int) -> int:
    found = _SPACE.match(text, start)
    return found.end() if found is not None else start


def _placed(value: object, line: int) -> Node:
    if isinstance(value, dict):
        return Node({str(key): _placed(each, line) for key, each in value.items()}, line)
    if isinstance(value, list):
        return Node(tuple(_placed(each, line) for each in value), line)
    return Node(value, line, '"' if isinstance(value, str) else "")


def _by_sections(text: str, first_line: int, flaws: list[Flaw]) -> Node | None:
    """A mapping read key by key from the lines that begin in the first column; each section that fails stays a flaw."""
    lines = text.split("\n")
    starts = [number for number, line in enumerate(lines) if re.match(r"[A-Za-z_][\w.-]*\s*:", line)]
    if len(starts) < 2:
        return None
    # The whole document's error is repeated by the section that it stands in.
    flaws.pop()
    sections: dict[str, Node] = {}
    for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
        node = _compose("\n".join(lines[start:end]), first_line + start, flaws)
        if node is not None and isinstance(node.value, Mapping):
            for key, value in node.value.items():
                if key in sections:
                    flaws.append(Flaw("duplicate-key", value.line, f"the key {key} stands in line {sections[key].line} already"))
                sections[key] = value
    return Node(sections, first_line) if sections else None


def _compose(text: str, first_line: int, flaws: list[Flaw]) -> Node | None:
    try:
        root = compose(text)
        return None if root is None else _Converter(first_line - 1, flaws).convert(root)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
        line = first_line + mark.line if mark is not None else first_line
        problem = getattr(error, "problem", None) or "this is no YAML"
        context = getattr(error, "context", None)
        # YAML counts more line ends than \n: then the place is not to be found so.
        written = "".join(text.split("\n")[mark.line : mark.line + 1]) if mark is not None else ""
        place = mark.column if mark is not None else 0
        if "start any token" in str(problem) and written[place : place + 1] == "\t":
            problem, context = "a tab in the indentation; write spaces", None
        elif "scanning an alias" in str(context) and "*" in written[max(place - 1, 0) : place + 1]:
            problem, context = 'a * without quotes is read as an alias; put it in quotes: "*"', None
        flaws.append(Flaw("yaml-error", line, f"{problem} {context}" if context else str(problem)))
    except (RecursionError, ValueError) as error:
        flaws.append(Flaw("yaml-error", first_line, f"cannot be read: {error}"))
    return None


_INTEGER = re.compile(r"[-+]?\d+")


class _Converter:
    """Composed nodes to `Node` values, with the last of duplicate keys winning, as in every YAML reader of the field."""

    def __init__(self, offset: int, flaws: list[Flaw]) -> None:
        self._offset = offset
        self._flaws = flaws
        self._count = 0
        self._open: set[int] = set()

    def convert(self, node: yaml.Node) -> Node:
        self._count += 1
        if self._count > _MAX_NODES:
            raise ValueError("its aliases unfold to more than a million values")
        line = node.start_mark.line + 1 + self._offset
        if isinstance(node, yaml.ScalarNode):
            return Node(_scalar(node), line, node.style or "")
        if id(node) in self._open:
            raise ValueError("an alias contains itself")
        self._open.add(id(node))
        try:
            if isinstance(node, yaml.SequenceNode):
                return Node(tuple(self.convert(each) for each in node.value), line)
            return Node(self._mapping(node.value), line)
        finally:
            self._open.discard(id(node))

    def _mapping(self, pairs: Sequence[tuple[yaml.Node, yaml.Node]]) -> dict[str, Node]:
        found: dict[str, Node] = {}
        lines: dict[str, int] = {}
        for key_node, value_node in pairs:
            key_line = key_node.start_mark.line + 1 + self._offset
            if not isinstance(key_node, yaml.ScalarNode):
                continue
            key = str(key_node.value)
            if key in lines:
                self._flaws.append(
                    Flaw("duplicate-key", key_line, f"the key {key} stands in line {lines[key]} already; the later one wins")
                )
            lines[key] = key_line
            value = self.convert(value_node)
            if key == "<<" and isinstance(value.value, (Mapping, tuple)):
                for each in value.value if isinstance(value.value, tuple) else (value,):
                    found = {**(each.value if isinstance(each.value, Mapping) else {}), **found}
                continue
            # A mapping's or list's own mark is its first entry; people look at the line of its key.
            found[key] = Node(value.value, key_line, value.style)
        return found


def _scalar(node: yaml.ScalarNode) -> object:
    tag = node.tag.rpartition(":")[2]
    text = str(node.value)
    if tag == "null":
        return None
    if tag == "bool":
        return text.lower() in {"true", "yes", "on"}
    if tag == "int":
        return int(text) if _INTEGER.fullmatch(text) and len(text) < 20 else text
    if tag == "float":
        try:
            return float(text)
        except ValueError:
            return text
    return text
