"""The JSON API: targets with their last differentials and why they fail, the changes of verdicts, and failures with transcripts.

A fleet's answer is written target by target, so that ten thousand of them neither stall the loop nor stand in memory at once.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from datetime import UTC, datetime

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from prober.changelog import ChangeLog, VerdictChange
from prober.model import Target
from prober.operations import Operations
from prober.outlets.causes import diagnosis_objects
from prober.outlets.failures import failure_object
from prober.outlets.slices import Pause
from prober.outlets.streaming import streamed
from prober.report import Json, address_object
from prober.snapshot import EndpointState
from prober.timestamps import rfc3339_seconds
from prober.whole_numbers import whole_number

__all__ = ["Api", "change_object", "target_object"]

HISTORY_LIMIT = 1000
"""Changes in one answer unless ``limit=`` asks for fewer."""
FAILURES_SHOWN, FAILURES_LIMIT = 20, 100
"""Failures in one answer, and at most: each may hold 32 KiB of transcripts."""


class Api:
    """``/api/v1/...``."""

    def __init__(self, operations: Operations, changes: ChangeLog) -> None:
        self._operations = operations
        self._changes = changes

    async def targets(self, request: Request) -> Response:
        """All targets, in the configuration's order."""
        return streamed(
            self._all_targets(),
            content_type="application/json",
            accept_encoding=request.headers.get("accept-encoding", ""),
        )

    async def target(self, request: Request) -> Response:
        """One target."""
        name = request.path_params["name"]
        for target in self._operations.targets:
            if target.name == name:
                states = [state for state in self._operations.store.states() if state.key.target == name]
                why = diagnosis_objects(self._operations.diagnosis(name))
                return JSONResponse({**target_object(target, states), **why})
        return _error(404, f"there is no target {name!r}")

    async def history(self, request: Request) -> Response:
        """Changes of one target's verdicts or of all, newest first."""
        limit = _limit(request, HISTORY_LIMIT, HISTORY_LIMIT)
        if limit is None:
            return _error(400, f"limit is a number from 1 to {HISTORY_LIMIT}")
        changes = await self._changes.changes(request.query_params.get("target") or None, limit=limit)
        return JSONResponse({"changes": [change_object(change) for change in changes]})

    async def failures(self, request: Request) -> Response:
        """Failures that were kept, of one target or of all, newest first, with their transcripts."""
        limit = _limit(request, FAILURES_SHOWN, FAILURES_LIMIT)
        if limit is None:
            return _error(400, f"limit is a number from 1 to {FAILURES_LIMIT}")
        failures = await self._changes.failures(request.query_params.get("target") or None, limit=limit)
        return streamed(
            _listed("failures", (failure_object(failure) for failure in failures)),
            content_type="application/json",
            accept_encoding=request.headers.get("accept-encoding", ""),
        )

    async def _all_targets(self) -> AsyncIterator[bytes]:
        by_target: dict[str, list[EndpointState]] = {}
        for state in self._operations.store.states():
            by_target.setdefault(state.key.target, []).append(state)
        objects = (target_object(target, by_target.get(target.name, ())) for target in self._operations.targets)
        async for piece in _listed("targets", objects):
            yield piece


async def _listed(key: str, objects: Iterable[Mapping[str, Json]]) -> AsyncIterator[bytes]:
    """``{"KEY": [...]}``, an object at a time."""
    separator = f'{{"{key}": [\n'
    pause = Pause()
    empty = True
    for each in objects:
        yield (separator + json.dumps(each, ensure_ascii=False)).encode("utf-8", "replace")
        separator, empty = ",\n", False
        await pause()
    yield f'{{"{key}": []}}\n'.encode() if empty else b"\n]}\n"


def _limit(request: Request, default: int, most: int) -> int | None:
    """What ``limit=`` asks for; None for nonsense."""
    written = request.query_params.get("limit", str(default))
    return whole_number(written, 1, most)


def target_object(target: Target, states: Sequence[EndpointState]) -> dict[str, Json]:
    """One target: addresses that were judged, each with its last differential."""
    return {"name": target.name, "labels": dict(target.labels), "addresses": [_address_object(state) for state in states]}


def _address_object(state: EndpointState) -> Json:
    return address_object(state.differential, state.judgement, datetime.fromtimestamp(state.since, UTC))


def change_object(change: VerdictChange) -> dict[str, Json]:
    """``from`` is null for the first verdict about an endpoint."""
    return {
        "target": change.target,
        "address": change.address,
        "port": change.port,
        "from": change.previous,
        "to": change.verdict,
        "at": rfc3339_seconds(change.at),
    }


def _error(status: int, message: str) -> JSONResponse:
    return JSONResponse({"error": message}, status)
