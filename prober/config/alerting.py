"""``alerting`` and ``state``: when alerts fire, who is told of them, and where all that is remembered."""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

import yaml

from prober.config.http_access import ACCESS_KEYS, http_access, is_url, without_user
from prober.config.nodes import Value
from prober.config.problems import Wrong
from prober.config.readers import called, duration, each, mode_of, number, readable_file, text, word
from prober.judge.alerting import Policy
from prober.notices import Alertmanager, Receivers, Webhook
from prober.sources import BARE_ACCESS, HttpAccess

__all__ = ["DEFAULT_ALERTING", "Alerting", "alerting", "state_directory"]

KEYS = ("failures", "resolve_after", "for", "expiry", "alertmanagers", "webhooks", "external_url", "runbook_base")
WEBHOOK_KEYS = ("name", "url", "url_file", "secret_file")
MOST_ROUNDS = 1000
_ALERTMANAGER = "http://127.0.0.1:9093"
_PROBER = "https://prober.example.com"
_SECRET_LIMIT = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Alerting:
    """The section's meaning."""

    policy: Policy
    receivers: Receivers


DEFAULT_ALERTING = Alerting(policy=Policy(), receivers=Receivers())


def alerting(value: Value) -> Alerting:
    """Reader of the section."""
    fields = value.fields(KEYS)
    default = Policy()
    rounds = number("number of rounds", 1, MOST_ROUNDS)
    failures = fields.read("failures", rounds, default.failures)
    return Alerting(
        policy=Policy(
            failures=failures,
            resolve_after=fields.read("resolve_after", rounds, failures),
            for_seconds=fields.read("for", duration(at_least=0.0), default.for_seconds),
            expiry=fields.read("expiry", duration(at_least=0.0), default.expiry),
        ),
        receivers=Receivers(
            alertmanagers=_distinct(fields.read("alertmanagers", each(_alertmanager), ())),
            webhooks=_named_apart(fields.read("webhooks", each(_webhook), ())),
            external_url=fields.read("external_url", _external_url, None),
            # An alert's name is appended to it as it stands: to a page's anchor, or to a directory with its slash.
            runbook_base=fields.read("runbook_base", _link, None),
        ),
    )


def state_directory(value: Value) -> str:
    """Reader of ``state``: a directory, made when the service starts. A relative path is relative to the configuration file."""
    path = Path(value.problems.file).parent / word(value)
    there, mode = next((each, mode) for each in (path, *path.absolute().parents) if (mode := mode_of(each)) is not None)
    if not stat.S_ISDIR(mode):
        if there == path:
            raise Wrong(f"{path} is no directory; name one that exists or can be made")
        raise Wrong(f"{path} cannot be made, since {there} is no directory; name one that exists or can be made")
    if not os.access(there, os.W_OK | os.X_OK):
        raise Wrong(
            f"{there} cannot be written; check its owner and permissions, or leave the key out to keep the state in memory"
        )
    return str(path)


def _alertmanager(value: Value) -> Alertmanager:
    """A URL, or a mapping of one and how its server is convinced."""
    if not isinstance(value.node, yaml.MappingNode):
        return _alertmanager_at(_base(_url(text(value), _ALERTMANAGER), _ALERTMANAGER), BARE_ACCESS)
    fields = value.fields(("url", *ACCESS_KEYS))
    access = http_access(fields)
    return _alertmanager_at(
        fields.require("url", _plain_url, _ALERTMANAGER, f"write its URL, for example {_ALERTMANAGER}"), access
    )


def _alertmanager_at(url: str, access: HttpAccess) -> Alertmanager:
    if api := re.search(r"/api/v\d+(/alerts)?/*$", url):
        raise Wrong(f"ends in {api[0]}, and the API's path is appended to it; leave that out, for example {_ALERTMANAGER}")
    return Alertmanager(name=f"alertmanager:{_place(urlsplit(url))}", url=url.rstrip("/"), access=access)


def _plain_url(value: Value) -> str:
    return without_user(_base(_url(text(value), _ALERTMANAGER), _ALERTMANAGER))


def _webhook(value: Value) -> Webhook:
    if value.is_string:
        raise Wrong("is a string; write {url: URL}, or {url_file: FILE} for a secret one")
    fields = value.fields(WEBHOOK_KEYS)
    if ("url" in fields) == ("url_file" in fields):
        what = (
            "url and url_file are both written; keep one"
            if "url" in fields
            else "has no url; write url, or url_file for a secret one"
        )
        raise Wrong(what)
    url = fields.read("url", lambda value: _url(text(value), "https://hooks.example.com/path"), None)
    url_file = fields.read("url_file", _url_file, None)
    return Webhook(
        name=fields.read("name", called("receiver"), ""),
        url=url,
        url_file=url_file,
        secret_file=fields.read("secret_file", _secret_file, None),
    )


def _url(raw: str, example: str) -> str:
    """A complete http(s) URL. Complaints do not repeat it: it may be a secret."""
    url = raw.strip()
    if not is_url(url):
        raise Wrong(f"is no URL that can be posted to; write http:// or https://, a host and a path, for example {example}")
    return url


def _base(url: str, example: str) -> str:
    """What paths are appended to, as ``http://HOST:9093/#/alerts`` from a browser's address bar is not. Complaints do not repeat it."""
    if "?" in url or "#" in url:
        raise Wrong(f"goes on behind a ? or #, where no path can be appended; end it before that, for example {example}")
    return url


def _external_url(value: Value) -> str:
    return _base(_link(value), _PROBER).rstrip("/")


def _link(value: Value) -> str:
    return _url(text(value), _PROBER)


def _url_file(value: Value) -> str:
    if re.match(r"\s*https?:", text(value), re.IGNORECASE):
        # Not repeated: it is there because it is a secret.
        raise Wrong("is a URL and no file; write the URL into a file and name that here, or write url where it is no secret")
    path = readable_file(value)
    try:
        _url(_first_bytes(path), "https://hooks.example.com/path")
    except Wrong:
        raise Wrong(f"{path} holds no URL; write one http:// or https:// URL into it") from None
    return path


def _secret_file(value: Value) -> str:
    path = readable_file(value)
    key = _first_bytes(path)
    if not key.strip():
        raise Wrong(f"{path} is empty; write the key of the signature into it")
    if "\N{REPLACEMENT CHARACTER}" in key:
        raise Wrong(f"{path} is no text; write the key as text, for example what openssl rand -hex 32 prints")
    return path


def _first_bytes(path: str) -> str:
    try:
        with Path(path).open("rb") as stream:
            return stream.read(_SECRET_LIMIT).decode("utf-8", "replace")
    except OSError as error:
        raise Wrong(f"{path} cannot be read: {error.strerror}; check its permissions") from None


def _place(parts: SplitResult) -> str:
    """Host and port: what may be shown of any URL."""
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return f"{host}:{parts.port}" if parts.port else str(host)


def _distinct(read: tuple[tuple[Value, Alertmanager], ...]) -> tuple[Alertmanager, ...]:
    first: dict[str, Value] = {}
    taken: set[str] = set()
    named: list[Alertmanager] = []
    for value, one in read:
        if one.url in first:
            value.complain(f"is written twice, first as {first[one.url].path}; keep one")
        first.setdefault(one.url, value)
        named.append(replace(one, name=_free(one.name, taken)))
    return tuple(named)


def _free(name: str, taken: set[str]) -> str:
    """A name for one more at the same place, and now taken: as it is, or with a number behind it."""
    free = next(each for each in (name, *(f"{name}-{number}" for number in range(2, len(taken) + 2))) if each not in taken)
    taken.add(free)
    return free


def _named_apart(read: tuple[tuple[Value, Webhook], ...]) -> tuple[Webhook, ...]:
    """Names identify receivers in the outbox: two of one name would take each other's notifications.

    Without a name of its own a webhook has its place's, and a number behind it where others before it have that place, too.
    """
    written: dict[str, Value] = {}
    for value, one in read:
        if one.name in written:
            value.complain(f"has the name {one.name!r}, as {written[one.name].path} has; give one of them another name")
        elif one.name:
            written[one.name] = value
    taken = set(written)
    where: dict[tuple[str | None, str | None], Value] = {}
    named: list[Webhook] = []
    for value, one in read:
        if one.name:
            named.append(one)
            continue
        if (one.url, one.url_file) in where:
            value.complain(f"is written twice, first as {where[one.url, one.url_file].path}; keep one")
        where.setdefault((one.url, one.url_file), value)
        place = f"webhook:{_place(urlsplit(one.url)) if one.url else Path(one.url_file or '').name}"
        named.append(replace(one, name=_free(place, taken)))
    return tuple(named)
