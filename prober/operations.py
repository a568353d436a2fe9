"""What the outlets may ask of the running service. The service implements it; the web application is built upon it.

The seam exists because siblings do not import each other: `prober.outlets` must not know the engine, the schedule or YAML.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple, Protocol

from prober.findings import Diagnosis
from prober.model import Address, Differential, Module, Target
from prober.snapshot import Statistics, Store

if TYPE_CHECKING:
    from prober.judge.verdicts import Judgement

__all__ = ["Operations", "ProbeAnswer", "ProbeRefused", "ProbeRequest", "RateLimit", "Reloaded"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeRequest:
    """One differential, now, for ``/probe``."""

    address: Address
    """As `prober.addresses.parse_address` read ``target=``."""
    module: Module
    hostname: str | None = None
    """The known server name, where the caller names it."""
    timeout: float
    """Seconds for everything, resolution included."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeAnswer:
    """What came of a `ProbeRequest`."""

    target: Target
    """The target as it was judged: a configured one's server names, policy and labels where the address is configured."""
    differential: Differential
    judgement: Judgement
    verified_until: tuple[datetime | None, ...]
    """Of each handshake, until when its chain holds; None where it does not verify."""
    resolve_seconds: float
    """Seconds that resolution took; 0.0 for an IP literal."""
    seconds: float
    """Seconds that everything took."""


@dataclass(frozen=True, slots=True)
class ProbeRefused:
    """``probe_allow`` does not permit this address; no packet left. Answered as 403."""

    reason: str


class RateLimit(NamedTuple):
    """How many requests the HTTP listener answers."""

    interval: float
    """Seconds in which one more may come; above 0."""
    burst: int
    """So many may come at once; at least 1."""


@dataclass(frozen=True, slots=True)
class Reloaded:
    """What came of a reload: ``errors`` is empty when the new configuration runs."""

    errors: tuple[str, ...] = ()
    """One line each, as ``prober check-config`` prints them."""


class Operations(Protocol):
    """The running service, as seen from the outlets. Everything but the coroutines is a plain read without side effects."""

    @property
    def store(self) -> Store:
        """All states."""

    @property
    def statistics(self) -> Statistics:
        """The service's own counters."""

    @property
    def targets(self) -> tuple[Target, ...]:
        """All targets that are watched now, in the configuration's order."""

    @property
    def modules(self) -> Mapping[str, Module]:
        """By name; ``default`` is always there. Their ``timeout`` is filled in."""

    @property
    def ready(self) -> bool:
        """Configuration loaded, every source of targets asked, and every endpoint of the first round judged."""

    @property
    def unanswered(self) -> tuple[str, ...]:
        """The sources under ``discovery`` that have neither answered nor failed yet."""

    def diagnosis(self, target: str) -> Diagnosis | None:
        """Why a target fails, by its name; None where it does not, or where there is no cluster to ask."""

    def running_config(self) -> str:
        """The running configuration as YAML, secrets masked."""

    async def reload(self) -> Reloaded:
        """Read the configuration again; a bad one changes nothing."""

    async def probe(self, request: ProbeRequest) -> ProbeAnswer | ProbeRefused:
        """One differential against the request's address (the first permitted address of a name)."""
