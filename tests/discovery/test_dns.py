"""DNS, asked at a real server over UDP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import dns.asyncresolver as resolver
import dns.name as dns_name
import pytest
import trio
from dns.nameserver import Do53Nameserver

from prober.discovery import dns
from prober.discovery.dns import DnsWatcher
from prober.sources import NAME, DnsNames
from tests.discovery.told import Told
from tests.servers.dns import DnsServer, dns_server

INGRESS = "ingress.example.com"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits in hundredths; nothing else is changed."""
    for name, seconds in {"SHORTEST": 0.05, "FIRST_RETRY": 0.05, "LIFETIME": 0.5, "ABSENT": 0.3}.items():
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


@pytest.mark.parametrize(("trouble", "said"), [("silent", "no DNS server answered"), ("refusing", "SERVFAIL")])
async def test_the_last_answer_survives_the_server(trouble: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long it fails: it is told what is wrong, the targets stay, and afterwards the truth is seen again."""
    async with asking() as (server, told):
        before = told.found
        setattr(server, trouble, {"A", "AAAA"})
        await told.until(lambda: told.problems)
        count = told.count
        await told.until(lambda: told.count >= count + 3)
        assert said in told.problems[0]
        assert told.found == before
        server.silent, server.refusing = False, set()
        server.zone = {(INGRESS, "A"): ["203.0.113.9"]}
        await told.until(lambda: not told.problems and told.served.keys() == {"203.0.113.9:443"})


@pytest.mark.parametrize(
    ("left", "said"),
    [({}, "there is no such name"), ({(INGRESS, "TXT"): ['"x"']}, "the name has no such record")],
)
async def test_a_name_that_is_gone_for_a_while_takes_its_targets_with_it(left: Any, said: str) -> None:
    """As in Prometheus, but not at once; the source works, and says so. When the name is back, so are they."""
    async with asking() as (server, told):
        before = told.found
        server.zone = left
        await told.until(lambda: told.problems)
        assert said in told.problems[0]
        assert told.found == before
        await told.until(lambda: not told.found)
        assert told.problems == ()
        assert told.unknown == (f"{INGRESS}: {said}, for 0.3 s and more",)
        server.zone = {(INGRESS, "A"): ["203.0.113.9"]}
        await told.until(lambda: told.served.keys() == {"203.0.113.9:443"} and not told.unknown)


async def test_servers_that_fail_between_two_denials_make_the_name_wait_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every answer within that while must have been the same."""
    monkeypatch.setattr(dns, "ABSENT", 0.6)
    monkeypatch.setattr(dns, "LONGEST_RETRY", 0.1)
    async with asking() as (server, told):
        before = told.found
        server.zone = {}
        await told.until(lambda: told.problems)
        server.refusing = {"A", "AAAA"}
        await told.until(lambda: "SERVFAIL" in told.problems[0])
        await trio.sleep(0.7)
        server.refusing = set()
        await told.until(lambda: told.unknown or "there is no such name" in told.problems[0])
        assert told.unknown == ()
        assert told.found == before
        await told.until(lambda: told.unknown and not told.found)


async def test_a_family_that_cannot_be_asked_for_keeps_its_last_addresses() -> None:
    """There are servers that answer questions for A alone; what they say counts."""
    async with asking() as (server, told):
        server.refusing = {"AAAA"}
        server.zone[INGRESS, "A"] = ["203.0.113.3"]
        await told.until(lambda: told.served.keys() == {"203.0.113.3:443", "[2001:db8::1]:443"})
        await told.until(lambda: told.problems)
        assert told.problems[0].startswith(f"{INGRESS}: AAAA: ")


async def test_a_family_that_cannot_be_asked_for_delays_nothing_of_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it never can, the TTL of what is answered counts all the same, and not the pauses between failures."""
    monkeypatch.setattr(dns, "FIRST_RETRY", 30.0)
    async with asking() as (server, told):
        server.refusing = {"AAAA"}
        await told.until(lambda: told.problems)
        server.zone[INGRESS, "A"] = ["203.0.113.3"]
        await told.until(lambda: told.served.keys() == {"203.0.113.3:443", "[2001:db8::1]:443"})


@pytest.mark.parametrize(("denied", "left"), [("AAAA", {"203.0.113.1:443", "203.0.113.2:443"}), ("A", {"[2001:db8::1]:443"})])
async def test_a_name_that_has_addresses_exists(denied: str, left: set[str]) -> None:
    """There are load balancers that answer "no such name" where they have no address of that family; clients use the other."""
    async with asking() as (server, told):
        server.denying = {denied}
        await told.until(lambda: told.served.keys() == left)
        assert told.problems == ()
        await trio.sleep(0.4)  # longer than a name may be gone
        assert told.served.keys() == left
        server.denying = {"A", "AAAA"}
        await told.until(lambda: told.unknown and not told.found)


async def test_an_answer_that_does_not_fit_is_asked_for_over_tcp() -> None:
    """All of it is a target: forty addresses."""
    async with asking() as (server, told):
        server.most = 512
        server.zone[INGRESS, "A"] = [f"203.0.113.{number}" for number in range(40)]
        await told.until(lambda: len(told.served) == 41)
        assert server.over_tcp


async def test_aliases_are_followed_and_the_shortest_ttl_of_the_chain_counts() -> None:
    """A load balancer's name changes where it leads while the name that leads there stays."""
    async with asking() as (server, told):
        server.ttls = {("cdn.example.net", "CNAME"): 0}
        server.ttl = 3600
        server.zone = {
            (INGRESS, "CNAME"): ["cdn.example.net."],
            ("cdn.example.net", "CNAME"): ["edge.example.net."],
            ("edge.example.net", "A"): ["203.0.113.7"],
        }
        await told.until(lambda: told.served == {"203.0.113.7:443": INGRESS})
        server.zone["edge.example.net", "A"] = ["203.0.113.8"]
        await told.until(lambda: told.served == {"203.0.113.8:443": INGRESS})


async def test_names_are_asked_for_as_they_are_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """The search list of the system is for people who type; also a name without a dot is complete."""
    async with dns_server() as server, trio.open_nursery() as nursery:
        server.zone["ingress", "A"] = ["203.0.113.1"]
        told = Told()
        built = resolver.Resolver

        def searching(*, configure: bool) -> resolver.Resolver:
            made = built(configure=False)
            assert configure
            made.search = [dns_name.from_text("corp.example.com")]
            made.use_search_by_default = True
            made.nameservers = [Do53Nameserver(*server.address)]
            return made

        monkeypatch.setattr(resolver, "Resolver", searching)
        nursery.start_soon(DnsWatcher(DnsNames(names=("ingress", "missing.example.com."))).run, told)
        await told.until(lambda: told.count)
        assert told.served == {"203.0.113.1:443": "ingress"}
        assert {name for name, _ in server.questions} == {"ingress", "missing.example.com"}
        nursery.cancel_scope.cancel()


async def test_the_servers_of_the_system_are_the_ones_that_it_names_now(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A network that changes, or comes after prober, is no reason to start it again; nor is a file that is being written."""
    async with dns_server() as server, trio.open_nursery() as nursery:
        host, port = server.address
        server.zone[INGRESS, "A"] = ["203.0.113.1"]
        file, told, built = tmp_path / "resolv.conf", Told(), resolver.Resolver

        def of_this_file(*, configure: bool) -> resolver.Resolver:
            assert configure
            made = built(str(file))
            made.nameservers = [Do53Nameserver(str(ip), port) for ip in made.nameservers]
            return made

        monkeypatch.setattr(resolver, "Resolver", of_this_file)
        file.write_text("nameserver 127.0.0.99\n")  # where nobody listens
        nursery.start_soon(DnsWatcher(DnsNames(names=(INGRESS,))).run, told)
        await told.until(lambda: told.problems == (f"{INGRESS}: no DNS server answered within 0.5 s",))
        for broken, why in {"": "no nameservers", "nameserver here\n": "nameserver here is not"}.items():
            file.write_text(broken)
            begin = f"{INGRESS}: the system names no DNS server: {why}"
            await told.until(lambda begin=begin: any(problem.startswith(begin) for problem in told.problems))
        file.write_text(f"nameserver {host}\n")
        await told.until(lambda: told.served == {"203.0.113.1:443": INGRESS} and not told.problems)
        nursery.cancel_scope.cancel()


async def test_one_name_that_fails_costs_no_other() -> None:
    """Each is asked for on its own."""
    async with asking(names=(INGRESS, "missing.example.com")) as (_, told):
        assert len(told.served) == 3
        assert told.problems == ("missing.example.com: there is no such name",)


async def test_srv_records_bring_hosts_and_ports() -> None:
    """In a stable order, and without the name of the record as a server name."""
    async with asking(names=("_https._tcp.example.com",), srv=True) as (_, told):
        assert told.served == {"a.example.com:443": "", "b.example.com:8443": ""}


async def test_srv_records_change_live_and_may_say_that_there_is_no_service() -> None:
    """RFC 2782: a target of "." says so decidedly."""
    async with asking(names=("_https._tcp.example.com",), srv=True) as (server, told):
        server.zone["_https._tcp.example.com", "SRV"] = ["0 1 9443 c.example.com."]
        await told.until(lambda: told.served == {"c.example.com:9443": ""})
        server.zone["_https._tcp.example.com", "SRV"] = ["0 0 0 ."]
        await told.until(lambda: told.served == {})
        assert told.problems == ()
