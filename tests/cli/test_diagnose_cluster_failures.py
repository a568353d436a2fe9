"""``prober diagnose --kubernetes`` where an API server answers in part: an error is of what was asked for, and nothing is waited for long."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from prober.cli import diagnose_cluster
from prober.discovery import kubernetes_client
from tests.cli import test_diagnose_cluster
from tests.cli.test_diagnose_cluster import GATEWAY, errors, furnish, gather
from tests.discovery.cluster import APIGEE, PODS, pod
from tests.servers.kubernetes import api_server

without_kubectl = test_diagnose_cluster.without_kubectl


@pytest.mark.parametrize("how", ["failing", "gone"])
async def test_a_kind_that_the_server_cannot_list_does_not_hide_the_others(how: str, without_kubectl: Path) -> None:
    """A conversion webhook that is down: 500 for one kind. It is unknown; kubectl, which would get the same, is not asked for all."""
    script = without_kubectl / "bin" / "kubectl"
    script.write_text("#!/bin/sh\necho asked kubectl >&2\nexit 1\n")
    script.chmod(0o755)
    async with api_server() as server:
        furnish(server)
        if how == "failing":
            server.failing.add(APIGEE)
        else:
            server.odd[APIGEE] = how
        gathered = await gather(without_kubectl, server)

    assert ["apigeeroutes"] == list(errors(gathered))
    assert gathered.cluster is not None
    assert ["edge-a-1"] == [each.name for each in gathered.cluster.pods]
    assert any("apigeeroutes" in each for each in gathered.cluster.denied)
    assert gathered.logs is not None
    assert 39 == gathered.logs.rejected_count


async def test_gone_is_an_answer_for_a_secret_and_a_log_too(without_kubectl: Path) -> None:
    """410 is unknown, and no traceback."""
    async with api_server() as server:
        furnish(server)
        server.odd |= {"/api/v1/secrets/prod": "gone", "/api/v1/pods/edge-a-1/log": "gone"}
        gathered = await gather(without_kubectl, server)

    assert "edge-a-1/log: 410" in errors(gathered)["kubernetes:logs"]
    assert gathered.cluster is not None
    assert [None] == [each.present for each in gathered.cluster.secrets]
    assert ["0 of 1 are there, 1 unknown: the cluster does not say"] == [
        each.summary for each in gathered.reports if each.name == "secrets"
    ]


async def test_an_answer_that_never_ends_is_waited_for_so_long(without_kubectl: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A byte now and then is no silence; what was read before it stays."""
    monkeypatch.setattr(kubernetes_client, "PAGE_SECONDS", 0.5)
    async with api_server() as server:
        furnish(server)
        server.odd[PODS] = "drips"
        with trio.fail_after(20):
            gathered = await gather(without_kubectl, server)

    assert "did not end within 0.5 s" in errors(gathered)["cluster"]
    assert ["kubernetes:apigeeroutes", "kubernetes:apigeerouteconfigs"] == [each.name for each in gathered.manifests]


async def test_of_a_node_that_is_gone_not_every_log_is_waited_for(without_kubectl: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three are; the log of the pod that was read before counts, and how many were not asked is told."""
    monkeypatch.setattr(kubernetes_client, "ANSWER_SECONDS", 0.3)
    async with api_server() as server:
        furnish(server)
        for number in range(2, 20):
            pod(server, f"edge-a-{number:02}", GATEWAY)
            server.odd[f"/api/v1/pods/edge-a-{number:02}/log"] = "hangs"
        gathered = await gather(without_kubectl, server)
        asked = [each for each in server.requests if each.path.endswith("/log")]

    said = errors(gathered)["kubernetes:logs"]
    assert "silent for too long" in said
    assert "containers were not asked after 3 silent ones" in said
    assert len(asked) <= 4
    assert gathered.logs is not None


async def test_secrets_that_nobody_answers_for_are_waited_for_once(
    without_kubectl: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others are as unknown."""
    monkeypatch.setattr(kubernetes_client, "ANSWER_SECONDS", 0.3)
    async with api_server() as server:
        furnish(server)
        for number in range(5):
            tls = {"credentialName": f"other-{number}", "mode": "SIMPLE"}
            server.put(
                APIGEE,
                "apigee",
                f"r{number}",
                spec={"hostnames": ["a.test"], "ports": [{"number": 443, "protocol": "HTTPS", "tls": tls}]},
            )
            server.odd[f"/api/v1/secrets/other-{number}"] = "hangs"
        server.odd["/api/v1/secrets/prod"] = "hangs"
        gathered = await gather(without_kubectl, server)
        asked = [each for each in server.requests if "/secrets/" in each.path]

    assert 1 == len(asked)
    assert gathered.cluster is not None
    assert [None] * 6 == [each.present for each in gathered.cluster.secrets]
    assert any("5 more secrets" in each for each in gathered.cluster.denied)


async def test_a_log_is_cut_here_where_the_server_does_not(without_kubectl: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever answers need not know ``limitBytes``; the disk is this host's."""
    monkeypatch.setattr(diagnose_cluster, "_MOST_LOG", 3000)
    async with api_server() as server:
        furnish(server)
        server.generous = True
        gathered = await gather(without_kubectl, server)

    assert "was read as far" in errors(gathered)["kubernetes:logs"]
    assert gathered.logs is not None
    assert 0 < gathered.logs.lines < 10


@pytest.mark.parametrize("path", [APIGEE, PODS])
async def test_objects_of_no_known_shape_are_no_crash(path: str, without_kubectl: Path) -> None:
    """A CRD whose schema lets everything through."""
    async with api_server() as server:
        furnish(server)
        server.put(path, "apigee", "odd", valid=False, spec=None, status=[])
        server.put(path, "apigee", "odder", valid=False, metadata={"labels": [1]}, spec={"ports": "x", "hostnames": 5})
        gathered = await gather(without_kubectl, server)

    assert {} == errors(gathered)
