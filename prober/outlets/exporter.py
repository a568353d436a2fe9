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

from prober.model import Target
from prober.outlets.exposition import encode, escape, header
from prober.outlets.metrics import TARGET_LABELS, TARGET_METRICS
from prober.outlets.slices import Pause
from prober.outlets.target_lines import LINES
from prober.snapshot import EndpointState, hello_key

if TYPE_CHECKING:
    from prober.operations import Operations

__all__ = ["TargetExporter", "exported_name"]

_SLICE_ENDPOINTS = 32
"""Endpoints whose lines of one family are rendered in one go: 50 to 150 µs."""

_RESERVED = frozenset(TARGET_LABELS).union(*(metric.labels for metric in TARGET_METRICS))


class TargetExporter:
    """Renders the store's states."""

    def __init__(self, operations: Operations) -> None:
        self._operations = operations
        self._targets: tuple[Target, ...] | None = None
        self._label_names: Mapping[str, str] = {}

    async def render(self, names: frozenset[str] | None, *, openmetrics: bool) -> AsyncIterator[bytes]:
        """The families whose sample name is in ``names`` (None: all), in pieces of some kilobytes."""
        wanted = [metric for metric in TARGET_METRICS if names is None or metric.name in names]
        if not wanted:
            return
        states = self._operations.store.states()
        label_names = self._configured_labels()
        # Strings and tuples of strings, which the garbage collector lets go of at first sight. Ten thousand objects that it must
        # follow would make it go through everything that the service holds, 200 ms at this size, at every other scrape.
        own: list[str] = []
        of_hellos: list[tuple[str, ...]] = []
        pause = Pause()
        for state in states:
            own.append(labels := _labels(state, label_names))
            of_hellos.append(_hello_labels(state, labels))
            await pause()
        for metric in wanted:
            yield encode(header(metric.name, metric.kind, metric.help, openmetrics=openmetrics))
            lines = LINES[metric.name]
            for start in range(0, len(states), _SLICE_ENDPOINTS):
                end = start + _SLICE_ENDPOINTS
                yield encode("".join(lines(zip(states[start:end], own[start:end], of_hellos[start:end], strict=True))))
                await pause()

    def _configured_labels(self) -> Mapping[str, str]:
        """All series have the same label names: exported name -> configured name, of every label that some target has."""
        targets = self._operations.targets
        if targets is not self._targets:
            names: dict[str, str] = {}
            for name in sorted({name for target in targets for name in target.labels}):
                names.setdefault(exported_name(name), name)
            self._targets, self._label_names = targets, names
        return self._label_names


def _labels(state: EndpointState, label_names: Mapping[str, str]) -> str:
    """The target's own labels."""
    configured = state.target.labels
    labels = f'target="{escape(state.key.target)}",address="{escape(state.key.address)}"'
    for exported, name in label_names.items():
        labels += f',{exported}="{escape(configured.get(name, ""))}"'
    return labels


def _hello_labels(state: EndpointState, labels: str) -> tuple[str, ...]:
    """As `View` has them."""
    keys = [hello_key(handshake) for handshake in state.differential.handshakes]
    spelled = [f'{labels},server_name="{escape(name)}",sni="{sni._value_}"' for sni, name in keys]
    if len(set(spelled)) < len(spelled):
        return tuple(["" if each in spelled[:index] else each for index, each in enumerate(spelled)])
    return tuple(spelled)


def exported_name(name: str) -> str:
    """The label's name in series: discovered labels may clash with ours or have characters that label names cannot have."""
    legal = re.sub(r"[^a-zA-Z0-9_]", "_", name)
    if not legal or legal[0].isdigit():
        legal = "_" + legal
    return f"exported_{legal}" if legal in _RESERVED else legal
