"""From a configured address to socket addresses: every A and AAAA answer, in the resolver's order.

The system's resolver is asked, as every other client on this host asks it (hosts file, search list, nsswitch). It blocks, so
`prober.probing.names` has threads for it; whoever waits owns the deadline, and a thread that is late is left behind.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from typing import Any, Literal

import trio

from prober.model import Address, Endpoint, Outcome
from prober.probing.errnos import errno_name

__all__ = ["IpFamily", "ResolveError", "literal_endpoint", "resolve"]

IpFamily = Literal[4, 6]

_FAMILIES: dict[IpFamily, socket.AddressFamily] = {4: socket.AF_INET, 6: socket.AF_INET6}

# getaddrinfo(3) gives numbers that differ between platforms; the names do not.
_EAI_NAMES = {getattr(socket, name): name for name in dir(socket) if name.startswith("EAI_")}

# The answer that there is no address is the name's. That this host cannot ask is not.
_OURS = {"EAI_MEMORY", "EAI_SYSTEM", "EAI_BADFLAGS", "EAI_SOCKTYPE", "EAI_BADHINTS", "EAI_PROTOCOL"}

# What a resolver that was asked for one family says of a name that has addresses of the other alone, too.
_NO_ADDRESS = {"EAI_NONAME", "EAI_NODATA", "EAI_ADDRFAMILY"}


class ResolveError(Exception):
    """A name without an address, as one outcome: `resolve_failed`, or `local_error` where this host could not even ask.

    ``code`` is the resolver's (``EAI_NONAME``) or an errno's name (``EMFILE``, ``ETIMEDOUT``), ``detail`` one line for people.
    """

    def __init__(self, code: str, detail: str, *, outcome: Outcome = Outcome.RESOLVE_FAILED) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail
        self.outcome = outcome


def literal_endpoint(address: Address) -> Endpoint | None:
    """The endpoint of an IP literal, in canonical spelling, without asking anybody; None for a name.

    An IPv6 literal keeps its scope (``fe80::1%eth0``).
    """
    host, percent, scope = address.host.partition("%")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        ip = socket.inet_ntop(family, socket.inet_pton(family, host))
    except (OSError, ValueError):  # ValueError: characters that no address and no name has
        return None
    return Endpoint(ip + percent + scope, address.port)


async def resolve(address: Address, family: IpFamily | None = None) -> tuple[Endpoint, ...]:
    """All endpoints of ``address``, without duplicates; never empty. ``family`` restricts them to IPv4 or IPv6.

    Raises ResolveError. Always a checkpoint.
    """
    literal = literal_endpoint(address)
    if literal is not None:
        await trio.lowlevel.checkpoint()
        if family is not None and (":" in literal.ip) != (family == 6):
            raise ResolveError("EAI_ADDRFAMILY", f"{literal.ip} is no IPv{family} address")
        return (literal,)
    try:
        answers = await _ask(address, family)
    except ResolveError as error:
        if family is None or error.code not in _NO_ADDRESS:
            raise
        found = ", ".join(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in await _ask(address, None)))
        raise ResolveError("EAI_ADDRFAMILY", f"{address.host} has no IPv{family} address, but {found}") from None
    endpoints = dict.fromkeys(_endpoint(sockaddr, address.port) for *_, sockaddr in answers)
    if not endpoints:
        raise ResolveError("EAI_NODATA", f"{address.host} has no address")
    return tuple(endpoints)


async def _ask(address: Address, family: IpFamily | None) -> Sequence[tuple[Any, ...]]:
    """The answers of the system's resolver, as getaddrinfo has them. Raises ResolveError."""
    try:
        return await trio.socket.getaddrinfo(
            address.host,
            address.port,
            family=_FAMILIES[family] if family is not None else socket.AF_UNSPEC,
            type=socket.SOCK_STREAM,
        )
    except socket.gaierror as error:
        code = _EAI_NAMES.get(error.errno, f"EAI_{error.errno}")
        outcome = Outcome.LOCAL_ERROR if code in _OURS else Outcome.RESOLVE_FAILED
        raise ResolveError(code, f"{address.host}: {error.strerror}", outcome=outcome) from None
    except ValueError as error:  # UnicodeError among them
        raise ResolveError("EAI_NONAME", f"{address.host!r} is no host name: {error}") from None
    except OSError as error:  # EMFILE: no descriptor is left to ask with
        code = errno_name(error.errno or 0)
        raise ResolveError(code, f"the resolver could not be asked: {error.strerror}", outcome=Outcome.LOCAL_ERROR) from None


def _endpoint(sockaddr: tuple[object, ...], port: int) -> Endpoint:
    """From (ip, port) or (ip, port, flow, scope); a scope is only there for a link-local address."""
    ip = str(sockaddr[0])
    scope = sockaddr[3] if len(sockaddr) > 3 else 0
    return Endpoint(f"{ip}%{scope}" if scope and "%" not in ip else ip, port)
