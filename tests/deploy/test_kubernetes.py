"""The Kubernetes base: kustomize renders it, its parts fit each other, and what they name exists in the product."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from prober.cli import main
from prober.config.document import load
from prober.discovery import kubernetes
from prober.outlets.web import create_app
from prober.service import installations
from tests.deploy.rendering import DEPLOY, KUBERNETES, kustomized, of_kind
from tests.outlets.fleet import FakeService

BASE = KUBERNETES / "base"
KUSTOMIZATION: dict[str, Any] = yaml.safe_load((BASE / "kustomization.yaml").read_text())
WRITTEN: list[dict[str, Any]] = [
    document for name in KUSTOMIZATION["resources"] for document in yaml.safe_load_all((BASE / name).read_text())
]
NAME = {"app.kubernetes.io/name": "prober"}


def pod() -> dict[str, Any]:
    """The Deployment's pod."""
    spec: dict[str, Any] = of_kind("Deployment", WRITTEN)["spec"]["template"]["spec"]
    return spec


def container() -> dict[str, Any]:
    """The pod's one container."""
    (only,) = pod()["containers"]
    found: dict[str, Any] = only
    return found


@pytest.fixture(scope="module")
def rendered() -> list[dict[str, Any]]:
    """What `kubectl kustomize` makes of the base; it asks no cluster."""
    return kustomized(BASE)


def test_every_selector_selects_the_pods(rendered: list[dict[str, Any]]) -> None:
    """Service, policy, budget, monitor and Deployment mean the same pods."""
    assert of_kind("Deployment", rendered)["spec"]["template"]["metadata"]["labels"] == NAME
    assert of_kind("Deployment", rendered)["spec"]["selector"]["matchLabels"] == NAME
    assert of_kind("Service", rendered)["spec"]["selector"] == NAME
    assert of_kind("NetworkPolicy", rendered)["spec"]["podSelector"]["matchLabels"] == NAME
    assert of_kind("PodDisruptionBudget", rendered)["spec"]["selector"]["matchLabels"] == NAME
    assert of_kind("ServiceMonitor", rendered)["spec"]["selector"]["matchLabels"] == NAME
    assert of_kind("Service", rendered)["metadata"]["labels"] == NAME


def test_the_pod_mounts_the_configuration_that_is_rendered(rendered: list[dict[str, Any]]) -> None:
    """The ConfigMap's name has a hash, and the Deployment has the same name; its one file is the base's."""
    made = of_kind("ConfigMap", rendered)
    volumes = of_kind("Deployment", rendered)["spec"]["template"]["spec"]["volumes"]

    assert [volume["configMap"]["name"] for volume in volumes if "configMap" in volume] == [made["metadata"]["name"]]
    assert made["metadata"]["name"] != "prober"
    assert made["data"] == {"prober.yml": (BASE / "prober.yml").read_text()}


def test_everything_in_a_namespace_is_in_the_same(rendered: list[dict[str, Any]]) -> None:
    """The binding's subject included."""
    scoped = [each for each in rendered if each["kind"] not in {"Namespace", "ClusterRole", "ClusterRoleBinding"}]

    assert {each["metadata"].get("namespace") for each in scoped} == {of_kind("Namespace", rendered)["metadata"]["name"]}
    (subject,) = of_kind("ClusterRoleBinding", rendered)["subjects"]
    account = of_kind("ServiceAccount", rendered)["metadata"]
    assert (subject["name"], subject["namespace"]) == (account["name"], account["namespace"])
    assert pod()["serviceAccountName"] == account["name"]


def test_the_rules_are_those_for_prometheus() -> None:
    """PrometheusRule and rules file are equal, group by group."""
    rules = yaml.safe_load((DEPLOY / "prometheus" / "prober.rules.yml").read_text())

    assert of_kind("PrometheusRule", WRITTEN)["spec"] == rules


def test_the_service_may_list_and_watch_what_it_follows_and_nothing_else() -> None:
    """The role's resources are those of discovery, and what a diagnosis lists beside them; no Secrets, no writing."""
    rules = of_kind("ClusterRole", WRITTEN)["rules"]
    granted = {
        (group, resource): tuple(rule["verbs"]) for rule in rules for group in rule["apiGroups"] for resource in rule["resources"]
    }
    followed = {(version.rpartition("/")[0], plural) for plural, versions in kubernetes._KINDS.values() for version in versions}
    listed = {(version.rpartition("/")[0], plural) for plural, version in installations._KINDS.items()}

    assert granted == {**dict.fromkeys(listed, ("list",)), **dict.fromkeys(followed, ("list", "watch"))}
    assert pod()["automountServiceAccountToken"] is True


def test_the_configuration_is_one_and_fits_the_pod() -> None:
    """`check-config` accepts it, and port and state directory are the pod's."""
    config = load(BASE / "prober.yml")
    mounts = {mount["mountPath"]: mount for mount in container()["volumeMounts"]}

    assert config.listen.host == ""
    assert [port["containerPort"] for port in container()["ports"]] == [config.listen.port]
    assert config.state in mounts
    assert {mount["name"] for mount in mounts.values()} == {volume["name"] for volume in pod()["volumes"]}
    assert [port["port"] for port in of_kind("Service", WRITTEN)["spec"]["ports"]] == [config.listen.port]


def test_the_arguments_are_understood(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """What the command misses is the file alone; where it looks for it, one is mounted."""
    arguments: list[str] = container()["args"]
    (file,) = [Path(argument) for argument in arguments if argument.endswith(".yml")]
    missing = str(tmp_path / file.name)

    status = main([missing if argument == str(file) else argument for argument in arguments])

    assert status == 2
    assert missing in capsys.readouterr().err
    assert str(file.parent) in {mount["mountPath"] for mount in container()["volumeMounts"]}
    assert file.name in KUSTOMIZATION["configMapGenerator"][0]["files"]


async def test_the_paths_that_are_asked_for_are_served() -> None:
    """Liveness, readiness and metrics are paths of the application."""
    asked = {container()[probe]["httpGet"]["path"] for probe in ("livenessProbe", "readinessProbe")}
    asked |= {endpoint["path"] for endpoint in of_kind("ServiceMonitor", WRITTEN)["spec"]["endpoints"]}
    transport = httpx.ASGITransport(create_app(FakeService()))
    async with httpx.AsyncClient(transport=transport, base_url="http://prober") as client:
        answers = {path: (await client.get(path)).status_code for path in asked}
        other = (await client.get("/-/other")).status_code

    assert set(answers) == {"/-/healthy", "/-/ready", "/metrics"}
    assert set(answers.values()) <= {200, 503}  # not ready yet is an answer too
    assert other == 404


def test_every_port_that_is_named_is_the_container_s() -> None:
    """Probes, Service, policy and monitor name a port that exists."""
    names = {container()[probe]["httpGet"]["port"] for probe in ("livenessProbe", "readinessProbe")}
    names |= {port["targetPort"] for port in of_kind("Service", WRITTEN)["spec"]["ports"]}
    names |= {port["port"] for rule in of_kind("NetworkPolicy", WRITTEN)["spec"]["ingress"] for port in rule["ports"]}
    names |= {endpoint["port"] for endpoint in of_kind("ServiceMonitor", WRITTEN)["spec"]["endpoints"]}

    assert names == {port["name"] for port in container()["ports"]}


def test_the_pod_passes_the_restricted_pod_security_standard() -> None:
    """Non-root, read-only, without capabilities, as the namespace demands; the user is the image's."""
    user = pod()["securityContext"]["runAsUser"]

    assert of_kind("Namespace", WRITTEN)["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    assert pod()["securityContext"]["runAsNonRoot"] is True
    assert pod()["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container()["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert f"USER {user}:{user}" in (DEPLOY.parent / "Dockerfile").read_text()
