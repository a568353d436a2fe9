"""The one sentence about a verdict: which address, what happens to whom, what that is known for, what to do next."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from prober.judge.answers import NOT_CONNECTED, Answer
from prober.judge.names import printable
from prober.judge.problems import ProblemCode
from prober.judge.signatures import Signature
from prober.model import Address, Endpoint, NonSniPolicy, Outcome, Sni, Verdict
from prober.tls.registry import AlertDescription

__all__ = ["MAX_LENGTH", "Story", "subject_of", "summarise"]

MAX_LENGTH = 200
"""Characters: what fits an alert's annotation, a chat message and two lines of a terminal."""

_SUBJECT = 60
_NAME = 40
_TEXT = 110


class Story(NamedTuple):
    """What a sentence can be made of."""

    subject: str
    """The address, by `subject_of`; every sentence begins with it."""
    answers: tuple[Answer, ...]
    verdict: Verdict
    faults: tuple[Verdict, ...]
    at_fault: bool
    undecided: str | None
    signatures: tuple[Signature, ...]
    policy: NonSniPolicy
    """What clients without SNI are to get: advice must not lead away from it."""
    proxied: bool
    """A PROXY header went first."""

    @property
    def serves(self) -> str:
        """``It serves a.example.``: the known names that got a certificate; or behind whose certificate it stops."""
        served = [answer for answer in self.answers if answer.sni is Sni.KNOWN and answer.served]
        stopped = [answer for answer in served if answer.broke_off]
        if stopped:
            return f"It stops behind the certificate of {_names(stopped)} ({stopped[0].broke_off})."
        return f"It serves {_names(served)}."

    @property
    def none(self) -> Answer:
        """The hello without a name, which the sentence is about."""
        return next(answer for answer in self.answers if answer.sni is Sni.NONE)

    @property
    def known_for(self) -> str:
        """``, as Envoy does``, or nothing."""
        return f", as {self.signatures[0].products}" if self.signatures else ""

    def advice(self, otherwise: str) -> str:
        """The next step."""
        return self.signatures[0].advice if self.signatures and self.signatures[0].advice else otherwise


def subject_of(where: Endpoint | Address) -> str:
    """The address as sentences have it."""
    return printable(clip(str(where), _SUBJECT))


def summarise(story: Story) -> str:
    """At most `MAX_LENGTH` characters that print, on one line."""
    sentence = _SENTENCES[story.verdict](story)
    others = [fault for fault in story.faults if fault is not story.verdict]
    if others and story.verdict is not Verdict.INCONCLUSIVE:
        sentence = _with(sentence, f"Also {', '.join(others)}.")
    return clip(printable(sentence), MAX_LENGTH)


def _with(sentence: str, more: str) -> str:
    """What is good to know, but no next step: told whole, or not at all. Half a name sends people to a host that does not exist."""
    return f"{sentence} {more}" if len(sentence) + 1 + len(more) <= MAX_LENGTH else sentence


def clip(text: str, length: int) -> str:
    """The text, its end replaced by an ellipsis where it is too long."""
    return text if len(text) <= length else text[: length - 1] + "…"


def _names(answers: list[Answer]) -> str:
    names = [clip(answer.name or "", _NAME) for answer in answers]
    return f"{names[0]} and {len(names) - 1} more" if len(names) > 2 else " and ".join(names)


def _saw(answer: Answer) -> str:
    """How a handshake ended, for people."""
    if answer.outcome is Outcome.TLS_ALERT and answer.tls_alert is not None:
        return f"alert {answer.tls_alert.code} {answer.tls_alert.description}"
    if answer.outcome is Outcome.PROTOCOL_ERROR and answer.presented:
        return "broken TLS behind a certificate"
    late = answer.late and answer.outcome in {Outcome.RESET, Outcome.CLOSED}
    return f"{_WORDS[answer.outcome]}{' after half an answer' if late else ''}"


_WORDS = {
    Outcome.CERTIFICATE: "certificate",
    Outcome.TLS_ALERT: "TLS alert",
    Outcome.RESET: "reset",
    Outcome.CLOSED: "closed",
    Outcome.TIMEOUT: "timeout",
    Outcome.REFUSED: "connection refused",
    Outcome.CONNECT_TIMEOUT: "connect timeout",
    Outcome.UNREACHABLE: "unreachable",
    Outcome.NOT_TLS: "not TLS",
    Outcome.PROTOCOL_ERROR: "broken TLS",
    Outcome.RESOLVE_FAILED: "name does not resolve",
    Outcome.LOCAL_ERROR: "failed on this host",
}


def _ok(story: Story) -> str:
    judged = [answer for answer in story.answers if answer.sni is not Sni.UNKNOWN]
    none = next((answer for answer in judged if answer.sni is Sni.NONE), None)
    if all(answer.broke_off for answer in judged):
        return f"{story.subject} presents its certificate and stops behind it ({judged[0].broke_off}): look into its log."
    if none is None:
        return f"{story.subject}: clients without SNI were not tried. {story.serves}"
    if none.broke_off:
        head = f"{story.subject} presents a certificate to clients without SNI and stops behind it ({none.broke_off})."
        return _with(head, story.serves)
    return f"{story.subject} serves clients without SNI, too. {story.serves}"


def _inconclusive(story: Story) -> str:
    met = [f"; without SNI: {_saw(answer)}" for answer in story.answers if answer.sni is Sni.NONE and not answer.failed_here]
    held = f" Also {', '.join(story.faults)}." if story.faults else ""
    sentence = f"{story.subject} cannot be judged: {clip(story.undecided or '', _TEXT)}{''.join(met)}.{held}"
    errno = next((answer.errno for answer in story.answers if answer.failed_here and answer.sni is not Sni.UNKNOWN), None)
    return _with(sentence, f"Check {_HERE[errno]}.") if errno in _HERE else sentence


# Where to look on this host. What is not here (a bug of ours, a cancelled probe) is nothing that a person can mend.
_HERE = {
    "EMFILE": "its limit of open files (ulimit -n)",
    "ENFILE": "its limit of open files (fs.file-max)",
    "EADDRNOTAVAIL": "its free ports, and that it has IPv6 if the address is one",
    "EAFNOSUPPORT": "that it has IPv6",
    "ENODEV": "the interface behind the %",
}


def _unreachable(story: Story) -> str:
    answers = [answer for answer in story.answers if not answer.failed_here]
    outcomes = {answer.outcome for answer in answers}
    errno = next((answer.errno for answer in answers if answer.errno), "no answer")
    if errno == "EAI_ADDRFAMILY":
        return f"{story.subject} has no address of the family that was asked for ({errno}): check --connect-ip."
    if len(outcomes) == 1 and errno == "ENETUNREACH":
        # Most often it is this host that has no IPv6, beside a name that has both kinds of addresses.
        return (
            f"{story.subject} cannot be reached (ENETUNREACH): there is no route from here; "
            "check routes, and that this host has IPv6 if the address is one."
        )
    if len(outcomes) == 1:
        return _UNREACHABLE[outcomes.pop()].format(subject=story.subject, errno=errno)
    words = ", ".join(sorted(_WORDS[outcome] for outcome in outcomes))
    return f"{story.subject} cannot be connected to ({words}): check the load balancer, its endpoints and firewalls."


_UNREACHABLE = {
    Outcome.RESOLVE_FAILED: "{subject} does not resolve ({errno}): check the DNS record and the resolver.",
    Outcome.REFUSED: "{subject} refuses connections: nothing listens there; check the load balancer, its Service and endpoints.",
    Outcome.CONNECT_TIMEOUT: "{subject} does not answer connection attempts: they are dropped on the way, or its queue is full; check firewalls, routes and load.",
    Outcome.UNREACHABLE: "{subject} cannot be reached ({errno}): no route, or a firewall forbids it; check routes and network policies.",
}


_SEE_BYTES = "see the bytes with `prober once --verbose`"
_SLOW = "look for load, and for large packets that are dropped (MTU)"


def _tls_failing(story: Story) -> str:
    answers = [answer for answer in story.answers if not answer.failed_here]
    saw = ", ".join(dict.fromkeys(map(_saw, answers)))
    if all(answer.presented for answer in answers):
        return (
            f"{story.subject} breaks TLS behind its certificate, to every hello: check that its key is that certificate's; "
            "see `prober once --depth finished --verbose`."
        )
    if story.proxied and all(map(_header_refused, answers)):
        return f"{story.subject} answers no hello behind a PROXY header with a certificate ({saw}): unless it expects one, probe without it."
    if all(answer.outcome is Outcome.TIMEOUT and answer.late for answer in answers):
        return f"{story.subject} begins to answer, and finishes its answer to no hello in time: {_SLOW}."
    refusal = next((answer.tls_alert for answer in answers if answer.tls_alert is not None), None)
    otherwise = "check that it speaks TLS and has a certificate"
    if refusal is not None:
        otherwise = _REFUSED_BY_ALERT.get(refusal.code, "its log has the reason")
    elif all(answer.late and answer.outcome is not Outcome.NOT_TLS for answer in answers):
        otherwise = _SEE_BYTES  # and they are TLS
    elif {answer.outcome for answer in answers} <= {Outcome.TIMEOUT, Outcome.CONNECT_TIMEOUT}:
        otherwise = "its queue of connections may be full; look for hung processes and load"
    advice = story.advice(otherwise)
    return f"{story.subject} accepts connections, but no hello gets a certificate ({saw}){story.known_for}: {advice}."


_FORM = "it refuses this form of a hello; choose another --hello"

# An alert is TLS already, and says what to look at. Alerts 40 and 70 have rows among the signatures.
_REFUSED_BY_ALERT: dict[int, str] = {
    AlertDescription.illegal_parameter: _FORM,
    AlertDescription.decode_error: _FORM,
    AlertDescription.insufficient_security: "compare its cipher suites and groups with the hello's",
    AlertDescription.internal_error: "see its log; Caddy says so without a certificate",
    AlertDescription.missing_extension: _FORM,
    AlertDescription.unrecognized_name: "check its virtual hosts and their certificates",
    AlertDescription.no_application_protocol: "it wants another ALPN protocol; choose another --hello",
}


# What servers do with a PROXY header that they take for a TLS record: Apache, Botan, Erlang, GnuTLS, nginx, Node.js, NSS, OpenSSL, Python,
# rustls, tlslite-ng and wolfSSL were seen.
_HEADER_REFUSED = {Outcome.RESET, Outcome.CLOSED, Outcome.TIMEOUT, Outcome.NOT_TLS, Outcome.PROTOCOL_ERROR}
_HEADER_REFUSED_BY_ALERT = {
    AlertDescription.unexpected_message,
    AlertDescription.record_overflow,
    AlertDescription.illegal_parameter,
    AlertDescription.decode_error,
    AlertDescription.protocol_version,
}


def _header_refused(answer: Answer) -> bool:
    if answer.tls_alert is not None:
        return answer.tls_alert.code in _HEADER_REFUSED_BY_ALERT
    return answer.outcome in _HEADER_REFUSED and not answer.presented


def _sni_failing(story: Story) -> str:
    failed = [answer for answer in story.answers if answer.sni is Sni.KNOWN and not answer.served and not answer.failed_here]
    saw = ", ".join(dict.fromkeys(map(_saw, failed)))
    other = next(answer for answer in story.answers if answer.served)
    who = {Sni.KNOWN: clip(other.name or "", _NAME), Sni.NONE: "a client without SNI", Sni.UNKNOWN: "an unknown name"}[other.sni]
    advice = "check that name's route and certificate"
    if all(answer.outcome in NOT_CONNECTED for answer in failed):
        advice = _NO_MATTER_OF_NAMES
    elif all(answer.tls_alert is not None and _REFUSED_BY_ALERT.get(answer.tls_alert.code) is _FORM for answer in failed):
        advice = _FORM
    return f"{story.subject} fails {_names(failed)} ({saw}), while {who} gets a certificate: {advice}."


_NO_MATTER_OF_NAMES = "TCP knows no names, so look for limits on connections, and probe again"


def _certificate_invalid(story: Story) -> str:
    answer = next(answer for answer in story.answers if answer.sni is Sni.KNOWN and answer.problems)
    name = clip(answer.name or "", _NAME)
    if answer.default_of is not None:
        return f"{story.subject} has {answer.default_of}'s default certificate for {name}: the one configured for it is missing or not loaded."
    head = f"{story.subject} has a bad certificate for {name}: "
    more = f" ({len(answer.problems) - 1} more)" if len(answer.problems) > 1 else ""
    problem = answer.problems[0]
    tail = f"{more}: {_REMEDIES[problem.code]}."
    if len(head) + len(problem.text) + len(tail) > MAX_LENGTH:
        tail = f"{more}."
    return f"{head}{clip(problem.text, MAX_LENGTH - len(head) - len(tail))}{tail}"


_REMEDIES = {
    ProblemCode.EMPTY: "configure one",
    ProblemCode.UNPARSEABLE: "replace it",
    ProblemCode.EXPIRED: "renew it",
    ProblemCode.NOT_YET_VALID: "check the clocks, or install one that is valid now",
    ProblemCode.NAME_MISMATCH: "install one that covers it",
    ProblemCode.SELF_SIGNED: "install one of a trusted authority",
    ProblemCode.UNKNOWN_AUTHORITY: "give its root as ca_file, or replace it",
    ProblemCode.INCOMPLETE_CHAIN: "send the intermediates, or give the root as ca_file",
    ProblemCode.INVALID_SIGNATURE: "install it again from its authority",
    ProblemCode.WEAK_SIGNATURE: "replace it",
    ProblemCode.UNSUPPORTED_SIGNATURE: "check it with openssl verify",
    ProblemCode.CA_CONSTRAINT: "have its authority issue it properly",
    ProblemCode.NAME_CONSTRAINT: "have another authority issue it",
    ProblemCode.NOT_A_SERVER_CERTIFICATE: "install a server certificate",
    ProblemCode.UNSUPPORTED_EXTENSION: "replace it",
    ProblemCode.INTERMEDIATE_EXPIRED: "replace that certificate",
    ProblemCode.INTERMEDIATE_NOT_YET_VALID: "check the clocks, or replace that certificate",
}


def _non_sni_reset(story: Story) -> str:
    verb = "closes on" if story.none.outcome is Outcome.CLOSED else "resets"
    return _refuses(story, f"{verb} clients without SNI", "look for a rule on the server name, and add a default certificate")


def _non_sni_rejected(story: Story) -> str:
    return _refuses(story, f"rejects clients without SNI ({_saw(story.none)})", "configure a default certificate")


def _non_sni_timeout(story: Story) -> str:
    if story.none.late:
        return _refuses(story, "does not finish its answer to clients without SNI in time", _SLOW)
    otherwise = "look for a filter on the server name, and add a default certificate"
    if story.policy is NonSniPolicy.REJECTED:
        otherwise = "a timeout is no rejection, so answer them with a TLS alert or a reset"
    return _refuses(story, "leaves clients without SNI unanswered", otherwise)


def _non_sni_failing(story: Story) -> str:
    otherwise = _NO_MATTER_OF_NAMES if story.none.outcome in NOT_CONNECTED else _SEE_BYTES
    return _refuses(story, f"fails clients without SNI ({_saw(story.none)})", otherwise)


def _refuses(story: Story, what: str, otherwise: str) -> str:
    if not story.at_fault:
        return _with(f"{story.subject} {what}, which its policy accepts.", story.serves)
    return _with(f"{story.subject} {what}{story.known_for}: {story.advice(otherwise)}.", story.serves)


def _non_sni_wrong_certificate(story: Story) -> str:
    answer = story.none
    ranked = sorted(answer.problems, key=lambda problem: problem.code is not ProblemCode.NAME_MISMATCH)
    problem = None if answer.default_of is not None else ranked[0]
    if story.policy is NonSniPolicy.REJECTED:
        remedy = ", though its policy wants them rejected: remove it."
    elif not story.at_fault:
        remedy = ", which its policy accepts."
    elif problem is None or problem.code is ProblemCode.NAME_MISMATCH:
        remedy = ": give them one that covers a known name."
    else:
        remedy = f": {_REMEDIES[problem.code]}."
    head = f"{story.subject} gives clients without SNI "
    if problem is None:
        return f"{head}{answer.default_of}'s default certificate{remedy}"
    head, tail = f"{head}a wrong certificate (", f"){remedy}"
    return f"{head}{clip(problem.text, MAX_LENGTH - len(head) - len(tail))}{tail}"


def _non_sni_served(story: Story) -> str:
    return f"{story.subject} serves clients without SNI, which its policy wants rejected: remove the wildcard route or default certificate."


_SENTENCES: dict[Verdict, Callable[[Story], str]] = {
    Verdict.INCONCLUSIVE: _inconclusive,
    Verdict.UNREACHABLE: _unreachable,
    Verdict.TLS_FAILING: _tls_failing,
    Verdict.SNI_FAILING: _sni_failing,
    Verdict.CERTIFICATE_INVALID: _certificate_invalid,
    Verdict.NON_SNI_RESET: _non_sni_reset,
    Verdict.NON_SNI_REJECTED: _non_sni_rejected,
    Verdict.NON_SNI_TIMEOUT: _non_sni_timeout,
    Verdict.NON_SNI_WRONG_CERTIFICATE: _non_sni_wrong_certificate,
    Verdict.NON_SNI_FAILING: _non_sni_failing,
    Verdict.NON_SNI_SERVED: _non_sni_served,
    Verdict.OK: _ok,
}
