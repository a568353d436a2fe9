"""``authorization``, ``basic_auth`` and ``tls_config``, in Prometheus's form, of sources of targets and of receivers of alerts.

Secrets come from files alone.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

from prober.addresses import parse_server_name
from prober.config.nodes import Fields, Value
from prober.config.problems import Problem, Wrong
from prober.config.readers import readable_file, text, word
from prober.http_access import AccessError, request_headers, tls_context
from prober.sources import HttpAccess

__all__ = ["ACCESS_KEYS", "http_access", "is_url", "show_access", "without_user"]

ACCESS_KEYS = ("basic_auth", "authorization", "tls_config")


def is_url(url: str) -> bool:
    """Whether this is a complete URL of http or https, with a host that can be looked up."""
    try:
        parts = urlsplit(url)
        parse_server_name(parts.hostname or "")
        fine = parts.scheme in {"http", "https"} and (parts.port is None or parts.port > 0)
    except ValueError:
        return False
    return fine and not re.search(r"\s", url)


def without_user(url: str) -> str:
    """The same URL, which may have no password. Complaints do not repeat it."""
    if urlsplit(url).username is not None:
        raise Wrong("has user information; secrets come from files, so write basic_auth with username and password_file")
    return url


def http_access(fields: Fields) -> HttpAccess:
    """What these keys of a mapping say."""
    if "basic_auth" in fields and "authorization" in fields:
        fields.at("authorization").complain("is written beside basic_auth; keep one of them")
    basic = _part(fields, "basic_auth", ("username", "password_file"))
    bearer = _part(fields, "authorization", ("type", "credentials_file"))
    tls = _part(fields, "tls_config", ("ca_file", "cert_file", "key_file"))
    if ("cert_file" in tls) != ("key_file" in tls):
        tls.of.complain("has one of cert_file and key_file; a client certificate needs both")
    username, password_file, credentials_file = None, None, None
    if "basic_auth" in fields:
        username = basic.require("username", _username, "", "write the name of the user")
        password_file = basic.require("password_file", readable_file, "", "name the file that holds the password")
    if "authorization" in fields:
        credentials_file = bearer.require("credentials_file", readable_file, "", "name the file that holds the token")
    access = HttpAccess(
        username=username,
        password_file=password_file,
        authorization_type=bearer.read("type", _scheme, "Bearer"),
        credentials_file=credentials_file,
        ca_file=tls.read("ca_file", readable_file, None),
        cert_file=tls.read("cert_file", readable_file, None),
        key_file=tls.read("key_file", readable_file, None),
    )
    if not (basic.failed or bearer.failed or tls.failed) and ("cert_file" in tls) == ("key_file" in tls):
        _doubt_files(fields.of, access)
    return access


def _doubt_files(where: Value, access: HttpAccess) -> None:
    """What the first request would say of the files. It is no error: they are read again for each request, and may be renewed just now."""
    try:
        request_headers(access)
        if access.has_certificates:
            tls_context(access)
    except AccessError as error:
        doubt = f"{error}; put it right, it is read again for each request"
        where.problems.doubts.append(Problem(where.problems.file, where.line, where.path, doubt))


def _username(value: Value) -> str:
    name = text(value)
    if ":" in name:
        # RFC 7617 §2: the first colon ends the name.
        raise Wrong("has a colon, where the password would begin for the server; write a name without one")
    return name


def show_access(access: HttpAccess) -> dict[str, Any]:
    """The keys as they are shown: paths of secrets, never secrets."""
    shown: dict[str, Any] = {}
    if access.username is not None:
        shown["basic_auth"] = {"username": access.username, "password_file": access.password_file}
    if access.credentials_file is not None:
        shown["authorization"] = {"type": access.authorization_type, "credentials_file": access.credentials_file}
    tls = {"ca_file": access.ca_file, "cert_file": access.cert_file, "key_file": access.key_file}
    if written := {key: value for key, value in tls.items() if value is not None}:
        shown["tls_config"] = written
    return shown


def _part(fields: Fields, key: str, known: tuple[str, ...]) -> Fields:
    return fields.read(key, lambda value: value.fields(known), Fields(fields.of, {}))


def _scheme(value: Value) -> str:
    scheme = word(value)
    if not re.fullmatch(r"[A-Za-z0-9-]+", scheme) or scheme.lower() == "basic":
        raise Wrong(f"{scheme!r} is no type that goes with credentials_file; write Bearer, or use basic_auth")
    return scheme
