"""What people and programs read: the JSON objects of the command line and of the API, and CSV rows. Pure, JSON types alone.

The shapes are promised: keys are never renamed or removed, and keep their order. A new one goes to the end of its object, and
`SCHEMA` is raised when a meaning changes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime

from prober.judge.certificates import CertificateFacts, certificate_facts, rfc3339
from prober.judge.verdicts import HandshakeJudgement, Judgement
from prober.model import Differential, Handshake
from prober.tls.facts import TlsAlert

__all__ = [
    "CSV_FIELDS",
    "SCHEMA",
    "Json",
    "address_object",
    "certificate_object",
    "csv_rows",
    "document",
    "handshake_object",
    "presented_chain",
    "result_object",
]

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]

SCHEMA = 1
"""Version of the shapes below."""


def document(results: Iterable[dict[str, Json]]) -> dict[str, Json]:
    """The document of ``--format json``, from `result_object` values."""
    return {"schema": SCHEMA, "results": list(results)}


def result_object(differential: Differential, judgement: Judgement) -> dict[str, Json]:
    """One ingress address: an element of ``results``, and a line of ``--format jsonl``."""
    return {
        "target": differential.target,
        **_address(differential),
        **_opinion(judgement),
        "summary": judgement.summary,
        "handshakes": _handshakes(differential, judgement),
    }


def address_object(differential: Differential, judgement: Judgement, since: datetime | None) -> dict[str, Json]:
    """One address of a target in ``/api/v1/targets``; ``since`` is when the verdict began to hold."""
    return {
        **_address(differential),
        **_opinion(judgement),
        "since": rfc3339(since),
        "summary": judgement.summary,
        "handshakes": _handshakes(differential, judgement),
    }


def _address(differential: Differential) -> dict[str, Json]:
    """An IP address without brackets; the configured name where it did not resolve."""
    endpoint, address = differential.endpoint, differential.address
    if endpoint is None:
        return {"address": address.host, "port": address.port}
    return {"address": endpoint.ip, "port": endpoint.port}


def _opinion(judgement: Judgement) -> dict[str, Json]:
    return {
        "verdict": judgement.verdict.value,
        "faults": [fault.value for fault in judgement.faults],
        "expected": judgement.expected,
    }


def _handshakes(differential: Differential, judgement: Judgement) -> list[Json]:
    pairs = zip(differential.handshakes, judgement.handshakes, strict=True)
    return [handshake_object(handshake, judged) for handshake, judged in pairs]


def handshake_object(handshake: Handshake, judged: HandshakeJudgement) -> dict[str, Json]:
    """One hello and what came of it. Durations are seconds with microsecond resolution, null for a step that was not reached."""
    observation = handshake.observation
    facts, seconds = observation.facts, observation.seconds
    return {
        "sni": handshake.sni.value,
        "server_name": handshake.server_name,
        "outcome": observation.outcome.value,
        "stage": observation.stage.value,
        "errno": observation.errno,
        "close": observation.close.value,
        "bytes_received": observation.bytes_received,
        "tls_alert": None if facts.tls_alert is None else _tls_alert(facts.tls_alert),
        "warning_alerts": list(map(_tls_alert, facts.warning_alerts)),
        "tls_version": facts.tls_version,
        "cipher_suite": facts.cipher_suite,
        "group": facts.group,
        "alpn": facts.alpn,
        "client_certificate_requested": facts.client_certificate_requested,
        "hello_retry_request": facts.hello_retry_request,
        "certificates": list(map(certificate_object, presented_chain(handshake, judged))),
        "certificate_valid": judged.certificate_valid,
        "certificate_problems": list(judged.certificate_problems),
        "detail": observation.detail,
        "hello": {"profile": handshake.profile, "ja4": handshake.ja4},
        "seconds": {
            "resolve": _microseconds(seconds.resolve),
            "connect": _microseconds(seconds.connect),
            "handshake": _microseconds(seconds.handshake),
            "total": _microseconds(seconds.total),
        },
    }


def presented_chain(handshake: Handshake, judged: HandshakeJudgement) -> tuple[CertificateFacts, ...]:
    """What the server presented, end-entity first, also where TLS was broken behind it (depth ``finished``).

    Such a chain is not judged: the server has not proved that it is its own.
    """
    return judged.certificates or tuple(map(certificate_facts, handshake.observation.facts.certificates))


def certificate_object(facts: CertificateFacts) -> dict[str, Json]:
    """One presented certificate. What could not be read is the empty string, a date null."""
    return {
        "subject": facts.subject,
        "issuer": facts.issuer,
        "subject_alternative_names": list(facts.subject_alternative_names),
        "serial_number": facts.serial_number,
        "not_before": rfc3339(facts.not_before),
        "not_after": rfc3339(facts.not_after),
        "sha256": facts.sha256,
    }


def _tls_alert(alert: TlsAlert) -> Json:
    return {"level": alert.level, "code": alert.code, "description": alert.description}


def _microseconds(seconds: float | None) -> float | None:
    return None if seconds is None else round(float(seconds), 6)


CSV_FIELDS = (
    "target",
    "address",
    "port",
    "verdict",
    "faults",
    "expected",
    "sni",
    "server_name",
    "outcome",
    "stage",
    "errno",
    "close",
    "bytes_received",
    "tls_alert",
    "tls_version",
    "cipher_suite",
    "group",
    "alpn",
    "client_certificate_requested",
    "hello_retry_request",
    "certificate_subject",
    "certificate_issuer",
    "certificate_not_after",
    "certificate_sha256",
    "certificate_valid",
    "certificate_problems",
    "detail",
    "ja4",
    "resolve_seconds",
    "connect_seconds",
    "handshake_seconds",
    "total_seconds",
    "summary",
)
"""Columns of ``--format csv``. Certificates are the end-entity's; lists are joined by a semicolon and a space."""

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""What makes a spreadsheet calculate a cell that begins with it (OWASP, "CSV Injection"); the last four are their full-width forms."""


def csv_rows(differential: Differential, judgement: Judgement) -> Iterator[tuple[str, ...]]:
    """One row a handshake, its cells in the order of `CSV_FIELDS`; what does not apply is empty. No text is a spreadsheet's formula."""
    result = {**_address(differential), **_opinion(judgement)}
    for handshake, judged in zip(differential.handshakes, judgement.handshakes, strict=True):
        cells: dict[str, Json] = {**result, **handshake_object(handshake, judged)}
        alert = handshake.observation.facts.tls_alert
        seconds = cells["seconds"]
        assert isinstance(seconds, dict)
        cells |= {f"{step}_seconds": value for step, value in seconds.items()}
        cells |= _end_entity(presented_chain(handshake, judged))
        cells |= {
            "target": differential.target,
            "tls_alert": None if alert is None else alert.description,
            "ja4": handshake.ja4,
            "summary": judgement.summary,
        }
        yield tuple(_cell(cells, field) for field in CSV_FIELDS)


def _end_entity(certificates: tuple[CertificateFacts, ...]) -> dict[str, Json]:
    if not certificates:
        return {}
    described = certificate_object(certificates[0])
    return {f"certificate_{field}": described[field] for field in ("subject", "issuer", "not_after", "sha256")}


def _cell(cells: Mapping[str, Json], field: str) -> str:
    match cells.get(field):
        case None:
            return ""
        case bool(value):
            return "true" if value else "false"
        case float(value):
            return f"{value:.6f}"
        case list(values):
            return _text("; ".join(map(str, values)))
        case str(value):
            return _text(value)
        case value:
            return str(value)


def _text(value: str) -> str:
    """Text that no spreadsheet takes for a formula. Subjects, problems and details have words of the peer's in them.

    Their forms begin with words of ours today; here it does not depend on that.
    """
    return f"'{value}" if value.startswith(_FORMULA) else value
