"""Free ports that stay free until the server that they are for has bound them.

A port that is looked up and given back can be taken by the next connection that anybody opens. So each one is held by a
bound socket that never listens: the kernel hands it out to nobody else, neither for ``bind(0)`` nor as the local port of a
connection, yet a server that sets ``SO_REUSEADDR`` (all of ours do) may still bind and listen on it.
"""

from __future__ import annotations

import socket
from contextlib import ExitStack
from functools import cache
from types import TracebackType
from typing import Self

from prober.model import Endpoint

__all__ = ["IPV4", "IPV6", "Ports", "has_ipv6"]

IPV4 = "127.0.0.1"
IPV6 = "::1"


@cache
def has_ipv6() -> bool:
    """False where the kernel, or a container's network, has no IPv6 loopback address."""
    try:
        with socket.create_server((IPV6, 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


class Ports:
    """A set of held ports; leaving the context lets go of all of them."""

    def __init__(self) -> None:
        self._held = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None) -> None:
        self._held.close()

    def take(self, ip: str = IPV4) -> Endpoint:
        """One more held port on ``ip``."""
        family = socket.AF_INET6 if ":" in ip else socket.AF_INET
        holder = self._held.enter_context(socket.socket(family, socket.SOCK_STREAM))
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind((ip, 0))
        return Endpoint(ip, holder.getsockname()[1])
