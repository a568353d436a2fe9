"""What a service manager is told: sd_notify(3), datagrams of ``NAME=value`` lines to the socket that ``NOTIFY_SOCKET`` names.

Without that variable nothing is sent and nothing costs anything. A manager that does not listen is logged once and never a reason to
stop: it watches the service, and not the other way round.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Mapping, MutableMapping
from time import monotonic_ns
from typing import Self

import trio

from prober.service.logs import event

__all__ = ["ServiceManager"]

_log = logging.getLogger("prober.service")

_OURS = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")


class ServiceManager:
    """Tell it. ``address`` is a path, or a name of the abstract namespace after ``@``; None: there is no manager."""

    def __init__(self, address: str | None, watchdog_seconds: float | None = None) -> None:
        self._address = address.replace("@", "\0", 1) if address is not None and address.startswith("@") else address
        self._watchdog = watchdog_seconds if address is not None else None
        self._unheard = False

    @classmethod
    def from_environment(cls, environment: MutableMapping[str, str], pid: int) -> Self:
        """The one that started this process. Its variables are taken away, since they are not meant for processes that this one starts."""
        found = {name: environment.pop(name) for name in _OURS if name in environment}
        address = found.get("NOTIFY_SOCKET", "")
        return cls(address if address.startswith(("/", "@")) else None, _watchdog(found, pid))

    def ready(self, status: str) -> None:
        """The configuration is loaded and the listener listens; also after a reload. ``status`` is for people."""
        self._tell(f"READY=1\nSTATUS={status}")

    def reloading(self) -> None:
        """A reload has begun; it ends with `ready`, whatever came of it. The time says which of two reloads is meant."""
        self._tell(f"RELOADING=1\nMONOTONIC_USEC={monotonic_ns() // 1000}\nSTATUS=reading the configuration")

    def stopping(self) -> None:
        """The end has begun."""
        self._tell("STOPPING=1\nSTATUS=stopping")

    async def run(self) -> None:
        """Show twice in the watchdog's time that the loop which probes still runs. Returns at once where nobody watches."""
        if self._watchdog is None:
            return
        while True:
            self._tell("WATCHDOG=1")
            await trio.sleep(self._watchdog / 2)

    def _tell(self, message: str) -> None:
        if self._address is None:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                sender.setblocking(False)
                sender.sendto(message.encode(), self._address)
        except OSError as error:
            if not self._unheard:
                event(_log, logging.WARNING, "the service manager does not listen", problem=error.strerror or str(error))
            self._unheard = True
        else:
            self._unheard = False


def _watchdog(found: Mapping[str, str], pid: int) -> float | None:
    """Seconds within which the manager wants to hear something; None where it does not, or means another process."""
    wanted = found.get("WATCHDOG_USEC", "")
    if found.get("WATCHDOG_PID", str(pid)) != str(pid) or not (wanted.isascii() and wanted.isdigit()):
        return None
    return int(wanted[:18]) / 1_000_000 or None
