"""The page that links in notifications lead to."""

from __future__ import annotations

import httpx

from prober.judge.alert_rules import AlertName
from prober.outlets.runbooks import OF_PROMETHEUS
from prober.outlets.web import create_app
from tests.outlets.fleet import FakeService


async def test_every_alert_has_a_section_under_its_anchor() -> None:
    """The name in lower case, as ``runbook_url`` has it."""
    async with httpx.AsyncClient(transport=httpx.ASGITransport(create_app(FakeService())), base_url="http://prober") as client:
        answer = await client.get("/runbooks")
    assert answer.status_code == 200
    for name in (*(name.value for name in AlertName), *OF_PROMETHEUS):
        assert f'id="{name.lower()}"' in answer.text
        assert f">{name}</h2>" in answer.text
