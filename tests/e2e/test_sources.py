"""Targets come, change and go with each source of discovery while the service runs, and a source that dies takes none away."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import pytest
import trio

from tests.e2e.sources import INGRESS, Found, Source, sources
from tests.service.process import Service, eventually, serving

NETWORKS = {"files": "127.0.1", "dns": "127.0.2", "http": "127.0.3", "kubernetes": "127.0.4"}
EDGE = {"name": "edge", "addresses": ["127.0.0.1:1"], "server_names": ["edge.example.test"]}


def found(source: Source, hosts: Mapping[int, str]) -> Found:
    """What it says: names by the last number of the address. DNS knows one name only."""
    return {f"{NETWORKS[source.kind]}.{host}": INGRESS if source.kind == "dns" else name for host, name in hosts.items()}


def watched(service: Service) -> dict[str, str]:
    """The known server name by address, of every address that is probed."""
    return {labels["address"]: labels["server_name"] for labels, _ in service.samples("probe_success", sni="known")}


def wanted(what: Iterable[tuple[Source, Found]]) -> dict[str, str]:
    """What all of them come to, beside the configured target."""
    return {"127.0.0.1:1": "edge.example.test"} | {f"{ip}:{one.port}": name for one, said in what for ip, name in said.items()}


async def soon(holds: Callable[[], object], what: str) -> None:
    """`eventually`, while the stand-ins go on answering."""
    await trio.to_thread.run_sync(eventually, holds, what)


async def put(service: Service, said: dict[Source, Found], some: Iterable[Source], hosts: Mapping[int, str], what: str) -> None:
    """Let some sources say something else; return once the service watches what all say."""
    for source in some:
        said[source] = found(source, hosts)
        await source.put(said[source])
    await soon(lambda: watched(service) == wanted(said.items()), what)


def ages(service: Service) -> dict[str, float]:
    """When each source last answered, in Unix time."""
    return {labels["source"]: at for labels, at in service.samples("prober_discovery_last_success_timestamp_seconds")}


def problems(service: Service) -> set[str]:
    """The sources that have some."""
    return {labels["source"] for labels, count in service.samples("prober_discovery_problems") if count}


def runs(service: Service) -> dict[str, float]:
    """When each address was last probed, in Unix time."""
    return {labels["address"]: at for labels, at in service.samples("probe_last_run_timestamp_seconds", sni="none")}


@pytest.mark.slow
@pytest.mark.timeout(200)
async def test_each_source_adds_changes_and_removes_targets_and_survives_its_death(tmp_path: Path) -> None:
    """All four at once in one service, so that each is seen to fail alone."""
    async with sources(tmp_path) as all_four:
        said = {source: found(source, {1: "a.example.test"}) for source in all_four}
        for source in all_four:
            await source.put(said[source])
        document = {
            "interval": "1s",
            "timeout": "800ms",
            "targets": [EDGE],
            "discovery": [source.section() for source in all_four],
        }
        with serving(tmp_path, document) as service:
            await soon(lambda: watched(service) == wanted(said.items()), "what is there at the start")
            await put(service, said, all_four, {1: "a.example.test", 2: "b.example.test"}, "one more each")
            changed = {1: "new.example.test", 2: "b.example.test"}
            await put(service, said, all_four, changed, "other names")
            await put(service, said, all_four, {2: "b.example.test", 3: "c.example.test"}, "one less, one more")
            assert problems(service) == set()
            for dying in (all_four[:2], all_four[2:]):
                others = [source for source in all_four if source not in dying]
                await die_and_return(service, said, dying, others)
            counts = {labels["source"]: count for labels, count in service.samples("prober_targets")}
            assert counts == {"config": 1, "files": 2, "dns": 1, "http": 2, "kubernetes": 2}  # DNS: one target, two addresses
            assert service.end()[0] == 0


async def die_and_return(service: Service, said: dict[Source, Found], dying: list[Source], others: list[Source]) -> None:
    """What the dead said last is probed on, the living go on telling, and what changed meanwhile is seen afterwards."""
    kinds = {source.kind for source in dying}
    for source in dying:
        await source.end()
    await soon(lambda: problems(service) == kinds, f"the death of {kinds} is told")
    at_death, now = ages(service), time.time()
    hosts = {4: "d.example.test", 5: "e.example.test"}
    await put(service, said, others, hosts, f"the others change without {kinds}")
    kept = {f"{ip}:{source.port}" for source in dying for ip in said[source]}
    await soon(lambda: all(runs(service).get(address, 0.0) > now for address in kept), "the last good targets are probed on")
    assert all(ages(service)[kind] == at_death[kind] for kind in kinds)
    for source in dying:
        await source.begin_again()
    await put(service, said, dying, hosts, f"what {kinds} say again")
    await soon(lambda: problems(service) == set(), f"{kinds} work again")
    assert all(ages(service)[kind] > at_death[kind] for kind in kinds)
    # Back to what all said before, for whoever dies next.
    await put(service, said, [*dying, *others], {2: "b.example.test", 3: "c.example.test"}, "as before")
