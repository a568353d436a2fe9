"""The one sentence about a verdict: which address, what happens to whom, what that is known for, what to do next."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from prober.judge.names import printable
from prober.judge.problems import Problem, ProblemCode
from prober.judge.signatures import DefaultCertificate, Signature
from prober.model import Differential, Handshake, Outcome, Sni, Verdict

__all__ = ["MAX_LENGTH", "Story", "summarise"]

MAX_LENGTH = 200
"""Characters: what fits an alert's annotation, a chat message and two lines of a terminal."""

_NAME = 40
_TEXT = 110


class Story(NamedTuple):
    """What a sentence can be made of."""

    differential: Differential
    verdict: Verdict
    faults: tuple[Verdict, ...]
    at_fault: bool
    undecided: str | None
    problems: tuple[tuple[Problem, ...], ...]
    """Of each handshake."""
    defaults: tuple[DefaultCertificate | None, ...]
    """Whose default certificate each handshake got."""
    signatures: tuple[Signature, ...]

    @property
    def where(self) -> str:
        """The address."""
        return clip(str(self.differential.endpoint or self.differential.address), 60)

    @property
    def served(self) -> str:
        """The known names that got a certificate."""
        return _names([one for one in self.known if one.observation.outcome is Outcome.CERTIFICATE])

    @property
    def known(self) -> list[Handshake]:
        """The hellos with a known name."""
        return [one for one in self.differential.handshakes if one.sni is Sni.KNOWN]

    @property
    def none(self) -> Handshake | None:
        """The hello without a name."""
        return next((one for one in self.differential.handshakes if one.sni is Sni.NONE), None)

    @property
    def known_for(self) -> str:
        """``, as Envoy does``, or nothing."""
        return f", as {self.signatures[0].products}" if self.signatures and self.signatures[0].products else ""

    def advice(self, otherwise: str) -> str:
        """The next step."""
        return self.signatures[0].advice if self.signatures and self.signatures[0].advice else otherwise


def summarise(story: Story) -> str:
    """At most `MAX_LENGTH` characters that print, on one line."""
    sentence = _SENTENCES[story.verdict](story)
    others = [fault for fault in story.faults if fault is not story.verdict]
    if others and story.verdict is not Verdict.INCONCLUSIVE:
        also = f" Also {', '.join(others)}."
        if len(sentence) + len(also) <= MAX_LENGTH:
            sentence += also
    return clip(printable(sentence), MAX_LENGTH)


def clip(text: str, length: int) -> str:
    """The text, its end replaced by an ellipsis where it is too long."""
    return text if len(text) <= length else text[: length - 1] + "…"


def _names(handshakes: list[Handshake]) -> str:
    names = [clip(one.server_name or "", _NAME) for one in handshakes]
    if len(names) > 2:
        return f"{names[0]} and {len(names) - 1} more names"
    return " and ".join(names) or "known names"


def _saw(handshake: Handshake) -> str:
    """How a handshake ended, for people."""
    observation = handshake.observation
    if observation.outcome is Outcome.TLS_ALERT and observation.facts.tls_alert is not None:
        return f"alert {observation.facts.tls_alert.code} {observation.facts.tls_alert.description}"
    late = observation.outcome in {Outcome.RESET, Outcome.CLOSED} and observation.bytes_received > 0
    return f"{_WORDS[observation.outcome]}{' after half an answer' if late else ''}"


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
    if story.none is None:
        return f"{story.where} serves {story.served}."
    return f"{story.where} serves {story.served} and clients without SNI."


def _inconclusive(story: Story) -> str:
    met = ""
    if story.none is not None and story.none.observation.outcome is not Outcome.LOCAL_ERROR:
        met = f"; without SNI: {_saw(story.none)}"
    remedy = "" if story.known else ", give one"
    held = f" Still {', '.join(story.faults)}." if story.faults else ""
    return f"{story.where} cannot be judged: {clip(story.undecided or '', _TEXT)}{remedy}{met}.{held}"


def _unreachable(story: Story) -> str:
    observations = [
        one.observation for one in story.differential.handshakes if one.observation.outcome is not Outcome.LOCAL_ERROR
    ]
    outcomes = {one.outcome for one in observations}
    errno = next((one.errno for one in observations if one.errno), None) or "no answer"
    if outcomes == {Outcome.RESOLVE_FAILED}:
        return f"{clip(story.differential.address.host, 100)} does not resolve ({errno}): check the DNS record and the resolver."
    if outcomes == {Outcome.REFUSED}:
        return f"{story.where} refuses connections: nothing listens there; check the load balancer, its Service and endpoints."
    if outcomes == {Outcome.CONNECT_TIMEOUT}:
        return f"{story.where} does not answer connection attempts: something drops them; check firewalls, routes and the load balancer."
    if outcomes == {Outcome.UNREACHABLE}:
        return (
            f"{story.where} cannot be reached ({errno}): no route, or a firewall forbids it; check routes and network policies."
        )
    words = ", ".join(sorted(_WORDS[outcome] for outcome in outcomes))
    return f"{story.where} cannot be connected to ({words}): check the load balancer, its endpoints and firewalls."


def _tls_failing(story: Story) -> str:
    saw = ", ".join(
        dict.fromkeys(_saw(one) for one in story.differential.handshakes if one.observation.outcome is not Outcome.LOCAL_ERROR)
    )
    advice = story.advice("check that it speaks TLS there and has a certificate")
    return f"{story.where} accepts connections, but no hello gets a certificate ({saw}){story.known_for}: {advice}."


def _sni_failing(story: Story) -> str:
    failed = [one for one in story.known if one.observation.outcome not in {Outcome.CERTIFICATE, Outcome.LOCAL_ERROR}]
    saw = ", ".join(dict.fromkeys(map(_saw, failed)))
    others = [one for one in story.differential.handshakes if one.observation.outcome is Outcome.CERTIFICATE]
    other = {
        Sni.KNOWN: others[0].server_name or "another name",
        Sni.NONE: "a client without SNI",
        Sni.UNKNOWN: "an unknown name",
    }[others[0].sni]
    return f"{story.where} fails {_names(failed)} ({saw}), while {clip(other, _NAME)} gets a certificate: check the route and the certificate of that name."


def _certificate_invalid(story: Story) -> str:
    for handshake, problems, default in zip(story.differential.handshakes, story.problems, story.defaults, strict=True):
        if handshake.sni is Sni.KNOWN and problems:
            name = clip(handshake.server_name or "", _NAME)
            if default is not None:
                return f"{story.where} presents {default.product}'s default certificate for {name}: the certificate configured for that name is missing or not loaded."
            more = f" ({len(problems) - 1} more)" if len(problems) > 1 else ""
            return f"{story.where} presents a bad certificate for {name}: {clip(problems[0].text, _TEXT)}{more}."
    return f"{story.where} presents a bad certificate."


def _non_sni_reset(story: Story) -> str:
    closes = story.none is not None and story.none.observation.outcome is Outcome.CLOSED
    return _refused_without_sni(
        story, "closes on" if closes else "resets", "", "look for a rule on the server name and add a default certificate"
    )


def _non_sni_rejected(story: Story) -> str:
    saw = f" ({_saw(story.none)})" if story.none is not None else ""
    return _refused_without_sni(story, "rejects", saw, "configure a default certificate")


def _refused_without_sni(story: Story, verb: str, saw: str, otherwise: str) -> str:
    if not story.at_fault:
        return f"{story.where} {verb} clients without SNI{saw}, which its policy accepts, and serves {story.served}."
    return f"{story.where} {verb} clients without SNI{saw}{story.known_for}; {story.served} is served: {story.advice(otherwise)}."


def _non_sni_timeout(story: Story) -> str:
    accepted = "" if story.at_fault else ", which its policy accepts"
    return f"{story.where} leaves clients without SNI without an answer{accepted}; {story.served} is served: look for a filter on the server name, then add a default certificate."


def _non_sni_wrong_certificate(story: Story) -> str:
    what = "an unacceptable certificate"
    for handshake, problems, default in zip(story.differential.handshakes, story.problems, story.defaults, strict=True):
        if handshake.sni is Sni.NONE:
            if default is not None:
                what = f"{default.product}'s default certificate"
            elif problems:
                what = f"a wrong certificate ({clip(_most_telling(problems).text, 90)})"
    return f"{story.where} gives clients without SNI {what}: make one that covers {story.served} the default."


def _most_telling(problems: tuple[Problem, ...]) -> Problem:
    return next((problem for problem in problems if problem.code is ProblemCode.NAME_MISMATCH), problems[0])


def _non_sni_failing(story: Story) -> str:
    saw = _saw(story.none) if story.none is not None else "no certificate"
    return f"{story.where} fails clients without SNI ({saw}), while {story.served} is served: run `prober once --verbose` to see the bytes."


def _non_sni_served(story: Story) -> str:
    return f"{story.where} serves clients without SNI, which its policy wants rejected: remove the wildcard route or the default certificate."


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
