"""A running service, a real Prometheus with the shipped rules: the alert fires, the panels answer."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Iterator

import pytest

from tests.deploy.test_dashboard import QUERIES
from tests.deploy.test_rules import RULE_FILE
from tests.servers.prometheus import Prometheus, prometheus
from tests.service.process import serving

_SCRAPES = """\
global: {{scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}}
rule_files: [prober.rules.yml]
scrape_configs:
- job_name: prober
  static_configs: [{{targets: ["{service}"]}}]
"""


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Prometheus, str]]:
    """Prometheus, and an address that refuses connections."""
    directory = tmp_path_factory.mktemp("rules")
    shutil.copy(RULE_FILE, directory)
    with socket.socket() as bound:  # bound and not listening: nobody else gets the port, and it refuses
        bound.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{bound.getsockname()[1]}"
        target = {"name": "dark", "addresses": [address], "server_names": ["api.example.com"], "labels": {"team": "edge"}}
        with serving(directory, {"interval": "1s", "timeout": "500ms", "targets": [target]}) as service:
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


def test_every_panel_s_query_answers(scene: tuple[Prometheus, str]) -> None:
    """No query fails on real series, and the panels about faults and verdicts show this one."""
    server, address = scene
    server.query_until("probe_fault_info", bool)
    filled = {where: query.replace("$__rate_interval", "10s").replace("$target", ".+") for where, query in QUERIES.items()}
    answers = {where: server.query(query) for where, query in filled.items()}

    (fault,) = answers["Addresses at fault A"]
    assert fault[0] == {"target": "dark", "address": address, "fault": "unreachable"}
    assert [value for _, value in answers["At fault A"]] == [1]
    assert [value for _, value in answers["As expected A"]] == [0]
    assert [(labels["verdict"], value) for labels, value in answers["Verdicts A"]] == [("unreachable", 1)]
    assert {where for where in answers if not answers[where]} <= {
        # Nothing is presented, discovered or notified here, and whether clients without SNI are served is not known.
        "Certificates, first to end first A",
        "First certificate to end A",
        "Without SNI: served A",
        "Handshake phases A",
        "Handshake phases B",
        "Discovery: age A",
        "Notifications A",
        "Skipped and failed here B",
        # A rate needs two scrapes.
        "Outcomes with the right server name A",
        "Outcomes without server name A",
        "Outcomes with an unknown server name A",
        "Handshakes, all phases A",
        "Lateness A",
        "Skipped and failed here A",
    }
