"""``prober diagnose --kubernetes`` without kubectl: routes, pods, logs and which Secrets are there, from the API server itself."""

from __future__ import annotations

import json
import os
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio

from prober.cli.diagnose import since_seconds
from prober.cli.diagnose_cluster import ApiServer as Cluster
from prober.cli.diagnose_gather import Gathered
from prober.diagnose.cluster import ClusterError
from prober.diagnose.collect_kubectl import Kubectl
from tests.diagnose.log_samples import typed
from tests.discovery.cluster import apigee_route, kubeconfig, pod
from tests.servers.kubernetes import ApiServer, api_server

GATEWAY = {"app": "apigee-ingressgateway", "ingress_name": "edge-a"}
LOG = "\n".join([typed(remote_address=f"10.0.0.7:{port}") for port in range(1, 40)] + ["agent says something"]) + "\n"
CANARY = "Tr0ub4dor"


@pytest.fixture
def without_kubectl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without kubectl, whose kubeconfig a test writes."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    return tmp_path


def furnish(server: ApiServer) -> None:
    """Two routes, of which none is a wildcard's; a gateway's pod with its log, another pod; one Secret of two."""
    apigee_route(server, "acme-hyb-prod-grp-000-1a2b3c4", "api.example.com")
    pod(server, "edge-a-1", GATEWAY)
    pod(server, "runtime-1", {"app": "apigee-runtime"})
    server.logs["apigee", "edge-a-1", "proxy"] = LOG
    server.logs["apigee", "runtime-1", "proxy"] = typed(remote_address="10.0.0.99:1") + "\n"
    server.secrets["apigee", "prod"] = {"key": CANARY, "cert": CANARY}


async def gather(directory: Path, server: ApiServer) -> Gathered:
    kubeconfig(directory, server.url)
    gathered = Gathered()
    work = partial(gathered.read_kubernetes, Cluster(Kubectl()), "1h", logs=True)
    await trio.to_thread.run_sync(work)
    return gathered


def errors(gathered: Gathered) -> dict[str, str]:
    return {each.name: each.error for each in gathered.reports if each.error is not None}


async def test_everything_is_read_without_kubectl(without_kubectl: Path) -> None:
    """Routes, the gateway's pods and their logs, the Secret's existence; and it is said how."""
    async with api_server() as server:
        furnish(server)
        gathered = await gather(without_kubectl, server)

    assert {} == errors(gathered)
    assert f"through the API server ({without_kubectl / 'kubeconfig'})" == gathered.reports[0].summary
    assert gathered.cluster is not None
    assert [("edge-a-1", False)] == [(each.name, each.ready) for each in gathered.cluster.pods]
    assert [("prod", True)] == [(each.name, each.present) for each in gathered.cluster.secrets]
    assert gathered.logs is not None
    assert {"10.0.0.7": 39} == {source: tally.count for source, tally in gathered.logs.rejected_without_sni.items()}
    assert ({"edge-a-1": 39}, 40) == (dict(gathered.logs.pods), gathered.logs.lines)


async def test_a_secrets_contents_are_neither_asked_for_nor_sent(without_kubectl: Path) -> None:
    """One request for it, for its metadata alone; nothing of what it holds is in anything that was gathered."""
    async with api_server() as server:
        furnish(server)
        gathered = await gather(without_kubectl, server)
        asked = [each for each in server.requests if "/secrets" in each.path]

    assert [("/api/v1/namespaces/apigee/secrets/prod", "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1")] == [
        (each.path, each.accept) for each in asked
    ]
    assert CANARY not in repr(gathered)


async def test_a_secret_that_is_not_there_is_absent_and_a_refused_one_unknown(without_kubectl: Path) -> None:
    """404 and 403 are two answers."""
    async with api_server() as server:
        furnish(server)
        server.secrets.clear()
        absent = await gather(without_kubectl, server)
        server.forbidden.add("/api/v1/secrets")
        refused = await gather(without_kubectl, server)

    for gathered, present in ((absent, False), (refused, None)):
        assert gathered.cluster is not None
        assert [present] == [each.present for each in gathered.cluster.secrets]
    assert refused.cluster is not None
    assert any("403" in each for each in refused.cluster.denied)


async def test_logs_that_are_refused_are_named_and_the_rest_is_judged(without_kubectl: Path) -> None:
    """``pods/log`` is a right of its own."""
    async with api_server() as server:
        furnish(server)
        server.forbidden.add("/api/v1/pods/log")
        gathered = await gather(without_kubectl, server)

    assert ["kubernetes:logs"] == list(errors(gathered))
    assert "edge-a-1/log: 403" in errors(gathered)["kubernetes:logs"]
    assert gathered.manifests


async def test_a_container_without_a_log_does_not_hide_the_others(without_kubectl: Path) -> None:
    """A pod that is gone in between: the other's log is counted, and the missing one is named."""
    async with api_server() as server:
        furnish(server)
        pod(server, "edge-a-2", GATEWAY)
        gathered = await gather(without_kubectl, server)

    assert "edge-a-2/log: 404" in errors(gathered)["kubernetes:logs"]
    assert gathered.logs is not None
    assert 39 == gathered.logs.rejected_count


async def test_routes_that_are_refused_are_unknown(without_kubectl: Path) -> None:
    """403 is not the absence of a wildcard route."""
    async with api_server() as server:
        furnish(server)
        server.forbidden.add("/apis/apigee.cloud.google.com/v1alpha1/apigeeroutes")
        gathered = await gather(without_kubectl, server)

    assert "forbidden" in errors(gathered)["apigeeroutes"]
    assert not any(manifest.name == "kubernetes:apigeeroutes" for manifest in gathered.manifests)


async def test_no_way_to_the_cluster_is_said_once(without_kubectl: Path) -> None:
    """Neither an API server nor kubectl: one error, which tells what failed."""
    kubeconfig(without_kubectl, "http://127.0.0.1:1")
    gathered = Gathered()
    await trio.to_thread.run_sync(partial(gathered.read_kubernetes, Cluster(Kubectl()), "1h", logs=True))

    assert ["cluster"] == [each.name for each in gathered.reports]
    assert "/apigeeroutes" in str(gathered.reports[0].error)


@pytest.mark.parametrize("several", [False, True])
async def test_a_kubeconfig_that_is_not_there_is_named(
    several: bool, without_kubectl: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever set KUBECONFIG, or has no file in their home, is told which file was looked for."""
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    missing = without_kubectl / "missing"
    monkeypatch.setenv("HOME", str(without_kubectl))
    for named, said in ((f"{missing}{os.pathsep}/also/missing" if several else str(missing), missing), ("", ".kube/config")):
        monkeypatch.setenv("KUBECONFIG", named)
        gathered = Gathered()
        await trio.to_thread.run_sync(partial(gathered.read_kubernetes, Cluster(Kubectl()), "1h", logs=True))
        (report,) = gathered.reports
        assert f"{said}: there is no such kubeconfig; name one that is there" in str(report.error)


async def test_of_several_kubeconfigs_one_that_is_not_there_is_passed_over(
    without_kubectl: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As kubectl does it."""
    monkeypatch.setenv("KUBECONFIG", f"{without_kubectl / 'missing'}{os.pathsep}{without_kubectl / 'kubeconfig'}")
    async with api_server() as server:
        furnish(server)
        gathered = await gather(without_kubectl, server)

    assert {} == errors(gathered)
    assert gathered.cluster is not None


async def test_a_pod_has_its_service_account_where_kubeconfig_names_nothing(
    without_kubectl: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An image may set the variable, and nobody mounted the file."""
    monkeypatch.setenv("KUBECONFIG", str(without_kubectl / "missing"))
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    assert "by the service account of this pod" in Cluster(Kubectl()).way


async def test_kubectl_is_asked_where_the_api_cannot_be_and_it_is_said_so(without_kubectl: Path) -> None:
    """Its user may be logged in in a way that only kubectl knows; from then on it is asked for everything, its errors are told."""
    script = without_kubectl / "bin" / "kubectl"
    listing = json.dumps({"items": [{"metadata": {"name": "edge-a-1", "labels": GATEWAY}}]})
    script.write_text(
        f"""#!/bin/sh
case "$*" in
*"get pods"*) echo '{listing}';;
*"get "*) echo '{{"items": []}}';;
*logs*) echo '[pod/edge-a-1/proxy] {typed(remote_address="10.0.0.8:1")}'; echo 'error: you must be logged in' >&2; exit 1;;
esac
"""
    )
    script.chmod(0o755)
    kubeconfig(without_kubectl, "http://127.0.0.1:1")
    gathered = Gathered()
    await trio.to_thread.run_sync(partial(gathered.read_kubernetes, Cluster(Kubectl()), "1h", logs=True))

    assert gathered.reports[0].summary.startswith("through kubectl, because ")
    assert {"kubernetes:logs": "kubectl: error: you must be logged in"} == errors(gathered)
    assert gathered.logs is not None
    assert ["10.0.0.8"] == list(gathered.logs.rejected_without_sni)


async def test_the_whole_command_names_the_cause_from_a_cluster(without_kubectl: Path) -> None:
    """No file and no kubectl: the missing wildcard route from the cluster, the clients from the pods' logs."""
    async with api_server() as server:
        furnish(server)
        kubeconfig(without_kubectl, server.url)
        command = [sys.executable, "-m", "prober", "diagnose", "all", "--kubernetes", "--json"]
        done = await trio.run_process(command, capture_stdout=True, check=False, env=dict(os.environ))
        queries = [each.query for each in server.requests if each.path.endswith("/log")]
    document: dict[str, Any] = json.loads(done.stdout)

    assert 1 == done.returncode
    first = document["findings"][0]
    assert ("no-wildcard", "likely") == (first["id"], first["confidence"])
    assert {"logs", "kubernetes"} == {each["source"] for each in first["evidence"]}
    assert ["3600"] == [each["sinceSeconds"] for each in queries]


async def test_a_server_that_cannot_leave_a_secrets_contents_out_is_not_asked_otherwise(without_kubectl: Path) -> None:
    """Anything but an answer is unknown."""
    async with api_server() as server:
        furnish(server)
        server.failing.add("/api/v1/secrets/prod")
        kubeconfig(without_kubectl, server.url)
        with pytest.raises(ClusterError) as caught:
            await trio.to_thread.run_sync(Cluster(Kubectl()).find_secret, "prod")

    assert not caught.value.absent


@pytest.mark.parametrize(("text", "seconds"), [("1h", 3600), ("1h30m", 5400), ("45s", 45)])
def test_since_is_written_as_for_kubectl(text: str, seconds: int) -> None:
    """Hours, minutes, seconds."""
    assert seconds == since_seconds(text)


@pytest.mark.parametrize("text", ["", "1", "h", "1d", "0s", "1.5h", "-1h"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    """With what to write instead."""
    with pytest.raises(Exception, match="write 30m, 1h or 1h30m"):
        since_seconds(text)
