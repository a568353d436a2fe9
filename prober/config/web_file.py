"""The web configuration file, in the form that the Prometheus exporters share: TLS, passwords and headers of the HTTP listener.

It is a file of its own, since its readers differ: ``/config`` shows the configuration, never this.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from prober.config.nodes import Fields, Value, document, read_text
from prober.config.problems import Problems, Wrong, near_miss
from prober.config.readers import duration, number, text
from prober.config.web_tls import ServerTls, boolean, tls_server_config
from prober.operations import RateLimit

__all__ = ["WebFile", "load_web_file"]

KEYS = ("tls_server_config", "http_server_config", "basic_auth_users", "rate_limit")
HEADERS: Mapping[str, tuple[str, ...]] = {
    "Content-Security-Policy": (),
    "X-Frame-Options": ("deny", "sameorigin"),
    "X-Content-Type-Options": ("nosniff",),
    "X-XSS-Protection": (),
    "Strict-Transport-Security": (),
}
"""What may be set, and to which values; no values: any."""

HIGHEST_COST = 16
"""A check at cost 16 takes some 5 s, half of the time that a scrape has."""

MOST_AT_ONCE = 1_000_000

_BCRYPT = re.compile(r"\$2[aby]\$(?P<cost>0[4-9]|[12][0-9]|3[01])\$[./A-Za-z0-9]{53}")
_LEAST = "write at least '{}', which asks for neither TLS nor passwords"


@dataclass(frozen=True, slots=True, kw_only=True)
class WebFile:
    """A web configuration that can be used. Nothing of its ``repr`` is a secret."""

    file: str
    tls: ServerTls | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    """Set on every answer, over prober's own."""
    users: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    """bcrypt hashes by name; empty: nobody is asked for a password."""
    rate_limit: RateLimit | None = None

    @property
    def files(self) -> tuple[str, ...]:
        """This file and those that it names: a change of any may be a change of the configuration."""
        return (self.file, *(self.tls.files if self.tls is not None else ()))


def load_web_file(path: str | Path) -> WebFile:
    """Read a web configuration file and what it names; `ConfigError` with everything that is wrong with it."""
    path = Path(path)
    problems = Problems(str(path))
    value = document(read_text(path), problems, _LEAST)
    web = value.read(_web_file, WebFile(file=str(path)))
    problems.raise_if_any()
    return web


def _web_file(value: Value) -> WebFile:
    fields = value.fields(KEYS)
    http = fields.read("http_server_config", lambda value: value.fields(("http2", "headers")), Fields(value, {}))
    http2 = http.read("http2", boolean, True)
    return WebFile(
        file=value.problems.file,
        tls=fields.read("tls_server_config", lambda value: tls_server_config(value, http2=http2), None),
        headers=http.read("headers", _headers, {}),
        users=fields.read("basic_auth_users", _users, {}),
        rate_limit=fields.read("rate_limit", _rate_limit, None),
    )


def _headers(value: Value) -> dict[str, str]:
    headers: dict[str, str] = {}
    for name, entry in value.entries().items():
        if name not in HEADERS:
            entry.complain(f"is no header that can be set here; {near_miss(name, HEADERS)}")
        elif wanted := entry.read(partial(_header, allowed=HEADERS[name]), ""):
            headers[name] = wanted
    return headers


def _header(value: Value, allowed: tuple[str, ...]) -> str:
    """Empty for what is blank: then prober's own header stays."""
    if value.is_null:
        return ""
    raw = value.raw.strip()
    if not raw.isascii() or not raw.replace(" ", "").isprintable():
        raise Wrong("has a character that no header may have; write printable ASCII on one line")
    if raw and allowed and raw.lower() not in allowed:
        raise Wrong(f"{raw!r} means nothing to browsers; write {' or '.join(allowed)}")
    return raw


def _rate_limit(value: Value) -> RateLimit | None:
    """None where the interval is 0, as the exporters have it."""
    fields = value.fields(("interval", "burst"))
    hint = "write the time in which one more request may come, for example 1s, or 0 for no limit"
    interval = fields.require("interval", duration(at_least=0.0), 0.0, hint)
    if not interval and "burst" not in fields:
        return None
    # Without a burst the exporters answer nobody at all, which is nobody's wish.
    requests = number("number of requests", 1, MOST_AT_ONCE)
    burst = fields.require("burst", requests, 1, "write how many requests may come at once, at least 1")
    return RateLimit(interval, burst) if interval else None


def _users(value: Value) -> dict[str, bytes]:
    if value.is_null:
        # The line of a template whose loop found nobody must not open the door.
        raise Wrong("has no users; write NAME: HASH, or remove the key to ask for no password")
    users: dict[str, bytes] = {}
    for name, entry in value.entries().items():
        if _BCRYPT.fullmatch(name):
            raise Wrong("has a hash where a name belongs; write NAME: HASH")
        if not name or ":" in name:
            # RFC 7617 §2: the first colon ends the name.
            entry.complain("is no name that a browser can send; write one without a colon")
        else:
            users[name] = entry.read(_hash, b"")
    if not users and not len(value.problems):
        raise Wrong("has no users; write NAME: HASH, or remove the key to ask for no password")
    return users


def _hash(value: Value) -> bytes:
    """Complaints do not repeat it: people write passwords here."""
    raw = text(value) if value.is_string else ""
    match = _BCRYPT.fullmatch(raw)
    if match is None:
        raise Wrong("is no bcrypt hash; make one with htpasswd -nBC 10 NAME, and write what is behind the colon")
    if int(match["cost"]) > HIGHEST_COST:
        raise Wrong(
            f"has the cost {match['cost']}, so that a check takes longer than a scrape waits; write {HIGHEST_COST} or less"
        )
    return raw.encode()
