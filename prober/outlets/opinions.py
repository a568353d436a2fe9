"""Good, bad or unsure: the one word by which pages sort and colour what was judged. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeAlias

from prober.judge.verdicts import Judgement
from prober.model import Outcome, Sni, Verdict
from prober.snapshot import EndpointState

__all__ = ["URGENCY", "HelloTone", "Tone", "endpoint_tone", "hello_tone"]

Tone: TypeAlias = Literal["fault", "unsure", "ok"]
"""Of an endpoint."""

URGENCY: Mapping[Tone, int] = {"fault": 0, "unsure": 1, "ok": 2}
"""What needs a person comes first."""

HelloTone: TypeAlias = Literal["good", "bad", "unsure", "neutral"]
"""Of a hello; ``neutral`` is what only tells something beside the others."""

_WRONG_FOR_NON_SNI = frozenset({Verdict.NON_SNI_WRONG_CERTIFICATE, Verdict.NON_SNI_SERVED})


def endpoint_tone(judgement: Judgement) -> Tone:
    """A fault counts also where another hello could not be judged."""
    if judgement.at_fault:
        return "fault"
    return "ok" if judgement.expected else "unsure"


def hello_tone(state: EndpointState, index: int) -> HelloTone:
    """Was the outcome of one hello what it should be? Of ``unknown`` nothing is expected."""
    handshake = state.differential.handshakes[index]
    judgement = state.judgement
    outcome = handshake.observation.outcome
    if outcome is Outcome.LOCAL_ERROR:
        return "unsure"
    match handshake.sni:
        case Sni.KNOWN:
            return "good" if judgement.handshakes[index].certificate_valid else "bad"
        case Sni.NONE if outcome is Outcome.CERTIFICATE:
            return "bad" if judgement.at_fault and _WRONG_FOR_NON_SNI.intersection(judgement.faults) else "good"
        case Sni.NONE:
            return "good" if judgement.expected else "bad"
        case _:
            return "neutral"
