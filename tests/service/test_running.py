"""`/probe`'s operation and reloads, on a real engine against real sockets, without HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

import pytest
import trio

from prober.addresses import parse_address
from prober.history.history import History
from prober.model import Module, NonSniPolicy, Outcome, Sni, Verdict
from prober.operations import ProbeAnswer, ProbeRefused, ProbeRequest
from prober.probing.engine import Engine
from prober.probing.runner import Runner
from prober.service.life import run
from prober.service.plan import load_plan
from prober.service.rounds import Rounds
from prober.service.running import RunningService
from prober.snapshot import Statistics, Store
from tests.servers.scripted import ScriptedPeer, hold, read_hello, reset, scripted

FIVE = Module(timeout=5.0)


@pytest.fixture
def peer() -> Iterator[ScriptedPeer]:
    with scripted(read_hello(), reset()) as running:
        yield running


def write(file: Path, text: str) -> None:
    file.write_text(text)


@asynccontextmanager
async def running(file: Path, text: str) -> AsyncIterator[RunningService]:
    """A service without rounds: nothing is probed but what is asked for."""
    write(file, text)
    engine = Engine()
    store, statistics = Store(), Statistics(lambda: engine.in_flight, 0.0)
    async with trio.open_nursery() as nursery:
        await nursery.start(engine.run)
        runner = Runner(engine)
        rounds = Rounds(runner, store, statistics, lambda _: None)
        yield RunningService(file, load_plan(file), runner, rounds, store, statistics)
        nursery.cancel_scope.cancel()


async def probe(
    service: RunningService, target: object, hostname: str | None = None, seconds: float = 5.0
) -> ProbeAnswer | ProbeRefused:
    return await service.probe(ProbeRequest(address=parse_address(str(target)), module=FIVE, hostname=hostname, timeout=seconds))


async def probed(service: RunningService, target: object, hostname: str | None = None, seconds: float = 5.0) -> ProbeAnswer:
    answer = await probe(service, target, hostname, seconds)
    assert isinstance(answer, ProbeAnswer), answer
    return answer


def names(answer: ProbeAnswer) -> list[str | None]:
    return [handshake.server_name for handshake in answer.differential.handshakes if handshake.sni is Sni.KNOWN]


async def test_what_is_not_permitted_is_refused_and_no_packet_leaves(tmp_path: Path, peer: ScriptedPeer) -> None:
    """Not by address, not by a name that resolves to it, not as an IPv4-mapped address; the peer hears nothing."""
    port = peer.endpoint.port
    rules = f"probe_allow: [{{networks: [192.0.2.0/24]}}, {{networks: [127.0.0.0/8], ports: [{port % 65535 + 1}]}}]\n"
    async with running(tmp_path / "prober.yml", rules) as service:
        for target in (peer.endpoint, f"localhost:{port}", f"[::ffff:127.0.0.1]:{port}"):
            answer = await probe(service, target)
            assert isinstance(answer, ProbeRefused)
            assert "neither a configured target nor permitted by probe_allow" in answer.reason
    assert peer.accepted.acquire(blocking=False) is False


async def test_a_permitted_network_is_probed(tmp_path: Path, peer: ScriptedPeer) -> None:
    """The differential is judged with the default policy."""
    rules = f"probe_allow: [{{networks: [127.0.0.0/8], ports: [{peer.endpoint.port}]}}]\n"
    async with running(tmp_path / "prober.yml", rules) as service:
        answer = await probed(service, peer.endpoint, hostname="api.example.com")
        assert [handshake.observation.outcome for handshake in answer.differential.handshakes] == [Outcome.RESET] * 3
        assert answer.judgement.verdict is Verdict.TLS_FAILING
        assert names(answer) == ["api.example.com"]
        assert answer.seconds > 0
        assert answer.resolve_seconds == 0.0


async def test_a_configured_target_is_always_permitted_and_judged_as_configured(tmp_path: Path, peer: ScriptedPeer) -> None:
    """By its very address: its server names, policy and labels are those of the configuration; hostname= wins over the names."""
    text = f"""
targets:
- name: edge
  addresses: ["{peer.endpoint}"]
  server_names: [a.example.com, b.example.com]
  expect: {{non_sni: rejected}}
  labels: {{team: blue}}
"""
    async with running(tmp_path / "prober.yml", text) as service:
        answer = await probed(service, peer.endpoint)
        assert names(answer) == ["a.example.com", "b.example.com"]
        assert answer.target.non_sni is NonSniPolicy.REJECTED
        assert answer.target.labels == {"team": "blue"}
        assert names(await probed(service, peer.endpoint, hostname="c.example.com")) == ["c.example.com"]


async def test_a_name_that_leads_to_a_configured_address_is_permitted(tmp_path: Path, peer: ScriptedPeer) -> None:
    """The address that was checked is the one that is connected to; the known name is the one that was asked for."""
    async with running(tmp_path / "prober.yml", f'targets: [{{name: edge, addresses: ["{peer.endpoint}"]}}]\n') as service:
        answer = await probed(service, f"localhost:{peer.endpoint.port}")
        assert answer.differential.endpoint == peer.endpoint
        assert names(answer) == ["localhost"]


async def test_a_configured_name_is_permitted_wherever_it_leads(tmp_path: Path, peer: ScriptedPeer) -> None:
    """Its targets are watched at that name, so asking for it is no scan."""
    port = peer.endpoint.port
    async with running(tmp_path / "prober.yml", f'targets: [{{name: edge, addresses: ["localhost:{port}"]}}]\n') as service:
        assert (await probed(service, f"localhost:{port}")).target.name == "edge"


async def test_a_name_that_does_not_exist_is_unreachable(tmp_path: Path) -> None:
    """A failed probe is an answer, where the name was configured or a rule could permit what it leads to."""
    for text in ("probe_allow: [{networks: [192.0.2.0/24]}]\n", "targets: [{name: gone, addresses: [does-not-exist.invalid]}]\n"):
        async with running(tmp_path / "prober.yml", text) as service:
            answer = await probed(service, "does-not-exist.invalid")
            assert answer.judgement.verdict is Verdict.UNREACHABLE
            assert answer.differential.endpoint is None
            assert {handshake.observation.outcome for handshake in answer.differential.handshakes} == {Outcome.RESOLVE_FAILED}


@pytest.mark.parametrize(
    "text",
    [
        "targets: []\n",
        'targets: [{name: edge, addresses: ["192.0.2.1:8443"]}]\n',
        "probe_allow: [{networks: [0.0.0.0/0], ports: [8443]}]\n",
    ],
)
async def test_a_name_that_can_lead_to_nothing_permitted_is_not_resolved(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No packet leaves, and no resolver's either: no rule and no target has this port."""
    asked: list[str] = []

    def resolver(host: str, *_: object) -> list[object]:
        asked.append(host)
        return []

    monkeypatch.setattr("socket.getaddrinfo", resolver)
    async with running(tmp_path / "prober.yml", text) as service:
        assert isinstance(await probe(service, "secret.example.test:443"), ProbeRefused)
    assert asked == []


async def test_without_a_rule_nobody_learns_whether_a_name_exists_nor_where_it_leads(tmp_path: Path) -> None:
    """A target on this port makes names worth resolving, since one may lead to it; the answer is the same for all that do not."""
    async with running(tmp_path / "prober.yml", 'targets: [{name: edge, addresses: ["192.0.2.1:443"]}]\n') as service:
        reasons = {}
        for name in ("localhost", "does-not-exist.invalid"):
            answer = await probe(service, name)
            assert isinstance(answer, ProbeRefused)
            reasons[name] = answer.reason.removeprefix(name)
    assert set(reasons.values()) == {":443 is neither a configured target nor permitted by probe_allow"}


async def test_the_timeout_of_the_request_is_the_deadline(tmp_path: Path) -> None:
    """Whatever the module says: Prometheus will not wait longer."""
    with scripted(read_hello(), hold()) as silent:
        text = f'targets: [{{name: edge, addresses: ["{silent.endpoint}"], server_names: [a.example.com]}}]\n'
        async with running(tmp_path / "prober.yml", text) as service:
            answer = await probed(service, silent.endpoint, seconds=0.2)
            assert {handshake.observation.outcome for handshake in answer.differential.handshakes} == {Outcome.TIMEOUT}
            assert 0.2 <= answer.seconds < 4


async def test_reloads_come_one_after_the_other_and_the_last_state_of_the_file_wins(tmp_path: Path) -> None:
    """Requests at the same time all report the truth."""
    file = tmp_path / "prober.yml"
    async with running(file, "targets: []\n") as service:
        write(file, "targets: [{name: a, addresses: [203.0.113.1]}]\n")
        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(service.reload)
        assert [target.name for target in service.targets] == ["a"]
        write(file, "targets: [\n")
        errors = (await service.reload()).errors
        assert len(errors) == 1
        assert errors[0].startswith(f"{file}:2: not YAML")
        assert [target.name for target in service.targets] == ["a"]
        assert not service.statistics.reload_successful
        assert "name: a" in service.running_config()


@pytest.mark.parametrize("unsaved", [0, 3])
def test_what_a_full_disk_took_with_the_process_is_said(
    unsaved: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever reads the history later finds a gap; the log says that there is one."""
    file = tmp_path / "prober.yml"
    write(file, "targets: []\nstate: state\n")
    history = History.open(None)
    monkeypatch.setattr(History, "unsaved", unsaved)
    monkeypatch.setattr("prober.service.life.hold", lambda: None)
    monkeypatch.setattr("prober.service.life.trio.run", lambda *_: None)
    run(file, load_plan(file), (), history, cast("Engine", None))
    said = [record.__dict__["fields"] for record in caplog.records if record.message == "state"]
    lost = {"problem": f"3 changes that {tmp_path / 'state'} had no room for are lost"}
    assert said == ([lost] if unsaved else [])
