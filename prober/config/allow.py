"""``probe_allow``: which addresses ``/probe`` may reach besides the configured targets."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass

from prober.config.nodes import Value
from prober.config.problems import Wrong
from prober.config.readers import each, filled, text
from prober.model import Endpoint
from prober.whole_numbers import whole_number

__all__ = ["EVERY_PORT", "AllowRule", "permits", "probe_allow"]

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

EVERY_PORT = (1, 65535)


@dataclass(frozen=True, slots=True)
class AllowRule:
    """Some ports of some networks."""

    networks: tuple[Network, ...]
    ports: tuple[tuple[int, int], ...] = (EVERY_PORT,)
    """Inclusive ranges."""

    def permits(self, endpoint: Endpoint) -> bool:
        """Whether the endpoint is in one of the networks and ranges. An IPv4-mapped IPv6 address is its IPv4 address."""
        address: ipaddress.IPv4Address | ipaddress.IPv6Address = ipaddress.ip_address(endpoint.ip.partition("%")[0])
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        return self.permits_port(endpoint.port) and any(address in network for network in self.networks)

    def permits_port(self, port: int) -> bool:
        """Whether the port is in one of the ranges."""
        return any(low <= port <= high for low, high in self.ports)


def permits(rules: Iterable[AllowRule], endpoint: Endpoint) -> bool:
    """Whether one of the rules permits the endpoint."""
    return any(rule.permits(endpoint) for rule in rules)


def probe_allow(value: Value) -> tuple[AllowRule, ...]:
    """Reader of the list of rules."""
    return tuple(rule for _, rule in each(_rule)(value))


def _rule(value: Value) -> AllowRule:
    fields = value.fields(("networks", "ports"))
    hint = "write the networks that may be probed, for example [10.0.0.0/8]"
    networks = fields.require("networks", filled(each(_network), hint), (), hint)
    ports = fields.read(
        "ports", filled(each(_ports), "write the ports that may be probed, or leave the key out for all"), ((value, EVERY_PORT),)
    )
    return AllowRule(tuple(network for _, network in networks), tuple(ports for _, ports in ports))


def _network(value: Value) -> Network:
    raw = text(value).strip()
    try:
        network = ipaddress.ip_network(raw, strict=False)
    except ValueError:
        raise Wrong(f"{raw!r} is no network; write ADDRESS/BITS, for example 10.0.0.0/8 or 2001:db8::/32") from None
    if "/" in raw and ipaddress.ip_interface(raw).ip != network.network_address:
        raise Wrong(f"{raw!r} has bits set beyond its /{network.prefixlen}; write {network}")
    return network


def _ports(value: Value) -> tuple[int, int]:
    raw = value.raw.strip()
    first, dash, last = (part.strip() for part in raw.partition("-"))
    low = whole_number(first, 1, 65535)
    high = whole_number(last, 1, 65535) if dash else low
    if low is None or high is None:
        raise Wrong(f'{raw!r} is no port; write a number from 1 to 65535 or a range such as "8443-8450"')
    if low > high:
        raise Wrong(f"{raw!r} runs backwards; write {high}-{low}")
    return low, high
