"""How many sockets this process may have, and how many of them are kept from handshakes.

A prober that uses its last descriptor for a handshake cannot answer ``/metrics`` any more, just when somebody looks.
"""

from __future__ import annotations

import resource
import sys

__all__ = ["RESERVED", "handshake_ceiling", "raise_descriptor_limit"]

RESERVED = 64
"""Descriptors that no handshake may take: listeners, scrapes, state files, DNS, notifications."""

# macOS reports an unlimited hard limit and refuses it: <sys/syslimits.h> OPEN_MAX is what it grants.
_OPEN_MAX = 10240


def raise_descriptor_limit() -> int:
    """Raise the soft RLIMIT_NOFILE to the hard one, as far as the system grants it. Returns the soft limit in force."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for wanted in (hard, _OPEN_MAX):
        if soft == wanted:
            break
        if wanted == resource.RLIM_INFINITY and sys.platform == "linux":
            continue  # fs.nr_open forbids it; a finite hard limit is what Linux has
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        except (ValueError, OSError):
            continue
        break
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def handshake_ceiling(reserved: int = RESERVED) -> int:
    """The first descriptor number that a handshake may not have.

    The kernel gives the lowest free number, so a socket's own number says how full the table is: no counting is needed.
    At most a quarter of a small limit is reserved.
    """
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if soft == resource.RLIM_INFINITY:
        return sys.maxsize
    return soft - min(reserved, soft // 4)
