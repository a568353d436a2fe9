"""What one hello was answered with, in the terms that decide: everything that a verdict and its sentence may depend on.

A differential is reduced to answers first, and judged from them alone. So equal answers give equal judgements, and a judgement
that was made once need not be made again while an ingress goes on doing the same: durations and canary names are no part of it.
"""

from __future__ import annotations

from typing import NamedTuple

from prober.judge.problems import Problem
from prober.model import Outcome, Sni
from prober.tls.facts import TlsAlert

__all__ = ["NOT_CONNECTED", "Answer"]

NOT_CONNECTED = frozenset({Outcome.REFUSED, Outcome.CONNECT_TIMEOUT, Outcome.UNREACHABLE, Outcome.RESOLVE_FAILED})
"""The outcomes without a TCP connection."""


class Answer(NamedTuple):
    """One hello, and what came of it."""

    sni: Sni
    name: str | None
    """The known name; None for the others, whose names mean nothing."""
    outcome: Outcome
    late: bool = False
    """The server had sent something before."""
    errno: str | None = None
    tls_alert: TlsAlert | None = None
    problems: tuple[Problem, ...] = ()
    """Of the presented chain."""
    default_of: str | None = None
    """The product whose default certificate it is."""
    presented: bool = False
    """A Certificate message came, whatever went wrong behind it."""
    broke_off: str | None = None
    """How the server ended the handshake behind its certificate, for people; None where it did not."""

    @property
    def served(self) -> bool:
        """A certificate came, whichever."""
        return self.outcome is Outcome.CERTIFICATE

    @property
    def failed_here(self) -> bool:
        """This host failed, not the ingress."""
        return self.outcome is Outcome.LOCAL_ERROR

    @property
    def behaviour(self) -> str:
        """``reset``, ``closed``, ``alert 112``, ``certificate``, ...: the words of the tables of signatures.

        ``reset`` and ``closed`` are those without a byte from the server; after half an answer it is ``reset late``, ``closed late``.
        """
        if self.outcome is Outcome.TLS_ALERT and self.tls_alert is not None:
            return f"alert {self.tls_alert.code}"
        if self.late and self.outcome in {Outcome.RESET, Outcome.CLOSED}:
            return f"{self.outcome.value} late"
        return self.outcome.value
