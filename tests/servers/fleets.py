"""All server programs of the tests by name, each started once, when it is first asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Self

from tests.servers import apache, caddy, envoy, gnutls, haproxy, java, nginx, node, openssl, python_ssl
from tests.servers.listeners import Fleet, Listener
from tests.servers.material import Material

__all__ = ["SERVERS", "Fleets"]

_START: dict[str, Callable[[Path, Material], AbstractContextManager[Fleet]]] = {
    "envoy": envoy.envoy,
    "nginx": nginx.nginx,
    "haproxy": haproxy.haproxy,
    "openssl": openssl.openssl,
    "gnutls": gnutls.gnutls,
    "python_ssl": python_ssl.python_ssl,
    # Not required of any machine, not even where nothing else may be skipped.
    "apache": apache.apache,
    "caddy": caddy.caddy,
    "node": node.node,
    "java": java.java,
}
SERVERS: Mapping[str, Mapping[str, Listener]] = {
    "envoy": envoy.LISTENERS,
    "nginx": nginx.LISTENERS,
    "haproxy": haproxy.LISTENERS,
    "openssl": openssl.LISTENERS,
    "gnutls": gnutls.LISTENERS,
    "python_ssl": python_ssl.LISTENERS,
    "apache": apache.LISTENERS,
    "caddy": caddy.LISTENERS,
    "node": node.LISTENERS,
    "java": java.LISTENERS,
}
"""The listeners of each server, known without starting it: what test cases are made of."""


class Fleets:
    """The servers that have been asked for; leaving the context ends them."""

    def __init__(self, directory: Path, material: Material) -> None:
        self.material = material
        self._directory = directory
        self._running: dict[str, Fleet] = {}
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self._stack.close()

    def start(self, server: str) -> None:
        """Start ``server`` unless it runs already; on the main thread. Skips the test when the program is not installed."""
        if server not in self._running:
            directory = self._directory / server
            directory.mkdir(exist_ok=True)
            self._running[server] = self._stack.enter_context(_START[server](directory, self.material))

    def __getitem__(self, server: str) -> Fleet:
        """The running listeners of ``server``, started now if need be."""
        self.start(server)
        return self._running[server]
