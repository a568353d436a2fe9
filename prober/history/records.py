"""What is written together: everything that one round led to, in one transaction."""

from __future__ import annotations

import json
import secrets
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, NamedTuple, TypeAlias

from prober.changelog import VerdictChange
from prober.history.packing import pack
from prober.judge.alert_rules import AlertName, Evidence
from prober.judge.alerting import Alert, AlertChange, AlertKey, Phase
from prober.model import Differential, Verdict
from prober.notices import OutboxEntry
from prober.report import Json, address_object
from prober.snapshot import EndpointState, StateKey

__all__ = ["FAILURES_KEPT", "Batch", "Loaded", "PackedFailure", "RememberedVerdict", "apply", "load", "packed"]

_Write: TypeAlias = Callable[[str, Sequence[Any]], object]

FAILURES_KEPT = 3
"""Of each endpoint."""

TRANSCRIPT_CHARACTERS = 32_768
"""Kept of one failure's transcripts."""


class PackedFailure(NamedTuple):
    """An endpoint whose last differential is worth keeping, as it is written."""

    key: StateKey
    at: float
    """Unix time in seconds at which its last hello was started."""
    document: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """One unit: either all of it is on disk or nothing."""

    changes: tuple[tuple[StateKey, VerdictChange], ...] = ()
    failures: tuple[EndpointState | PackedFailure, ...] = ()
    """Endpoints whose last differential is worth keeping."""
    alerts: tuple[AlertChange, ...] = ()
    outbox: tuple[OutboxEntry, ...] = ()
    delivered: tuple[OutboxEntry, ...] = ()
    gone: tuple[StateKey, ...] = ()
    """Endpoints that are watched no more."""
    handed_over: tuple[AlertKey, ...] = ()
    """Alerts that are another prober's from now on; nobody is told."""
    verdicts: tuple[tuple[StateKey, Verdict, float], ...] = ()
    """What holds since when, without a change: for a database that was begun anew."""
    standing: tuple[Alert, ...] = ()
    """Alerts as they stand, likewise."""


class RememberedVerdict(NamedTuple):
    """What was known of an endpoint before the restart."""

    key: StateKey
    verdict: Verdict
    since: float


class Loaded(NamedTuple):
    """What a start begins with."""

    verdicts: tuple[RememberedVerdict, ...]
    alerts: tuple[Alert, ...]
    outbox: tuple[OutboxEntry, ...]
    """In the order of their sequence."""
    sequence: int
    """The last one that was given out."""
    instance: str
    """Made once for a state file: it tells this prober's changes from those of others."""


def packed(batch: Batch) -> Batch:
    """The same, with its failures packed: what waits for a disk that is full is not to hold their transcripts, 15 KB each."""
    if not batch.failures:
        return batch
    try:
        return replace(batch, failures=tuple(map(_packed, batch.failures)))
    except Exception:
        return batch  # a bug of ours: `apply` meets it again, where it costs this batch alone


def apply(connection: sqlite3.Connection, batch: Batch, *, lasting: bool = True) -> None:
    """Write one batch within the transaction that is open.

    ``lasting``: another process may begin with it. Without that only what is asked for is written, which is changes and failures: the
    rest, more than half of what there is of an endpoint that fails, is there for `load`.
    """
    for _, change in batch.changes:
        row = (change.target, change.address, change.port, change.previous, change.verdict, change.at, change.expected)
        connection.execute(
            "INSERT INTO changes (target, address, port, previous, verdict, at, expected) VALUES (?, ?, ?, ?, ?, ?, ?)", row
        )
    for failure in batch.failures:
        _keep_failure(connection, _packed(failure))
    if lasting:
        _apply_lasting(connection.execute, batch)


def _apply_lasting(write: _Write, batch: Batch) -> None:
    for key, change in batch.changes:
        write("INSERT OR REPLACE INTO verdicts VALUES (?, ?, ?, ?)", (*key, change.verdict, change.at))
    for key, verdict, since in batch.verdicts:
        write("INSERT OR REPLACE INTO verdicts VALUES (?, ?, ?, ?)", (*key, verdict, since))
    for changed in batch.alerts:
        if changed.notable:
            _keep_alert(write, changed)
    for alert in batch.standing:
        write("INSERT OR REPLACE INTO alerts VALUES (?, ?, ?, ?)", (*alert.key, _dump(alert)))
    for entry in batch.outbox:
        write("INSERT OR REPLACE INTO outbox VALUES (?, ?, ?, ?, ?, ?)", entry)
    for entry in batch.delivered:
        write("DELETE FROM outbox WHERE sequence = ? AND receiver = ?", (entry.sequence, entry.receiver))
    for key in batch.gone:
        write("DELETE FROM verdicts WHERE target = ? AND address = ?", key)
    for moved in batch.handed_over:
        write("DELETE FROM alerts WHERE name = ? AND target = ? AND address = ?", moved)
    if batch.alerts:
        write("INSERT OR REPLACE INTO meta VALUES ('sequence', ?)", (str(batch.alerts[-1].sequence),))


def _keep_alert(write: _Write, change: AlertChange) -> None:
    alert = change.alert
    write("INSERT OR REPLACE INTO alerts VALUES (?, ?, ?, ?)", (*alert.key, _dump(alert)))
    row = (change.sequence, alert.key.name, alert.severity, alert.key.target, alert.key.address, alert.phase, change.at)
    write("INSERT OR REPLACE INTO notices VALUES (?, ?, ?, ?, ?, ?, ?, ?)", (*row, alert.evidence.summary))


def _packed(failure: EndpointState | PackedFailure) -> PackedFailure:
    if isinstance(failure, PackedFailure):
        return failure
    shown = address_object(failure.differential, failure.judgement, datetime.fromtimestamp(failure.since, UTC))
    document = pack({**shown, "transcripts": _transcripts(failure.differential)})
    return PackedFailure(failure.key, max(failure.last_run.values(), default=failure.since), document)


def _keep_failure(connection: sqlite3.Connection, failure: PackedFailure) -> None:
    key = failure.key
    row = (*key, failure.at, failure.document)
    connection.execute("INSERT INTO failures (target, address, at, result) VALUES (?, ?, ?, ?)", row)
    connection.execute(
        "DELETE FROM failures WHERE target = ? AND address = ? AND id NOT IN"
        " (SELECT id FROM failures WHERE target = ? AND address = ? ORDER BY id DESC LIMIT ?)",
        (*key, *key, FAILURES_KEPT),
    )


def _transcripts(differential: Differential) -> list[Json]:
    """One list of messages a handshake, in the order of the handshakes; what goes beyond the bound is left out."""
    room = TRANSCRIPT_CHARACTERS
    whole: list[Json] = []
    for handshake in differential.handshakes:
        messages: list[Json] = []
        for entry in handshake.observation.transcript:
            text = str(entry)
            if len(text) > room:
                break
            room -= len(text)
            messages.append(entry._asdict())
        whole.append(messages)
    return whole


def load(connection: sqlite3.Connection) -> Loaded:
    """Everything that a start begins with."""
    read = connection.execute
    verdicts = [
        RememberedVerdict(StateKey(target, address), Verdict(verdict), since)
        for target, address, verdict, since in read("SELECT target, address, verdict, since FROM verdicts")
        if verdict in set(Verdict)
    ]
    alerts = [_load(document) for (document,) in read("SELECT alert FROM alerts")]
    entries = read("SELECT sequence, receiver, lane, key, body, created FROM outbox ORDER BY sequence, receiver")
    outbox = tuple(OutboxEntry(*row) for row in entries)
    kept = read("SELECT value FROM meta WHERE key = 'sequence'").fetchone()
    (told,) = read("SELECT coalesce(max(sequence), 0) FROM notices").fetchone()
    sequence = max([int(kept[0]) if kept else 0, told, *(entry.sequence for entry in outbox)])
    return Loaded(tuple(verdicts), tuple(alert for alert in alerts if alert is not None), outbox, sequence, _instance(connection))


def _instance(connection: sqlite3.Connection) -> str:
    kept = connection.execute("SELECT value FROM meta WHERE key = 'instance'").fetchone()
    if kept:
        return str(kept[0])
    made = secrets.token_hex(8)
    connection.execute("INSERT INTO meta VALUES ('instance', ?)", (made,))
    return made


def _dump(alert: Alert) -> str:
    return json.dumps({**alert._asdict(), "key": list(alert.key), "evidence": list(alert.evidence)}, ensure_ascii=False)


def _load(document: str) -> Alert | None:
    """None for what another version wrote and this one does not know."""
    try:
        fields: dict[str, Any] = json.loads(document)
        name, target, address = fields["key"]
        fields |= {
            "key": AlertKey(AlertName(name), target, address),
            "phase": Phase(fields["phase"]),
            "evidence": Evidence(*fields["evidence"]),
            "turns": tuple(fields["turns"]),
        }
        return Alert(**fields)
    except (ValueError, KeyError, TypeError):
        return None
