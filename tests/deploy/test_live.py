"""A running service, a real Prometheus with the shipped rules: the alert fires, the panels answer."""

from __future__ import annotations

import re
import shutil
import socket
import sys
from collections.abc import Iterator

import pytest
import yaml

from tests.deploy.test_dashboard import DASHBOARD, QUERIES
from tests.deploy.test_rules import RULE_FILE
from tests.servers.ports import Ports
from tests.servers.processes import running
from tests.servers.prometheus import Prometheus, prometheus
from tests.service.process import serving

NOTHING_TO_SHOW = {"Skipped and failed here B"}
"""Panels about errors of this host, of which there are none."""

_SCRAPES = """\
global: {{scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}}
rule_files: [prober.rules.yml]
scrape_configs:
- job_name: prober
  static_configs: [{{targets: ["{service}"]}}]
"""


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Prometheus, str]]:
    """Prometheus, and an address that refuses connections; beside it a healthy ingress, found by discovery, and a deaf Alertmanager."""
    directory = tmp_path_factory.mktemp("rules")
    shutil.copy(RULE_FILE, directory)
    with Ports() as ports, socket.socket() as bound:  # bound and not listening: nobody else gets the port, and it refuses
        bound.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{bound.getsockname()[1]}"
        healthy = ports.take()
        lab = [sys.executable, "-m", "prober", "lab", "--listener", "healthy=healthy", "--port", str(healthy.port)]
        lab += ["--directory", str(directory / "lab"), "--control-port", "0"]
        found = {"name": "bright", "addresses": [str(healthy)], "server_names": ["api.lab.test"], "module": "lab"}
        (directory / "found.yml").write_text(yaml.safe_dump([found]))
        document = {
            "interval": "1s",
            "timeout": "500ms",
            "modules": {"lab": {"ca_file": str(directory / "lab" / "ca.pem")}},
            "targets": [
                {"name": "dark", "addresses": [address], "server_names": ["api.example.com"], "labels": {"team": "edge"}}
            ],
            "discovery": [{"files": ["found.yml"]}],
            "alerting": {"alertmanagers": [f"http://{address}"]},
        }
        with (
            running(lab, directory=directory, accepting=[healthy], name="lab"),
            serving(directory, document) as service,
        ):
            service.wait_ready()
            scrapes = _SCRAPES.format(service=service.url.removeprefix("http://").rstrip("/"))
            with prometheus(directory, scrapes) as server:
                yield server, address


def test_the_alert_fires_with_the_labels_of_the_service_s_own(scene: tuple[Prometheus, str]) -> None:
    """Identity is alertname, severity, target, address and the target's labels; nothing of the scrape."""
    server, address = scene
    (sample,) = server.query_until('ALERTS{alertstate="firing", alertname!~"Prober.*"}', bool)
    labels = {name: value for name, value in sample[0].items() if name not in {"__name__", "alertstate"}}

    assert labels == {
        "alertname": "IngressUnreachable",
        "severity": "critical",
        "target": "dark",
        "address": address,
        "team": "edge",
    }


def filled(query: str) -> str:
    """A query as Grafana sends it when all targets are chosen."""
    return query.replace("$__rate_interval", "10s").replace("$target", ".+")


@pytest.mark.parametrize("panel", sorted(set(QUERIES) - NOTHING_TO_SHOW))
def test_every_panel_shows_something(panel: str, scene: tuple[Prometheus, str]) -> None:
    """Its query answers with series of a running service."""
    server, _ = scene

    assert server.query_until(filled(QUERIES[panel]), bool)


def test_panels_about_what_does_not_happen_here_are_empty_without_an_error(scene: tuple[Prometheus, str]) -> None:
    """Handshakes that fail on the prober's own host."""
    server, _ = scene
    for panel in NOTHING_TO_SHOW:
        assert server.query(filled(QUERIES[panel])) == [], panel


def test_the_panels_about_faults_show_this_one(scene: tuple[Prometheus, str]) -> None:
    """Who is at fault, why, and how many are not."""
    server, address = scene
    server.query_until('probe_verdict_info{target="bright", verdict="ok"}', bool)
    server.query_until("probe_fault_info", lambda samples: len(samples) == 1)

    answers = {
        where: server.query(filled(QUERIES[where]))
        for where in ("Addresses at fault A", "At fault A", "As expected A", "Verdicts A")
    }

    (fault,) = answers["Addresses at fault A"]
    assert fault[0] == {"target": "dark", "address": address, "fault": "unreachable"}
    assert [value for _, value in answers["At fault A"]] == [1]
    assert [value for _, value in answers["As expected A"]] == [1]
    assert sorted((labels["verdict"], value) for labels, value in answers["Verdicts A"]) == [("ok", 1), ("unreachable", 1)]


def test_the_variable_offers_the_targets_and_restricts_the_panels(scene: tuple[Prometheus, str]) -> None:
    """`label_values(METRIC, LABEL)` is what the label has in Prometheus; the other variable is the data source."""
    server, _ = scene
    variables = {each["name"]: each for each in DASHBOARD["templating"]["list"]}
    assert {name: each["type"] for name, each in variables.items()} == {"datasource": "datasource", "target": "query"}
    asked = re.fullmatch(r"label_values\((\w+), (\w+)\)", variables["target"]["query"]["query"])
    assert asked is not None

    offered = server.query_until(f"group by ({asked[2]}) ({asked[1]})", lambda samples: len(samples) == 2)

    assert {labels[asked[2]] for labels, _ in offered} == {"bright", "dark"}
    (only,) = server.query(QUERIES["Verdicts A"].replace("$target", "(dark)"))
    assert only[0]["verdict"] == "unreachable"
