"""The pages: what the templates show, as plain values, and the environment that renders them.

Everything that a peer or a configuration said reaches a page through jinja2's escaping, and nothing is marked as safe.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple
from urllib.parse import quote

import jinja2

from prober.changelog import VerdictChange
from prober.judge.certificates import CertificateFacts
from prober.judge.verdicts import HandshakeJudgement
from prober.model import Address, Handshake, NonSniPolicy, Outcome, Sni, Target, Verdict
from prober.outlets.opinions import HelloTone, Tone, endpoint_tone, hello_tone
from prober.outlets.wording import OUTCOME_WORDS, PROBLEM_WORDS, SNI_TITLES, VERDICT_TITLES, age, duration
from prober.report import presented_chain
from prober.snapshot import EndpointState
from prober.timestamps import rfc3339_seconds
from prober.version import __version__

__all__ = [
    "REFRESH_SECONDS",
    "ChangeLine",
    "EndpointRow",
    "Moment",
    "change_lines",
    "endpoint_row",
    "environment",
    "hello_words",
    "target_facts",
    "target_url",
]

REFRESH_SECONDS = 10

HALF_A_DAY = 43_200.0
"""Seconds within which a time of day alone can only mean one."""

HELLOS_LISTED = 6
"""Hellos of one kind in a row of the list: a target may have a thousand names. Where there are more, what fails comes first."""

HELLOS_IN_FULL = 60
"""Cards of one kind on a target's page."""

_RANK: Mapping[HelloTone, int] = {"bad": 0, "unsure": 1, "good": 2, "neutral": 2}

FACT_LIMIT = 60
"""Names and addresses that the top of a target's page lists; the others are counted."""

CONTENT_NAME_LIMIT = 12
"""Names that a certificate's details list; the others are counted."""


def environment() -> jinja2.Environment:
    """Escapes everything; a name that a template does not get is an error, not an empty string."""
    made = jinja2.Environment(
        loader=jinja2.PackageLoader("prober.outlets"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.get_template("parts.html")  # compiled here, rather than when the first person looks
    made.globals["version"] = __version__
    made.globals["refresh_seconds"] = 0
    made.globals["here"] = ""
    return made


def target_url(name: str) -> str:
    """The path of a target's page."""
    return f"/targets/{quote(name, safe='')}"


class Moment(NamedTuple):
    """A time, for machines and as how long ago it was."""

    iso: str
    ago: str
    clock: str
    """For people: the time of day, with its date unless that is less than half a day ago."""

    @classmethod
    def at(cls, moment: float, now: float) -> Moment:
        """Both are Unix times in seconds."""
        iso = rfc3339_seconds(moment)
        day, _, clock = iso.removesuffix("Z").partition("T")
        return cls(iso, age(now - moment), f"{clock} UTC" if now - moment < HALF_A_DAY else f"{day} {clock[:5]} UTC")


Details = tuple[tuple[str, str], ...]
"""Terms and what they are."""


class CertificateCard(NamedTuple):
    """One certificate of a presented chain."""

    subject: str
    details: Details


class HelloView(NamedTuple):
    """One hello and what came of it."""

    tone: HelloTone
    title: str
    words: str
    time: str
    server_name: str | None
    note: str
    """Below the chip, in one glance: the known name, the alert's name, whose certificate it was instead."""
    details: Details
    problems: tuple[str, ...] = ()
    certificates: tuple[CertificateCard, ...] = ()


class Column(NamedTuple):
    """The hellos of one kind."""

    sni: Sni
    title: str
    hellos: tuple[HelloView, ...]
    rest: str
    """What came of those that are not listed: ``55 more: 53 certificate, 2 reset``; empty where all are."""


class EndpointRow(NamedTuple):
    """One ingress address."""

    tone: Tone
    target: str
    url: str
    address: str
    configured: str
    """The configured name that led to the address, where it was a name."""
    labels: tuple[str, ...]
    verdict: Verdict
    title: str
    since: Moment
    summary: str
    expected_note: str
    other_faults: tuple[str, ...]
    columns: tuple[Column, ...]


def endpoint_row(state: EndpointState, now: float, *, full: bool = False) -> EndpointRow:
    """What a page shows of one endpoint; ``full`` adds certificates and problems."""
    judgement = state.judgement
    tone = endpoint_tone(judgement)
    return EndpointRow(
        tone=tone,
        target=state.key.target,
        url=target_url(state.key.target),
        address=state.key.address,
        configured="" if state.endpoint is None or state.address.host == state.endpoint.ip else str(state.address),
        labels=tuple(f"{name}={value}" for name, value in state.target.labels.items()),
        verdict=judgement.verdict,
        title=VERDICT_TITLES[judgement.verdict],
        since=Moment.at(state.since, now),
        summary=judgement.summary,
        expected_note="as the policy asks" if tone == "ok" and judgement.verdict is not Verdict.OK else "",
        other_faults=tuple(judgement.faults) if len(judgement.faults) > 1 else (),
        columns=tuple(_column(state, sni, now, full=full) for sni in SNI_TITLES),
    )


def _column(state: EndpointState, sni: Sni, now: float, *, full: bool) -> Column:
    handshakes = state.differential.handshakes
    of_kind = [index for index, each in enumerate(handshakes) if each.sni is sni]
    limit = HELLOS_IN_FULL if full else HELLOS_LISTED
    if len(of_kind) > limit:
        of_kind.sort(key=lambda index: _RANK[hello_tone(state, index)])
    rest = Counter(
        hello_words(handshakes[index], state.judgement.handshakes[index], hello_tone(state, index)) for index in of_kind[limit:]
    )
    said = ", ".join(rest) if len(rest) < 2 else ", ".join(f"{number:,} {words}" for words, number in rest.most_common())
    return Column(
        sni,
        SNI_TITLES[sni],
        tuple(_hello(state, index, handshakes[index], now, full=full) for index in of_kind[:limit]),
        f"{rest.total():,} more: {said}" if rest else "",
    )


def _hello(state: EndpointState, index: int, handshake: Handshake, now: float, *, full: bool) -> HelloView:
    observation = handshake.observation
    judged, tone = state.judgement.handshakes[index], hello_tone(state, index)
    return HelloView(
        tone=tone,
        title=SNI_TITLES[handshake.sni],
        words=hello_words(handshake, judged, tone),
        time="" if observation.outcome is Outcome.LOCAL_ERROR else duration(observation.seconds.total),
        server_name=handshake.server_name,
        note=_note(handshake, judged),
        details=_details(handshake, judged, now, full=full),
        problems=judged.certificate_problems,
        certificates=tuple(_card(facts, now) for facts in (presented_chain(handshake, judged) if full else ())),
    )


def hello_words(handshake: Handshake, judged: HandshakeJudgement, tone: HelloTone) -> str:
    """A chip's text: of a certificate that does not do, the first thing that is wrong with it."""
    if tone == "bad" and judged.problems:
        return PROBLEM_WORDS.get(judged.problems[0].code, "invalid certificate")
    return OUTCOME_WORDS[handshake.observation.outcome]


def _note(handshake: Handshake, judged: HandshakeJudgement) -> str:
    if handshake.sni is Sni.KNOWN:
        return handshake.server_name or ""
    alert = handshake.observation.facts.tls_alert
    if alert is not None:
        return alert.description
    if judged.certificates and not judged.certificate_valid:
        return judged.certificates[0].common_name or judged.certificates[0].subject
    return ""


def _details(handshake: Handshake, judged: HandshakeJudgement, now: float, *, full: bool) -> Details:
    """What a chip tells when one points at it, and a card always."""
    observation = handshake.observation
    facts, seconds = observation.facts, observation.seconds
    alert = facts.tls_alert
    rows: list[tuple[str, str | None]] = [
        (
            "Outcome",
            _joined(observation.outcome, f"at {observation.stage}" if observation.stage != observation.outcome.value else None),
        ),
        ("TLS alert", f"{alert.description} ({alert.code})" if alert else None),
        ("Warnings", ", ".join(warning.description for warning in facts.warning_alerts) or None),
        ("errno", observation.errno),
        ("Then", None if observation.close == "none" else str(observation.close)),
        ("TLS", _joined(facts.tls_version, facts.cipher_suite, facts.group)),
        ("ALPN", facts.alpn),
        ("Client certificate", "requested" if facts.client_certificate_requested else None),
        ("Retry", "HelloRetryRequest" if facts.hello_retry_request else None),
    ]
    if judged.problems and not full:
        rows.append(("Problem", judged.problems[0].text))
    if chain := presented_chain(handshake, judged):
        leaf = chain[0]
        rows.append(("Certificate", leaf.subject or "no subject"))
        if leaf.not_after is not None:
            rows.append(("Expires", _expiry(leaf.not_after.timestamp(), now)))
    phases = (("resolve", seconds.resolve), ("connect", seconds.connect), ("handshake", seconds.handshake))
    rows.append(("Took", ", ".join(f"{phase} {duration(value)}" for phase, value in phases if value) or None))
    rows.append(("Received", f"{observation.bytes_received:,} bytes"))
    rows.append(("Detail", observation.detail))
    if full:
        rows.append(("Hello", f"{handshake.profile} {handshake.ja4}"))
        rows.append(("Sent at", rfc3339_seconds(handshake.started)))
    return tuple((term, value) for term, value in rows if value is not None)


def _card(facts: CertificateFacts, now: float) -> CertificateCard:
    listed = _listed(facts.subject_alternative_names, CONTENT_NAME_LIMIT)
    rows = [
        ("Subject", facts.subject),
        ("Issuer", facts.issuer),
        ("Names", listed),
        ("Valid from", rfc3339_seconds(facts.not_before.timestamp()) if facts.not_before else ""),
        ("Expires", _expiry(facts.not_after.timestamp(), now) if facts.not_after else ""),
        ("Serial number", facts.serial_number),
        ("SHA-256", facts.sha256),
        ("Unreadable", "; ".join(facts.problems)),
    ]
    return CertificateCard(facts.subject or "no subject", tuple((term, value) for term, value in rows if value))


def _listed(names: Sequence[str], limit: int) -> str:
    return ", ".join(names[:limit]) + (f" and {len(names) - limit:,} more" if len(names) > limit else "")


def _expiry(at: float, now: float) -> str:
    return f"{rfc3339_seconds(at)}, {'in ' + age(at - now) if at > now else age(now - at) + ' ago'}"


def _joined(*parts: str | None) -> str | None:
    return ", ".join(part for part in parts if part) or None


_POLICIES = {
    NonSniPolicy.CERTIFICATE: "must get a certificate",
    NonSniPolicy.REJECTED: "must be rejected",
    NonSniPolicy.ANY: "may get anything",
}


def target_facts(target: Target) -> Details:
    """What is configured for a target, for the top of its page."""
    rows = (
        ("Server names", _listed(target.server_names, FACT_LIMIT)),
        ("Clients without SNI", _POLICIES[target.non_sni]),
        ("Configured addresses", _listed(tuple(map(str, target.addresses)), FACT_LIMIT)),
        ("Every", duration(target.interval)),
        ("Deadline", duration(target.timeout)),
        ("Module", f"{target.module.name} (hello {target.module.hello}, TLS {target.module.tls}, to {target.module.depth})"),
        ("Labels", ", ".join(f"{name}={value}" for name, value in target.labels.items())),
    )
    return tuple((term, value) for term, value in rows if value)


class ChangeLine(NamedTuple):
    """One line of the history."""

    target: str
    url: str
    """Of the target's page."""
    tone: Tone
    text: str
    address: str
    at: Moment


def change_lines(changes: Sequence[VerdictChange], now: float) -> tuple[ChangeLine, ...]:
    """Newest first, as they come."""
    return tuple(
        ChangeLine(
            change.target,
            target_url(change.target),
            "ok"
            if change.expected or change.verdict is Verdict.OK
            else "unsure"
            if change.verdict is Verdict.INCONCLUSIVE
            else "fault",
            f"First judged: {VERDICT_TITLES[change.verdict]}"
            if change.previous is None
            else f"{VERDICT_TITLES[change.previous]} → {VERDICT_TITLES[change.verdict]}",
            str(Address(change.address, change.port)),
            Moment.at(change.at, now),
        )
        for change in changes
    )
