"""Everything that a diagnosis may know, as plain values: what `causes` judges. Pure.

Each route of the playbook fills its own field; what was not looked at stays empty, and that is something else than having looked
and found nothing: a cluster that refuses an answer (403) leaves the name of what it refused in `ClusterFacts.denied`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from prober.diagnose.logs import LogFacts
from prober.diagnose.overrides import OverridesFacts
from prober.diagnose.routes import RouteFacts
from prober.findings import Lint, SourceReport
from prober.judge.verdicts import Judgement
from prober.model import Differential, Handshake, Outcome, Sni, Stage, Verdict

__all__ = [
    "CaptureEvidence",
    "ClusterFacts",
    "EvidenceSet",
    "FlowEnd",
    "FlowGroup",
    "HttpAnswer",
    "Pod",
    "ProbeFacts",
    "Secret",
    "is_reset",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpAnswer:
    """What a request over a finished handshake was answered with. ``status`` is None when no answer came; then ``error`` says why."""

    sni: Sni
    """Of the hello of that connection: ``none``, or ``known`` for the control."""
    host: str
    """The Host header."""
    path: str
    status: int | None = None
    server: str = ""
    """The ``server`` header: ``envoy``, ``istio-envoy``."""
    error: str | None = None

    @property
    def well(self) -> bool:
        """Whether it was answered, and not with an error."""
        return self.status is not None and self.status < 400

    @property
    def said(self) -> str:
        """The answer in words."""
        return f"{self.status} {self.server}".strip() if self.status is not None else self.error or "no answer"


def is_reset(handshake: Handshake | None) -> bool:
    """Closed by RST or FIN before the server said a byte: what an ingress without a filter chain for the hello does."""
    if handshake is None:
        return False
    seen = handshake.observation
    return seen.outcome in {Outcome.RESET, Outcome.CLOSED} and seen.bytes_received == 0 and seen.stage is Stage.CLIENT_HELLO


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeFacts:
    """One address's differential, its judgement, and what it answered to HTTP requests."""

    differential: Differential
    judgement: Judgement
    http: tuple[HttpAnswer, ...] = ()
    options: tuple[str, ...] = ()
    """Of the command line: what a repetition needs, too (``--proxy-protocol v2``)."""

    @property
    def where(self) -> str:
        """The address that was probed, as people write it."""
        return str(self.differential.endpoint or self.differential.address)

    def hello(self, sni: Sni) -> Handshake | None:
        """The handshake of that kind; of several known names the first."""
        return next((each for each in self.differential.handshakes if each.sni is sni), None)

    @property
    def known(self) -> tuple[Handshake, ...]:
        """The handshakes with known names."""
        return tuple(each for each in self.differential.handshakes if each.sni is Sni.KNOWN)

    @property
    def known_served(self) -> bool:
        """There are known names, and each got a certificate."""
        return bool(self.known) and all(each.observation.outcome is Outcome.CERTIFICATE for each in self.known)

    @property
    def resets(self) -> bool:
        """Known names are served, and the client without SNI is reset."""
        return self.known_served and is_reset(self.hello(Sni.NONE))

    @property
    def accepts(self) -> bool:
        """The client without SNI gets a certificate, whichever."""
        none = self.hello(Sni.NONE)
        return none is not None and none.observation.outcome is Outcome.CERTIFICATE

    @property
    def asks_certificate(self) -> bool:
        """The client without SNI was asked for a certificate of its own."""
        none = self.hello(Sni.NONE)
        return none is not None and none.observation.facts.client_certificate_requested

    @property
    def healthy(self) -> bool:
        """The verdict is ``ok``."""
        return self.judgement.verdict is Verdict.OK

    def answers(self, sni: Sni) -> tuple[HttpAnswer, ...]:
        """The HTTP answers over connections of that kind of hello."""
        return tuple(each for each in self.http if each.sni is sni)


class FlowEnd(StrEnum):
    """How a captured connection went after its first bytes."""

    CERTIFICATE = "certificate"
    """The server went on with its flight: a ServerHello at least."""
    ALERT = "alert"
    RESET = "reset"
    """By the server, before it sent a byte."""
    CLOSED = "closed"
    """FIN by the server, before it sent a byte."""
    CLIENT_LEFT = "client left"
    """By the client, before the server sent a byte."""
    SILENT = "silent"
    """No byte from the server until the capture or the connection ended."""
    OTHER = "other"


class FlowGroup(NamedTuple):
    """Captured connections that are alike; ``times`` of them."""

    file: str
    client: str
    """IP address."""
    server: str
    """``ip:port``."""
    tls: bool
    """Whether the client's first bytes are TLS."""
    sni: str | None
    end: FlowEnd
    alert: int | None = None
    early_reset: bool = False
    """The RST came before the hello was acknowledged."""
    foreign_reset: bool = False
    """The RST's TTL differs from the server's other packets': something on the way sent it."""
    times: int = 1
    odd_reset: bool = False
    """The RST lacks the TCP timestamps that the server's other packets have: a weak sign of the same."""
    answered_http: bool = False
    """The server answered the hello in plain HTTP."""
    spoken: str = ""
    """What the client's first bytes are, as far as one can guess, where they are no TLS."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptureEvidence:
    """All captures together. ``groups`` is bounded by whoever fills it."""

    groups: tuple[FlowGroup, ...] = ()
    files: tuple[str, ...] = ()
    cut: int = 0
    """ClientHellos that the snaplen cut, so that nobody can say whether they had a name."""
    one_sided: int = 0
    """Connections of which one direction alone was captured."""
    not_read: int = 0
    """Packets about which nothing can be said: of another tunnel, encrypted, in parts that are missing."""


class Secret(NamedTuple):
    """What is known of a TLS Secret. ``present`` is None where the cluster did not say (403)."""

    name: str
    namespace: str
    present: bool | None
    problem: str | None = None
    """What is wrong with one that is there: a missing key, an expired certificate."""


class Pod(NamedTuple):
    """A pod of the ingress gateway."""

    name: str
    labels: tuple[tuple[str, str], ...]
    ready: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterFacts:
    """What a cluster said beyond its routes. A field that is empty although asked for is named in ``denied`` or really empty."""

    context: str
    namespace: str
    pods: tuple[Pod, ...] = ()
    secrets: tuple[Secret, ...] = ()
    issues: tuple[str, ...] = ()
    """ApigeeIssue objects, one sentence each."""
    denied: tuple[str, ...] = ()
    """What the cluster refused to tell, and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceSet:
    """All evidence of one diagnosis."""

    probes: tuple[ProbeFacts, ...] = ()
    logs: LogFacts | None = None
    log_names: tuple[str, ...] = ()
    capture: CaptureEvidence | None = None
    routes: RouteFacts | None = None
    overrides: tuple[OverridesFacts, ...] = ()
    cluster: ClusterFacts | None = None
    texts: Mapping[str, str] = field(default_factory=dict)
    """The text of each overrides.yaml by name: what a diff is made against."""
    sources: tuple[SourceReport, ...] = ()
    unread: tuple[tuple[str, Lint], ...] = ()
    """(source, mistake) of each file of which nothing at all could be read for that mistake."""
