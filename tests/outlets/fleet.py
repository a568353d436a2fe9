"""A running service without a network: targets of each kind, judged by the real judge, behind the `Operations` protocol.

`FakeService` is the verified fake of the outlets' tests: its state is a real `Store`, filled with real judgements of certificates
from a real authority. Only the engine, the schedule and the configuration file are missing.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache

import trio

from prober.changelog import RecentChanges, VerdictChange
from prober.findings import Diagnosis
from prober.judge.chains import assess
from prober.judge.trust import TrustStore
from prober.judge.verdicts import judge
from prober.model import (
    Address,
    Close,
    Differential,
    Endpoint,
    Handshake,
    Module,
    NonSniPolicy,
    Observation,
    Outcome,
    Seconds,
    Sni,
    Stage,
    Target,
)
from prober.operations import Operations, ProbeAnswer, ProbeRefused, ProbeRequest, Reloaded
from prober.snapshot import Change, Statistics, Store
from prober.tls.facts import NOTHING_SAID, HandshakeFacts, TlsAlert
from tests.pki import Authority, Issued, self_signed

__all__ = [
    "NAME",
    "NOW",
    "FakeService",
    "HangingChanges",
    "alert",
    "certificate",
    "differential",
    "ending",
    "issued",
    "judged",
    "target",
    "trust",
]

NAME = "api.example.com"
NOW = 1_790_000_000.0
"""Some time in 2026 at which the certificates below hold."""


@cache
def _authority() -> Authority:
    return Authority.root("Example Root")


@cache
def issued(name: str = NAME, not_after: datetime = datetime(2027, 1, 1, tzinfo=UTC)) -> Issued:
    """A certificate that chains to `trust`."""
    return _authority().issue(name, f"www.{name}", not_before=datetime(2026, 1, 1, tzinfo=UTC), not_after=not_after)


@cache
def expired(name: str = NAME) -> Issued:
    """One that held until yesterday."""
    return _authority().issue(name, not_before=datetime(2025, 1, 1, tzinfo=UTC), not_after=datetime(2026, 9, 20, tzinfo=UTC))


@cache
def default_certificate() -> Issued:
    """The one that nginx-ingress presents when it has no other."""
    return self_signed("Kubernetes Ingress Controller Fake Certificate", "ingress.local")


@cache
def trust() -> TrustStore:
    """The anchors that the judgements use."""
    return TrustStore(_authority().pem, origin="the test's authority")


def certificate(chain: tuple[bytes, ...] | None = None, *, seconds: float = 0.0042, version: str = "TLSv1.3") -> Observation:
    """A handshake that read a certificate; by default one that holds for `NAME`."""
    facts = HandshakeFacts(
        tls_version=version,
        cipher_suite="TLS_AES_128_GCM_SHA256" if version == "TLSv1.3" else "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
        group="x25519",
        certificates=issued().ders if chain is None else chain,
        certificate_read=True,
        server_answered=True,
    )
    phases = Seconds(resolve=0.0, connect=0.0004, handshake=seconds - 0.0004, total=seconds, uncertainty=0.00025)
    return Observation(Outcome.CERTIFICATE, Stage.CERTIFICATE, bytes_received=2741, seconds=phases, facts=facts)


def ending(
    outcome: Outcome,
    stage: Stage = Stage.CLIENT_HELLO,
    *,
    errno: str | None = None,
    close: Close = Close.NONE,
    detail: str | None = None,
    seconds: float = 0.0011,
) -> Observation:
    """A handshake without a certificate."""
    connected = stage not in {Stage.RESOLVE, Stage.CONNECT}
    phases = (
        Seconds(0.0, 0.0003, seconds - 0.0003, seconds)
        if connected
        else Seconds(0.0 if stage is Stage.CONNECT else None, total=seconds)
    )
    return Observation(outcome, stage, errno, close, detail=detail, seconds=phases)


def reset() -> Observation:
    """What Envoy does without a matching filter chain."""
    return ending(Outcome.RESET, errno="ECONNRESET", close=Close.RST)


def alert(code: int = 112, description: str = "unrecognized_name") -> Observation:
    """A fatal TLS alert."""
    facts = NOTHING_SAID._replace(tls_alert=TlsAlert("fatal", code, description))
    return Observation(
        Outcome.TLS_ALERT,
        Stage.SERVER_HELLO,
        close=Close.FIN,
        bytes_received=7,
        seconds=Seconds(0.0, 0.0003, 0.0009, 0.0012),
        facts=facts,
    )


def target(
    name: str = "apigee-prod", *addresses: str, names: tuple[str, ...] = (NAME,), policy: str = "certificate", **labels: str
) -> Target:
    """A target with IPv4 literals or names as addresses."""
    return Target(
        name=name,
        addresses=tuple(Address(address) for address in addresses or ("203.0.113.10",)),
        server_names=names,
        module=Module(timeout=5.0),
        non_sni=NonSniPolicy(policy),
        labels=labels,
    )


def differential(
    of: Target,
    *,
    known: Observation | None = None,
    none: Observation | None = None,
    unknown: Observation | None = None,
    address: Address | None = None,
    endpoint: Endpoint | None = None,
    started: float = NOW - 3,
) -> Differential:
    """One run; hellos that are not given read a certificate (``unknown``: are reset as ``none`` was)."""
    address = address or of.addresses[0]
    known = known or certificate()
    none = none or certificate()
    handshakes = [
        Handshake(Sni.KNOWN, name, "modern", "t13d1516h2_8daaf6152771_e5627efa2ab1", known, started) for name in of.server_names
    ]
    handshakes += [
        Handshake(Sni.NONE, None, "modern", "t13i1515h2_8daaf6152771_e5627efa2ab1", none, started + 0.01),
        Handshake(
            Sni.UNKNOWN,
            "probe-0123456789abcdef.invalid",
            "modern",
            "t13d1516h2_8daaf6152771_e5627efa2ab1",
            unknown or none,
            started + 0.02,
        ),
    ]
    return Differential(of.name, address, endpoint or Endpoint(address.host, address.port), tuple(handshakes))


def judged(of: Target, run: Differential, *, now: float = NOW) -> ProbeAnswer:
    """The run with what the judge says about it, as ``/probe`` gets it."""
    moment = datetime.fromtimestamp(now, UTC)
    ends = tuple(assess(each.observation.facts.certificates, trust()).verified_until(moment) for each in run.handshakes)
    return ProbeAnswer(
        target=of,
        differential=run,
        judgement=judge(run, of.non_sni, trust(), moment),
        verified_until=ends,
        resolve_seconds=0.0,
        seconds=0.0123,
    )


async def _unexpected_probe(request: ProbeRequest) -> ProbeAnswer | ProbeRefused:
    raise AssertionError(f"nobody told the fake what to answer to {request}")


class HangingChanges(RecentChanges):
    """A history on a disk that does not answer."""

    async def changes(self, target: str | None = None, *, limit: int = 1000) -> list[VerdictChange]:
        """Never."""
        await trio.sleep_forever()
        raise AssertionError


@dataclass
class FakeService:
    """`Operations` without an engine. What a test does not set is as in a service that has just become ready."""

    targets: tuple[Target, ...] = ()
    ready: bool = True
    unanswered: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()
    yaml: str = "listen: 127.0.0.1:9859\n"
    answer: Callable[[ProbeRequest], Awaitable[ProbeAnswer | ProbeRefused]] = _unexpected_probe
    modules: Mapping[str, Module] = field(
        default_factory=lambda: {"default": Module(timeout=5.0), "slow": Module(name="slow", timeout=20.0)}
    )
    store: Store = field(default_factory=Store)
    statistics: Statistics = field(default_factory=lambda: Statistics(lambda: 7, NOW - 3600))
    changes: RecentChanges = field(default_factory=RecentChanges)
    reloads: int = 0
    diagnoses: Mapping[str, Diagnosis] = field(default_factory=dict)

    def diagnosis(self, target: str) -> Diagnosis | None:
        """As told."""
        return self.diagnoses.get(target)

    def running_config(self) -> str:
        """As told."""
        return self.yaml

    async def reload(self) -> Reloaded:
        """Counts, and fails with ``errors``."""
        self.reloads += 1
        self.statistics.reload_successful = not self.errors
        return Reloaded(self.errors)

    async def probe(self, request: ProbeRequest) -> ProbeAnswer | ProbeRefused:
        """As told."""
        return await self.answer(request)

    def see(self, of: Target, run: Differential, *, at: float = NOW) -> Change | None:
        """Judge and record one run, as the service does; the target becomes watched."""
        if of not in self.targets:
            self.targets = (*self.targets, of)
        change = self.store.record(of, run, judged(of, run, now=at).judgement, at)
        if change is not None:
            self.changes.add(change)
        for handshake in run.handshakes:
            self.statistics.count_handshake(handshake)
            self.statistics.lateness.observe(0.0007)
        return change


_conforms: Operations = FakeService()
