"""What one round says about each alert: that its condition holds, that it does not, or nothing. Pure.

A round says nothing where this host failed, where nobody can know (no known name to compare with), and where a greater fault
hides the lesser one: an ingress that cannot be reached has not begun to serve clients without SNI. What says nothing counts
neither as failing nor as health.
"""

from __future__ import annotations

from enum import Enum, StrEnum, auto
from functools import lru_cache
from math import inf
from typing import NamedTuple

from prober.judge.answers import NOT_CONNECTED
from prober.judge.verdicts import EXCUSED, Judgement
from prober.model import Differential, NonSniPolicy, Outcome, Sni, Target, Verdict

__all__ = ["RULES", "AlertName", "AlertRule", "Condition", "Evidence", "Round", "assess", "evidence", "expiring", "soonest_end"]


class AlertName(StrEnum):
    """The alerts of the README's table."""

    NON_SNI_FAILING = "NonSniHandshakesFailing"
    NON_SNI_SERVED = "NonSniHandshakesServed"
    SNI_FAILING = "SniHandshakesFailing"
    TLS_DOWN = "IngressTlsDown"
    UNREACHABLE = "IngressUnreachable"
    CERTIFICATE_EXPIRING = "IngressCertificateExpiring"
    CERTIFICATE_INVALID = "IngressCertificateInvalid"
    ADDRESSES_DISAGREE = "IngressAddressesDisagree"
    PROBER_LATE = "ProberLate"
    PROBER_LOCAL_ERRORS = "ProberLocalErrors"
    PROBER_RELOAD_FAILED = "ProberConfigReloadFailed"


class Condition(Enum):
    """What a round says about an alert."""

    FAILING = auto()
    HEALTHY = auto()
    SILENT = auto()
    """Nothing."""


class Evidence(NamedTuple):
    """Why a condition holds: becomes the alert's annotations."""

    verdict: str
    """The address's, as it is everywhere else."""
    outcome: str
    """Of the hello that matters; empty where several do."""
    summary: str
    """One sentence that a person can act on."""
    fault: str = ""
    """The one that the alert is about; the verdict may be a greater one. Empty where it is about none."""
    address: str = ""
    """Where an alert about a target as a whole finds what it is about: one or more, since the alert's key has none."""


class Round(NamedTuple):
    """One judged differential, as alerts see it."""

    target: Target
    address: str
    """``ip:port``, as in the metrics' labels."""
    differential: Differential
    judgement: Judgement
    at: float
    """Unix time in seconds."""


class AlertRule(NamedTuple):
    """One alert. Those without ``faults`` have a condition of their own."""

    severity: str
    faults: frozenset[Verdict] = frozenset()
    hidden_by: frozenset[Verdict] = frozenset()
    """Faults under which this one cannot be seen."""
    needs_known_name: bool = True
    witness: Sni = Sni.KNOWN
    """The hello whose outcome is told."""


_CRITICAL, _WARNING = "critical", "warning"
_DOWN = frozenset({Verdict.UNREACHABLE, Verdict.TLS_FAILING})

RULES: dict[AlertName, AlertRule] = {
    AlertName.NON_SNI_FAILING: AlertRule(
        _CRITICAL,
        frozenset(
            {
                Verdict.NON_SNI_RESET,
                Verdict.NON_SNI_REJECTED,
                Verdict.NON_SNI_TIMEOUT,
                Verdict.NON_SNI_WRONG_CERTIFICATE,
                Verdict.NON_SNI_FAILING,
            }
        ),
        _DOWN | {Verdict.SNI_FAILING},
        witness=Sni.NONE,
    ),
    AlertName.NON_SNI_SERVED: AlertRule(
        _WARNING, frozenset({Verdict.NON_SNI_SERVED}), frozenset({Verdict.UNREACHABLE}), False, Sni.NONE
    ),
    AlertName.SNI_FAILING: AlertRule(_CRITICAL, frozenset({Verdict.SNI_FAILING}), _DOWN),
    AlertName.TLS_DOWN: AlertRule(_CRITICAL, frozenset({Verdict.TLS_FAILING}), frozenset({Verdict.UNREACHABLE}), False),
    AlertName.UNREACHABLE: AlertRule(_CRITICAL, frozenset({Verdict.UNREACHABLE}), frozenset(), False),
    AlertName.CERTIFICATE_EXPIRING: AlertRule(_WARNING),
    AlertName.CERTIFICATE_INVALID: AlertRule(_CRITICAL, frozenset({Verdict.CERTIFICATE_INVALID}), _DOWN | {Verdict.SNI_FAILING}),
    AlertName.ADDRESSES_DISAGREE: AlertRule(_WARNING),
    AlertName.PROBER_LATE: AlertRule(_WARNING),
    AlertName.PROBER_LOCAL_ERRORS: AlertRule(_WARNING),
    AlertName.PROBER_RELOAD_FAILED: AlertRule(_WARNING),
}

_BY_FAULT = tuple((name, rule) for name, rule in RULES.items() if rule.faults)
_SILENCE = {name: Condition.SILENT for name, _ in _BY_FAULT}


def assess(judged: Round) -> dict[AlertName, Condition]:
    """What a round says about the alerts that look at faults. The answer is shared: do not change it."""
    handshakes = judged.differential.handshakes
    if not handshakes or any(
        handshake.observation.outcome is Outcome.LOCAL_ERROR and handshake.sni is not Sni.UNKNOWN for handshake in handshakes
    ):
        return _SILENCE
    judgement = judged.judgement
    known = any(handshake.sni is Sni.KNOWN for handshake in handshakes)
    return _by_faults(judgement.faults, judgement.at_fault, judged.target.non_sni, known)


@lru_cache(maxsize=1024)
def _by_faults(faults: tuple[Verdict, ...], at_fault: bool, policy: NonSniPolicy, known: bool) -> dict[AlertName, Condition]:
    minded = frozenset(faults) - EXCUSED[policy] if at_fault else frozenset()
    return {name: _condition(rule, frozenset(faults), minded, known) for name, rule in _BY_FAULT}


def _condition(rule: AlertRule, faults: frozenset[Verdict], minded: frozenset[Verdict], known: bool) -> Condition:
    if minded & rule.faults:
        return Condition.FAILING
    hidden = faults & rule.hidden_by or (rule.needs_known_name and not known)
    return Condition.SILENT if hidden else Condition.HEALTHY


def evidence(name: AlertName, judged: Round) -> Evidence:
    """What is told about an alert that looks at faults."""
    judgement, rule = judged.judgement, RULES[name]
    fault = next((fault.value for fault in judgement.faults if fault in rule.faults), "")
    outcome = next(
        (
            handshake.observation.outcome.value
            for handshake in judged.differential.handshakes
            if handshake.sni is rule.witness and _speaks(name, handshake.observation.outcome)
        ),
        "" if not judged.differential.handshakes else judged.differential.handshakes[0].observation.outcome.value,
    )
    return Evidence(judgement.verdict.value, outcome, judgement.summary, fault)


def _speaks(name: AlertName, outcome: Outcome) -> bool:
    """Of several known names, the first that failed is the one to tell of."""
    match name:
        case AlertName.SNI_FAILING | AlertName.TLS_DOWN:
            return outcome is not Outcome.CERTIFICATE
        case AlertName.UNREACHABLE:
            return outcome in NOT_CONNECTED
        case _:
            return True


class End(NamedTuple):
    """The end of a certificate that clients rely on."""

    at: float
    """Unix time in seconds."""
    subject: str
    client: str
    """Who relies on it: those that ask for this name, or those without SNI."""


def soonest_end(differential: Differential, judgement: Judgement, policy: NonSniPolicy, now: float) -> End | None:
    """Which certificate that clients rely on ends first? None where none was read.

    Certificates for known names count, and the one for clients without SNI where they are to get one. Of a chain that holds,
    what has expired already is not needed (a cross-signed root, say), and a trust anchor's own date is not the ingress's.
    """
    soonest: End | None = None
    for handshake, answer in zip(differential.handshakes, judgement.handshakes, strict=True):
        relied_on = handshake.sni is Sni.KNOWN or (
            handshake.sni is Sni.NONE and answer.certificate_valid and policy is NonSniPolicy.CERTIFICATE
        )
        if not relied_on or not answer.certificates:
            continue
        for place, facts in enumerate(answer.certificates):
            if facts.not_after is None or (place and facts.subject == facts.issuer):
                continue
            ends = facts.not_after.timestamp()
            if place and ends <= now:
                continue
            if soonest is None or ends < soonest.at:
                soonest = End(ends, facts.subject, handshake.server_name or "clients without SNI")
    return soonest


def expiring(judged: Round, within: float) -> tuple[Condition, Evidence | None, float]:
    """Does a certificate that clients rely on expire within so many seconds? Silent where none was read.

    Last comes the Unix time until which the same handshakes say the same; what fails says at each moment how much is left.
    """
    soonest = soonest_end(judged.differential, judged.judgement, judged.target.non_sni, judged.at)
    if soonest is None:
        return Condition.SILENT, None, inf
    ends, subject, name = soonest
    left = ends - judged.at
    if left >= within:
        return Condition.HEALTHY, None, min(ends - within, ends)
    when = f"expires in {_days(left)}" if left > 0 else f"expired {_days(-left)} ago"
    summary = f"{judged.address}: the certificate {subject} for {name} {when}; renew it and check that the ingress has loaded it."
    return Condition.FAILING, Evidence(judged.judgement.verdict.value, Outcome.CERTIFICATE.value, summary), judged.at


def _days(seconds: float) -> str:
    days, hours = int(seconds // 86400), int(seconds // 3600)
    count, unit = (days, "day") if days else (hours, "hour") if hours else (int(seconds // 60), "minute")
    return f"{count} {unit}{'' if count == 1 else 's'}"
