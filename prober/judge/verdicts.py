"""The judgement of one differential: facts in, one verdict and all faults out.

The rules are the table `RULES`, in order of precedence, over a `Case`: what the differential comes to in the terms that
matter. Three principles stand behind it. What failed on this host says nothing about the ingress. What a client without SNI
sees means nothing unless clients with a known name are served. And every fault is told, not only the first.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from enum import Enum, auto
from typing import NamedTuple

from prober.judge.answers import NOT_CONNECTED, Answer
from prober.judge.certificates import CertificateFacts
from prober.judge.chains import assess
from prober.judge.problems import Problem, ProblemCode
from prober.judge.signatures import Signature, recognise
from prober.judge.summaries import Story, subject_of, summarise
from prober.judge.trust import TrustStore
from prober.model import Close, Differential, Handshake, NonSniPolicy, Observation, Outcome, Sni, Verdict
from prober.tls.remembered import Remembered

__all__ = ["EXCUSED", "RULES", "Case", "HandshakeJudgement", "Judgement", "NonSni", "Opinion", "judge"]


class HandshakeJudgement(NamedTuple):
    """What one handshake's certificates come to."""

    certificates: tuple[CertificateFacts, ...] = ()
    """Facts of the presented chain; none where TLS was broken behind it, which says nothing about the chain."""
    problems: tuple[Problem, ...] = ()
    certificate_valid: bool | None = None
    """Chain, name and dates hold; None without a certificate. ``none`` and ``unknown`` must cover one of the known names."""
    default_of: str | None = None
    """The product whose default certificate it is."""

    @property
    def certificate_problems(self) -> tuple[str, ...]:
        """The problems as sentences."""
        return tuple(problem.text for problem in self.problems)


class Opinion(NamedTuple):
    """The part of a judgement that equal answers have in common."""

    verdict: Verdict
    faults: tuple[Verdict, ...]
    expected: bool
    at_fault: bool
    predicate: str
    """The summary without the address, which it begins with."""
    inconclusive: str | None
    non_sni_supported: bool | None
    signatures: tuple[Signature, ...]


class Judgement(NamedTuple):
    """One verdict on one ingress address."""

    verdict: Verdict
    faults: tuple[Verdict, ...]
    """All that hold, in order of precedence; never ``ok`` or ``inconclusive``."""
    expected: bool
    """The verdict is what the policy asks for."""
    at_fault: bool
    """There is a fault that the policy does not excuse."""
    summary: str
    """One sentence with the address, what happens, what it means and what to do next."""
    inconclusive: str | None
    """Why nothing certain can be said; None where it can."""
    non_sni_supported: bool | None
    """Does a client without SNI get a certificate? None while nothing tells."""
    signatures: tuple[Signature, ...]
    """Whom this behaviour is known of, the most particular one first."""
    handshakes: tuple[HandshakeJudgement, ...]
    """In the order of the differential's handshakes."""


class NonSni(Enum):
    """What a client without SNI comes to."""

    NOT_ASKED = auto()
    SERVED = auto()
    RESET = auto()
    REJECTED = auto()
    TIMEOUT = auto()
    FAILING = auto()


class Case(NamedTuple):
    """A differential in the terms that decide. Hellos that failed on this host are left out of all but the first field."""

    undecided: str | None
    """Why there is no verdict: no known name, or a hello that is needed failed on this host."""
    connected: bool
    """Some hello got a TCP connection."""
    unconnected: bool
    """Hellos were sent, and none got a connection."""
    served: bool
    """Some hello got a certificate."""
    known_undecided: bool
    """A hello with a known name failed on this host."""
    known_failed: bool
    """A known name got no certificate."""
    known_fine: bool
    """There are known names, and each got a certificate (valid or not)."""
    known_invalid: bool
    """A known name's certificate has a problem."""
    non_sni: NonSni
    wrong_certificate: bool
    """The client without SNI got a certificate that is not acceptable."""
    policy: NonSniPolicy


RULES: tuple[tuple[Verdict, Callable[[Case], bool]], ...] = (
    (Verdict.UNREACHABLE, lambda case: case.unconnected),
    (Verdict.TLS_FAILING, lambda case: case.connected and not case.served and not case.known_undecided),
    (Verdict.SNI_FAILING, lambda case: case.known_failed and case.served),
    (Verdict.CERTIFICATE_INVALID, lambda case: case.known_invalid),
    (Verdict.NON_SNI_RESET, lambda case: case.known_fine and case.non_sni is NonSni.RESET),
    (Verdict.NON_SNI_REJECTED, lambda case: case.known_fine and case.non_sni is NonSni.REJECTED),
    (Verdict.NON_SNI_TIMEOUT, lambda case: case.known_fine and case.non_sni is NonSni.TIMEOUT),
    (Verdict.NON_SNI_WRONG_CERTIFICATE, lambda case: case.known_fine and case.wrong_certificate),
    (Verdict.NON_SNI_FAILING, lambda case: case.known_fine and case.non_sni is NonSni.FAILING),
    (Verdict.NON_SNI_SERVED, lambda case: case.policy is NonSniPolicy.REJECTED and case.non_sni is NonSni.SERVED),
)
"""When each fault holds, in order of precedence. Before all of them comes ``inconclusive``, after all of them ``ok``."""

EXCUSED: dict[NonSniPolicy, frozenset[Verdict]] = {
    NonSniPolicy.CERTIFICATE: frozenset(),
    # A timeout is no rejection: a client that waits for its own deadline was not told anything.
    NonSniPolicy.REJECTED: frozenset({Verdict.NON_SNI_RESET, Verdict.NON_SNI_REJECTED}),
    NonSniPolicy.ANY: frozenset(
        {
            Verdict.NON_SNI_RESET,
            Verdict.NON_SNI_REJECTED,
            Verdict.NON_SNI_TIMEOUT,
            Verdict.NON_SNI_WRONG_CERTIFICATE,
            Verdict.NON_SNI_FAILING,
        }
    ),
}
"""The faults that are what a policy asks for, or does not mind."""

# Those by the contract's wording for clients without SNI; every other problem counts where it is theirs alone.
_ALWAYS_WRONG = frozenset({ProblemCode.NAME_MISMATCH, ProblemCode.EXPIRED, ProblemCode.EMPTY})


def judge(
    differential: Differential, policy: NonSniPolicy, trust: TrustStore, now: datetime, *, proxied: bool = False
) -> Judgement:
    """Judge one differential. ``now`` is aware; certificates are judged at that time against ``trust``.

    ``proxied``: a PROXY header went before each hello, which the summary counts with where nobody is served.
    """
    handshakes = differential.handshakes
    known_names = tuple([handshake.server_name for handshake in handshakes if handshake.sni is _KNOWN and handshake.server_name])
    judged = _shared([_judge_handshake(handshake, known_names, trust, now) for handshake in handshakes])
    answers = tuple(map(_answer, handshakes, judged))
    # An address, where the name behind it does not resolve.
    subject = subject_of(differential.endpoint or differential.address)
    key = (len(subject), policy, proxied, answers)
    opinion = _opinions.get(key)
    if opinion is None:
        opinion = _opinions.keep(key, _opinion(subject, policy, answers, proxied=proxied))
    verdict, faults, expected, at_fault, predicate, inconclusive, supported, signatures = opinion
    return _new_tuple(
        Judgement, (verdict, faults, expected, at_fault, subject + predicate, inconclusive, supported, signatures, judged)
    )


_MAX_OPINIONS = 32_768
"""An opinion and its key take 1 KB."""
_opinions: Remembered[tuple[int, NonSniPolicy, bool, tuple[Answer, ...]], Opinion] = Remembered(_MAX_OPINIONS)
"""By the answers and not by the address: of an address, an opinion has only the length, which its sentence must fit."""

_NOTHING_PRESENTED = HandshakeJudgement()

_KNOWN, _CERTIFICATE, _CLOSE_NONE = Sni.KNOWN, Outcome.CERTIFICATE, Close.NONE
_ENDED = {Close.FIN: "closed", Close.RST: "reset", Close.TIMEOUT: "timeout"}

# What a NamedTuple's own constructor does, at half its price.
_new_tuple = tuple.__new__


def _judge_handshake(handshake: Handshake, known_names: tuple[str, ...], trust: TrustStore, now: datetime) -> HandshakeJudgement:
    if handshake.observation.outcome is not _CERTIFICATE:
        return _NOTHING_PRESENTED
    names = known_names
    if handshake.sni is _KNOWN and handshake.server_name:
        names = (handshake.server_name,)
    assessment = assess(handshake.observation.facts.certificates, trust)
    problems = assessment.problems(names, now)
    return _new_tuple(HandshakeJudgement, (assessment.certificates, problems, not problems, assessment.default_of))


def _shared(judged: list[HandshakeJudgement]) -> tuple[HandshakeJudgement, ...]:
    """Most often one certificate answers all hellos: then they have one judgement, which is kept for each endpoint."""
    first = judged[0] if judged else _NOTHING_PRESENTED
    return tuple([first if one == first else one for one in judged])


def _answer(handshake: Handshake, judged: HandshakeJudgement) -> Answer:
    observation = handshake.observation
    name = handshake.server_name if handshake.sni is _KNOWN else None
    return _new_tuple(
        Answer,
        (
            handshake.sni,
            name,
            observation.outcome,
            observation.bytes_received > 0,
            observation.errno,
            observation.facts.tls_alert,
            judged.problems,
            judged.default_of,
            observation.facts.certificate_read,
            _broke_off(observation),
        ),
    )


def _broke_off(observation: Observation) -> str | None:
    """What the server did behind its certificate instead of finishing, seen at depth ``finished``, and in TLS 1.2 where no flight was whole."""
    close, facts = observation.close, observation.facts
    alert = facts.tls_alert
    if (close is _CLOSE_NONE and alert is None) or observation.outcome is not _CERTIFICATE or facts.finished:
        return None
    # Who wants a client certificate and gets none is right to end it.
    if facts.missed_client_certificate:
        return None
    return _ENDED[close] if alert is None else f"alert {alert.code} {alert.description}"


def _opinion(subject: str, policy: NonSniPolicy, answers: tuple[Answer, ...], *, proxied: bool) -> Opinion:
    case = _case(answers, policy)
    faults = tuple(verdict for verdict, holds in RULES if holds(case))
    verdict = Verdict.INCONCLUSIVE if case.undecided else faults[0] if faults else Verdict.OK
    at_fault = any(not _excused(fault, case) for fault in faults)
    signatures = recognise(*(_behaviour(answers, sni) for sni in (Sni.KNOWN, Sni.NONE, Sni.UNKNOWN)))
    summary = summarise(Story(subject, answers, verdict, faults, at_fault, case.undecided, signatures, policy, proxied))
    return Opinion(
        verdict=verdict,
        faults=faults,
        expected=not at_fault and not case.undecided,
        at_fault=at_fault,
        predicate=summary.removeprefix(subject),
        inconclusive=case.undecided,
        non_sni_supported=_supported(answers),
        signatures=signatures,
    )


def _case(answers: tuple[Answer, ...], policy: NonSniPolicy) -> Case:
    here = [answer for answer in answers if not answer.failed_here]
    known = [answer for answer in here if answer.sni is Sni.KNOWN]
    none = next((answer for answer in here if answer.sni is Sni.NONE), None)
    connected = any(answer.outcome not in NOT_CONNECTED for answer in here)
    known_failed = any(not answer.served for answer in known)
    known_undecided = any(answer.sni is Sni.KNOWN and answer.failed_here for answer in answers)
    return Case(
        undecided=_undecided(answers),
        connected=connected,
        unconnected=bool(here) and not connected,
        served=any(answer.served for answer in here),
        known_undecided=known_undecided,
        known_failed=known_failed,
        known_fine=bool(known) and not known_failed and not known_undecided,
        known_invalid=any(answer.problems for answer in known),
        non_sni=NonSni.NOT_ASKED if none is None else _non_sni(none),
        wrong_certificate=none is not None and _wrong(none, known),
        policy=policy,
    )


def _undecided(answers: tuple[Answer, ...]) -> str | None:
    """Why there can be no verdict. The unknown name is evidence about a default certificate; no verdict needs it."""
    for answer in answers:
        if answer.failed_here and answer.sni is not Sni.UNKNOWN:
            return f"this host could not send the hello with {answer.name or 'no server name'} ({answer.errno or 'local error'})"
    if not any(answer.sni is Sni.KNOWN for answer in answers):
        return "no known server name was sent to compare with; give one (--server-name, server_names, hostname=)"
    return None


def _non_sni(answer: Answer) -> NonSni:
    match answer.outcome:
        case Outcome.CERTIFICATE:
            return NonSni.SERVED
        case Outcome.RESET:
            return NonSni.RESET
        case Outcome.CLOSED if not answer.late:
            return NonSni.RESET
        case Outcome.TLS_ALERT:
            return NonSni.REJECTED
        case Outcome.TIMEOUT:
            return NonSni.TIMEOUT
        case _:
            return NonSni.FAILING


def _wrong(none: Answer, known: list[Answer]) -> bool:
    """Is what the client without SNI got unacceptable? What all known names suffer as well is ``certificate_invalid`` alone."""
    codes = {problem.code for problem in none.problems}
    shared = set.intersection(*({problem.code for problem in answer.problems} for answer in known)) if known else set()
    return bool(codes & _ALWAYS_WRONG or codes - shared) or none.default_of is not None


def _excused(fault: Verdict, case: Case) -> bool:
    excused = EXCUSED[case.policy]
    if fault is Verdict.TLS_FAILING and case.undecided and not case.known_failed:
        # Without a known name, "no hello yields a certificate" says what the client without SNI met, and the policy may want that.
        return _AS_VERDICT.get(case.non_sni) in excused
    return fault in excused


_AS_VERDICT = {
    NonSni.RESET: Verdict.NON_SNI_RESET,
    NonSni.REJECTED: Verdict.NON_SNI_REJECTED,
    NonSni.TIMEOUT: Verdict.NON_SNI_TIMEOUT,
    NonSni.FAILING: Verdict.NON_SNI_FAILING,
}


def _supported(answers: tuple[Answer, ...]) -> bool | None:
    none = [answer for answer in answers if answer.sni is Sni.NONE]
    if any(answer.served for answer in none):
        return True
    answered = any(answer.outcome not in NOT_CONNECTED and not answer.failed_here for answer in none)
    # A failure tells something about clients without SNI only where a client with SNI is served at the same time.
    return False if answered and any(answer.sni is Sni.KNOWN and answer.served for answer in answers) else None


def _behaviour(answers: tuple[Answer, ...], sni: Sni) -> str | None:
    """What the hellos of one kind met; None where none was sent, or where known names differ."""
    seen = {answer.behaviour for answer in answers if answer.sni is sni and not answer.failed_here}
    return seen.pop() if len(seen) == 1 else None
