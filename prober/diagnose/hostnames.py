"""Which hostnames serve a name, and what is wrong with a name that is nearly one of them. Pure."""

from __future__ import annotations

__all__ = ["covers", "near_miss"]


def covers(hostnames: tuple[str, ...], name: str) -> bool:
    """Whether a list of hostnames serves a name, as Envoy matches: exactly, or ``*.`` for any number of labels."""
    name = name.lower()
    return any(name == host.lower() or (host.startswith("*.") and name.endswith(host[1:].lower())) for host in hostnames)


def near_miss(name: str, hostnames: tuple[str, ...]) -> str:
    """What is likely to be wrong with a name that is nearly one of the hostnames; empty where nothing is near."""
    bare = name.removesuffix(".")
    if bare != name and covers(hostnames, bare):
        return f": it has a trailing dot; {bare} is served"
    for host in hostnames:
        if bare.endswith(f".{host}"):
            return f": it is below {host}, which covers only itself"
        if host.startswith("*.") and bare == host[2:]:
            return f": {host} does not cover its own parent"
    return ""
