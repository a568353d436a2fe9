"""Who a source address belongs to, as far as an address alone tells: the ranges that health checks and proxies come from.

A table of published ranges, not a lookup: a diagnosis must be the same on a machine without a network.
"""

from __future__ import annotations

import ipaddress
from functools import lru_cache
from typing import NamedTuple

__all__ = ["SourceRange", "range_of"]


class SourceRange(NamedTuple):
    """A known range and what an SRE should read into it."""

    network: ipaddress.IPv4Network | ipaddress.IPv6Network
    name: str
    load_balancer: bool
    """Traffic from here is a load balancer's own, so that the real client is behind it."""


def _row(network: str, name: str, *, load_balancer: bool = False) -> SourceRange:
    return SourceRange(ipaddress.ip_network(network), name, load_balancer)


_RANGES = (
    # Google Cloud: "Health checks overview" (probe IP ranges) and "Firewall rules" for load balancers' proxies
    _row("35.191.0.0/16", "Google Cloud load balancer or health check", load_balancer=True),
    _row("130.211.0.0/22", "Google Cloud load balancer or health check", load_balancer=True),
    _row("209.85.152.0/22", "Google Cloud network load balancer's health check", load_balancer=True),
    _row("209.85.204.0/22", "Google Cloud network load balancer's health check", load_balancer=True),
    _row("2600:2d00:1:b029::/64", "Google Cloud load balancer or health check", load_balancer=True),
    _row("2600:2d00:1:1::/64", "Google Cloud load balancer", load_balancer=True),
    # Azure, "What is IP address 168.63.129.16": the platform's own address
    _row("168.63.129.16/32", "Azure load balancer's health probe", load_balancer=True),
    _row("127.0.0.0/8", "this host (loopback)"),
    _row("::1/128", "this host (loopback)"),
    _row("169.254.0.0/16", "link-local"),
    _row("fe80::/10", "link-local"),
    _row("10.0.0.0/8", "private"),
    _row("172.16.0.0/12", "private"),
    _row("192.168.0.0/16", "private"),
    _row("100.64.0.0/10", "shared address space (carrier NAT, some clusters' pods)"),
    _row("fc00::/7", "private"),
)


@lru_cache(maxsize=65536)
def range_of(address: str) -> SourceRange | None:
    """The range that an IP literal is in; None for a public address that no row knows, and for what is no address."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return None
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped is not None:
        ip = ip.ipv4_mapped
    return next((row for row in _RANGES if row.network.version == ip.version and ip in row.network), None)
