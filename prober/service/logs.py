"""Structured log lines on standard error: logfmt or JSON, one event a line.

A line is for a change that a person may want to be told of: a verdict, a start, a reload. What happens at every probe is a
metric. Fields never hold secrets: they are names, addresses, verdicts and the summary that the status page shows.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator
from typing import TextIO, TypeAlias

from prober.timestamps import rfc3339_milliseconds

__all__ = ["FORMATS", "JsonLines", "LogfmtLines", "configure", "event"]

Field: TypeAlias = str | int | float | bool | None

FORMATS = ("logfmt", "json")

_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.:/[]%+@,")


def event(logger: logging.Logger, level: int, message: str, **fields: Field) -> None:
    """Log one event with its fields, in the order in which they are given."""
    logger.log(level, message, extra={"fields": fields})


def configure(level: str, form: str, stream: TextIO | None = None) -> None:
    """Send everything at ``level`` and above to the stream (default: standard error)."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonLines() if form == "json" else LogfmtLines())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    # Libraries' chatter below a warning is not about ingresses.
    for name in ("hypercorn", "httpx", "httpcore", "dns"):
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.getLevelName(level.upper())))


def _fields(record: logging.LogRecord) -> Iterator[tuple[str, Field]]:
    yield "ts", rfc3339_milliseconds(record.created)
    yield "level", record.levelname.lower()
    yield "msg", record.getMessage()
    fields: dict[str, Field] = getattr(record, "fields", {})
    yield from fields.items()
    if not record.name.startswith("prober.service"):
        yield "logger", record.name
    if record.exc_info:
        yield "exception", logging.Formatter().formatException(record.exc_info)


class LogfmtLines(logging.Formatter):
    """``ts=... level=info msg="verdict changed" target=apigee-prod ...``; None is left out."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, without line breaks whatever the values are."""
        return " ".join(f"{key}={_logfmt(value)}" for key, value in _fields(record) if value is not None)


class JsonLines(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """One line; JSON escapes line breaks."""
        return json.dumps(dict(_fields(record)), ensure_ascii=False)


def _logfmt(value: Field) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:.6g}"
    text = str(value)
    # JSON's escapes are logfmt's: quotes, backslashes and control characters.
    return text if text and _PLAIN.issuperset(text) else json.dumps(text, ensure_ascii=False)
