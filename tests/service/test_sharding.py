"""Several probers share the targets: each is watched by one of them, and what moves to another one is not told to have ended."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import trio

from prober.config.alerting import Alerting as Settings
from prober.history.history import History
from prober.history.records import Batch
from prober.judge.alert_rules import AlertName, Evidence
from prober.judge.alerting import Alert, AlertKey, Phase, Policy
from prober.model import Verdict
from prober.notices import Alertmanager, Receivers, Webhook
from prober.service.alerting import Alerting
from prober.sharding import Shard, owner
from prober.snapshot import StateKey, Statistics, Store
from tests.servers.hooks import Call, hook
from tests.servers.scripted import read_hello, reset, scripted
from tests.service.process import eventually, serving

NAMES = [f"edge-{number}" for number in range(8)]
FOUND = [f"found-{number}" for number in range(8)]


@pytest.mark.timeout(120)
def test_each_target_is_watched_by_one_shard_and_probed_by_any(tmp_path: Path) -> None:
    """Configured and discovered ones; the metrics count each shard's own, and a reload keeps to it."""
    with scripted(read_hello(), reset()) as peer, scripted(read_hello(), reset()) as lone:
        group = [{"targets": [str(peer.endpoint)], "labels": {"target": name, "__server_names": "a.example"}} for name in FOUND]
        (tmp_path / "sd.json").write_text(json.dumps(group))
        targets = [{"name": name, "addresses": [str(peer.endpoint)], "server_names": ["a.example"]} for name in NAMES]
        targets.append({"name": "lone", "addresses": [str(lone.endpoint)], "server_names": ["b.example"]})
        document = {"interval": "1s", "timeout": "800ms", "targets": targets, "discovery": [{"files": ["*.json"]}]}
        seen: list[set[str]] = []
        for number, option in enumerate(("0/2", "auto/2")):
            wrapper = ("env", f"POD_NAME=prober-{number}")
            with serving(tmp_path, document, "--shard", option, wrapper=wrapper) as service:
                service.wait_ready()
                watched = {key.split()[0] for key in service.verdicts()}
                seen.append(watched)
                assert f" shard={number}/2" in service.program.log()
                assert service.samples("prober_shard_info") == [({"shard": str(number), "shards": "2"}, 1.0)]
                assert service.value("prober_shards") == 2
                assert service.value("prober_targets", source="config") == len(watched - set(FOUND))
                assert service.value("prober_targets", source="files") == len(watched & set(FOUND))
                assert {target["name"] for target in service.json("/api/v1/targets")["targets"]} == watched
                answer = service.get(f"/probe?target={lone.endpoint}")
                assert answer.status == 200
                assert 'probe_verdict_info{verdict="tls_failing"} 1\n' in answer.text
                assert service.get("/-/reload", "POST").status == 200
                assert {target["name"] for target in service.json("/api/v1/targets")["targets"]} == watched
    assert seen == [{name for name in (*NAMES, "lone", *FOUND) if owner(name, 2) == number} for number in range(2)]
    assert all(seen)


def test_a_shard_that_is_none_is_refused(tmp_path: Path) -> None:
    """Before anything is read or opened, with what to write instead."""
    command = [sys.executable, "-m", "prober", "serve", "--config", str(tmp_path / "prober.yml"), "--shard", "3/3"]

    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert done.returncode == 2
    assert done.stderr == "prober serve: --shard: there is no shard 3/3: they are counted from 0, so there is from 0/3 to 2/3\n"


def firing(target: str, address: str = "192.0.2.1:443") -> Alert:
    key = AlertKey(AlertName.UNREACHABLE, target, address)
    return Alert(key, {}, Phase.FIRING, 900.0, 960.0, None, Evidence("unreachable", "refused", f"{target} is down."))


def alerts_of(call: Call) -> list[Any]:
    """Of a webhook's call or of one of Alertmanager's API."""
    found: list[Any] = call.document["alerts"] if isinstance(call.document, dict) else call.document
    return found


class Clock:
    """Unix time as a test sets it."""

    now = 1000.0

    def __call__(self) -> float:
        """The time."""
        return self.now


async def test_an_alert_that_moves_to_another_shard_is_not_resolved(tmp_path: Path) -> None:
    """Nobody hears that it ended, neither then nor should the target come back; one whose target was removed does end."""
    shard, others = Shard(0, 2), [name for name in NAMES if owner(name, 2) == 1]
    removed, moved = next(name for name in NAMES if shard.owns(name)), others[0]
    keys = [StateKey(name, "192.0.2.1:443") for name in (removed, moved)]
    before = History.open(tmp_path)
    async with before.running():
        verdicts = tuple((key, Verdict.UNREACHABLE, 900.0) for key in keys)
        before.commit(Batch(standing=(firing(removed), firing(moved)), verdicts=verdicts))
    before.close()

    clock, statistics, store = Clock(), Statistics(lambda: 0, 0.0), Store()
    with hook() as hooked, hook() as told:
        receivers = Receivers(
            webhooks=(Webhook(name="hook", url=hooked.url),), alertmanagers=(Alertmanager(name="alertmanager", url=told.url),)
        )
        history = History.open(tmp_path)
        alerting = Alerting(history, Settings(policy=Policy(), receivers=receivers), store, statistics, clock, shard=shard)
        async with history.running(), trio.open_nursery() as nursery:
            alerting.listening("http://prober.example")
            await nursery.start(alerting.run)
            alerting.watching(())
            clock.now += 10_000.0
            await trio.to_thread.run_sync(
                eventually, lambda: hooked.accepted and len(told.accepted) >= 2, "both are told of the one that was removed"
            )
            nursery.cancel_scope.cancel()
        history.close()
    assert {alert["labels"]["target"] for call in (*hooked.accepted, *told.accepted) for alert in alerts_of(call)} == {removed}
    assert [call.document["status"] for call in hooked.accepted] == ["resolved"]
    after = History.open(tmp_path)
    assert {alert.key.target for alert in after.loaded.alerts} == {removed}
    assert moved not in {known.key.target for known in after.loaded.verdicts}
    after.close()


@pytest.mark.timeout(120)
def test_the_shard_that_a_target_moves_to_fires_for_it(tmp_path: Path) -> None:
    """From one prober to two: the new one tells of what it now watches, the old one of nothing."""
    with hook() as hooked:
        target = {"name": "edge-0", "addresses": ["127.0.0.1:1"], "server_names": ["a.example"]}
        assert owner("edge-0", 2) in {0, 1}
        there = owner("edge-0", 2)
        document = {
            "interval": "300ms",
            "targets": [target],
            "alerting": {"failures": 1, "webhooks": [{"url": hooked.url}]},
        }
        stay = {**document, "state": str(tmp_path / "old")}
        with serving(tmp_path, stay) as service:
            eventually(lambda: hooked.accepted, "it fires")
            assert service.end()[0] == 0
        with serving(tmp_path, stay, "--shard", f"{1 - there}/2") as old:
            old.wait_ready()
            assert "targets are watched by another shard now" in old.program.log()
            (tmp_path / "new").mkdir()
            with serving(tmp_path / "new", document, "--shard", f"{there}/2"):
                eventually(lambda: len(hooked.accepted) == 2, "the new shard fires")
            assert old.end()[0] == 0
        assert [call.document["status"] for call in hooked.accepted] == ["firing", "firing"]
        first, second = (call.document["alerts"][0]["fingerprint"] for call in hooked.accepted)
        assert first == second
