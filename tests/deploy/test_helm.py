"""The Helm chart, as Helm itself renders it: the manifests of ``deploy/kubernetes`` again, and what its values change."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from prober.cli import build_parser
from prober.config import web_file
from prober.config.document import KEYS, load
from prober.version import __version__
from tests.deploy.rendering import CHART, DEPLOY, KUBERNETES, Manifest, Rendered, helm, kustomized, of_kind
from tests.deploy.schemas import require_manifests

SCHEMA: dict[str, Any] = json.loads((CHART / "values.schema.json").read_text())
VALUES: dict[str, Any] = yaml.safe_load((CHART / "values.yaml").read_text())
OF_THE_CHART = {"listen", "state", "discovery", "web_config_file"}
"""Keys of the configuration that the chart writes itself, or has a value of its own for."""

CASES: dict[str, Manifest] = {
    "default": {},
    "sharded": {"sharding": {"enabled": True}},
    "five": {"sharding": {"enabled": True, "shards": 5, "persistence": {"size": "5Gi", "storageClassName": "ssd"}}},
    "namespaces": {"discovery": [{"kubernetes": {"namespaces": ["apigee", "istio-system"]}}, {"kubernetes": {"namespaces": ["apigee"]}}]},
    "outside": {"discovery": [{"kubernetes": {"kubeconfig": "/run/secrets/prober/kubeconfig"}}, {"dns": {"names": ["ingress.example.com"]}}]},
    "listed": {
        "discovery": [],
        "config": {
            "interval": "5s",
            "timeout": "2s",
            "targets": [{"name": "apigee-prod", "addresses": ["203.0.113.10"], "server_names": ["api.example.com"]}],
            "alerting": {"alertmanagers": ["http://alertmanager:9093"], "external_url": "https://prober.example.com"},
        },
        "prometheusRule": {"enabled": False},
    },
    "other-config": {"config": {"interval": "30s"}},
    "tls": {"webConfig": {"tls_server_config": {"cert_file": "/run/secrets/prober/tls.crt", "key_file": "/run/secrets/prober/tls.key"}}, "existingSecret": "prober-tls"},
    "users": {"webConfig": {"basic_auth_users": {"prometheus": "$2y$10$abc"}}, "monitor": {"endpoint": {"basicAuth": {"username": {"name": "s", "key": "user"}, "password": {"name": "s", "key": "password"}}}}},
    "mutual": {"webConfig": {"tls_server_config": {"client_auth_type": "RequireAndVerifyClientCert"}}},
    "runbooks": {"prometheusRule": {"runbookBase": "https://prober.example.com/", "labels": {"release": "kube-prometheus"}}},
    "bare": {
        "serviceAccount": {"create": False, "name": "shared"},
        "rbac": {"create": False},
        **{part: {"enabled": False} for part in ("networkPolicy", "podDisruptionBudget", "monitor", "prometheusRule")},
    },
    "placed": {
        "image": {"repository": "registry.example.com/prober", "digest": "sha256:" + "0" * 64},
        "imagePullSecrets": [{"name": "registry"}],
        "extraArgs": ["--log-level=debug"],
        "port": 9860,
        "podAnnotations": {"example.com/team": "edge"},
        "podLabels": {"team": "edge"},
        "nodeSelector": {"kubernetes.io/os": "linux"},
        "tolerations": [{"key": "dedicated", "operator": "Exists"}],
        "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [{"matchExpressions": [{"key": "zone", "operator": "Exists"}]}]}}},
        "priorityClassName": "system-cluster-critical",
        "networkPolicy": {"egress": [{"ports": [{"protocol": "TCP", "port": 443}]}]},
        "monitor": {"labels": {"release": "kube-prometheus"}},
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def cases() -> dict[str, Rendered]:
    """Every case, rendered as release ``prober`` in the namespace ``prober``."""
    rendered, lint = helm(*CASES.values())
    assert (lint["messages"], lint["errors"]) == ([], [])
    assert [answer["error"] for answer in rendered if "error" in answer] == []
    return dict(zip(CASES, rendered, strict=True))


def pod(case: Rendered) -> Manifest:
    """The pod's specification."""
    (workload,) = [each for each in case["objects"] if each["kind"] in {"Deployment", "StatefulSet"}]
    spec: Manifest = workload["spec"]["template"]["spec"]
    return spec


def container(case: Rendered) -> Manifest:
    """The pod's one container."""
    (only,) = pod(case)["containers"]
    found: Manifest = only
    return found


def kinds(case: Rendered) -> list[str]:
    """Of all objects, sorted."""
    return sorted(document["kind"] for document in case["objects"])


def substance(documents: list[Manifest]) -> dict[str, Any]:
    """What each object does, by kind: without names and labels that only tell releases apart, and without the annotations that roll pods."""
    found = {}
    for document in copy.deepcopy(documents):
        kind = document["kind"]
        part = {key: value for key, value in document.items() if key not in {"apiVersion", "kind", "metadata"}}
        if kind == "ConfigMap":
            part = {"data": {name: yaml.safe_load(text) for name, text in part["data"].items()}}
        elif kind in {"Deployment", "StatefulSet"}:
            template = part["spec"]["template"]
            template["metadata"].pop("annotations", None)
            for claim in part["spec"].get("volumeClaimTemplates", []):
                claim["metadata"].pop("labels", None)
            (only,) = template["spec"]["containers"]
            only.pop("imagePullPolicy", None)
            only["image"] = only["image"].partition(":")[0]
            for volume in template["spec"]["volumes"]:
                if "configMap" in volume:
                    volume["configMap"]["name"] = "the ConfigMap"
        elif kind == "ClusterRoleBinding":
            part["roleRef"]["name"] = "the ClusterRole"
        found[kind] = _without_instance(part)
    return found


def _without_instance(value: Any) -> Any:
    match value:
        case dict():
            return {key: _without_instance(part) for key, part in value.items() if key != "app.kubernetes.io/instance"}
        case list():
            return [_without_instance(part) for part in value]
        case _:
            return value


@pytest.mark.parametrize(("case", "directory"), [("default", "base"), ("sharded", "overlays/sharded")])
def test_the_chart_is_what_kustomize_makes(case: str, directory: str, cases: dict[str, Rendered]) -> None:
    """In substance, and but for the namespace, which Helm does not make."""
    expected = substance(kustomized(KUBERNETES / directory))
    del expected["Namespace"]

    assert substance(helm_objects := cases[case]["objects"]) == expected
    assert len(helm_objects) == len(expected)


@pytest.mark.parametrize("case", CASES)
def test_what_helm_renders_is_valid(case: str, cases: dict[str, Rendered], tmp_path: Path) -> None:
    """By the published schemas; its configuration by `check-config`, and its arguments by the command."""
    objects = cases[case]["objects"]
    require_manifests(objects)

    file = tmp_path / "prober.yml"
    (tmp_path / "kubeconfig").touch()  # of the Secret that would be mounted
    file.write_text(of_kind("ConfigMap", objects)["data"]["prober.yml"].replace("/run/secrets/prober", str(tmp_path)))
    config = load(file)
    mounts = {mount["mountPath"] for mount in container(cases[case])["volumeMounts"]}
    assert config.state in mounts
    assert [port["containerPort"] for port in container(cases[case])["ports"]] == [config.listen.port]
    arguments = build_parser().parse_args(container(cases[case])["args"])
    files = [each for each in (arguments.config, arguments.web_config_file) if each is not None]
    assert {str(each.parent) for each in files} <= mounts
    sources = {volume["name"] for volume in pod(cases[case])["volumes"]}
    if any(each["kind"] == "StatefulSet" for each in objects):
        sources |= {claim["metadata"]["name"] for claim in of_kind("StatefulSet", objects)["spec"]["volumeClaimTemplates"]}
    assert {mount["name"] for mount in container(cases[case])["volumeMounts"]} == sources


def test_every_value_is_described_and_nothing_else_is_taken() -> None:
    """values.yaml and values.schema.json have the same keys, all the way down; objects of Kubernetes are open."""

    def compare(schema: dict[str, Any], values: dict[str, Any], path: str) -> None:
        assert schema["additionalProperties"] is False, path
        described = set(schema["properties"]) - ({"global"} if not path else set())
        assert described == set(values), path
        for key, value in values.items():
            part = schema["properties"][key]
            assert len(part["description"]) > 3, f"{path}.{key}"
            if "properties" in part and value:
                compare(part, value, f"{path}.{key}")

    compare(SCHEMA, VALUES, "")


def test_the_configuration_has_the_keys_that_the_service_knows() -> None:
    """What the schema of ``config`` takes is what `check-config` takes, but for what the chart writes itself; so with ``webConfig``."""
    assert set(SCHEMA["properties"]["config"]["properties"]) == set(KEYS) - OF_THE_CHART
    assert set(KEYS) >= OF_THE_CHART
    assert set(SCHEMA["properties"]["webConfig"]["properties"]) == set(web_file.KEYS)


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"replica": 3}, "additional properties 'replica' not allowed"),
        ({"replicas": "3"}, "at '/replicas'"),
        ({"image": {"digest": "latest"}}, "at '/image/digest'"),
        ({"sharding": {"enabled": True, "shards": 0}}, "at '/sharding/shards'"),
        ({"config": {"listen": ":80"}}, "additional properties 'listen' not allowed"),
        ({"config": {"intervall": "5s"}}, "additional properties 'intervall' not allowed"),
        ({"webConfig": {"users": {}}}, "additional properties 'users' not allowed"),
        ({"extraArgs": "--log-level=debug"}, "at '/extraArgs'"),
        ({"monitor": {"interval": "15"}}, "at '/monitor/interval'"),
        ({"prometheusRule": {"runbookBase": "prober.example.com"}}, "at '/prometheusRule/runbookBase'"),
    ],
)
def test_a_value_that_is_wrong_is_refused(values: Manifest, complaint: str) -> None:
    """By Helm, before anything is sent to a cluster, and with its place."""
    (answer,), _ = helm(values)

    assert complaint in answer["error"]


def test_the_rules_are_those_for_prometheus(cases: dict[str, Rendered]) -> None:
    """One file is the source of both; only the links to runbooks lead where ``runbookBase`` says."""
    text = (DEPLOY / "prometheus" / "prober.rules.yml").read_text()

    assert (CHART / "files" / "prober.rules.yml").resolve() == DEPLOY / "prometheus" / "prober.rules.yml"
    assert of_kind("PrometheusRule", cases["default"]["objects"])["spec"] == yaml.safe_load(text)
    moved = of_kind("PrometheusRule", cases["runbooks"]["objects"])
    assert moved["spec"] == yaml.safe_load(text.replace("http://127.0.0.1:9859", "https://prober.example.com"))
    assert moved["metadata"]["labels"]["release"] == "kube-prometheus"
    assert "runbook" in cases["default"]["notes"]
    assert "runbook" not in cases["runbooks"]["notes"]


def test_pods_may_list_what_discovery_needs_and_nothing_besides(cases: dict[str, Rendered]) -> None:
    """In the namespaces of the sources, in all where a source has none, in none where none asks this cluster."""
    rights = {"ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"}
    asked = {name: [each for each in cases[name]["objects"] if each["kind"] in rights] for name in CASES}
    everywhere = of_kind("ClusterRole", kustomized(KUBERNETES / "base"))["rules"]

    roles = [each for each in asked["namespaces"] if each["kind"] == "Role"]
    assert [role["metadata"]["namespace"] for role in roles] == ["apigee", "istio-system"]
    assert all(role["rules"] == everywhere for role in roles)
    bindings = [each for each in asked["namespaces"] if each["kind"] == "RoleBinding"]
    assert [binding["metadata"]["namespace"] for binding in bindings] == ["apigee", "istio-system"]
    assert {each["kind"] for each in asked["namespaces"]} == {"Role", "RoleBinding"}
    for name, token in {"namespaces": True, "default": True, "outside": False, "listed": False}.items():
        assert bool(asked[name]) is token, name
        assert pod(cases[name])["automountServiceAccountToken"] is token, name
    assert asked["bare"] == []
    assert pod(cases["bare"])["serviceAccountName"] == "shared"


def test_kubelet_asks_as_the_listener_answers(cases: dict[str, Rendered]) -> None:
    """By HTTPS where it has a certificate; only whether the port is open where kubelet would need a password or a certificate."""
    asked = {name: [container(cases[name])[probe] for probe in ("livenessProbe", "readinessProbe")] for name in CASES}

    assert [probe["httpGet"] for probe in asked["default"]] == [
        {"path": "/-/healthy", "port": "http"},
        {"path": "/-/ready", "port": "http"},
    ]
    assert [probe["httpGet"]["scheme"] for probe in asked["tls"]] == ["HTTPS", "HTTPS"]
    for name in ("users", "mutual"):
        assert [probe["tcpSocket"] for probe in asked[name]] == [{"port": "http"}] * 2
        assert not [probe for probe in asked[name] if "httpGet" in probe]
    assert of_kind("ServiceMonitor", cases["tls"]["objects"])["spec"]["endpoints"][0]["scheme"] == "https"
    assert "https://127.0.0.1:9859/" in cases["tls"]["notes"]


def test_secrets_are_in_secrets(cases: dict[str, Rendered]) -> None:
    """The web configuration is a Secret and not in the ConfigMap; an existing Secret becomes files that only the pod reads."""
    secret = of_kind("Secret", cases["users"]["objects"])
    assert yaml.safe_load(secret["stringData"]["web.yml"]) == CASES["users"]["webConfig"]
    assert "$2y$" not in json.dumps([each for each in cases["users"]["objects"] if each["kind"] != "Secret"])
    volumes = {volume["name"]: volume.get("secret") for volume in pod(cases["tls"])["volumes"]}
    assert volumes["secrets"] == {"secretName": "prober-tls", "defaultMode": 0o440}
    assert volumes["web"] == {"secretName": secret["metadata"]["name"], "defaultMode": 0o440}


def test_a_changed_configuration_is_a_rollout(cases: dict[str, Rendered]) -> None:
    """The pods' annotation changes with it, and with nothing else."""

    def checksum(name: str) -> str:
        (workload,) = [each for each in cases[name]["objects"] if each["kind"] in {"Deployment", "StatefulSet"}]
        return str(workload["spec"]["template"]["metadata"]["annotations"]["checksum/config"])

    assert checksum("default") == checksum("runbooks") == checksum("sharded")
    assert len({checksum(name) for name in ("default", "other-config", "listed", "namespaces")}) == 4


def test_what_is_turned_off_is_not_there(cases: dict[str, Rendered]) -> None:
    """What stays is what runs."""
    assert kinds(cases["bare"]) == ["ConfigMap", "Deployment", "Service"]


def test_two_releases_share_nothing() -> None:
    """Names and selectors differ, in one namespace too; what the cluster has once differs by namespace."""
    ((first,), _), ((second,), _) = helm({}, name="edge"), helm({}, name="core")
    names = [{(each["kind"], each["metadata"]["name"]) for each in release["objects"]} for release in (first, second)]

    assert not names[0] & names[1]
    selectors = [of_kind("Deployment", release["objects"])["spec"]["selector"]["matchLabels"] for release in (first, second)]
    assert selectors[0] != selectors[1]
    assert of_kind("Service", first["objects"])["spec"]["selector"] == selectors[0]
    ((elsewhere,), _) = helm({}, name="edge", namespace="other")
    assert (
        of_kind("ClusterRole", elsewhere["objects"])["metadata"]["name"]
        != of_kind("ClusterRole", first["objects"])["metadata"]["name"]
    )


def test_the_chart_is_of_this_version(cases: dict[str, Rendered]) -> None:
    """And so is the image, unless the values say otherwise."""
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())

    assert chart["version"] == chart["appVersion"] == __version__
    assert container(cases["default"])["image"] == f"prober:{__version__}"
    assert container(cases["placed"])["image"] == "registry.example.com/prober@sha256:" + "0" * 64
