"""One entry of an ingress's access log, whatever dialect it was written in.

Dialects of the values (each reproduced with a real Envoy):

* typed JSON: numbers are numbers, what is missing is ``null`` (Envoy's JSON encoding, the Apigee hybrid default);
* JSON of strings: every value is a string, what is missing is ``"-"`` (a text format that looks like JSON; quotes within a value
  are not escaped, so such a line may be no JSON at all);
* Istio's text format, whose second-to-last field is the requested server name.

Sources: Envoy "Access logging" (command operators), Apigee hybrid configuration reference ``istiod.accessLogFormat``, Istio
``pilot/pkg/model/telemetry_logging.go`` for the default text format.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple

__all__ = ["AccessLogEntry", "Dialect", "from_broken_json", "from_istio_text", "from_object", "split_remote"]


class Dialect(StrEnum):
    """How the values of an entry were written."""

    TYPED_JSON = "JSON"
    STRING_JSON = "JSON of strings"
    BROKEN_JSON = "JSON of strings with unescaped quotes"
    ISTIO_TEXT = "Istio text"


class AccessLogEntry(NamedTuple):
    """The fields that a diagnosis needs; None is what the log has no value for (``null``, ``-`` or the empty string)."""

    dialect: Dialect
    start_time: str | None
    """RFC 3339, as written."""
    remote_ip: str | None
    remote_port: int | None
    sni: str | None
    status: int | None
    """The HTTP status, 0 when there was no request."""
    details: str | None
    """``status_details``: Envoy's RESPONSE_CODE_DETAILS."""
    flags: str | None
    """Envoy's RESPONSE_FLAGS (``NR``)."""
    host: str | None
    tls_protocol: str | None
    path: str | None
    user_agent: str | None


# The keys that make a JSON object an access-log entry; an agent's or an application's own JSON lines have none of them.
_TELLING = frozenset({"status_details", "sni_host", "upstream_response_flags", "response_code_details", "requested_server_name"})

# Apigee's key first, then the key of Envoy's and Istio's own JSON formats.
_KEYS: Mapping[str, tuple[str, ...]] = {
    "start_time": ("start_time",),
    "remote": ("remote_address", "downstream_remote_address", "downstream_direct_remote_address"),
    "sni": ("sni_host", "requested_server_name"),
    "status": ("status", "response_code"),
    "details": ("status_details", "response_code_details"),
    "flags": ("upstream_response_flags", "response_flags"),
    "host": ("host", "authority", ":authority"),
    "tls": ("tls_protocol", "downstream_tls_version"),
    "path": ("request_path", "path", "x-envoy-origin-path"),
    "agent": ("user_agent",),
}


@lru_cache(maxsize=1024)  # a program's own lines have the same keys a million times
def _plain(key: str) -> str:
    return key.lower().replace("_", "").replace("-", "")


_SPELT = {_plain(key): key for keys in _KEYS.values() for key in keys}
_TELLING_PLAIN = frozenset(map(_plain, _TELLING))
_TYPED = Dialect.TYPED_JSON
# Apigee's names of the fields of an entry, in their order, but for the status; `remote_address` stands for two of them.
_APIGEE = (
    "start_time", "remote_address", "sni_host", "status_details", "upstream_response_flags", "host", "tls_protocol",
    "request_path", "user_agent",
)  # fmt: skip


def from_object(value: Mapping[str, object]) -> AccessLogEntry | None:
    """An entry from a decoded JSON object in either dialect; None when the object is no access-log entry."""
    if "status_details" in value and "sni_host" in value:
        # The 23 keys of Apigee: a million of these are read in a row, so that they are not looked for under other names.
        start, remote, sni, details, flags, host, tls, path, agent = [
            (None if found == "-" or not found else found) if found.__class__ is str else None if found is None else str(found)
            for found in map(value.get, _APIGEE)
        ]
        status = value.get("status")
        ip, port = split_remote(remote)
        if status.__class__ is int:
            return AccessLogEntry(_TYPED, start, ip, port, sni, status, details, flags, host, tls, path, agent)
        dialect = Dialect.STRING_JSON if status.__class__ is str else _TYPED
        number = None if status is None else _status(str(status))
        return AccessLogEntry(dialect, start, ip, port, sni, number, details, flags, host, tls, path, agent)
    if _TELLING.isdisjoint(value):
        # Under the same words in another spelling, as people write formats of their own: responseCodeDetails.
        if _TELLING_PLAIN.isdisjoint(map(_plain, value)):
            return None
        value = {_SPELT.get(_plain(key), key): each for key, each in value.items()}
    dialect = Dialect.STRING_JSON if value.get("status", value.get("response_code")).__class__ is str else Dialect.TYPED_JSON

    def text(field: str) -> str | None:
        for key in _KEYS[field]:
            found = value.get(key)
            if found is not None and found != "-" and found != "":
                return found if isinstance(found, str) else str(found)
        return None

    return _entry(dialect, text)


_BROKEN_FIELD = {
    # A value ends at the quote before the next key, so that quotes inside a user agent do not end it.
    field: re.compile(r'"(?:' + "|".join(keys) + r')"\s*:\s*(?:"(.*?)"(?=\s*[,}]\s*(?:"[a-z_]+"\s*:|$))|([^",}\s]+))')
    for field, keys in _KEYS.items()
}


def from_broken_json(line: str) -> AccessLogEntry | None:
    """An entry from a line that looks like JSON and is none, read key by key; None when the telling keys are not there."""
    if not any(f'"{key}"' in line for key in _TELLING):
        return None

    def text(field: str) -> str | None:
        match = _BROKEN_FIELD[field].search(line)
        if match is None:
            return None
        found = match[1] if match[1] is not None else match[2]
        return None if found in {"-", "", "null"} else found

    return _entry(Dialect.BROKEN_JSON, text)


# Fields are words, "quoted strings" or one [timestamp]; a field that has no value is a bare or quoted hyphen.
_ISTIO_FIELD = re.compile(r'\[[^\]]*\]|"[^"]*"|\S+')
_ISTIO_START = re.compile(r'\[(\d{4}-\d\d-\d\dT[^\]]+)\] "([^"]*)" (\d{1,3}) ')
_ISTIO_MIN_FIELDS = 15


def from_istio_text(line: str) -> AccessLogEntry | None:
    """An entry from Istio's text format; None when the line does not begin as one does."""
    match = _ISTIO_START.match(line)
    if match is None:
        return None
    fields = [each.strip('"') for each in _ISTIO_FIELD.findall(line)]
    if len(fields) < _ISTIO_MIN_FIELDS:
        return None
    request = fields[1].split(" ")
    values: dict[str, str | None] = {
        "start_time": match[1],
        "status": fields[2],
        "flags": fields[3],
        # Before Istio 1.8 there were no details: the fourth field was then the quoted upstream failure reason.
        "details": fields[4],
        "path": request[1] if len(request) == 3 else None,
        # Counted from the end, since a user agent with quotes in it moves what comes before.
        "remote": fields[-3],
        "sni": fields[-2],
        "host": fields[-8] if len(fields) >= 20 else None,
        "agent": fields[-10] if len(fields) >= 20 else None,
    }

    def text(field: str) -> str | None:
        found = values.get(field)
        return None if found in {None, "-", ""} else found

    return _entry(Dialect.ISTIO_TEXT, text)


def _entry(dialect: Dialect, text: Callable[[str], str | None]) -> AccessLogEntry:
    ip, port = split_remote(text("remote"))
    return AccessLogEntry(
        dialect=dialect,
        start_time=text("start_time"),
        remote_ip=ip,
        remote_port=port,
        sni=text("sni"),
        status=_status(text("status")),
        details=text("details"),
        flags=text("flags"),
        host=text("host"),
        tls_protocol=text("tls"),
        path=text("path"),
        user_agent=text("agent"),
    )


def split_remote(remote: str | None) -> tuple[str | None, int | None]:
    """``10.0.0.1:4711`` or ``[2001:db8::1]:4711`` as address and port; an address without a port is accepted."""
    if remote is None:
        return None, None
    host, colon, port = remote.rpartition(":")
    if not colon or not port.isdecimal() or len(port) > 5 or (":" in host and not host.startswith("[")):
        return remote.strip("[]"), None
    return host.strip("[]"), int(port)


def _status(text: str | None) -> int | None:
    if text is None:
        return None
    if text.isdecimal() and len(text) < 20:
        return int(text)
    try:
        return int(float(text))  # Cloud Logging turns every number into a float
    except (ValueError, OverflowError):
        return None
