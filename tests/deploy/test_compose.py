"""The compose file and what it mounts: every file is there, and each is accepted by the program that reads it."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from prober.config.document import load
from prober.judge.alert_rules import RULES
from tests.deploy.schemas import problems
from tests.servers.requirements import require_program

DEPLOY = Path(__file__).parents[2] / "deploy"
HERE = DEPLOY / "compose"
COMPOSE: dict[str, Any] = yaml.safe_load((HERE / "compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]


def mounts(service: str) -> dict[str, Path]:
    """Path in the container -> file or directory of the repository."""
    found = {}
    for volume in SERVICES[service]["volumes"]:
        source, inside = volume.split(":")[:2]
        if source.startswith("."):
            found[inside] = (HERE / source).resolve()
    return found


def accepted(*command: str | Path) -> str:
    """What a program says that finds nothing wrong."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_compose_file_is_one() -> None:
    """By the schema that the Compose Specification publishes."""
    assert problems("compose-spec/compose-spec.json", COMPOSE) == []


@pytest.mark.parametrize(
    ("key", "value"),
    [("readonly", True), ("tmpfs", {"path": "/tmp"}), ("ports", "127.0.0.1:9859:9859"), ("restart", 3), ("cap_drop", "ALL")],
)
def test_a_key_that_is_wrong_is_found(key: str, value: object) -> None:
    """Unknown, or of another type."""
    planted = {**COMPOSE, "services": {**SERVICES, "prober": {**SERVICES["prober"], key: value}}}

    assert [problem for problem in problems("compose-spec/compose-spec.json", planted) if problem.startswith("$.services.prober")]


def test_prober_is_confined_as_in_kubernetes() -> None:
    """Read-only but for state and temporary files, without capabilities, and without a way to get any."""
    service = SERVICES["prober"]

    assert (service["read_only"], service["cap_drop"], service["tmpfs"]) == (True, ["ALL"], ["/tmp"])
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not {"privileged", "cap_add", "user", "network_mode", "pid"} & set(service)
    assert [volume for volume in service["volumes"] if not volume.endswith(":ro")] == ["prober-state:/var/lib/prober"]


def test_everything_that_is_mounted_exists() -> None:
    """A source that is missing would become an empty directory."""
    for service, of in SERVICES.items():
        assert mounts(service), service
        assert [path for path in mounts(service).values() if not path.exists()] == []
        sources = {volume.split(":")[0] for volume in of["volumes"]}
        assert {source for source in sources if not source.startswith(".")} <= set(COMPOSE["volumes"])


def test_only_loopback_is_published_and_images_have_versions() -> None:
    """None of them asks for a password."""
    for service, of in SERVICES.items():
        assert all(port.startswith("127.0.0.1:") for port in of["ports"]), service
        assert "build" in of or re.search(r":v?\d+\.\d+\.\d+$", of["image"]), service
    assert (HERE / SERVICES["prober"]["build"] / "Dockerfile").is_file()


def test_prober_finds_its_configuration_where_the_image_looks() -> None:
    """`check-config` accepts it; port and state directory are those of the compose file."""
    config = load(mounts("prober")["/etc/prober"] / "prober.yml")

    assert '"/etc/prober/prober.yml"' in (DEPLOY.parent / "Dockerfile").read_text()
    assert SERVICES["prober"]["ports"] == [f"127.0.0.1:{config.listen.port}:{config.listen.port}"]
    assert f"prober-state:{config.state}" in SERVICES["prober"]["volumes"]


def test_prometheus_accepts_its_configuration_with_the_rules_beside_it(tmp_path: Path) -> None:
    """As both lie in the container; the addresses are services of the compose file."""
    promtool = require_program("promtool", package="prometheus")
    for inside, source in mounts("prometheus").items():
        shutil.copy(source, tmp_path / Path(inside).name)

    said = accepted(promtool, "check", "config", tmp_path / "prometheus.yml")

    groups = yaml.safe_load(mounts("prometheus")["/etc/prometheus/prober.rules.yml"].read_text())["groups"]
    assert f"{sum(len(group['rules']) for group in groups)} rules found" in said
    hosts = re.findall(r'targets: \["(\w+):(\d+)"\]', (tmp_path / "prometheus.yml").read_text())
    assert {f"127.0.0.1:{port}:{port}" for _, port in hosts} == {SERVICES[host]["ports"][0] for host, _ in hosts}


def test_alertmanager_accepts_its_example() -> None:
    """By amtool; the alerts that it names are alerts that there are."""
    file = mounts("alertmanager")["/etc/alertmanager/alertmanager.yml"]
    amtool = require_program("amtool", package="prometheus-alertmanager")

    assert "SUCCESS" in accepted(amtool, "check-config", file)
    named = set(re.findall(r"\b(?:NonSni|Sni|Ingress|Prober)\w+", file.read_text()))
    assert named
    assert named <= {name.value for name in RULES}


def test_critical_alerts_go_to_whoever_is_on_call() -> None:
    """As Alertmanager itself routes them."""
    amtool = require_program("amtool", package="prometheus-alertmanager")
    file = DEPLOY / "alertmanager" / "alertmanager.yml"
    for severity, receiver in (("critical", "on-call"), ("warning", "tickets")):
        assert accepted(amtool, "config", "routes", "test", f"--config.file={file}", f"severity={severity}").strip() == receiver


def test_grafana_is_provisioned_with_the_dashboard_and_prometheus() -> None:
    """The provider looks where the dashboard is mounted, and the data source is the service's address."""
    provisioning = mounts("grafana")["/etc/grafana/provisioning"]
    (provider,) = yaml.safe_load((provisioning / "dashboards" / "prober.yml").read_text())["providers"]
    (source,) = yaml.safe_load((provisioning / "datasources" / "prometheus.yml").read_text())["datasources"]

    (dashboard,) = [inside for inside, file in mounts("grafana").items() if file.suffix == ".json"]
    assert Path(dashboard).parent == Path(provider["options"]["path"])
    assert source["url"] == "http://prometheus:9090"
    assert SERVICES["prometheus"]["ports"] == ["127.0.0.1:9090:9090"]
