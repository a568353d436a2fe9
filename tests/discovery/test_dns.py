"""DNS, asked at a real server over UDP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio

from prober.discovery import dns
from prober.discovery.dns import DnsWatcher
from prober.sources import NAME, DnsNames
from tests.discovery.told import Told
from tests.servers.dns import DnsServer, dns_server

INGRESS = "ingress.example.com"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits in hundredths; nothing else is changed."""
    for name, seconds in {"SHORTEST": 0.05, "FIRST_RETRY": 0.05, "LIFETIME": 0.5}.items():
        monkeypatch.setattr(dns, name, seconds)


@asynccontextmanager
async def asking(**names: Any) -> AsyncIterator[tuple[DnsServer, Told]]:
    """A watcher of a server that knows the ingress by three addresses."""
    async with dns_server() as server, trio.open_nursery() as nursery:
        server.zone[INGRESS, "A"] = ["203.0.113.2", "203.0.113.1"]
        server.zone[INGRESS, "AAAA"] = ["2001:db8::1"]
        server.zone["_https._tcp.example.com", "SRV"] = ["0 1 8443 b.example.com.", "0 1 443 a.example.com."]
        told = Told()
        settings = {"names": (INGRESS,), **names}
        nursery.start_soon(DnsWatcher(DnsNames(servers=(server.address,), **settings)).run, told)
        await told.until(lambda: told.count)
        yield server, told
        nursery.cancel_scope.cancel()


async def test_every_address_of_both_families_is_found() -> None:
    """One target, with the name that clients would ask for unless others are written."""
    async with asking(port=8443, labels={"team": "blue"}) as (_, told):
        assert told.served == {"203.0.113.1:8443": INGRESS, "203.0.113.2:8443": INGRESS, "[2001:db8::1]:8443": INGRESS}
        assert {(labels[NAME], labels["team"]) for labels in told.found} == {(INGRESS, "blue")}
    async with asking(server_names=("a.example.com", "b.example.com")) as (_, told):
        assert set(told.served.values()) == {"a.example.com,b.example.com"}


async def test_changes_are_seen_when_the_ttl_has_passed() -> None:
    """An address more, an address less, a family less."""
    async with asking() as (server, told):
        server.zone[INGRESS, "A"] = ["203.0.113.3"]
        del server.zone[INGRESS, "AAAA"]
        await told.until(lambda: told.served.keys() == {"203.0.113.3:443"})
        assert told.problems == ()


async def test_a_name_is_not_asked_for_before_its_ttl_has_passed() -> None:
    """Nobody is flooded: within a TTL of an hour there is one question for each family."""
    async with asking() as (server, told):
        server.ttl = 3600
        await told.until(lambda: told.count >= 2)
        await trio.sleep(0.2)  # a round that was under way as the TTL changed
        asked = len(server.questions)
        await trio.sleep(0.3)
        assert len(server.questions) == asked


@pytest.mark.parametrize(
    ("trouble", "said"),
    [("silent", "no DNS server answered"), ("refusing", "SERVFAIL"), ("gone", "there is no such name")],
)
async def test_the_last_answer_survives_the_server(trouble: str, said: str) -> None:
    """It is told what is wrong, the targets stay, and afterwards the truth is seen again."""
    async with asking() as (server, told):
        before = told.found
        if trouble == "gone":
            server.zone.clear()
        else:
            setattr(server, trouble, True)
        await told.until(lambda: told.problems)
        assert said in told.problems[0]
        assert told.found == before
        server.silent = server.refusing = False
        server.zone = {(INGRESS, "A"): ["203.0.113.9"]}
        await told.until(lambda: not told.problems and told.served.keys() == {"203.0.113.9:443"})


async def test_one_name_that_fails_costs_no_other() -> None:
    """Each is asked for on its own."""
    async with asking(names=(INGRESS, "missing.example.com")) as (_, told):
        assert len(told.served) == 3
        assert told.problems == ("missing.example.com: there is no such name",)


async def test_srv_records_bring_hosts_and_ports() -> None:
    """In a stable order, and without the name of the record as a server name."""
    async with asking(names=("_https._tcp.example.com",), srv=True) as (_, told):
        assert told.served == {"a.example.com:443": "", "b.example.com:8443": ""}
