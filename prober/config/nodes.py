"""YAML nodes with their place in the file, and the collecting of complaints about them.

YAML is composed but not constructed: a scalar keeps the characters that were written. Duplicate keys are refused (YAML 1.2 §3.2.1.1
demands unique ones, PyYAML silently keeps the last). Anchors, aliases and merge keys (``<<``) work; keys of the top level
that begin with ``x-`` are left alone, so that there is a place to define anchors.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path
from typing import TypeVar

import yaml

from prober.config.problems import ConfigError, Problem, Problems, Wrong, near_miss
from prober.yaml_text import compose

__all__ = ["Fields", "Value", "document", "read_text"]

T = TypeVar("T")
D = TypeVar("D")

_TAG = "tag:yaml.org,2002:"
_MERGE = _TAG + "merge"
# What a scalar is without quotes, in words that say why it is not a string.
_KINDS = {
    _TAG + "int": "a number",
    _TAG + "float": "a number",
    _TAG + "bool": "a boolean",
    _TAG + "null": "empty",
    _TAG + "timestamp": "a date",
}
_SIZE_LIMIT = 64 * 1024 * 1024
# Bounds the work: merges of merges of merges grow exponentially, and may be circular.
_MERGE_DEPTH = 4


class Value:
    """One node: what stands there (``node``), how it is reached (``path``), where complaints go (``problems``)."""

    __slots__ = ("line", "node", "path", "problems")

    def __init__(self, node: yaml.Node, path: str, problems: Problems, line: int | None = None) -> None:
        self.node = node
        self.path = path
        self.problems = problems
        # Of a block collection the mark is its first entry; the line of its key is where a person looks.
        self.line: int = line if line is not None else node.start_mark.line + 1

    @property
    def is_null(self) -> bool:
        """Nothing was written, or ``null`` or ``~``."""
        return bool(self.node.tag == _TAG + "null")

    @property
    def is_string(self) -> bool:
        """A scalar that YAML takes for a string."""
        return bool(self.node.tag == _TAG + "str")

    @property
    def kind(self) -> str:
        """What stands there, in words."""
        if isinstance(self.node, yaml.MappingNode):
            return "a mapping"
        if isinstance(self.node, yaml.SequenceNode):
            return "a list"
        return _KINDS.get(self.node.tag, "a string")

    @property
    def raw(self) -> str:
        """The characters of a scalar as they were written, quotes removed."""
        if not isinstance(self.node, yaml.ScalarNode):
            raise Wrong(f"is {self.kind}; write one value, in quotes if it has brackets, braces or ': '")
        if self.node.tag not in _KINDS and not self.is_string:
            raise Wrong(f"has the tag {self.node.tag.replace(_TAG, '!!')}, which means nothing here; remove it")
        return str(self.node.value)

    def complain(self, message: str) -> None:
        """Report a problem with this value."""
        self.problems.add(self.line, self.path, message)

    def read(self, reader: Callable[[Value], T], default: D) -> T | D:
        """What the reader makes of this value; when it complains, the complaint is kept and ``default`` stands in."""
        try:
            return reader(self)
        except Wrong as wrong:
            self.complain(str(wrong))
            return default

    def items(self) -> list[Value]:
        """The entries of a list; nothing written is an empty one."""
        if self.is_null:
            return []
        if not isinstance(self.node, yaml.SequenceNode):
            raise Wrong(f"is {self.kind}; write a list, for example [a, b]")
        return [Value(node, f"{self.path}[{index}]", self.problems) for index, node in enumerate(self.node.value)]

    def entries(self) -> dict[str, Value]:
        """The entries of a mapping by key, merge keys resolved; nothing written is an empty one. Duplicates are complained about."""
        if self.is_null:
            return {}
        if not isinstance(self.node, yaml.MappingNode):
            raise Wrong(f"is {self.kind}; write a mapping, for example {{key: value}}")
        return self._flatten(self.node, 0)

    def fields(self, known: Collection[str]) -> Fields:
        """The entries of a mapping whose keys are known; others are complained about with the nearest known one."""
        entries = self.entries()
        for key, value in entries.items():
            if key not in known and not (not self.path and key.startswith("x-")):
                value.complain(f"unknown key; {near_miss(key, known)}")
        return Fields(self, entries)

    def _flatten(self, mapping: yaml.MappingNode, depth: int) -> dict[str, Value]:
        own: dict[str, Value] = {}
        merged: dict[str, Value] = {}
        for key_node, value_node in mapping.value:
            line = key_node.start_mark.line + 1
            if key_node.tag == _MERGE:
                for source in self._merge_sources(value_node, line):
                    if depth == _MERGE_DEPTH:
                        self.problems.add(
                            line, self.path, "merges mappings that merge mappings too deeply, or itself; write the keys out"
                        )
                    else:
                        # The key of a merged entry may be far away: the line of the value there is the useful one.
                        merged = {**self._flatten(source, depth + 1), **merged}
                continue
            if not isinstance(key_node, yaml.ScalarNode):
                self.problems.add(line, self.path, "has a key that is no plain word; write keys as words")
                continue
            key = str(key_node.value)
            path = _join(self.path, key)
            if key in own:
                self.problems.add(line, path, f"is written twice, first in line {own[key].line}; keep one")
                continue
            own[key] = Value(value_node, path, self.problems, line)
        return {**merged, **own}

    def _merge_sources(self, node: yaml.Node, line: int) -> list[yaml.MappingNode]:
        sources = node.value if isinstance(node, yaml.SequenceNode) else [node]
        mappings = [source for source in sources if isinstance(source, yaml.MappingNode)]
        if len(mappings) != len(sources):
            self.problems.add(
                line, self.path, "<< takes a mapping or a list of mappings; write an alias of one, for example <<: *defaults"
            )
        return mappings


class Fields:
    """The entries of one mapping, read by name."""

    __slots__ = ("_entries", "failed", "of")

    def __init__(self, of: Value, entries: dict[str, Value]) -> None:
        self.of = of
        self._entries = entries
        self.failed: set[str] = set()
        """Keys whose value was complained about: what depends on them is not worth a second complaint."""

    def __contains__(self, key: str) -> bool:
        return key in self._entries

    def value(self, key: str) -> Value | None:
        """The value of a key, None when it was not written."""
        return self._entries.get(key)

    def at(self, *keys: str) -> Value:
        """The first of these that was written, else the mapping itself: where a complaint about several of them belongs."""
        return next((self._entries[key] for key in keys if key in self._entries), self.of)

    def read(self, key: str, reader: Callable[[Value], T], default: D) -> T | D:
        """What the reader makes of the key's value; ``default`` when the key was not written or the reader complains."""
        value = self._entries.get(key)
        if value is None:
            return default
        try:
            return reader(value)
        except Wrong as wrong:
            self.failed.add(key)
            value.complain(str(wrong))
            return default

    def require(self, key: str, reader: Callable[[Value], T], default: D, what: str) -> T | D:
        """As `read`, and complains when the key was not written; ``what`` says what to write."""
        if key not in self._entries:
            self.failed.add(key)
            self.of.complain(f"{key} is missing; {what}")
            return default
        return self.read(key, reader, default)


def read_text(path: Path) -> str:
    """The text of a configuration file; `ConfigError` when it cannot be read."""
    file = str(path)
    try:
        with path.open("rb") as stream:
            data = stream.read(_SIZE_LIMIT + 1)
    except FileNotFoundError:
        raise ConfigError([Problem(file, None, "", "there is no such file; check the path")]) from None
    except IsADirectoryError:
        raise ConfigError([Problem(file, None, "", "is a directory; name the file in it")]) from None
    except OSError as error:
        raise ConfigError([Problem(file, None, "", f"cannot be read: {error.strerror}; check its permissions")]) from None
    if len(data) > _SIZE_LIMIT:
        raise ConfigError([Problem(file, None, "", "is larger than 64 MiB; that is no configuration")])
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError(
            [Problem(file, line, "", f"byte {data[error.start]:#04x} is no UTF-8; save the file as UTF-8")]
        ) from None


def document(text: str, problems: Problems, least: str = "write at least 'targets: []'") -> Value:
    """The one document of a YAML text as a value; `ConfigError` when the text is not YAML. ``least`` is the way out of nothing."""
    try:
        node = compose(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problems.add(mark.line + 1 if mark else None, "", _syntax(error, mark))
        raise ConfigError(tuple(problems)) from None
    except RecursionError:
        problems.add(None, "", "is nested too deeply to be a configuration; check brackets")
        raise ConfigError(tuple(problems)) from None
    except yaml.reader.ReaderError as error:
        problems.add(
            text.count("\n", 0, error.position) + 1,
            "",
            f"has the character {error.character!r}, which YAML does not allow; remove it",
        )
        raise ConfigError(tuple(problems)) from None
    if node is None or (isinstance(node, yaml.ScalarNode) and node.tag == _TAG + "null"):
        # Not "no targets": a file that was truncated by accident must not stop all probing at a reload.
        problems.add(1, "", f"is empty; {least}")
        raise ConfigError(tuple(problems))
    return Value(node, "", problems, None)


def _syntax(error: yaml.MarkedYAMLError, mark: yaml.Mark | None) -> str:
    what = (error.problem or "cannot be read").replace("\n", " ")
    column = f" at column {mark.column + 1}" if mark else ""
    if "document" in what and "expected a single" in (error.context or ""):
        return "a second document begins here; keep one document a file"
    if "tab" in what or "\\t" in what:
        hint = "indent with spaces"
    elif "cannot start any token" in what:
        hint = "put values that begin with @, %, ` or a tab in quotes, and indent with spaces"
    elif "mapping values are not allowed" in what:
        hint = "check the indentation, and quote values that hold ': '"
    elif "undefined alias" in what:
        hint = "define it with & above this line"
    else:
        hint = "check brackets, quotes and indentation from here upwards"
    context = f" ({error.context})" if error.context else ""
    return f"not YAML{column}: {what}{context}; {hint}"


def _join(path: str, key: str) -> str:
    if not key.replace("_", "").replace("-", "").isalnum():
        key = f'["{key}"]'
        return f"{path}{key}"
    return f"{path}.{key}" if path else key
