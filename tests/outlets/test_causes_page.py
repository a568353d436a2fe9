"""Why a target fails, and its last failures, as people and programs get them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from time import time

import httpx
import pytest

from prober.changelog import ChangeLog, KeptFailure
from prober.findings import Confidence, Diagnosis, Evidence, Finding, Fix, Severity, SourceReport
from prober.history.history import History
from prober.history.records import Batch
from prober.outlets.web import create_app
from prober.tls.facts import TranscriptEntry
from tests.outlets.client import client
from tests.outlets.fleet import FakeService, differential, reset, target
from tests.outlets.page import Element, Page, page, rows

HOSTILE = "<script>alert(1)</script>"

FOUND = Finding(
    id="no-wildcard",
    severity=Severity.CRITICAL,
    confidence=Confidence.CONFIRMED,
    summary=f"No ApigeeRoute with host '*' {HOSTILE}",
    evidence=(
        Evidence(source="probe", text=f"192.0.2.1:443: no name: RST {HOSTILE}"),
        Evidence(source="overrides", file="overrides.yaml", line=7, text="lists no additionalGateways"),
    ),
    against=(Evidence(source="logs", text="3 requests without SNI over TLS"),),
    fix=Fix(
        explanation="Create it.",
        yaml='spec:\n  hostnames:\n  - "*"\n',
        commands=("kubectl apply -f a.yaml", "prober diagnose probe x"),
    ),
)
SMALL = Finding(id="partial-vhosts", severity=Severity.WARNING, confidence=Confidence.LIKELY, summary="One lacks it.")
SOURCES = (
    SourceReport(kind="probe", name="192.0.2.1:443", summary="non_sni_reset"),
    SourceReport(kind="kubernetes", name="pods", error="unknown: forbidden (403)"),
)


def failing(diagnosis: Diagnosis | None, name: str = "edge") -> FakeService:
    """One target that resets clients without SNI."""
    service = FakeService()
    of = target(name, "192.0.2.1")
    service.see(of, differential(of, none=reset()), at=time())
    if diagnosis is not None:
        service.diagnoses = {name: diagnosis}
    return service


def told(**more: object) -> Diagnosis:
    """A diagnosis that was just made."""
    return Diagnosis(findings=(FOUND, SMALL), sources=SOURCES, at=time(), read_at=time() - 90, **more)  # type: ignore[arg-type]


def cause(tree: Element) -> Element:
    """The section."""
    [found] = tree.all("section", class_="cause")
    return found


async def test_the_list_names_the_cause_and_leads_to_it() -> None:
    """Short: how sure, which, and a link to the place on the target's page that exists."""
    service = failing(told(), "team/ü edge")
    [row] = rows(await page(service))
    [because] = row.all("span", class_="because")
    assert because.text == "Cause, confirmed: no-wildcard"
    link = because.all("a")[0].attributes["href"]
    assert link == "/targets/team%2F%C3%BC%20edge#cause"
    assert cause(await page(service, link)).all("h2", id="cause")


async def test_the_page_shows_evidence_for_and_against_and_the_fix() -> None:
    """In that order; what can be copied is preformatted, and nothing that anybody wrote is markup."""
    section = cause(await page(failing(told()), "/targets/edge"))
    [first] = section.all("article", class_="finding")
    assert first.all("h3")[0].text == "no-wildcard critical, confirmed"
    assert [title.text for title in first.all("h4")] == ["Evidence for it", "Evidence against it", "Fix"]
    lines = [line.text for line in first.all("li")]
    assert lines == [
        f"probe 192.0.2.1:443: no name: RST {HOSTILE}",
        "overrides overrides.yaml:7 lists no additionalGateways",
        "logs 3 requests without SNI over TLS",
    ]
    manifest, commands = first.all("pre")
    assert manifest.children == ['spec:\n  hostnames:\n  - "*"']
    assert [span.children for span in commands.all("span")] == [["kubectl apply -f a.yaml\n"], ["prober diagnose probe x\n"]]
    assert [each.all("summary")[0].text for each in section.all("details", class_="finding")] == [
        "partial-vhosts warning, likely One lacks it."
    ]
    assert not section.all("script")


async def test_what_is_unknown_and_how_old_it_is_is_said() -> None:
    """403 is unknown; the cluster's answer has its age, and what keeps it from being newer is told."""
    section = cause(await page(failing(told(trouble="the API server was silent for too long")), "/targets/edge"))
    assert "the cluster as it was 1 min ago" in section.all("p", class_="basis")[0].text
    silent, unknown = (notice.text for notice in section.all("p", class_="notice"))
    assert "The cluster cannot be asked now: the API server was silent for too long" in silent
    assert unknown == "Not known to prober: kubernetes pods (forbidden (403))."
    assert section.all("details", class_="looked")[0].all("summary")[0].text == "What was looked at 2 sources, 1 unknown"
    assert [line.text for line in section.all("li", class_="unknown")] == ["kubernetes pods forbidden (403)"]


async def test_a_first_diagnosis_under_way_is_said_to_be() -> None:
    """And nothing of it is in the list yet."""
    service = failing(Diagnosis(at=time()))
    assert "The cluster is being asked" in cause(await page(service, "/targets/edge")).text
    assert not rows(await page(service))[0].all("span", class_="because")


async def test_without_a_cluster_nothing_is_said_about_causes() -> None:
    """No empty section, and no keys in the API beside the promised ones."""
    service = failing(None)
    assert not (await page(service, "/targets/edge")).all("section", class_="cause")
    async with client(service) as http:
        assert (await http.get("/api/v1/targets/edge")).json().keys() == {"name", "labels", "addresses"}


async def test_an_inconclusive_diagnosis_leads_to_what_is_missing() -> None:
    """It is no cause, and is not shown as one."""
    unsure = Finding(id="inconclusive", severity=Severity.INFO, confidence=Confidence.SUSPECTED, summary="Missing: a log.")
    service = failing(Diagnosis(findings=(unsure,), at=time()))
    [because] = rows(await page(service))[0].all("span", class_="because")
    assert because.text == "Cause: not found: what is missing"
    assert "Missing: a log." in cause(await page(service, "/targets/edge")).text


async def test_the_api_has_the_findings_as_the_command_line_prints_them() -> None:
    """Evidence, against, fix; and beside them what they rest on."""
    async with client(failing(told())) as http:
        answer = (await http.get("/api/v1/targets/edge")).json()
    [found, _] = answer["findings"]
    assert found.keys() == {"id", "severity", "confidence", "summary", "evidence", "against", "fix"}
    assert found["fix"] == {
        "explanation": "Create it.",
        "yaml": 'spec:\n  hostnames:\n  - "*"\n',
        "commands": ["kubectl apply -f a.yaml", "prober diagnose probe x"],
    }
    assert found["evidence"][1] == {
        "source": "overrides",
        "file": "overrides.yaml",
        "line": 7,
        "text": "lists no additionalGateways",
    }
    assert [source["ok"] for source in answer["diagnosis"]["sources"]] == [True, False]
    at, read = (datetime.fromisoformat(answer["diagnosis"][key]) for key in ("at", "cluster_read_at"))
    assert 85 < (at - read).total_seconds() < 95
    assert at.tzinfo == UTC


async def seen(log: ChangeLog, service: FakeService, path: str) -> httpx.Response:
    """One page over this history."""
    transport = httpx.ASGITransport(create_app(service, log))
    async with httpx.AsyncClient(transport=transport, base_url="http://prober") as http:
        return await http.get(path, headers={"Accept": "text/html"})


async def test_kept_failures_are_on_the_page_and_in_the_api_after_a_restart(tmp_path: Path) -> None:
    """Each message of each hello, decoded; collapsed, newest first, and what peers said is no markup."""
    service = FakeService()
    of = target("edge", "192.0.2.1")
    said = (TranscriptEntry(">", "ClientHello", 512, ("cipher suites: ...", HOSTILE)), TranscriptEntry("<", "Alert", 2, ()))
    service.see(of, differential(of, none=reset()._replace(transcript=said)), at=time())
    [state] = service.store.states()
    history = History.open(tmp_path)
    async with history.running():
        history.commit(Batch(failures=(state,)))
    history.close()

    history = History.open(tmp_path)
    async with history.running():
        answer = await seen(history, service, "/targets/edge")
        kept = (await seen(history, service, "/api/v1/failures?target=edge")).json()["failures"]
        nobody = (await seen(history, service, "/api/v1/failures?target=other")).json()
        every = (await seen(history, service, "/api/v1/failures?limit=1")).json()["failures"]
    history.close()
    tree = Page(answer.text).root
    [failure] = tree.all("details", class_="failure")
    assert "open" not in failure.attributes
    assert "Resets clients without SNI 192.0.2.1:443" in failure.all("summary")[0].text
    assert [title.text for title in failure.all("h3")] == [
        "Right SNI api.example.com",
        "No SNI",
        "Unknown SNI probe-0123456789abcdef.invalid",
    ]
    messages = failure.all("section", class_="hello-record")[1].all("li")
    assert [message.attributes["class"] for message in messages] == ["sent", "received"]
    assert messages[0].text == f"ClientHello 512 bytescipher suites: ... {HOSTILE}"
    assert kept == every
    assert nobody == {"failures": []}
    assert (kept[0]["target"], kept[0]["address"], kept[0]["port"], kept[0]["verdict"]) == (
        "edge",
        "192.0.2.1",
        443,
        "non_sni_reset",
    )
    assert kept[0]["transcripts"][1][1] == {"direction": "<", "name": "Alert", "size": 2, "lines": []}


@pytest.mark.parametrize(
    "result", [{}, {"handshakes": None, "transcripts": 3}, {"handshakes": [None, {"sni": 1}], "transcripts": [[1]]}]
)
async def test_what_another_version_kept_never_breaks_the_page(result: dict[str, object]) -> None:
    """What is missing is left out."""
    service = failing(None)
    service.changes.keep(KeptFailure("edge", "192.0.2.1:443", time(), json.loads(json.dumps(result))))
    tree = await page(service, "/targets/edge")
    assert len(tree.all("details", class_="failure")) == 1


@pytest.mark.parametrize("limit", ["0", "101", "x", "-1", "1e3", "٣"])
async def test_failures_are_asked_for_in_numbers(limit: str) -> None:
    """From 1 to 100: each may hold 32 KiB."""
    async with client(failing(None)) as http:
        answer = await http.get("/api/v1/failures", params={"limit": limit})
    assert answer.status_code == 400
    assert answer.json() == {"error": "limit is a number from 1 to 100"}
