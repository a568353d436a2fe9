"""The PROXY protocol's header, as a load balancer sends it before anything else.

Source: HAProxy, "The PROXY protocol", versions 1 and 2, sections 2.1 and 2.2.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from types import MappingProxyType

from prober.model import Endpoint

__all__ = ["PROXY_HEADERS"]

# Section 2.2: the signature that no other protocol begins with.
_V2_SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
_V2_PROXY = 0x21  # version 2, command PROXY
_V2_TCP4 = 0x11
_V2_TCP6 = 0x21


def _bare(ip: str) -> str:
    """Without the scope, which means nothing to another host."""
    return ip.partition("%")[0]


def _v1(source: Endpoint, destination: Endpoint) -> bytes:
    family = "TCP6" if ":" in source.ip else "TCP4"
    return f"PROXY {family} {_bare(source.ip)} {_bare(destination.ip)} {source.port} {destination.port}\r\n".encode()


def _v2(source: Endpoint, destination: Endpoint) -> bytes:
    v6 = ":" in source.ip
    family = socket.AF_INET6 if v6 else socket.AF_INET
    addresses = (
        socket.inet_pton(family, _bare(source.ip))
        + socket.inet_pton(family, _bare(destination.ip))
        + source.port.to_bytes(2)
        + destination.port.to_bytes(2)
    )
    head = bytes((_V2_PROXY, _V2_TCP6 if v6 else _V2_TCP4))
    return _V2_SIGNATURE + head + len(addresses).to_bytes(2) + addresses


PROXY_HEADERS: Mapping[str, Callable[[Endpoint, Endpoint], bytes]] = MappingProxyType({"v1": _v1, "v2": _v2})
"""By version: from the two ends of our own TCP connection (source, destination; one address family) to the header's bytes."""
