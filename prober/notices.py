"""What is on its way to receivers of alerts, and who they are: values that the history keeps and the notifier delivers.

The seam exists because siblings do not import each other. Pure.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import NamedTuple
from urllib.parse import urlsplit

from prober.sources import BARE_ACCESS, HttpAccess

__all__ = ["Alertmanager", "OutboxEntry", "Receivers", "Webhook", "masked", "parse_vantage"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Alertmanager:
    """One Alertmanager."""

    name: str
    """In metrics and logs: ``alertmanager:HOST:PORT``."""
    url: str = field(repr=False)
    """Its base; may hold user information."""
    access: HttpAccess = BARE_ACCESS


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """One webhook: a URL, or a file that holds one."""

    name: str
    """In metrics, logs and the outbox, so it must survive a restart. ``webhook:HOST`` or ``webhook:FILE`` unless configured, with a
    number where there are several of them."""
    url: str | None = field(default=None, repr=False)
    url_file: str | None = None
    secret_file: str | None = None
    """Holds the key of the HMAC-SHA-256 signature."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Receivers:
    """Everybody who is told of alerts, and what links in notifications begin with."""

    alertmanagers: tuple[Alertmanager, ...] = ()
    webhooks: tuple[Webhook, ...] = ()
    external_url: str | None = field(default=None, repr=False)
    """How people reach the status page; None: the address that the service listens on."""
    runbook_base: str | None = field(default=None, repr=False)
    """What an alert's name is appended to; None: the service's own runbook page."""
    vantage: str = ""
    """Where this prober looks from. Not empty: others may send the same alerts, and go on when this one sees no fault any more."""


class OutboxEntry(NamedTuple):
    """One change on its way to one webhook."""

    sequence: int
    """Of the change."""
    receiver: str
    """The webhook's name."""
    lane: str
    """Entries of one lane (the target's name) arrive in order."""
    key: str
    """The ``Idempotency-Key``: the same in every attempt."""
    body: bytes
    """JSON. Holds no secret."""
    created: float
    """Unix time in seconds."""


def parse_vantage(text: str) -> str:
    """The name of a vantage point; ``ValueError`` says what is wrong. A comma is not in it, since alerts list them with commas."""
    if not re.fullmatch(r"[A-Za-z0-9_.:/-]{1,64}", text):
        raise ValueError(
            f"{text!r} is no name of a vantage point; write up to 64 letters, digits, dots, colons, slashes, hyphens or underscores"
        )
    return text


def masked(url: str) -> str:
    """The URL without what may be secret: user information and query."""
    parts = urlsplit(url)
    location = parts.netloc.rpartition("@")
    netloc = f"***@{location[2]}" if location[1] else parts.netloc
    return parts._replace(netloc=netloc, query="***" if parts.query else "", fragment="").geturl()
