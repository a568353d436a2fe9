"""Whether this process may open enough files for a command to begin.

Asked before Trio, the engine and most modules are there: each of them would end with a traceback of its own.
"""

from __future__ import annotations

import os
from contextlib import suppress

from prober.cli.parser import UsageError

__all__ = ["NEEDED", "require_descriptors"]

NEEDED = 48
"""Free descriptors. The engine and Trio hold a dozen, modules are read and names resolved with some more, and `prober once` keeps 32
from its handshakes: with fewer there is none for a handshake, or every one of them ends as `local_error`."""


def require_descriptors() -> None:
    """Raise the limit as far as the system grants it; `UsageError` where fewer than `NEEDED` are free even so."""
    from prober.probing.descriptors import raise_descriptor_limit

    limit = raise_descriptor_limit()
    free = _free()
    if free < NEEDED:
        raise UsageError(
            f"too few file descriptors: {free} are free of the {limit} that this process may have, and {NEEDED} are needed; "
            "raise the limit (ulimit -n 1024, or LimitNOFILE=1024 of a systemd unit)"
        )


def _free() -> int:
    """How many can be had, `NEEDED` at most. Tried and not reckoned: what was inherited counts, whatever its numbers are."""
    taken: list[int] = []
    try:
        with suppress(OSError):
            taken.append(os.open(os.devnull, os.O_RDONLY))
            while len(taken) < NEEDED:
                taken.append(os.dup(taken[0]))
    finally:
        for descriptor in taken:
            os.close(descriptor)
    return len(taken)
