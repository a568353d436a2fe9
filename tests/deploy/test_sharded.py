"""The sharded overlay: a StatefulSet whose pods take their share by their ordinal, with the base's pod."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from prober.cli import build_parser
from prober.sharding import parse_shard
from tests.deploy.rendering import KUBERNETES, Manifest, kustomized, of_kind

OVERLAY = KUBERNETES / "overlays" / "sharded"


@pytest.fixture(scope="module")
def base() -> list[Manifest]:
    """What kustomize makes of the base."""
    return kustomized(KUBERNETES / "base")


@pytest.fixture(scope="module")
def sharded() -> list[Manifest]:
    """What kustomize makes of the overlay."""
    return kustomized(OVERLAY)


def container(workload: Manifest) -> dict[str, Any]:
    """The one container of a Deployment or StatefulSet."""
    (only,) = workload["spec"]["template"]["spec"]["containers"]
    found: dict[str, Any] = only
    return found


def shards_of(workload: Manifest) -> list[int]:
    """The shard that each pod takes, by the name that the StatefulSet controller gives it and the arguments that it gets."""
    arguments = build_parser().parse_args(container(workload)["args"])
    (name,) = [entry for entry in container(workload)["env"] if entry["name"] == "POD_NAME"]
    assert name["valueFrom"] == {"fieldRef": {"fieldPath": "metadata.name"}}
    replicas = workload["spec"]["replicas"]
    pods = [f"{workload['metadata']['name']}-{ordinal}" for ordinal in range(replicas)]
    shards = [parse_shard(arguments.shard, pod) for pod in pods]
    assert {shard.of for shard in shards} == {replicas}
    return [shard.number for shard in shards]


def test_each_pod_takes_the_shard_of_its_ordinal(sharded: list[Manifest]) -> None:
    """As many shards as pods, each taken once."""
    assert shards_of(of_kind("StatefulSet", sharded)) == [0, 1, 2]


def test_the_number_of_shards_is_written_once(tmp_path: Path) -> None:
    """Another ``count`` is another number of replicas and of shards."""
    copy = tmp_path / "kubernetes"
    shutil.copytree(KUBERNETES, copy)
    file = copy / "overlays" / "sharded" / "kustomization.yaml"
    file.write_text(file.read_text().replace("count: 3", "count: 5"))

    workload = of_kind("StatefulSet", kustomized(file.parent))

    assert shards_of(workload) == [0, 1, 2, 3, 4]


def test_the_pod_is_that_of_the_base(base: list[Manifest], sharded: list[Manifest]) -> None:
    """But for the shard, and for where the state is: everything that hardens it stays."""
    plain, shard = (of_kind(kind, documents)["spec"] for kind, documents in (("Deployment", base), ("StatefulSet", sharded)))
    expected, pod = plain["template"], shard["template"]
    (expected_container,), (only,) = expected["spec"]["containers"], pod["spec"]["containers"]

    assert only.pop("args") == [*expected_container.pop("args"), "--shard", "auto/3"]
    assert [entry["name"] for entry in only.pop("env")] == ["POD_NAME"]
    assert only == expected_container
    volumes = expected["spec"].pop("volumes")
    assert pod["spec"].pop("volumes") == [volume for volume in volumes if volume["name"] != "state"]
    assert pod == expected
    (claim,) = shard["volumeClaimTemplates"]
    assert claim["metadata"]["name"] == "state"
    assert claim["spec"]["accessModes"] == ["ReadWriteOnce"]


def test_the_service_names_each_pod(sharded: list[Manifest]) -> None:
    """Headless, and the one that the StatefulSet is governed by."""
    service = of_kind("Service", sharded)

    assert service["spec"]["clusterIP"] == "None"
    assert service["spec"]["publishNotReadyAddresses"] is True
    assert of_kind("StatefulSet", sharded)["spec"]["serviceName"] == service["metadata"]["name"]


def test_each_shard_is_scraped_once_and_keeps_its_name(base: list[Manifest], sharded: list[Manifest]) -> None:
    """A PodMonitor in the ServiceMonitor's place: the same port, path and interval; ``instance`` is the pod's name."""
    assert [document["kind"] for document in sharded if document["kind"].endswith("Monitor")] == ["PodMonitor"]
    monitor = of_kind("PodMonitor", sharded)
    (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
    (expected,) = of_kind("ServiceMonitor", base)["spec"]["endpoints"]
    named, *others = endpoint.pop("relabelings")

    assert named == {"action": "replace", "sourceLabels": ["pod"], "targetLabel": "instance"}
    assert others == expected.pop("relabelings")
    assert endpoint == expected
    labels = of_kind("StatefulSet", sharded)["spec"]["template"]["metadata"]["labels"]
    assert monitor["spec"]["selector"]["matchLabels"] == labels
    assert labels[monitor["spec"]["jobLabel"]] == of_kind("Service", base)["metadata"]["name"]


def test_everything_else_is_the_base(base: list[Manifest], sharded: list[Manifest]) -> None:
    """Rights, rules, policy, budget and configuration."""
    changed = {"Deployment", "StatefulSet", "Service", "ServiceMonitor", "PodMonitor"}

    assert [each for each in sharded if each["kind"] not in changed] == [each for each in base if each["kind"] not in changed]
    assert of_kind("PodDisruptionBudget", sharded)["spec"]["maxUnavailable"] == 1
