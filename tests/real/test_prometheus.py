"""A real Prometheus scrapes the service: what it stores is what the ingresses do."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from typing import NamedTuple

import httpx
import pytest

from prober.model import Endpoint, Verdict
from tests.servers.fleets import SERVERS, Fleets
from tests.servers.material import KNOWN
from tests.servers.prometheus import Prometheus, prometheus
from tests.servers.requirements import require_program
from tests.servers.service import serving

_INGRESSES = {
    "reset": ("envoy", "names-only", Verdict.NON_SNI_RESET),
    "wildcard": ("envoy", "wildcard-route", Verdict.OK),
    "reset-v6": ("envoy", "ipv6-names-only", Verdict.NON_SNI_RESET),
    "strict": ("nginx", "reject-handshake", Verdict.NON_SNI_REJECTED),
    "expired": ("nginx", "expired", Verdict.CERTIFICATE_INVALID),
    "http": ("nginx", "plain-http", Verdict.TLS_FAILING),
}
"""Target name to server, listener, and what it deserves."""
INGRESSES = {name: row for name, row in _INGRESSES.items() if row[1] in SERVERS[row[0]]}

_SERVICE = """\
interval: 2s
timeout: 1500ms
modules:
  default: {{ca_file: {ca}}}
targets:
{targets}
"""
_TARGET = '- {{name: {name}, addresses: ["{place}"], server_names: [{known}], labels: {{team: edge}}{policy}}}'

_SCRAPES = """\
global: {{scrape_interval: 1s, scrape_timeout: 1s}}
scrape_configs:
- job_name: prober
  static_configs: [{{targets: ["{service}"]}}]
- job_name: probe
  metrics_path: /probe
  scrape_interval: 5s
  scrape_timeout: 5s
  params: {{hostname: [{known}]}}
  static_configs: [{{targets: {places}}}]
  relabel_configs:
  - {{source_labels: [__address__], target_label: __param_target}}
  - {{source_labels: [__param_target], target_label: instance}}
  - {{target_label: __address__, replacement: "{service}"}}
"""


class Scene(NamedTuple):
    """The service and the Prometheus that scrapes it."""

    service: Endpoint
    prometheus: Prometheus
    places: dict[str, str]
    """Target name to ``ip:port``."""


@pytest.fixture(scope="module")
def scene(fleets: Fleets, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """``prober serve`` watching real ingresses, and Prometheus watching it, each from a file as an operator writes it."""
    directory = tmp_path_factory.mktemp("prometheus")
    places = {name: str(fleets[server].endpoints[listener]) for name, (server, listener, _) in INGRESSES.items()}
    policies = {"strict": ", expect: {non_sni: rejected}"}
    targets = [
        _TARGET.format(name=name, place=place, known=KNOWN, policy=policies.get(name, "")) for name, place in places.items()
    ]
    configuration = _SERVICE.format(ca=fleets.material.ca_file, targets="\n".join(targets))
    with serving(directory, configuration) as service:
        scrapes = _SCRAPES.format(service=service, known=KNOWN, places=list(places.values()))
        with prometheus(directory, scrapes) as server:
            yield Scene(service, server, places)


def test_verdicts_arrive_in_prometheus(scene: Scene) -> None:
    """One ``probe_verdict_info`` a target, with the target's labels and the verdict that the ingress deserves."""
    samples = scene.prometheus.query_until('probe_verdict_info{job="prober"}', lambda got: len(got) == len(INGRESSES))
    assert {labels["target"]: labels["verdict"] for labels, _ in samples} == {
        name: verdict for name, (_, _, verdict) in INGRESSES.items()
    }
    assert {labels["target"]: labels["address"] for labels, _ in samples} == scene.places
    assert {labels["team"] for labels, _ in samples} == {"edge"}
    assert {value for _, value in samples} == {1.0}


def test_what_a_policy_asks_for_is_expected(scene: Scene) -> None:
    """Only the healthy ingress and the one that is meant to reject are as expected."""
    samples = scene.prometheus.query_until('probe_verdict_expected{job="prober"}', lambda got: len(got) == len(INGRESSES))
    assert {labels["target"] for labels, value in samples if value == 1} == {"wildcard", "strict"}


def test_counters_count(scene: Scene) -> None:
    """Handshakes are counted by outcome, and go on being counted."""
    expression = 'probe_handshakes_total{job="prober", target="reset", sni="none", outcome="reset"}'
    (sample,) = scene.prometheus.query_until(expression, lambda got: bool(got) and got[0][1] >= 1)
    (later,) = scene.prometheus.query_until(expression, lambda got: got[0][1] > sample[1])
    assert later[0]["address"] == scene.places["reset"]
    assert "server_name" not in later[0]  # to Prometheus, an empty label is no label


def test_the_probe_endpoint_serves_prometheus_as_blackbox_exporter_does(scene: Scene) -> None:
    """The usual relabelling works; the configured targets are allowed and judged with their own settings."""
    samples = scene.prometheus.query_until('probe_verdict_info{job="probe"}', lambda got: len(got) == len(INGRESSES))
    names = {place: name for name, place in scene.places.items()}
    assert {names[labels["instance"]]: labels["verdict"] for labels, _ in samples} == {
        name: verdict for name, (_, _, verdict) in INGRESSES.items()
    }
    successes = scene.prometheus.query('probe_success{job="probe"}')
    assert {names[labels["instance"]] for labels, value in successes if value == 1} == {"wildcard", "strict"}


def test_every_scrape_succeeds(scene: Scene) -> None:
    """Prometheus parses all that it is given, in the format that it negotiates."""
    samples = scene.prometheus.query_until("up", lambda got: len(got) == 1 + len(INGRESSES))
    assert {value for _, value in samples} == {1.0}


@pytest.mark.parametrize("path", ["/metrics", "/probe?target={place}"])
def test_promtool_finds_nothing_to_complain_about(path: str, scene: Scene) -> None:
    """``promtool check metrics`` is silent about both pages."""
    promtool = require_program("promtool", package="prometheus")
    page = httpx.get(f"http://{scene.service}{path.format(place=scene.places['reset'])}", trust_env=False, timeout=20)
    assert page.status_code == 200
    checked = subprocess.run([promtool, "check", "metrics"], input=page.content, capture_output=True, timeout=30, check=False)
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, b"")
