"""The JSON API, by the contract's shapes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from prober.changelog import RecentChanges
from prober.model import Address, Endpoint
from prober.report import result_object
from tests.outlets.client import client
from tests.outlets.fleet import NOW, FakeService, differential, judged, reset, target


async def get(service: FakeService, path: str, status: int = 200) -> Any:
    """The decoded answer."""
    async with client(service) as http:
        answer = await http.get(path)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/json"
    return json.loads(answer.content)


def changing() -> FakeService:
    """One target with two addresses, the first of which began to reset; another one without a verdict yet."""
    service = FakeService()
    of = target("edge", "ingress.example.com", environment="prod")
    service.see(of, differential(of, endpoint=Endpoint("203.0.113.10", 443)), at=NOW - 100)
    service.see(of, differential(of, endpoint=Endpoint("2001:db8::1", 443)), at=NOW - 90)
    service.see(of, differential(of, none=reset(), endpoint=Endpoint("203.0.113.10", 443)), at=NOW)
    service.targets = (*service.targets, target("new", "192.0.2.1"))
    return service


async def test_targets_have_the_contract_s_shape() -> None:
    """Also a target that is not judged yet; the handshake objects are those of the command line."""
    service = changing()
    answer = await get(service, "/api/v1/targets")

    assert list(answer) == ["targets"]
    edge, new = answer["targets"]
    assert edge["name"] == "edge"
    assert edge["labels"] == {"environment": "prod"}
    assert [(each["address"], each["port"], each["verdict"]) for each in edge["addresses"]] == [
        ("203.0.113.10", 443, "non_sni_reset"),
        ("2001:db8::1", 443, "ok"),
    ]
    assert list(edge["addresses"][0]) == ["address", "port", "verdict", "faults", "expected", "since", "summary", "handshakes"]
    assert edge["addresses"][0]["since"] == "2026-09-21T14:13:20Z"
    of = service.targets[0]
    run = differential(of, none=reset(), endpoint=Endpoint("203.0.113.10", 443))
    assert edge["addresses"][0]["handshakes"] == result_object(run, judged(of, run).judgement)["handshakes"]
    assert new == {"name": "new", "labels": {}, "addresses": []}


async def test_one_target_is_the_same_object() -> None:
    """By its name, which may have slashes; 404 with a reason for others."""
    service = changing()
    of = target("a/b c", "192.0.2.9")
    service.see(of, differential(of))
    every = (await get(service, "/api/v1/targets"))["targets"]

    assert await get(service, "/api/v1/targets/edge") == every[0]
    assert await get(service, "/api/v1/targets/a%2Fb%20c") == every[2]
    assert await get(service, "/api/v1/targets/gone", 404) == {"error": "there is no target 'gone'"}


async def test_no_target_is_an_empty_list() -> None:
    """Not an error, and valid JSON."""
    assert await get(FakeService(), "/api/v1/targets") == {"targets": []}


async def test_history_is_newest_first_and_can_be_asked_for_one_target() -> None:
    """The first verdict of an endpoint comes from nothing."""
    service = changing()
    other = target("other", "192.0.2.77")
    service.see(other, differential(other), at=NOW + 5)

    assert await get(service, "/api/v1/history?target=edge") == {
        "changes": [
            {
                "target": "edge",
                "address": "203.0.113.10",
                "port": 443,
                "from": "ok",
                "to": "non_sni_reset",
                "at": "2026-09-21T14:13:20Z",
            },
            {"target": "edge", "address": "2001:db8::1", "port": 443, "from": None, "to": "ok", "at": "2026-09-21T14:11:50Z"},
            {"target": "edge", "address": "203.0.113.10", "port": 443, "from": None, "to": "ok", "at": "2026-09-21T14:11:40Z"},
        ]
    }
    assert [change["target"] for change in (await get(service, "/api/v1/history"))["changes"]] == [
        "other",
        "edge",
        "edge",
        "edge",
    ]
    assert len((await get(service, "/api/v1/history?limit=2"))["changes"]) == 2


@pytest.mark.parametrize("limit", ["0", "-1", "x", "1001", "99999999999999999999", "0000000011000", "000000001" + "9" * 5000])
async def test_a_limit_that_is_none_is_400(limit: str) -> None:
    """With the range in the answer. Zeros in front of it do not hide how large a number is."""
    assert "from 1 to 1000" in (await get(FakeService(), f"/api/v1/history?limit={limit}", 400))["error"]


async def test_the_memory_of_changes_is_bounded() -> None:
    """The oldest are forgotten."""
    log = RecentChanges(capacity=3)
    service = FakeService(changes=log)
    for number in range(5):
        of = target(f"t{number}", f"192.0.2.{number}")
        service.see(of, differential(of, address=Address(f"192.0.2.{number}")))

    assert [change.target for change in await log.changes()] == ["t4", "t3", "t2"]
