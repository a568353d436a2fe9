"""The series about targets, as text that is kept.

Ten thousand endpoints are some 450,000 lines. Each endpoint's lines are rendered once per state (one chunk a family), and put
together family by family, since all lines of a family must be in one piece. Both is done in slices of under a millisecond
between which the probing loop runs: a scrape must not make handshakes late. Measured: see tests/bench.

The snapshot that a scrape renders is taken at its beginning, so that all its families speak of the same states.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from time import perf_counter
from typing import TYPE_CHECKING

import trio

from prober.judge.certificates import CertificateFacts
from prober.model import Outcome, Target
from prober.outlets.exposition import encode, escape, header, labels_text
from prober.outlets.metrics import TARGET_LABELS, TARGET_METRICS
from prober.snapshot import EndpointState, StateKey, hello_key

if TYPE_CHECKING:
    from prober.operations import Operations

__all__ = ["TargetExporter", "chain_labels", "earliest_expiry", "exported_name", "render_state", "version_label"]

_SLICE_SECONDS = 0.0005
"""Work between two checkpoints. The loop is held for this long, plus at most one state's rendering."""

_JOIN = 512
"""Chunks that are put together between two checkpoints: some 30 µs."""

_RESERVED = frozenset(TARGET_LABELS).union(*(metric.labels for metric in TARGET_METRICS))

Chunks = tuple[bytes, ...]
"""One piece of text for each of `TARGET_METRICS`, in their order."""


class TargetExporter:
    """Renders the store's states; keeps what it rendered until the state is another one."""

    def __init__(self, operations: Operations) -> None:
        self._operations = operations
        self._kept: dict[StateKey, tuple[int, Chunks]] = {}
        self._targets: tuple[Target, ...] | None = None
        self._label_names: Mapping[str, str] = {}

    async def render(self, names: frozenset[str] | None, *, openmetrics: bool) -> AsyncIterator[bytes]:
        """The families whose sample name is in ``names`` (None: all), in pieces of some ten kilobytes."""
        wanted = [index for index, metric in enumerate(TARGET_METRICS) if names is None or metric.name in names]
        if not wanted:
            return
        chunks = await self._chunks()
        for index in wanted:
            metric = TARGET_METRICS[index]
            yield encode(header(metric.name, metric.kind, metric.help, openmetrics=openmetrics))
            for start in range(0, len(chunks), _JOIN):
                yield b"".join([each[index] for each in chunks[start : start + _JOIN]])
                await trio.lowlevel.checkpoint()

    async def _chunks(self) -> list[Chunks]:
        """The text of all states that there are now; the states that have gone are forgotten."""
        states = self._operations.store.states()
        label_names = self._configured_labels()
        before = self._kept
        kept: dict[StateKey, tuple[int, Chunks]] = {}
        until = perf_counter() + _SLICE_SECONDS
        for state in states:
            entry = before.get(state.key)
            if entry is None or entry[0] != state.version:
                entry = (state.version, render_state(state, label_names))
            kept[state.key] = entry
            if perf_counter() > until:
                await trio.lowlevel.checkpoint()
                until = perf_counter() + _SLICE_SECONDS
        if label_names is self._label_names:
            self._kept = kept
        return [chunks for _, chunks in kept.values()]

    def _configured_labels(self) -> Mapping[str, str]:
        """All series have the same label names: exported name -> configured name, of every label that some target has."""
        targets = self._operations.targets
        if targets is not self._targets:
            names: dict[str, str] = {}
            for name in sorted({name for target in targets for name in target.labels}):
                names.setdefault(exported_name(name), name)
            if names != self._label_names:
                self._label_names = names
                self._kept = {}
            self._targets = targets
        return self._label_names


def exported_name(name: str) -> str:
    """The label's name in series: discovered labels may clash with ours or have characters that label names cannot have."""
    legal = re.sub(r"[^a-zA-Z0-9_]", "_", name)
    if not legal or legal[0].isdigit():
        legal = "_" + legal
    return f"exported_{legal}" if legal in _RESERVED else legal


def render_state(state: EndpointState, label_names: Mapping[str, str]) -> Chunks:
    """The lines of one endpoint, a chunk a family."""
    configured, judgement = state.target.labels, state.judgement
    base = labels_text(
        {
            "target": state.key.target,
            "address": state.key.address,
            **{exported: configured.get(name, "") for exported, name in label_names.items()},
        }
    )
    success, total, outcome_info, duration, phases, last_run = [], [], [], [], [], []
    expiry, version, cipher, chain_info, valid = [], [], [], [], []
    # A name that is configured twice is probed twice and is one series.
    hellos = {hello_key(handshake): index for index, handshake in enumerate(state.differential.handshakes)}
    for hello, index in hellos.items():
        observation = state.differential.handshakes[index].observation
        facts, seconds, outcome = observation.facts, observation.seconds, observation.outcome
        labels = f'{base},server_name="{escape(hello.server_name)}",sni="{hello.sni}"'
        if outcome is not Outcome.LOCAL_ERROR:
            success.append(f"probe_success{{{labels}}} {int(outcome is Outcome.CERTIFICATE)}\n")
        alert = facts.tls_alert.description if facts.tls_alert else ""
        outcome_info.append(
            f'probe_outcome_info{{{labels},outcome="{outcome}",stage="{observation.stage}",tls_alert="{escape(alert)}"}} 1\n'
        )
        duration.append(f"probe_duration_seconds{{{labels}}} {seconds.total}\n")
        for phase, value in (("resolve", seconds.resolve), ("connect", seconds.connect), ("handshake", seconds.handshake)):
            if value is not None:
                phases.append(f'probe_phase_duration_seconds{{{labels},phase="{phase}"}} {value}\n')
        last_run.append(f"probe_last_run_timestamp_seconds{{{labels}}} {state.last_run[hello]}\n")
        if facts.tls_version is not None:
            version.append(f'probe_tls_version_info{{{labels},version="{version_label(facts.tls_version)}"}} 1\n')
        if facts.cipher_suite is not None:
            cipher.append(f'probe_tls_cipher_info{{{labels},cipher="{escape(facts.cipher_suite)}"}} 1\n')
        judged = judgement.handshakes[index]
        if judged.certificates:
            if (expires := earliest_expiry(judged.certificates)) is not None:
                expiry.append(f"probe_ssl_earliest_cert_expiry{{{labels}}} {expires}\n")
            chain_info.append(f"probe_ssl_last_chain_info{{{labels},{labels_text(chain_labels(judged.certificates[0]))}}} 1\n")
        if judged.certificate_valid is not None:
            valid.append(f"probe_certificate_valid{{{labels}}} {int(judged.certificate_valid)}\n")
        for each in Outcome:
            count = state.outcomes.get((hello, each), 0)
            if count or each is Outcome.CERTIFICATE:
                total.append(f'probe_handshakes_total{{{labels},outcome="{each}"}} {count}\n')
    supported = judgement.non_sni_supported
    by_name = {
        "probe_success": success,
        "probe_handshakes_total": total,
        "probe_outcome_info": outcome_info,
        "probe_duration_seconds": duration,
        "probe_phase_duration_seconds": phases,
        "probe_non_sni_supported": [] if supported is None else [f"probe_non_sni_supported{{{base}}} {int(supported)}\n"],
        "probe_verdict_info": [f'probe_verdict_info{{{base},verdict="{judgement.verdict}"}} 1\n'],
        "probe_verdict_since_timestamp_seconds": [f"probe_verdict_since_timestamp_seconds{{{base}}} {state.since}\n"],
        "probe_verdict_expected": [f"probe_verdict_expected{{{base}}} {int(judgement.expected)}\n"],
        "probe_last_run_timestamp_seconds": last_run,
        "probe_ssl_earliest_cert_expiry": expiry,
        "probe_tls_version_info": version,
        "probe_tls_cipher_info": cipher,
        "probe_ssl_last_chain_info": chain_info,
        "probe_certificate_valid": valid,
    }
    return tuple([encode("".join(by_name[metric.name])) for metric in TARGET_METRICS])


def version_label(tls_version: str) -> str:
    """blackbox_exporter's spelling: ``TLS 1.3`` for ``TLSv1.3``."""
    return tls_version.replace("TLSv", "TLS ")


def earliest_expiry(chain: tuple[CertificateFacts, ...]) -> float | None:
    """Unix time at which the first certificate of a chain expires; None where no date could be read."""
    return min((facts.not_after.timestamp() for facts in chain if facts.not_after is not None), default=None)


def chain_labels(end_entity: CertificateFacts) -> dict[str, str]:
    """Labels of ``probe_ssl_last_chain_info``."""
    return {
        "fingerprint_sha256": end_entity.sha256,
        "subject": end_entity.subject,
        "issuer": end_entity.issuer,
        "subjectalternative": ",".join(end_entity.subject_alternative_names),
        "serialnumber": end_entity.serial_number,
    }
