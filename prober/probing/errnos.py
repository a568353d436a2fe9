"""Which errno means what: the ingress, the way to it, or this host.

Two tables, since the same number means different things before and after the connection stood: ETIMEDOUT from connect() is a
SYN that nobody answered, afterwards it is an answer that never came. What is in neither table is `local_error`, because an
ingress must not be blamed for what we cannot explain.
"""

from __future__ import annotations

import errno
import os

from prober.model import Outcome

__all__ = ["connect_outcome", "errno_detail", "errno_name", "standing_outcome"]

# Not every platform has every name; a number that does not exist cannot occur.
_REFUSED = ("ECONNREFUSED",)

# The connection stood and was torn down: a RST in ESTABLISHED is ECONNRESET, one after the peer's FIN is EPIPE (tcp(7)).
_RESET = ("ECONNRESET", "EPIPE", "ECONNABORTED", "ENOTCONN", "ESHUTDOWN")

_UNREACHABLE = (
    "EHOSTUNREACH",
    "ENETUNREACH",
    "EACCES",  # a route of type prohibit, or ICMP "administratively prohibited"
    "EPERM",  # a packet filter on this host
    "EHOSTDOWN",
    "ENETDOWN",
    "ENETRESET",
    "ENONET",
    # What Linux makes of the rarer ICMP errors (net/ipv4/icmp.c icmp_err_convert, net/ipv6/icmp.c tab_unreach).
    "ENOPROTOOPT",
    "EOPNOTSUPP",
    "EPROTO",
    "EMSGSIZE",
)

# A blackhole route, or a link-local IPv6 address without its scope.
_UNREACHABLE_AT_CONNECT = ("EINVAL",)

_TIMED_OUT = ("ETIMEDOUT",)


def _codes(*names: str) -> tuple[int, ...]:
    return tuple(getattr(errno, name) for name in names if hasattr(errno, name))


_CONNECT: dict[int, Outcome] = {
    **dict.fromkeys(_codes(*_REFUSED), Outcome.REFUSED),
    **dict.fromkeys(_codes(*_RESET), Outcome.RESET),
    **dict.fromkeys(_codes(*_UNREACHABLE, *_UNREACHABLE_AT_CONNECT), Outcome.UNREACHABLE),
    **dict.fromkeys(_codes(*_TIMED_OUT), Outcome.CONNECT_TIMEOUT),
}

_STANDING: dict[int, Outcome] = {
    # An ICMP "port unreachable" that Linux reports on a standing connection: something on the way tore it down.
    **dict.fromkeys(_codes(*_REFUSED, *_RESET), Outcome.RESET),
    **dict.fromkeys(_codes(*_UNREACHABLE), Outcome.UNREACHABLE),
    **dict.fromkeys(_codes(*_TIMED_OUT), Outcome.TIMEOUT),
}


_LOCAL_ERROR = Outcome.LOCAL_ERROR


def connect_outcome(code: int) -> Outcome:
    """What an errno of connect() says. ``reset`` means that the connection stood and was gone before it could be used."""
    return _CONNECT.get(code, _LOCAL_ERROR)


def standing_outcome(code: int) -> Outcome:
    """What an errno of send() or recv() says."""
    return _STANDING.get(code, _LOCAL_ERROR)


def errno_name(code: int) -> str:
    """``ECONNRESET``; a number that the platform has no name for is ``errno_<n>``."""
    return errno.errorcode.get(code, f"errno_{code}")


def errno_detail(code: int) -> str:
    """One line for people."""
    if code == errno.EINVAL:
        return "no way to this address: a blackhole route, or a link-local IPv6 address without its %interface"
    return os.strerror(code)
