"""Why a target fails, by its rounds and its cluster: what is said when the cluster agrees, changes, refuses, hangs and dies."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

from prober.config.diagnosis import Diagnosing as Settings
from prober.findings import Diagnosis, finding_object
from prober.service import diagnosing
from prober.service.diagnosing import Diagnosing
from prober.sources import KubernetesSource
from tests.discovery.cluster import APIGEE, PODS, apigee_route, kubeconfig, load_balancer, pod
from tests.outlets.fleet import NAME, FakeService, differential, reset, target
from tests.servers.kubernetes import ApiServer, api_server

PATIENCE = 20.0
ADDRESS = "192.0.2.10"
LABELS = {"app": "apigee-ingressgateway", "ingress_name": "edge-a", "org": "acme"}
SECRETS = "/api/v1/secrets"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks in hundredths; nothing else is changed."""
    monkeypatch.setattr(diagnosing, "LOOK_SECONDS", 0.02)


class Failing:
    """A service whose target ``edge`` resets clients without SNI, and a cluster."""

    def __init__(self, directory: Path, server: ApiServer, refresh: float) -> None:
        self.server = server
        self.service = FakeService()
        self.edge = target("edge", ADDRESS)
        self.service.see(self.edge, differential(self.edge, none=reset()))
        file = kubeconfig(directory, server.url, {"token": "s3cret-token"})
        self.settings = Settings(clusters=(KubernetesSource(kubeconfig=file),), refresh=refresh, written=True)
        self.diagnosing = Diagnosing(self.service.store, self.settings)

    async def until(self, wanted: str, confidence: str = "", name: str = "edge") -> Diagnosis:
        """The first diagnosis whose most important finding is this one."""

        def holds(known: Diagnosis) -> bool:
            return bool(known.findings) and known.findings[0].id == wanted and confidence in {"", known.findings[0].confidence}

        return await self.seen(holds, name)

    async def seen(self, holds: Callable[[Diagnosis], bool], name: str = "edge") -> Diagnosis:
        """The first diagnosis of which that holds."""
        known = None
        with trio.move_on_after(PATIENCE):
            while True:
                known = self.diagnosing.of(name)
                if known is not None and holds(known):
                    return known
                await trio.sleep(0.005)
        raise AssertionError(f"it was not seen; the last diagnosis is {known}")

    async def recovered(self) -> None:
        """Return when nothing is diagnosed."""
        with trio.fail_after(PATIENCE):
            while True:
                if self.diagnosing.of("edge") is None:
                    return
                await trio.sleep(0.005)


def installation(server: ApiServer) -> None:
    """Apigee with one environment group, its gateway and its load balancer, and no wildcard route."""
    load_balancer(server, "edge", ADDRESS, LABELS)
    pod(server, "gateway-1", LABELS)
    apigee_route(server, "acme-prod", NAME, selector=LABELS)
    server.secrets["apigee", "prod"] = {"tls.key": "UExBTlRFRC1LRVk="}


@asynccontextmanager
async def failing(directory: Path, refresh: float = 0.2) -> AsyncIterator[Failing]:
    """A diagnosis of it that runs."""
    async with api_server() as server:
        installation(server)
        case = Failing(directory, server, refresh)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(case.diagnosing.run)
            yield case
            nursery.cancel_scope.cancel()


async def test_the_missing_wildcard_is_named_with_a_fix_that_fits_the_cluster(tmp_path: Path) -> None:
    """Confirmed, since probe and cluster agree; the fix has the Secret and the selector that are really there."""
    async with failing(tmp_path) as case:
        known = await case.until("no-wildcard", "confirmed")
    [found, *_] = known.findings
    assert {each.source for each in found.evidence} == {"probe", "kubernetes"}
    assert found.fix is not None
    assert found.fix.yaml is not None
    assert "credentialName: prod" in found.fix.yaml
    assert "ingress_name: edge-a" in found.fix.yaml
    assert found.fix.commands[-1] == f"prober diagnose probe {ADDRESS}:443 --server-name {NAME} --http"
    assert known.read_at is not None
    assert known.trouble == ""


async def test_a_change_in_the_cluster_changes_the_finding(tmp_path: Path) -> None:
    """With the wildcard route there, the Secret that it names is looked at; of the Secret only that it is there."""
    async with failing(tmp_path) as case:
        await case.until("no-wildcard")
        del case.server.secrets["apigee", "prod"]
        apigee_route(case.server, "non-sni", "*", selector={"app": LABELS["app"]})
        known = await case.until("secret", "confirmed")
        assert any("Secret prod in namespace apigee is not there" in each.text for each in known.findings[0].evidence)
        case.server.secrets["apigee", "prod"] = {"tls.key": "UExBTlRFRC1LRVk="}
        known = await case.until("stale-route", "likely")
        assert "secret" not in {each.id for each in known.findings}  # the known name is served with it
        asked = [one for one in case.server.requests if one.path.endswith("/secrets/prod")]
        assert asked
        assert all(one.accept is not None and "PartialObjectMetadata" in one.accept for one in asked)


async def test_what_the_cluster_refuses_is_unknown_and_never_absent(tmp_path: Path) -> None:
    """Without the right to see routes the probe alone speaks: likely, with what is missing, and 403 is told as unknown."""
    async with failing(tmp_path) as case:
        case.server.forbidden |= {APIGEE, PODS}
        known = await case.until("no-wildcard", "likely")
    assert {each.source for each in known.findings[0].evidence} == {"probe"}
    assert "To be sure" in known.findings[0].summary
    unknown = {each.name: each.error for each in known.sources if each.error is not None}
    assert unknown == {"apigeeroutes": "unknown: forbidden (403)", "pods": "unknown: forbidden (403)"}
    assert known.trouble == ""


async def test_a_refused_secret_is_unknown(tmp_path: Path) -> None:
    """The route reads right; whether its Secret is there is not claimed either way."""
    async with failing(tmp_path) as case:
        case.server.forbidden.add(SECRETS)
        apigee_route(case.server, "non-sni", "*", selector={"app": LABELS["app"]})
        known = await case.seen(lambda known: any("secret" in each.name for each in known.sources))
    assert [each.error for each in known.sources if each.name == "secret prod"] == ["unknown: forbidden (403)"]
    said = [text for finding in known.findings for text in (each.text for each in finding.evidence)]
    assert not any("is not there" in text for text in said)


async def test_a_dead_cluster_leaves_its_last_answer_with_its_age(tmp_path: Path) -> None:
    """The findings stay, the time of the answer too; the newest rounds go on being judged, and the trouble is told."""
    async with trio.open_nursery() as nursery:
        async with api_server() as server:
            installation(server)
            case = Failing(tmp_path, server, 0.2)
            nursery.start_soon(case.diagnosing.run)
            before = await case.until("no-wildcard", "confirmed")
        known = await case.seen(lambda known: bool(known.trouble))
        assert known.findings[0] == before.findings[0]
        assert known.read_at is not None
        assert before.read_at is not None
        assert before.read_at <= known.read_at < known.at
        assert any(each.name == "cluster" and each.error == known.trouble for each in known.sources)
        nursery.cancel_scope.cancel()


async def test_a_cluster_that_never_answered_leaves_the_probe(tmp_path: Path) -> None:
    """Found at once, by the rounds alone, and said to be so."""
    async with failing(tmp_path) as case:
        case.server.failing |= {"/api/v1/services"}
        known = await case.until("no-wildcard", "likely")
    assert known.read_at is None
    assert "500" in known.trouble


async def test_a_silent_cluster_is_given_up_and_holds_up_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Until then the answer is at once that the cause is being looked for."""
    monkeypatch.setattr(diagnosing, "COLLECT_SECONDS", 0.5)
    async with failing(tmp_path) as case:
        case.server.mute = True
        assert (await case.seen(lambda _: True)).findings == ()
        known = await case.until("no-wildcard", "likely")
    assert known.trouble == "it did not answer everything within 0.5 s"


async def test_who_recovers_is_diagnosed_no_more(tmp_path: Path) -> None:
    """And who never failed was not."""
    async with failing(tmp_path) as case:
        fine = target("fine", "192.0.2.99")
        case.service.see(fine, differential(fine))
        await case.until("no-wildcard")
        assert case.diagnosing.of("fine") is None
        case.service.see(case.edge, differential(case.edge))
        await case.recovered()


async def test_a_target_of_another_cluster_is_not_judged_by_this_one(tmp_path: Path) -> None:
    """Neither its address nor its names lead here: no configuration confirms anything, and that is said."""
    async with failing(tmp_path) as case:
        other = target("other", "192.0.2.77", names=("shop.example.net",))
        case.service.see(other, differential(other, none=reset()))
        known = await case.until("no-wildcard", "likely", "other")
    assert known.read_at is None
    assert {each.source for each in known.findings[0].evidence} == {"probe"}
    assert any("nothing of Apigee" in each.summary for each in known.sources)


async def test_many_failing_targets_are_one_collection(tmp_path: Path) -> None:
    """A hundred targets that fail together ask the cluster once."""
    async with failing(tmp_path, refresh=60.0) as case:
        for number in range(100):
            each = target(f"edge-{number}", ADDRESS)
            case.service.see(each, differential(each, none=reset()))
        await case.until("no-wildcard", name="edge-99")
        assert len(case.server.lists(APIGEE)) == 1


async def test_another_verdict_is_another_diagnosis(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not only after the refresh: at once, and with the cluster's last answer."""
    monkeypatch.setattr(diagnosing, "GAP_SECONDS", 0.1)
    async with failing(tmp_path, refresh=3600.0) as case:
        first = await case.until("no-wildcard", "confirmed")
        case.service.see(case.edge, differential(case.edge, known=reset(), none=reset()))
        known = await case.seen(lambda known: known.at != first.at)
        assert known.sources[0].summary == "tls_failing"


async def test_a_reload_may_take_the_cluster_away(tmp_path: Path) -> None:
    """Then nothing is diagnosed any more, and nothing is asked."""
    async with failing(tmp_path) as case:
        await case.until("no-wildcard")
        case.diagnosing.configure(Settings())
        assert case.diagnosing.of("edge") is None
        await trio.sleep(0.1)
        asked = len(case.server.requests)
        await trio.sleep(0.3)
        assert len(case.server.requests) == asked
        assert case.diagnosing.of("edge") is None


async def test_a_reload_may_come_while_the_store_is_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Among thousands of states that takes many turns of the loop; who failed before the cluster went is not diagnosed without one."""
    looked = trio.Event()
    look = Diagnosing._failing

    async def slow(self: Diagnosing) -> dict[str, Any]:
        found = await look(self)
        self.configure(Settings())
        looked.set()
        return found

    monkeypatch.setattr(Diagnosing, "_failing", slow)
    async with failing(tmp_path) as case:
        with trio.fail_after(PATIENCE):
            await looked.wait()
        await trio.sleep(0.1)
        assert case.diagnosing.of("edge") is None
    assert not caplog.records


async def test_no_secret_of_the_cluster_is_in_what_is_said(tmp_path: Path) -> None:
    """Neither what a Secret holds nor what opens the cluster's door."""
    async with failing(tmp_path) as case:
        await case.until("no-wildcard", "confirmed")
        case.server.token = "another"
        known = await case.seen(lambda known: bool(known.trouble))
    said = json.dumps([finding_object(each) for each in known.findings]) + known.trouble + repr(known.sources)
    assert "401" in known.trouble
    assert "s3cret-token" not in said
    assert "UExBTlRFRC1LRVk" not in said
