"""Kubernetes, followed at a stand-in that speaks the real protocol."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from prober.discovery import kubernetes, kubernetes_client
from prober.discovery.kubernetes import KubernetesWatcher
from prober.discovery.kubernetes_client import Client
from prober.sources import KubernetesSource
from tests.discovery.cluster import (
    APIGEE,
    GATEWAYS,
    PODS,
    SERVICES,
    apigee_route,
    gateway,
    ingress,
    istio_gateway,
    kubeconfig,
    load_balancer,
    pod,
    service,
)
from tests.discovery.told import PATIENCE, Told
from tests.servers.kubernetes import ApiServer, api_server


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits in hundredths; nothing else is changed."""
    for name, seconds in {"FIRST_RETRY": 0.02, "LONGEST_RETRY": 0.1, "ASK_AGAIN": 0.1, "GATHER": 0.01, "ALIVE": 0.1}.items():
        monkeypatch.setattr(kubernetes, name, seconds)


@asynccontextmanager
async def following(directory: Path, idle: float = PATIENCE) -> AsyncIterator[tuple[ApiServer, Told]]:
    """A watcher of a stand-in with one load balancer, once it has answered."""
    async with api_server() as server, trio.open_nursery() as nursery:
        load_balancer(server, "edge", "203.0.113.1", {"app": "apigee-ingressgateway"})
        apigee_route(server, "prod", "api.example.com", "*")
        file = kubeconfig(directory, server.url, {"token": "t"})
        told = Told()
        watcher = KubernetesWatcher(KubernetesSource(kubeconfig=file), Client(file, idle=idle))
        nursery.start_soon(watcher.run, told)
        await told.until(lambda: told.served == {"203.0.113.1:443": "api.example.com"})
        yield server, told
        nursery.cancel_scope.cancel()


async def test_changes_are_seen_as_they_happen(tmp_path: Path) -> None:
    """Added, changed and removed: by watch, with one list of each kind."""
    async with following(tmp_path) as (server, told):
        load_balancer(server, "second", "203.0.113.2", {"app": "other"}, 443, 5432)
        await told.until(lambda: told.served.keys() == {"203.0.113.1:443", "203.0.113.2:443"})
        apigee_route(server, "prod", "new.example.com")
        await told.until(lambda: told.served["203.0.113.1:443"] == "new.example.com")
        server.delete(SERVICES, "apigee", "edge")
        await told.until(lambda: told.served.keys() == {"203.0.113.2:443"})
        assert len(server.lists(SERVICES)) == 1
        assert told.problems == told.unknown == ()


async def test_a_service_belongs_to_what_its_selector_selects(tmp_path: Path) -> None:
    """The Gateway names one label of the pods, the Service another; the Service itself has none. ClusterIP is no way in."""
    async with following(tmp_path) as (server, told):
        pod(server, "pod", {"app": "istio-ingressgateway", "istio": "ingressgateway"})
        load_balancer(server, "istio", "203.0.113.3", {"app": "istio-ingressgateway"}, 80, 443)
        load_balancer(server, "inside", "10.0.0.9", {"istio": "ingressgateway"}, type="ClusterIP", clusterIP="10.0.0.9")
        istio_gateway(server, "web", {"istio": "ingressgateway"}, "istio-system/a.example.com", "*.b.example.com")
        await told.until(lambda: told.served.get("203.0.113.3:443") == "a.example.com")
        assert told.served.keys() == {"203.0.113.1:443", "203.0.113.3:443"}


async def test_ingresses_and_gateways_bring_their_addresses_and_hostnames(tmp_path: Path) -> None:
    """Of Ingresses that share an address the names come together; cluster-internal Gateways are left out."""
    async with following(tmp_path) as (server, told):
        for name in ("a", "b"):
            ingress(server, name, [{"hostname": "lb.example.net"}], f"{name}.example.com")
        for name, address in {"out": "2001:db8::1", "in": "gw.shop.svc.cluster.local"}.items():
            gateway(server, name, address, "*.apps.example.com", port=8443)
        await told.until(lambda: len(told.served) == 3)
        assert told.served["lb.example.net:443"] == "a.example.com,b.example.com"
        assert told.served["[2001:db8::1]:8443"] == "prober.apps.example.com"


@pytest.mark.parametrize("by_status", [True, False])
async def test_after_410_everything_is_listed_again(by_status: bool, tmp_path: Path) -> None:
    """Whether it is the answer's status or an event: nothing is missed, and the server is not asked in a hot loop."""
    async with following(tmp_path) as (server, told):
        server.gone_by_status = by_status
        server.compact()
        await server.disconnect()
        load_balancer(server, "second", "203.0.113.2", {"app": "other"})
        await told.until(lambda: len(told.served) == 2)
        assert len(server.lists(SERVICES)) == 2
        assert len(server.watches(SERVICES)) <= 4


async def test_a_bookmark_saves_the_list(tmp_path: Path) -> None:
    """After a bookmark, the history before it may be forgotten: the watch goes on from there."""
    async with following(tmp_path) as (server, told):
        await told.until(lambda: server.watches(SERVICES))
        server.compact()
        server.bookmark()
        before = server.watches(SERVICES)[-1].query["resourceVersion"]
        await server.disconnect()
        await told.until(lambda: len(server.watches(SERVICES)) >= 2)
        assert before.isdigit()
        load_balancer(server, "second", "203.0.113.2", {"app": "other"})
        await told.until(lambda: len(told.served) == 2)


async def test_a_broken_watch_goes_on_where_it_was(tmp_path: Path) -> None:
    """Without a new list, and with what happened meanwhile."""
    async with following(tmp_path) as (server, told):
        await told.until(lambda: server.watches(SERVICES))
        await server.disconnect()
        load_balancer(server, "second", "203.0.113.2", {"app": "other"})
        await told.until(lambda: len(told.served) == 2)
        assert len(server.lists(SERVICES)) == 1


async def test_a_watch_that_falls_silent_is_ended_and_everything_listed_again(tmp_path: Path) -> None:
    """Nothing arrives, not even a bookmark, and nobody closes the connection: what happened meanwhile is in the new list."""
    async with following(tmp_path, idle=0.5) as (server, told):
        server.silent = True
        load_balancer(server, "second", "203.0.113.2", {"app": "other"})
        lists = len(server.lists(SERVICES))
        await told.until(lambda: len(told.served) == 2)
        assert len(server.lists(SERVICES)) > lists
        assert told.problems == ()


async def test_a_network_that_swallows_everything_costs_no_target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lists are given up as well, which is told; and it goes on when the network does."""
    monkeypatch.setattr(kubernetes_client, "ANSWER_SECONDS", 0.5)
    async with following(tmp_path, idle=0.5) as (server, told):
        server.silent = server.mute = True
        await told.until(lambda: told.problems)
        assert "silent for too long" in told.problems[0]
        assert told.served == {"203.0.113.1:443": "api.example.com"}
        server.silent = server.mute = False
        load_balancer(server, "second", "203.0.113.2", {"app": "other"})
        await told.until(lambda: len(told.served) == 2 and not told.problems)


@pytest.mark.parametrize("path", [SERVICES, APIGEE])
@pytest.mark.parametrize("answer", ["forbidden", "missing"])
async def test_a_kind_that_is_no_longer_shown_keeps_what_was_seen(path: str, answer: str, tmp_path: Path) -> None:
    """Whether it holds addresses or hostnames: unknown is not absent. Shown again, it is followed again."""
    async with following(tmp_path) as (server, told):
        getattr(server, answer).add(path)
        server.compact()
        await server.disconnect()
        await told.until(lambda: told.unknown)
        assert told.served == {"203.0.113.1:443": "api.example.com"}
        assert told.problems == ()
        getattr(server, answer).clear()
        server.delete(path, "apigee", "edge" if path == SERVICES else "prod")
        await told.until(lambda: not told.unknown and told.served == ({} if path == SERVICES else {"203.0.113.1:443": ""}))


async def test_an_ingress_without_an_address_is_told_until_it_has_one(tmp_path: Path) -> None:
    """Beside the targets, as something that is not known: clouds take minutes to make a load balancer."""
    async with following(tmp_path) as (server, told):
        service(server, "second", [], {"app": "other"})
        await told.until(lambda: told.unknown == ("service/apigee/second: has no address yet",))
        service(server, "second", [{"hostname": "lb.example.net"}], {"app": "other"})
        await told.until(lambda: not told.unknown and "lb.example.net:443" in told.served)


def test_of_a_pod_its_labels_are_kept_alone() -> None:
    """A cluster has tens of thousands of them, whose status changes all the time."""
    server = ApiServer()
    pod(server, "p", {"app": "a"})
    (item,) = server.objects(PODS)
    assert kubernetes._lean("pods", item) == {"metadata": {"namespace": "apigee", "name": "p", "labels": {"app": "a"}}}


async def test_what_is_refused_or_not_installed_is_unknown(tmp_path: Path) -> None:
    """The rest is followed; it is asked for again; it is never taken for absent."""
    async with following(tmp_path) as (server, told):
        server.forbidden.add(APIGEE)
        server.missing.add(GATEWAYS)
        server.compact()
        await server.disconnect()
        await told.until(lambda: len(told.unknown) == 2)
        assert {text.partition(":")[0] for text in told.unknown} == {
            "apigeeroutes.apigee.cloud.google.com",
            "gateways.gateway.networking.k8s.io",
        }
        assert told.problems == ()
        assert told.served == {"203.0.113.1:443": "api.example.com"}
        server.forbidden.clear()
        server.missing.clear()
        await told.until(lambda: not told.unknown)


async def test_what_may_be_listed_and_not_watched_is_listed_again_and_again(tmp_path: Path) -> None:
    """A role without ``watch``: it is said once, and stays said; the source works, and is not told to fail and work in turns."""
    async with following(tmp_path) as (server, told):
        server.unwatchable.add(SERVICES)
        server.compact()
        await server.disconnect()
        await told.until(lambda: told.unknown)
        assert told.unknown == ("services: watch is forbidden (403), list is not: changes are seen every 0.1 s",)
        seen = told.count
        load_balancer(server, "other", "203.0.113.2", {"app": "apigee-ingressgateway"})
        await told.until(lambda: "203.0.113.2:443" in told.served and told.count >= seen + 3)
        assert (told.problems, len(told.unknown)) == ((), 1)
        server.unwatchable.clear()

        def watched() -> bool:
            server.bookmark()
            return not told.unknown

        await told.until(watched)


async def test_what_is_no_object_in_an_event_is_left_out(tmp_path: Path) -> None:
    """It costs no other event, and does not end the source."""
    async with following(tmp_path) as (server, told):
        for strange in ("text", None, [1], {"metadata": "text"}):
            server.say(SERVICES, {"type": "DELETED", "object": strange})
            server.say(SERVICES, {"type": "MODIFIED", "object": strange})
        server.say(SERVICES, {"type": "RENAMED", "object": {}})
        load_balancer(server, "other", "203.0.113.2", {"app": "apigee-ingressgateway"})
        await told.until(lambda: "203.0.113.2:443" in told.served)
        assert told.problems == ()


async def test_what_was_found_survives_the_server(tmp_path: Path) -> None:
    """While nobody answers, the problem is told and the targets stay; afterwards changes are seen again."""
    async with following(tmp_path) as (server, told):
        server.token = "another"
        server.compact()
        await server.disconnect()
        await told.until(lambda: told.problems)
        assert told.served == {"203.0.113.1:443": "api.example.com"}
        assert "401" in told.problems[0]
        server.token = None
        server.delete(SERVICES, "apigee", "edge")
        await told.until(lambda: not told.problems and not told.served)
