"""Who may reach the HTTP listener, and how: the web configuration file as it is now, read again when it or what it names changes."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Callable, Mapping
from pathlib import Path

import trio

from prober.config import ConfigError, Problem
from prober.config.web_file import WebFile, load_web_file
from prober.operations import RateLimit
from prober.service.file_stamps import Stamp, stamp
from prober.service.logs import event

__all__ = ["LOOK_SECONDS", "WebAccess", "refuse_other_protocol"]

_log = logging.getLogger("prober.service")

LOOK_SECONDS = 2.0
"""How often the files are looked at."""


class WebAccess:
    """What the listener asks at each connection and each request. ``on_look`` is told whether the files as they are can be used."""

    def __init__(self, web: WebFile | None, on_look: Callable[[bool], None] = lambda _: None) -> None:
        self._web = web
        self._on_look = on_look
        self._seen: Stamp | None = None
        self._complaint = ""

    @property
    def has_tls(self) -> bool:
        """Whether the listener speaks TLS; this does not change while it listens."""
        return self._web is not None and self._web.tls is not None

    def context(self) -> ssl.SSLContext:
        """For the next connection."""
        assert self._web is not None
        assert self._web.tls is not None
        return self._web.tls.context

    def admits(self, certificate: bytes | None) -> bool:
        """Whether a client that has this certificate (DER), which was verified where that was asked for, may come in."""
        return self._web is None or self._web.tls is None or self._web.tls.admits(certificate)

    def users(self) -> Mapping[str, bytes]:
        """By name; hashes of bcrypt."""
        return self._web.users if self._web is not None else {}

    def headers(self) -> Mapping[str, str]:
        """For every answer."""
        return self._web.headers if self._web is not None else {}

    def limit(self) -> RateLimit | None:
        """For all requests together."""
        return self._web.rate_limit if self._web is not None else None

    def adopt(self, web: WebFile | None) -> None:
        """From now on this one. Whether there is TLS was settled when the service started."""
        assert (web is not None and web.tls is not None) == self.has_tls
        self._web = web
        self._on_look(True)

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await trio.sleep(LOOK_SECONDS)
            web = self._web
            if web is not None:
                await self._look(web)

    async def _look(self, web: WebFile) -> None:
        # Before the files are read: what changes while they are read is a change for the next time.
        now = await trio.to_thread.run_sync(stamp, web.files, abandon_on_cancel=True)
        if now == self._seen:
            return
        try:
            changed = await trio.to_thread.run_sync(load_web_file, Path(web.file), abandon_on_cancel=True)
            refuse_other_protocol(web.file, web, changed)
        except ConfigError as error:
            # Half of a renewal, perhaps: the last good state serves on, and the files are read again until they are good.
            self._seen = None
            self._on_look(False)
            if str(error) != self._complaint:
                self._complaint = str(error)
                for problem in error.problems:
                    event(_log, logging.ERROR, "web configuration refused", problem=str(problem))
            return
        self._complaint = ""
        self._on_look(True)
        if web is not self._web:
            return  # a reload has given another one meanwhile
        self._seen = now
        if changed != web:
            self._web = changed
            event(_log, logging.INFO, "web configuration read again", file=web.file)


def refuse_other_protocol(file: str, old: WebFile | None, new: WebFile | None) -> None:
    """`ConfigError` when one of them is for TLS and the other is not: a listener does not change that under its clients."""
    before, after = (web is not None and web.tls is not None for web in (old, new))
    if before != after:
        names = {True: "https", False: "http"}
        change = f"changed from {names[before]} to {names[after]}, which needs a restart; restart, or change it back"
        raise ConfigError([Problem(file, None, "tls_server_config", change)])
