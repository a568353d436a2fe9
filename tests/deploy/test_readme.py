"""deploy/README.md as somebody follows it: its commands are run as far as they need no cluster, and what it shows is accepted."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.rendering import CHART, DEPLOY, KUBERNETES, helm, kustomized, of_kind
from tests.deploy.schemas import require_manifests
from tests.servers.requirements import optional_program, require_program

TEXT = (DEPLOY / "README.md").read_text()
COMMANDS = [
    line.partition("    #")[0] for block in re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL) for line in block.splitlines()
]
SHOWN: list[dict[str, Any]] = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)]
CHECKS = {"promtool": "prometheus", "amtool": "prometheus-alertmanager", "systemd-analyze": ""}


@pytest.mark.parametrize("command", [each for each in COMMANDS if each.split()[0] in CHECKS])
def test_the_checks_pass(command: str) -> None:
    """Each as it is written, in the directory that it is written for."""
    program, *arguments = shlex.split(command)
    path = require_program(program, package=CHECKS[program]) if CHECKS[program] else optional_program(program)

    done = subprocess.run([path, *arguments], cwd=DEPLOY, capture_output=True, text=True, timeout=60, check=False)

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("base", ["../../base", "../sharded"])
def test_an_overlay_of_one_s_own_is_rendered(base: str, tmp_path: Path) -> None:
    """Image and configuration are the reader's, in every pod; with shards or without."""
    (shown,) = [each for each in SHOWN if each.get("kind") == "Kustomization"]
    copied = shutil.copytree(KUBERNETES, tmp_path / "kubernetes")
    mine = copied / "overlays" / "mine"
    mine.mkdir()
    (mine / "kustomization.yaml").write_text(yaml.safe_dump({**shown, "resources": [base]}))
    (mine / "prober.yml").write_text("listen: :9859\nstate: /var/lib/prober\ntargets: []\n")
    assert shown["resources"] == ["../../base"]

    rendered = kustomized(mine)

    require_manifests(rendered)
    workload = of_kind("Deployment" if base == "../../base" else "StatefulSet", rendered)
    (container,) = workload["spec"]["template"]["spec"]["containers"]
    assert container["image"] == "registry.example.com/prober:0.1.0"
    made = of_kind("ConfigMap", rendered)
    assert made["data"] == {"prober.yml": (mine / "prober.yml").read_text()}
    names = [volume["configMap"]["name"] for volume in workload["spec"]["template"]["spec"]["volumes"] if "configMap" in volume]
    assert names == [made["metadata"]["name"]]


def test_helm_takes_the_values_that_are_shown() -> None:
    """They do what the text says: three shards, two namespaces, a file from a Secret, no rules."""
    (values,) = [each for each in SHOWN if "sharding" in each]

    (rendered,), _ = helm(values)

    require_manifests(rendered["objects"])
    assert of_kind("StatefulSet", rendered["objects"])["spec"]["replicas"] == 3
    roles = [each["metadata"]["namespace"] for each in rendered["objects"] if each["kind"] == "Role"]
    assert roles == ["apigee", "istio-system"]
    config = yaml.safe_load(of_kind("ConfigMap", rendered["objects"])["data"]["prober.yml"])
    (container,) = of_kind("StatefulSet", rendered["objects"])["spec"]["template"]["spec"]["containers"]
    (hook,) = config["alerting"]["webhooks"]
    assert str(Path(hook["url_file"]).parent) in {mount["mountPath"] for mount in container["volumeMounts"]}
    assert "PrometheusRule" not in {each["kind"] for each in rendered["objects"]}


def test_every_path_that_is_named_exists() -> None:
    """But for those that the reader makes."""
    named = {word for command in COMMANDS for word in shlex.split(command) if re.match(r"(\.\.|[a-z]+/[a-z])", word)}
    own = {"kubernetes/overlays/mine", "kubernetes/overlays/mine/prober.yml", "deployment/prober"}
    missing = {word for word in named - own if not (DEPLOY / word).exists() and "example.com" not in word}

    assert named & {"kubernetes/overlays/sharded", "helm/prober", "systemd/prober.service", "compose/prober/prober.yml"}
    assert missing == set()
    assert (CHART / "values.yaml").is_file()
