"""The lines of each family of target series, for many endpoints at once. Pure.

List comprehensions over many endpoints take half the time of a function for each. Values that cannot need escaping (closed sets,
IANA names, hexadecimal) are not escaped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TypeAlias

from prober.judge.alert_rules import soonest_end
from prober.judge.certificates import CertificateFacts
from prober.judge.verdicts import EXCUSED
from prober.model import Outcome
from prober.outlets.exposition import labels_text
from prober.snapshot import EndpointState, hello_key

__all__ = ["LINES", "Lines", "View", "chain_labels", "earliest_expiry", "version_label"]

View: TypeAlias = tuple[EndpointState, str, tuple[str, ...]]
"""One endpoint; the labels of the target's own; the same with ``server_name`` and ``sni`` for each handshake of its differential,
an empty string where a name is configured, and so probed, twice: that is one series."""

Lines: TypeAlias = Callable[[Iterable[View]], list[str]]


def _success(views: Iterable[View]) -> list[str]:
    return [
        f"probe_success{{{labels}}} {1 if outcome is Outcome.CERTIFICATE else 0}\n"
        for state, _, hellos in views
        for labels, handshake in zip(hellos, state.differential.handshakes, strict=True)
        if labels and (outcome := handshake.observation.outcome) is not Outcome.LOCAL_ERROR
    ]


def _handshakes(views: Iterable[View]) -> list[str]:
    lines = []
    for state, _, hellos in views:
        outcomes = state.outcomes
        labels_of = {hello_key(one): labels for labels, one in zip(hellos, state.differential.handshakes, strict=True) if labels}
        lines += [
            f'probe_handshakes_total{{{labels},outcome="certificate"}} 0\n'
            for key, labels in labels_of.items()
            if (key, Outcome.CERTIFICATE) not in outcomes
        ]
        lines += [
            f'probe_handshakes_total{{{labels_of[key]},outcome="{outcome._value_}"}} {count}\n'
            for (key, outcome), count in outcomes.items()
        ]
    return lines


def _outcome(views: Iterable[View]) -> list[str]:
    return [
        f'probe_outcome_info{{{labels},outcome="{observation.outcome._value_}",stage="{observation.stage._value_}"'
        f',tls_alert="{alert.description if (alert := observation.facts.tls_alert) else ""}"}} 1\n'
        for state, _, hellos in views
        for labels, handshake in zip(hellos, state.differential.handshakes, strict=True)
        if labels and (observation := handshake.observation)
    ]


def _duration(views: Iterable[View]) -> list[str]:
    return [
        f"probe_duration_seconds{{{labels}}} {handshake.observation.seconds.total}\n"
        for state, _, hellos in views
        for labels, handshake in zip(hellos, state.differential.handshakes, strict=True)
        if labels
    ]


def _uncertainty(views: Iterable[View]) -> list[str]:
    return [
        f"probe_duration_uncertainty_seconds{{{labels}}} {uncertainty}\n"
        for state, _, hellos in views
        for labels, handshake in zip(hellos, state.differential.handshakes, strict=True)
        if labels and (uncertainty := handshake.observation.seconds.uncertainty) is not None
    ]


def _phases(views: Iterable[View]) -> list[str]:
    lines = []
    for state, _, hellos in views:
        for labels, one in zip(hellos, state.differential.handshakes, strict=True):
            resolve, connect, handshake, *_ = one.observation.seconds
            if resolve is not None and labels:
                lines.append(f'probe_phase_duration_seconds{{{labels},phase="resolve"}} {resolve}\n')
            if connect is not None and labels:
                lines.append(f'probe_phase_duration_seconds{{{labels},phase="connect"}} {connect}\n')
            if handshake is not None and labels:
                lines.append(f'probe_phase_duration_seconds{{{labels},phase="handshake"}} {handshake}\n')
    return lines


def _supported(views: Iterable[View]) -> list[str]:
    return [
        f"probe_non_sni_supported{{{labels}}} {1 if supported else 0}\n"
        for state, labels, _ in views
        if (supported := state.judgement.non_sni_supported) is not None
    ]


def _verdict(views: Iterable[View]) -> list[str]:
    return [f'probe_verdict_info{{{labels},verdict="{state.judgement.verdict._value_}"}} 1\n' for state, labels, _ in views]


def _fault(views: Iterable[View]) -> list[str]:
    # What the service's own alerts look at, so that rules in Prometheus can: the verdict is only the first of all faults.
    return [
        f'probe_fault_info{{{labels},fault="{fault._value_}"}} 1\n'
        for state, labels, _ in views
        if state.judgement.at_fault
        for fault in state.judgement.faults
        if fault not in EXCUSED[state.target.non_sni]
    ]


def _since(views: Iterable[View]) -> list[str]:
    return [f"probe_verdict_since_timestamp_seconds{{{labels}}} {state.since}\n" for state, labels, _ in views]


def _expected(views: Iterable[View]) -> list[str]:
    return [f"probe_verdict_expected{{{labels}}} {1 if state.judgement.expected else 0}\n" for state, labels, _ in views]


def _last_run(views: Iterable[View]) -> list[str]:
    return [
        f"probe_last_run_timestamp_seconds{{{labels}}} {handshake.started}\n"
        for state, _, hellos in views
        for labels, handshake in zip(hellos, state.differential.handshakes, strict=True)
        if labels
    ]


def _expiry(views: Iterable[View]) -> list[str]:
    return [
        f"probe_ssl_earliest_cert_expiry{{{labels}}} {expires}\n"
        for state, _, hellos in views
        for labels, judged in zip(hellos, state.judgement.handshakes, strict=True)
        if labels and judged.certificates and (expires := earliest_expiry(judged.certificates)) is not None
    ]


def _version(views: Iterable[View]) -> list[str]:
    return [
        f'probe_tls_version_info{{{labels},version="{version_label(version)}"}} 1\n'
        for state, _, hellos in views
        for labels, handshake in zip(hellos, state.differential.handshakes, strict=True)
        if labels and (version := handshake.observation.facts.tls_version) is not None
    ]


def _cipher(views: Iterable[View]) -> list[str]:
    return [
        f'probe_tls_cipher_info{{{labels},cipher="{cipher}"}} 1\n'
        for state, _, hellos in views
        for labels, handshake in zip(hellos, state.differential.handshakes, strict=True)
        if labels and (cipher := handshake.observation.facts.cipher_suite) is not None
    ]


def _chain(views: Iterable[View]) -> list[str]:
    return [
        f"probe_ssl_last_chain_info{{{labels},{_chain_text(judged.certificates[0])}}} 1\n"
        for state, _, hellos in views
        for labels, judged in zip(hellos, state.judgement.handshakes, strict=True)
        if labels and judged.certificates
    ]


def _valid(views: Iterable[View]) -> list[str]:
    return [
        f"probe_certificate_valid{{{labels}}} {1 if judged.certificate_valid else 0}\n"
        for state, _, hellos in views
        for labels, judged in zip(hellos, state.judgement.handshakes, strict=True)
        if labels and judged.certificate_valid is not None
    ]


def _relied_on(views: Iterable[View]) -> list[str]:
    return [
        f"probe_certificate_expiry_timestamp_seconds{{{labels}}} {end.at}\n"
        for state, labels, _ in views
        if state.differential.handshakes
        and (
            end := soonest_end(
                state.differential, state.judgement, state.target.non_sni, state.differential.handshakes[-1].started
            )
        )
    ]


LINES: Mapping[str, Lines] = {
    "probe_success": _success,
    "probe_handshakes_total": _handshakes,
    "probe_outcome_info": _outcome,
    "probe_duration_seconds": _duration,
    "probe_duration_uncertainty_seconds": _uncertainty,
    "probe_phase_duration_seconds": _phases,
    "probe_non_sni_supported": _supported,
    "probe_verdict_info": _verdict,
    "probe_fault_info": _fault,
    "probe_verdict_since_timestamp_seconds": _since,
    "probe_verdict_expected": _expected,
    "probe_last_run_timestamp_seconds": _last_run,
    "probe_ssl_earliest_cert_expiry": _expiry,
    "probe_tls_version_info": _version,
    "probe_tls_cipher_info": _cipher,
    "probe_ssl_last_chain_info": _chain,
    "probe_certificate_valid": _valid,
    "probe_certificate_expiry_timestamp_seconds": _relied_on,
}
"""How the lines of each of `TARGET_METRICS` are written."""


def version_label(tls_version: str) -> str:
    """blackbox_exporter's spelling: ``TLS 1.3`` for ``TLSv1.3``."""
    return tls_version.replace("TLSv", "TLS ")


def earliest_expiry(chain: tuple[CertificateFacts, ...]) -> float | None:
    """Unix time at which the first certificate of a chain expires; None where no date could be read."""
    return min((facts.not_after.timestamp() for facts in chain if facts.not_after is not None), default=None)


def chain_labels(end_entity: CertificateFacts) -> dict[str, str]:
    """Labels of ``probe_ssl_last_chain_info``; as with blackbox_exporter, the alternative names are the DNS names among them."""
    return {
        "fingerprint_sha256": end_entity.sha256,
        "subject": end_entity.subject,
        "issuer": end_entity.issuer,
        "subjectalternative": ",".join(end_entity.dns_names),
        "serialnumber": end_entity.serial_number,
    }


_REMEMBERED_CHAINS = 20_000
"""End-entity certificates whose labels are remembered as text, some 500 bytes each; beyond it, remembering starts anew."""

_chain_texts: dict[str, str] = {}


def _chain_text(end_entity: CertificateFacts) -> str:
    """A fleet presents few certificates, again and again."""
    text = _chain_texts.get(end_entity.sha256)
    if text is None:
        if len(_chain_texts) >= _REMEMBERED_CHAINS:
            _chain_texts.clear()
        text = _chain_texts[end_entity.sha256] = labels_text(chain_labels(end_entity))
    return text
