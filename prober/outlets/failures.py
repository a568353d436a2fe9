"""Failures that were kept, with their transcripts: what the history holds, as pages and the API show it. Pure.

What is kept was written by this prober or by one before it, so nothing that a page does not need must be there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from prober.changelog import KeptFailure
from prober.outlets.pages import Moment
from prober.outlets.wording import OUTCOME_WORDS, SNI_TITLES, VERDICT_TITLES
from prober.report import Json
from prober.timestamps import rfc3339_seconds

__all__ = ["FailureView", "failure_object", "failure_views"]

_OUTCOMES = {outcome.value: words for outcome, words in OUTCOME_WORDS.items()}
_TITLES = {sni.value: title for sni, title in SNI_TITLES.items()}
_VERDICTS = {verdict.value: title for verdict, title in VERDICT_TITLES.items()}


class TranscriptLine(NamedTuple):
    """One message of a handshake."""

    side: str
    """``sent`` or ``received``."""
    name: str
    size: int
    lines: str


class HelloRecord(NamedTuple):
    """One hello of a failure."""

    title: str
    server_name: str
    words: str
    """How it ended."""
    more: str
    """What else is known of the ending: stage, errno, TLS alert, bytes."""
    transcript: tuple[TranscriptLine, ...]


class FailureView(NamedTuple):
    """One failure."""

    anchor: str
    at: Moment
    address: str
    title: str
    summary: str
    hellos: tuple[HelloRecord, ...]
    has_transcript: bool


def failure_views(failures: Sequence[KeptFailure], now: float) -> tuple[FailureView, ...]:
    """In the order in which they come."""
    return tuple(_view(each, now) for each in failures)


def failure_object(failure: KeptFailure) -> dict[str, Json]:
    """One element of ``failures``: the address object of ``/api/v1/targets``, with ``target``, ``at`` and ``transcripts``."""
    return {"target": failure.target, "at": rfc3339_seconds(failure.at), **failure.result}


def _view(failure: KeptFailure, now: float) -> FailureView:
    result = failure.result
    transcripts = _list(result.get("transcripts"))
    hellos = tuple(
        _hello(handshake, transcripts[place] if place < len(transcripts) else [])
        for place, handshake in enumerate(_list(result.get("handshakes")))
        if isinstance(handshake, dict)
    )
    verdict = str(result.get("verdict", ""))
    return FailureView(
        anchor=f"failure-{failure.at:.3f}-{failure.address}",
        at=Moment.at(failure.at, now),
        address=failure.address,
        title=_VERDICTS.get(verdict, verdict),
        summary=str(result.get("summary", "")),
        hellos=hellos,
        has_transcript=any(each.transcript for each in hellos),
    )


def _hello(handshake: Mapping[str, Json], transcript: Json) -> HelloRecord:
    outcome, sni = str(handshake.get("outcome")), str(handshake.get("sni"))
    alert, stage, received = handshake.get("tls_alert"), handshake.get("stage"), handshake.get("bytes_received")
    facts = (
        str(alert.get("description")) if isinstance(alert, dict) else None,
        f"at {stage}" if stage != outcome else None,
        handshake.get("errno"),
        f"{received:,} bytes received" if isinstance(received, int) else None,
        handshake.get("detail"),
    )
    return HelloRecord(
        title=_TITLES.get(sni, sni),
        server_name=str(handshake.get("server_name") or ""),
        words=_OUTCOMES.get(outcome, outcome),
        more=", ".join(str(fact) for fact in facts if fact),
        transcript=tuple(_message(each) for each in _list(transcript) if isinstance(each, dict)),
    )


def _message(entry: Mapping[str, Json]) -> TranscriptLine:
    size = entry.get("size")
    return TranscriptLine(
        "sent" if entry.get("direction") == ">" else "received",
        str(entry.get("name", "")),
        size if isinstance(size, int) else 0,
        "\n".join(str(line) for line in _list(entry.get("lines"))),
    )


def _list(value: Json) -> list[Json]:
    return value if isinstance(value, list) else []
