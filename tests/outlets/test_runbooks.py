"""The page that links in notifications lead to."""

from __future__ import annotations

import re
import shlex

import httpx
import pytest

from prober.cli import build_parser
from prober.judge.alert_rules import AlertName
from prober.outlets.runbooks import COMMANDS, OF_PROMETHEUS, RUNBOOKS, Runbook
from prober.outlets.web import create_app
from tests.outlets.fleet import FakeService
from tests.outlets.page import fleet, page


async def test_every_alert_has_a_section_under_its_anchor() -> None:
    """The name in lower case, as ``runbook_url`` has it."""
    async with httpx.AsyncClient(transport=httpx.ASGITransport(create_app(FakeService())), base_url="http://prober") as client:
        answer = await client.get("/runbooks")
    assert answer.status_code == 200
    for name in (*(name.value for name in AlertName), *OF_PROMETHEUS):
        assert f'id="{name.lower()}"' in answer.text
        assert f">{name}</h2>" in answer.text


async def test_every_page_leads_to_the_runbooks() -> None:
    """Whoever looks at a red page need not have an alert at hand to find out what to do."""
    for path in ("/", "/runbooks", "/nowhere"):
        tree = await page(fleet(), path, 404 if path == "/nowhere" else 200)
        [link] = [each for each in tree.all("nav")[0].all("a") if each.text == "Runbooks"]
        assert link.attributes["href"] == "/runbooks"
        assert ("aria-current" in link.attributes) is (path == "/runbooks")


ALL: dict[str, Runbook] = {name.value: book for name, book in RUNBOOKS.items()} | {
    name: book for name, (_, book) in OF_PROMETHEUS.items()
}


@pytest.mark.parametrize("name", sorted(ALL))
def test_each_section_says_what_it_means_what_it_does_how_to_look_and_how_to_mend_it(name: str) -> None:
    """What is about an ingress is looked into by `prober diagnose`, or by `prober once` where that shows more."""
    book = ALL[name]

    assert all((book.meaning, book.impact, book.diagnosis, book.fix))
    if not name.startswith("Prober"):
        assert any(step.startswith("prober diagnose ") for step in book.diagnosis)


@pytest.mark.parametrize(
    "step", sorted({step for book in ALL.values() for step in (*book.diagnosis, *book.fix) if step.startswith(COMMANDS)})
)
def test_the_commands_are_understood(step: str) -> None:
    """By the command's own parser, words in capitals filled in; those of others name no option of ours."""
    program, *arguments = shlex.split(re.sub(r"\b[A-Z]{4,}\b", "example.com", step))
    if program == "prober":
        assert build_parser().parse_args(arguments).command == arguments[0]
    else:
        assert program in {"kubectl", "openssl"}
