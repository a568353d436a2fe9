"""The shapes that programs read: the contract's document, key by key."""

from __future__ import annotations

import csv
import io
import json
import re
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prober.judge.verdicts import judge
from prober.model import Close, Differential, Endpoint, NonSniPolicy, Observation, Outcome, Seconds, Sni, Stage, Verdict
from prober.report import CSV_FIELDS, address_object, csv_rows, document, result_object
from prober.tls.facts import HandshakeFacts, TlsAlert
from tests.judge.differentials import CERTIFICATES, TRUST, differential
from tests.pki import NOW

# A schema in Python: a type, a set of literals, a compiled pattern, [items], {key: schema} with exactly these keys in this order,
# or a tuple of alternatives.
_OPTIONAL_TEXT = (str, type(None))
_SECONDS = (float, type(None))
_ALERT = {"level": {"warning", "fatal"}, "code": int, "description": re.compile(r"[a-z_0-9]+")}
_TIME = (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"), type(None))
_CERTIFICATE = {
    "subject": str,
    "issuer": str,
    "subject_alternative_names": [str],
    "serial_number": re.compile(r"-?([0-9a-f]{2})*"),
    "not_before": _TIME,
    "not_after": _TIME,
    "sha256": re.compile(r"[0-9a-f]{64}"),
}
HANDSHAKE: dict[str, Any] = {
    "sni": set(Sni),
    "server_name": _OPTIONAL_TEXT,
    "outcome": set(Outcome),
    "stage": set(Stage),
    "errno": _OPTIONAL_TEXT,
    "close": set(Close),
    "bytes_received": int,
    "tls_alert": (_ALERT, type(None)),
    "warning_alerts": [_ALERT],
    "tls_version": (re.compile(r"TLSv1\.[0-3]"), type(None)),
    "cipher_suite": _OPTIONAL_TEXT,
    "group": _OPTIONAL_TEXT,
    "alpn": _OPTIONAL_TEXT,
    "client_certificate_requested": bool,
    "hello_retry_request": bool,
    "certificates": [_CERTIFICATE],
    "certificate_valid": (bool, type(None)),
    "certificate_problems": [str],
    "detail": _OPTIONAL_TEXT,
    "hello": {"profile": str, "ja4": str},
    "seconds": {"resolve": _SECONDS, "connect": _SECONDS, "handshake": _SECONDS, "total": float},
}
_OPINION: dict[str, Any] = {"verdict": set(Verdict), "faults": [set(Verdict)], "expected": bool}
RESULT: dict[str, Any] = {"target": str, "address": str, "port": int, **_OPINION, "summary": str, "handshakes": [HANDSHAKE]}
ADDRESS: dict[str, Any] = {"address": str, "port": int, **_OPINION, "since": _TIME, "summary": str, "handshakes": [HANDSHAKE]}
DOCUMENT: dict[str, Any] = {"schema": int, "results": [RESULT]}


def conforms(value: Any, schema: Any, where: str = "$") -> None:
    """Assert that a JSON value has the shape that the schema gives."""
    if isinstance(schema, tuple):
        if any(_fits(value, option) for option in schema):
            schema = next(option for option in schema if _fits(value, option))
        else:
            pytest.fail(f"{where}: {value!r} is none of {schema}")
    if isinstance(schema, type):
        assert type(value) is schema, f"{where}: {value!r} is no {schema.__name__}"
    elif isinstance(schema, re.Pattern):
        assert isinstance(value, str), where
        assert schema.fullmatch(value), f"{where}: {value!r}"
    elif isinstance(schema, set):
        assert value in {str(member) for member in schema}, f"{where}: {value!r}"
    elif isinstance(schema, list):
        assert type(value) is list, where
        for index, item in enumerate(value):
            conforms(item, schema[0], f"{where}[{index}]")
    else:
        assert list(value) == list(schema), f"{where}: {list(value)}"
        for key, inner in schema.items():
            conforms(value[key], inner, f"{where}.{key}")


def _fits(value: Any, option: Any) -> bool:
    if isinstance(option, type):
        return type(value) is option
    return isinstance(value, str if isinstance(option, re.Pattern) else dict)


def result(case: Differential) -> dict[str, Any]:
    return result_object(case, judge(case, NonSniPolicy.CERTIFICATE, TRUST, NOW))


words = st.sampled_from(
    [
        *CERTIFICATES,
        *(outcome.value for outcome in Outcome if outcome not in {Outcome.CERTIFICATE, Outcome.TLS_ALERT}),
        "alert 112",
        "alert 199",
    ]
)


@given(known=st.none() | words, other=st.none() | words, none=st.none() | words, unknown=st.none() | words)
def test_every_result_has_the_promised_shape(known: str | None, other: str | None, none: str | None, unknown: str | None) -> None:
    """Keys and their order, types and closed sets, whatever happened; and JSON gives back what went in."""
    case = differential(known, none, unknown, other=other)
    judgement = judge(case, NonSniPolicy.ANY, TRUST, NOW)
    whole = document([result_object(case, judgement)])
    assert json.loads(json.dumps(whole, allow_nan=False)) == whole
    conforms(json.loads(json.dumps(whole)), DOCUMENT)
    conforms(json.loads(json.dumps(address_object(case, judgement, NOW))), ADDRESS)


def test_the_contracts_example_is_reproduced_value_by_value() -> None:
    """A client without SNI that was reset."""
    reset = Observation(Outcome.RESET, Stage.CLIENT_HELLO, "ECONNRESET", Close.RST, 0, None, Seconds(0.0, 0.0004, 0.0011, 0.0015))
    case = differential("certificate", "reset")
    known, none = case.handshakes
    case = case._replace(handshakes=(known, none._replace(observation=reset, ja4="t13i...")))
    assert result(case)["handshakes"][1] == {
        "sni": "none",
        "server_name": None,
        "outcome": "reset",
        "stage": "client_hello",
        "errno": "ECONNRESET",
        "close": "rst",
        "bytes_received": 0,
        "tls_alert": None,
        "warning_alerts": [],
        "tls_version": None,
        "cipher_suite": None,
        "group": None,
        "alpn": None,
        "client_certificate_requested": False,
        "hello_retry_request": False,
        "certificates": [],
        "certificate_valid": None,
        "certificate_problems": [],
        "detail": None,
        "hello": {"profile": "modern", "ja4": "t13i..."},
        "seconds": {"resolve": 0.0, "connect": 0.0004, "handshake": 0.0011, "total": 0.0015},
    }


def test_certificates_are_objects_with_the_end_entity_first() -> None:
    """As people know them from openssl."""
    end_entity, intermediate = result(differential("expired"))["handshakes"][0]["certificates"]
    assert end_entity["subject"] == "CN=api.example.test"
    assert end_entity["issuer"] == intermediate["subject"] == "CN=Test Intermediate"
    assert end_entity["subject_alternative_names"] == ["api.example.test", "www.example.test"]
    assert (end_entity["not_before"], end_entity["not_after"]) == ("2024-01-01T00:00:00Z", "2025-01-01T00:00:00Z")


def test_alerts_are_objects() -> None:
    """Fatal ones, and those that were only warnings."""
    case = differential("certificate")
    warned = HandshakeFacts(
        warning_alerts=(TlsAlert("warning", 112, "unrecognized_name"),), tls_alert=TlsAlert("fatal", 199, "alert_199")
    )
    observation = Observation(Outcome.TLS_ALERT, Stage.SERVER_HELLO, facts=warned)
    (handshake,) = result(case._replace(handshakes=(case.handshakes[0]._replace(observation=observation),)))["handshakes"]
    assert handshake["tls_alert"] == {"level": "fatal", "code": 199, "description": "alert_199"}
    assert handshake["warning_alerts"] == [{"level": "warning", "code": 112, "description": "unrecognized_name"}]


def test_seconds_have_microseconds_and_no_more() -> None:
    """What is not measured is not shown."""
    (handshake,) = result(differential("certificate"))["handshakes"]
    assert handshake["seconds"] == {"resolve": 0.0, "connect": 0.000412, "handshake": 0.0011, "total": 0.0015}


def test_an_ipv6_address_has_no_brackets_and_an_unresolved_name_is_the_address() -> None:
    """The port is a key of its own."""
    assert result(differential("refused", endpoint=Endpoint("2001:db8::1", 8443)))["address"] == "2001:db8::1"
    unresolved = result(differential("resolve_failed", endpoint=None))
    assert (unresolved["target"], unresolved["address"], unresolved["port"]) == ("edge", "ingress.example.test", 443)


def test_since_is_a_time_or_null() -> None:
    """Null before the first verdict."""
    case = differential("certificate", "reset")
    judgement = judge(case, NonSniPolicy.CERTIFICATE, TRUST, NOW)
    assert address_object(case, judgement, datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC))["since"] == "2026-01-02T03:04:05Z"
    assert address_object(case, judgement, None)["since"] is None


@pytest.mark.parametrize(
    "text", ["=HYPERLINK(1)", "+1", "-1", "@SUM(1)", "\t=1", "\r=1", "\n=1", "\uff1d1", "\uff0b1", "\uff0d1", "\uff201"]
)
def test_no_text_of_a_csv_cell_is_a_formula(text: str) -> None:
    """Spreadsheets calculate what begins so; the apostrophe is their own sign for text. What is a number stays one."""
    case = differential("certificate", "reset", "reset")
    judgement = judge(case, NonSniPolicy.CERTIFICATE, TRUST, NOW)._replace(summary=text)
    observation = case.handshakes[0].observation._replace(detail=text)
    known = case.handshakes[0]._replace(observation=observation)
    row = next(csv_rows(case._replace(target=text, handshakes=(known, *case.handshakes[1:])), judgement))
    cells = dict(zip(CSV_FIELDS, row, strict=True))
    assert cells["target"] == cells["detail"] == cells["summary"] == f"'{text}"
    assert (cells["port"], cells["connect_seconds"]) == ("443", "0.000412")
    assert float(cells["bytes_received"]) == observation.bytes_received


def test_csv_has_one_row_a_handshake_and_empty_cells_for_what_does_not_apply() -> None:
    """Written and read back by the csv module, quotes and all."""
    case = differential("expired", "alert 112", "reset")
    judgement = judge(case, NonSniPolicy.CERTIFICATE, TRUST, NOW)
    text = io.StringIO()
    csv.writer(text).writerows([CSV_FIELDS, *csv_rows(case, judgement)])
    known, none, unknown = csv.DictReader(io.StringIO(text.getvalue()))
    assert (known["target"], known["address"], known["port"], known["verdict"]) == (
        "edge",
        "192.0.2.10",
        "443",
        "certificate_invalid",
    )
    assert known["faults"] == "certificate_invalid; non_sni_rejected"
    assert known["expected"] == known["certificate_valid"] == "false"
    assert (known["certificate_subject"], known["certificate_not_after"]) == ("CN=api.example.test", "2025-01-01T00:00:00Z")
    assert known["connect_seconds"] == "0.000412"
    assert (none["sni"], none["server_name"], none["tls_alert"], none["certificate_valid"]) == (
        "none",
        "",
        "unrecognized_name",
        "",
    )
    assert (unknown["outcome"], unknown["errno"], unknown["certificate_sha256"], unknown["connect_seconds"]) == (
        "reset",
        "ECONNRESET",
        "",
        "",
    )
    assert set(known) == set(CSV_FIELDS)
