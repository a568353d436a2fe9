"""The series about targets, rendered from the store's states at each scrape, in slices.

Ten thousand endpoints are some 430,000 lines, 70 MB of text. They are rendered family by family (all lines of a family must be
in one piece) for a few dozen endpoints at a time, and the probing loop runs between two such slices: a scrape makes no
handshake late. Nothing is kept between scrapes: durations and timestamps change with every round, so that a kept line is
rarely true at the next scrape, and keeping all lines took 7 KB an endpoint.

The states are taken at the beginning, so that all families of one scrape speak of the same rounds.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING

from prober.judge.certificates import CertificateFacts
from prober.model import Target
from prober.outlets.exposition import encode, escape, header, labels_text
from prober.outlets.metrics import TARGET_LABELS, TARGET_METRICS
from prober.outlets.slices import Pause
from prober.outlets.target_lines import LINES, ChainText, Hello, View
from prober.snapshot import EndpointState, hello_key

if TYPE_CHECKING:
    from prober.operations import Operations

__all__ = ["TargetExporter", "chain_labels", "earliest_expiry", "exported_name"]

_SLICE_ENDPOINTS = 32
"""Endpoints whose lines of one family are rendered in one go: 50 to 150 µs."""

_CHAINS = 20_000
"""Chains whose text is remembered, some 600 bytes each; with more different ones than this, remembering starts anew."""

_RESERVED = frozenset(TARGET_LABELS).union(*(metric.labels for metric in TARGET_METRICS))


class TargetExporter:
    """Renders the store's states."""

    def __init__(self, operations: Operations) -> None:
        self._operations = operations
        self._targets: tuple[Target, ...] | None = None
        self._label_names: Mapping[str, str] = {}
        self._chains: dict[tuple[str, ...], ChainText] = {}

    async def render(self, names: frozenset[str] | None, *, openmetrics: bool) -> AsyncIterator[bytes]:
        """The families whose sample name is in ``names`` (None: all), in pieces of some kilobytes."""
        wanted = [metric for metric in TARGET_METRICS if names is None or metric.name in names]
        if not wanted:
            return
        states = self._operations.store.states()
        label_names = self._configured_labels()
        views: list[View] = []
        pause = Pause()
        for start in range(0, len(states), _SLICE_ENDPOINTS):
            views += [self._view(state, label_names) for state in states[start : start + _SLICE_ENDPOINTS]]
            await pause()
        for metric in wanted:
            yield encode(header(metric.name, metric.kind, metric.help, openmetrics=openmetrics))
            lines = LINES[metric.name]
            for start in range(0, len(views), _SLICE_ENDPOINTS):
                yield encode("".join(lines(views[start : start + _SLICE_ENDPOINTS])))
                await pause()
        while views:  # letting go of all of them at once takes 8 ms
            del views[-_SLICE_ENDPOINTS:]
            await pause()

    def _view(self, state: EndpointState, label_names: Mapping[str, str]) -> View:
        """The labels of an endpoint's series, spelled out."""
        configured, judged = state.target.labels, state.judgement.handshakes
        labels = f'target="{escape(state.key.target)}",address="{escape(state.key.address)}"'
        for exported, name in label_names.items():
            labels += f',{exported}="{escape(configured.get(name, ""))}"'
        # A name that is configured twice is probed twice and is one series.
        unique = {hello_key(handshake): index for index, handshake in enumerate(state.differential.handshakes)}
        hellos = []
        for key, index in unique.items():
            handshake = state.differential.handshakes[index]
            certificates, valid = judged[index].certificates, judged[index].certificate_valid
            chain = self._chain(certificates) if certificates else None
            own = f'{labels},server_name="{escape(key.server_name)}",sni="{key.sni._value_}"'
            hellos.append(Hello(own, key, handshake.observation, handshake.started, valid, chain))
        return View(state, labels, tuple(hellos))

    def _chain(self, certificates: tuple[CertificateFacts, ...]) -> ChainText:
        """Remembered by fingerprints: a fleet presents few chains, again and again."""
        fingerprints = tuple([facts.sha256 for facts in certificates])
        text = self._chains.get(fingerprints)
        if text is None:
            if len(self._chains) >= _CHAINS:
                self._chains.clear()
            text = self._chains[fingerprints] = ChainText(
                earliest_expiry(certificates), labels_text(chain_labels(certificates[0]))
            )
        return text

    def _configured_labels(self) -> Mapping[str, str]:
        """All series have the same label names: exported name -> configured name, of every label that some target has."""
        targets = self._operations.targets
        if targets is not self._targets:
            names: dict[str, str] = {}
            for name in sorted({name for target in targets for name in target.labels}):
                names.setdefault(exported_name(name), name)
            self._targets, self._label_names = targets, names
        return self._label_names


def exported_name(name: str) -> str:
    """The label's name in series: discovered labels may clash with ours or have characters that label names cannot have."""
    legal = re.sub(r"[^a-zA-Z0-9_]", "_", name)
    if not legal or legal[0].isdigit():
        legal = "_" + legal
    return f"exported_{legal}" if legal in _RESERVED else legal


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
