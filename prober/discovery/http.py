"""Prometheus's http_sd: a URL that answers a list of groups of targets as JSON."""

from __future__ import annotations

import json
import ssl
from base64 import b64encode
from pathlib import Path
from typing import Any

import httpx
import trio

from prober.discovery.feed import Feed
from prober.notices import masked
from prober.sources import ADDRESS, HttpAccess, HttpSource, LabelSet, LabelSets, SourceError

__all__ = ["HttpWatcher", "client", "headers", "read_secret"]

SIZE_LIMIT = 16 * 1024 * 1024
"""Bytes of an answer, decompressed: a hundred thousand targets with labels."""
_SECRET_LIMIT = 64 * 1024
_URL = "__meta_url"


class HttpWatcher:
    """`prober.discovery.feed.Watcher` of one URL."""

    def __init__(self, source: HttpSource) -> None:
        self._source = source

    async def run(self, feed: Feed) -> None:
        """Ask again and again. `SourceError` when there is no usable answer."""
        while True:
            text = await self._ask()
            feed.publish(await trio.to_thread.run_sync(self._read, text))
            await trio.sleep(self._source.refresh)

    async def _ask(self) -> bytes:
        source, shown = self._source, masked(self._source.url)
        try:
            with trio.fail_after(source.timeout):
                # A new client each time: secrets and certificates are rotated, and once a minute a connection costs nothing.
                sent = await trio.to_thread.run_sync(headers, source.access)
                sent |= {"Accept": "application/json", "X-Prometheus-Refresh-Interval-Seconds": f"{source.refresh:g}"}
                async with (
                    await trio.to_thread.run_sync(client, source.access) as http,
                    http.stream("GET", source.url, headers=sent) as answer,
                ):
                    return await _body(answer, shown)
        except trio.TooSlowError:
            raise SourceError(f"{shown} did not answer within {source.timeout:g} s") from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise SourceError(f"{shown}: {str(error) or type(error).__name__}") from None

    def _read(self, text: bytes) -> LabelSets:
        try:
            return tuple({**labels, _URL: self._source.url} for labels in _groups(json.loads(text)))
        except (ValueError, RecursionError) as error:
            raise SourceError(f"{masked(self._source.url)}: no list of target groups: {error}") from None


async def _body(answer: httpx.Response, shown: str) -> bytes:
    if answer.status_code != httpx.codes.OK:
        raise SourceError(f"{shown} answered {answer.status_code} {answer.reason_phrase}")
    kind = answer.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise SourceError(f"{shown} answered {kind or 'something without Content-Type'}; http_sd is application/json")
    body = bytearray()
    async for part in answer.aiter_bytes(65_536):
        body += part
        if len(body) > SIZE_LIMIT:
            raise SourceError(f"{shown} answered more than {SIZE_LIMIT // 1024 // 1024} MiB")
    return bytes(body)


def _groups(document: Any) -> list[LabelSet]:
    """The entries of a list of groups; ``ValueError`` says where it is none."""
    found: list[LabelSet] = []
    if not isinstance(document, list):
        raise ValueError("it is no list")  # noqa: TRY004
    for number, group in enumerate(document):
        if not isinstance(group, dict):
            raise ValueError(f"[{number}] is no object")  # noqa: TRY004
        labels = group.get("labels") or {}
        targets = group.get("targets")
        if not isinstance(targets, list) or not all(isinstance(target, str) for target in targets):
            raise ValueError(f"[{number}].targets is no list of strings")
        if not isinstance(labels, dict) or not all(isinstance(value, str) for value in labels.values()):
            raise ValueError(f"[{number}].labels is no object of strings")
        found += ({**labels, ADDRESS: target} for target in targets)
    return found


def headers(access: HttpAccess) -> dict[str, str]:
    """What authorizes a request, read from its files now. Blocks. `SourceError` when a file cannot be read."""
    if access.username is not None and access.password_file is not None:
        # RFC 7617 §2
        credentials = b64encode(f"{access.username}:{read_secret(access.password_file)}".encode()).decode()
        return {"Authorization": f"Basic {credentials}"}
    if access.credentials_file is not None:
        return {"Authorization": f"{access.authorization_type} {read_secret(access.credentials_file)}"}
    return {}


def read_secret(path: str) -> str:
    """The text of a small file without the white space around it. Blocks. `SourceError` when it cannot be used."""
    try:
        with Path(path).open("rb") as stream:
            secret = stream.read(_SECRET_LIMIT).decode().strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no UTF-8"
        raise SourceError(f"{path}: cannot be read: {reason}") from None
    if not secret or not secret.isprintable():
        raise SourceError(f"{path}: holds no secret on one line")
    return secret


def client(access: HttpAccess, *, timeout: float | None = None) -> httpx.AsyncClient:
    """A client by the access's certificates, which are read now. Blocks. `SourceError` when one cannot be used."""
    try:
        trust = ssl.create_default_context(cafile=access.ca_file)
        if access.cert_file is not None:
            trust.load_cert_chain(access.cert_file, access.key_file)
    except (OSError, ssl.SSLError) as error:
        files = ", ".join(file for file in (access.ca_file, access.cert_file, access.key_file) if file)
        raise SourceError(f"{files}: cannot be used: {error.strerror or error}") from None
    # Neither proxies nor netrc from the environment: a source is what the configuration says.
    return httpx.AsyncClient(verify=trust, timeout=timeout, follow_redirects=True, trust_env=False)
