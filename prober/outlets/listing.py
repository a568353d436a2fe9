"""Which endpoints the status page lists: filtered, those at fault first, a page at a time.

Ten thousand endpoints are gone through in slices, so that a person who looks at the page delays no handshake.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from prober.model import Target
from prober.outlets.opinions import URGENCY, Tone, endpoint_tone, hello_tone
from prober.outlets.pages import hello_words
from prober.outlets.slices import Pause
from prober.outlets.wording import VERDICT_TITLES
from prober.snapshot import EndpointState

__all__ = ["PAGE_ROWS", "SHOW_ALL_UP_TO", "Listing", "Shown", "list_endpoints"]

PAGE_ROWS = 100
SHOW_ALL_UP_TO = 300
"""Above it, only what needs attention is listed unless one asks for all."""


class Shown(NamedTuple):
    """What a request asks for."""

    tones: frozenset[Tone]
    query: str = ""
    page: int = 1


class Listing(NamedTuple):
    """One page, and how much there is."""

    counts: Mapping[Tone, int]
    """Of all endpoints, whatever the filter."""
    matching: int
    """Endpoints that the filter lets through."""
    page: int
    """From 1; the last one where a later one was asked for."""
    states: tuple[EndpointState, ...]
    last_run: float
    """Unix time of the latest handshake of all; 0.0 where there is none."""


async def list_endpoints(states: tuple[EndpointState, ...], targets: tuple[Target, ...], shown: Shown) -> Listing:
    """The page that ``shown`` asks for: by tone, then in the configuration's order."""
    order = {target.name: place for place, target in enumerate(targets)}
    words = shown.query.lower().split()
    counts: dict[Tone, int] = {"fault": 0, "unsure": 0, "ok": 0}
    found: list[tuple[int, int, int]] = []
    last_run = 0.0
    pause = Pause()
    for index, state in enumerate(states):
        tone = endpoint_tone(state.judgement)
        counts[tone] += 1
        last_run = max(last_run, *state.last_run.values(), 0.0)
        if tone in shown.tones and (not words or _matches(state, words)):
            found.append((URGENCY[tone], order.get(state.key.target, len(order)), index))
        await pause()
    found.sort()
    pages = max(1, -(-len(found) // PAGE_ROWS))
    page = min(max(shown.page, 1), pages)
    on_page = found[(page - 1) * PAGE_ROWS : page * PAGE_ROWS]
    return Listing(counts, len(found), page, tuple(states[index] for _, _, index in on_page), last_run)


def _matches(state: EndpointState, words: list[str]) -> bool:
    """Every word occurs in something that one would look for: as it is called, or as the page says it."""
    target, judgement = state.target, state.judgement
    said = [state.key.target, state.key.address, str(state.address), *target.server_names]
    said += [judgement.verdict, VERDICT_TITLES[judgement.verdict], *judgement.faults]
    said += [f"{name}={value}" for name, value in target.labels.items()]
    for index, handshake in enumerate(state.differential.handshakes):
        observation = handshake.observation
        said += [observation.outcome, hello_words(handshake, judgement.handshakes[index], hello_tone(state, index))]
        if observation.facts.tls_alert is not None:
            said.append(observation.facts.tls_alert.description)
        if observation.facts.tls_version is not None:
            said.append(observation.facts.tls_version)
    text = "\n".join(said).lower()
    return all(word in text for word in words)
