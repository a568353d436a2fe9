"""From a log file's lines to access-log entries: takes off what the transport wrapped around them.

Wrappings, in any combination that occurs: ``kubectl logs --prefix`` (``[pod/NAME/CONTAINER] ``), ``--timestamps``, CRI files
(``TIME stdout F line``; ``P`` lines are parts to be joined), docker's json-file (``{"log": ...}``), Cloud Logging entries
(``jsonPayload``, ``textPayload``) one a line or as an array, objects printed over several lines; and what `log_wrappings` knows.

One pass, bounded memory: what is kept is the unfinished object or part, at most `MAX_PENDING` characters of it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Generator, Iterable, Iterator, Mapping
from typing import NamedTuple

from prober.diagnose.access_log import AccessLogEntry, from_broken_json, from_istio_text, from_object
from prober.diagnose.log_wrappings import behind_prefix, carries, unwrapped

__all__ = ["MAX_PENDING", "LineReader", "LogLine", "is_wrapped", "read_lines"]

MAX_PENDING = 1 << 20
"""Characters of an unfinished object; Envoy's entries are under 10 KiB, and a Cloud Logging entry is at most 256 KiB."""


class LogLine(NamedTuple):
    """One line (or one object over several lines) of a log, read as far as it could be."""

    number: int
    """One-based number of the line in which it ended."""
    entry: AccessLogEntry | None
    """None for lines that are no access-log entry: an agent's messages, blank lines, damage."""
    pod: str | None
    damaged: bool = False
    """It began as an access-log entry does, and could not be read."""


# A piece this long holds whole objects of an array on one line, however the braces of its last one stand.
_WORTH_TRYING = 4096
_PREFIX = re.compile(r"\[pod/([^/\]]+)/[^\]]+\] ")
_TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d) ")
_CRI = re.compile(r"(std(?:out|err)) ([FP]) ?")
_DECODER = json.JSONDecoder()
# What `decode` calls, without its two passes over the white space around the object.
_SCAN = vars(_DECODER)["scan_once"]
_WRAPPERS = frozenset({"log", "jsonPayload", "textPayload"})
# One that is not closed goes to the end: an expression that could fail there would be tried anew at each quote.
_STRING = re.compile(r'"(?:[^"\\]|\\.?)*+"?', re.DOTALL)
_WHITE = re.compile(r"[\s,\[\]]*")


def read_lines(lines: Iterable[str]) -> Iterator[LogLine]:
    """Each entry of a log, and each line that is none. Never raises, whatever the lines hold.

    Lines may end in a newline or not; a line longer than `MAX_PENDING` may come in pieces.
    """
    reader = LineReader()
    for number, whole in enumerate(lines, start=1):
        yield from reader.line(number, whole)
    yield from reader.finish()


def is_wrapped(value: Mapping[str, object]) -> bool:
    """Whether a JSON object is a transport's, with the entry in it."""
    return not _WRAPPERS.isdisjoint(value)


class LineReader:
    """What is pending between two lines: parts of a CRI or docker line, and an object that goes on in the next line."""

    def __init__(self) -> None:
        self._parts: dict[tuple[str | None, str], str] = {}
        # An object that goes on: its lines, their length, braces that are open, and the length at which it is worth trying anew.
        self._object: list[str] = []
        self._size = self._depth = self._again = 0
        self._number = 0

    @property
    def waiting(self) -> bool:
        """Whether what the next line is depends on what was before it."""
        return bool(self._object or self._parts)

    def line(self, number: int, whole: str) -> Iterable[LogLine]:
        """The entries that a line completes."""
        line = whole.rstrip("\r\n")
        # Most lines are one object and nothing else. Told apart here, a million of them take half the time.
        if line[:1] == "{" and not self._object:
            try:
                value, end = _SCAN(line, 0)
            except (ValueError, StopIteration, RecursionError):
                end = -1
            if end == len(line) and not is_wrapped(value):
                entry = from_object(value)
                if entry is not None or not carries(value):
                    return (LogLine(number, entry, None),)
        return self._feed(number, line)

    def _feed(self, number: int, line: str) -> Iterator[LogLine]:
        self._number = number
        pod = None
        if line.startswith("[pod/") and (prefix := _PREFIX.match(line)):
            pod = prefix[1]
            line = line[prefix.end() :]
        if line[:1].isdigit() and (stamp := _TIMESTAMP.match(line)):
            rest = line[stamp.end() :]
            cri = _CRI.match(rest)
            if cri is None:
                line = rest
            else:
                # Envoy's own messages go to the other stream, between the parts of an entry.
                joined = self._join((pod, cri[1]), rest[cri.end() :], partial=cri[2] == "P")
                if joined is None:
                    return
                line = joined
        if self._object and line.startswith("[") and (entry := from_istio_text(line)) is not None:
            # An entry of its own: what was begun before it never ended.
            yield self._broken("".join(self._object), None)
            self._let_go()
            yield LogLine(self._number, entry, pod)
            return
        yield from self._continue_object(line) if self._object else self._payload(line, pod)

    def finish(self) -> Iterator[LogLine]:
        """What is still pending when the file ends is damage, unless it is only the bracket that closes an array."""
        pending = (yield from self._whole("".join(self._object))).strip("[], \t\n")
        self._let_go()
        if pending:
            yield self._broken(pending, None)
        for part in self._parts.values():
            yield self._broken(part, None)
        self._parts.clear()

    def _join(self, stream: tuple[str | None, str], text: str, *, partial: bool) -> str | None:
        whole = self._parts.pop(stream, "") + text
        if partial and len(whole) <= MAX_PENDING:
            self._parts[stream] = whole
            return None
        return whole

    def _payload(self, line: str, pod: str | None) -> Iterator[LogLine]:
        text = line.strip()
        first = text[:1]
        if first == "{":
            yield from self._json(text, pod)
        elif first == "[" and (entry := from_istio_text(text)) is not None:
            yield LogLine(self._number, entry, pod)
        elif first == "[" and (len(text) == 1 or text[1:].lstrip()[:1] in {"{", "]"}):
            # An array of entries, as `gcloud logging read --format=json` prints: its objects are read one by one.
            yield from self._continue_object(text[1:])
        else:
            entry, named = behind_prefix(text)
            yield LogLine(self._number, entry, pod or named)

    def _json(self, text: str, pod: str | None) -> Iterator[LogLine]:
        try:
            value = json.loads(text)
        except ValueError:
            complete = text.endswith(("}", "},"))
            if complete and '"' in text and not _unfinished(text):
                yield from self._objects(text, pod)
            else:
                yield from self._continue_object(text)
            return
        except RecursionError:
            yield LogLine(self._number, None, pod, damaged=True)
            return
        yield from self._value(value, pod)

    def _objects(self, text: str, pod: str | None) -> Iterator[LogLine]:
        """A line that is not one object: several, with commas between them, or a text format that only looks like JSON."""
        try:
            value, end = _DECODER.raw_decode(text)
        except (ValueError, RecursionError):
            yield self._broken(text, pod)
            return
        yield from self._value(value, pod)
        rest = text[_after_separators(text, end) :]
        if rest:
            yield from self._continue_object(rest)

    def _continue_object(self, line: str) -> Iterator[LogLine]:
        """Objects that go on over lines: takes out what is whole, keeps the rest."""
        restarting = bool(self._object) and line.startswith("{") and len(line) > 2
        self._hold(line)
        # Decoding what cannot be whole, line by line, would cost the square of the object's length; so would trying damage again
        # and again.
        unripe = (self._depth > 0 and not line.startswith("}") and len(line) < _WORTH_TRYING) or self._size < self._again
        if unripe and not restarting and self._size <= MAX_PENDING:
            return
        # Joined with nothing: between the lines of a printed object white space means nothing, and a long line may come in pieces.
        buffer = "".join(self._object)
        self._let_go()
        rest = yield from self._whole(buffer)
        if len(rest) > MAX_PENDING:
            yield self._broken(rest[:MAX_PENDING], None)
        elif restarting and rest.strip() and rest.strip() != line.strip():
            # A line that starts an object of its own, while the one before never ended, ends the wait for it.
            yield self._broken(rest[: -len(line)], None)
            yield from self._payload(line, None)
        elif rest.strip():
            self._hold(rest)
            self._again = 2 * len(rest) if len(rest) == len(buffer) else 0

    def _hold(self, text: str) -> None:
        self._object.append(text)
        self._size += len(text)
        self._depth += _opened(text)

    def _let_go(self) -> None:
        self._object = []
        self._size = self._depth = self._again = 0

    def _whole(self, buffer: str) -> Generator[LogLine, None, str]:
        """The entries of the objects that are whole; what is left."""
        position = _after_separators(buffer, 0)
        while position < len(buffer):
            try:
                value, position = _DECODER.raw_decode(buffer, position)
            except (ValueError, RecursionError):
                break
            yield from self._value(value, None)
            position = _after_separators(buffer, position)
        return buffer[position:]

    def _value(self, value: object, pod: str | None) -> Iterator[LogLine]:
        if isinstance(value, list):
            for each in value:
                yield from self._value(each, pod)
            return
        if not isinstance(value, dict):
            yield LogLine(self._number, None, pod)
            return
        if "log" in value and "stream" in value and isinstance(value["log"], str):
            log = value["log"]  # docker's json-file: a line without its newline goes on in the next one
            joined = self._join((pod, str(value["stream"])), log.rstrip("\r\n"), partial=not log.endswith("\n"))
            if joined is not None:
                yield from self._payload(joined, pod)
            return
        payload = value.get("jsonPayload", value.get("textPayload"))
        if payload is not None:
            pod = _label(value, "pod_name") or pod
            if isinstance(payload, str):
                yield from self._payload(payload, pod)
                return
            value = payload if isinstance(payload, dict) else {}
        entry = from_object(value)
        if entry is not None or not carries(value):
            yield LogLine(self._number, entry, pod)
            return
        for inner, named in unwrapped(value):
            yield LogLine(self._number, inner, pod or named)

    def _broken(self, text: str, pod: str | None) -> LogLine:
        entry = from_broken_json(text)
        return LogLine(self._number, entry, pod, damaged=entry is None)


def _opened(text: str) -> int:
    """Braces opened less braces closed; those in strings, as clients write them into their names, count for nothing."""
    if "{" not in text and "}" not in text:
        return 0
    bare = _STRING.sub("", text) if '"' in text else text
    return bare.count("{") - bare.count("}")


def _unfinished(text: str) -> bool:
    """Whether a line that ends in a brace stops inside an outer object: more braces were opened than closed."""
    return text.count("{") > text.count("}")


def _after_separators(text: str, position: int) -> int:
    match = _WHITE.match(text, position)
    return position if match is None else match.end()


def _label(entry: dict[str, object], name: str) -> str | None:
    resource = entry.get("resource")
    labels = resource.get("labels") if isinstance(resource, dict) else None
    found = labels.get(name) if isinstance(labels, dict) else None
    return found if isinstance(found, str) else None
