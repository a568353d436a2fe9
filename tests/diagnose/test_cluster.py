"""The cluster through kubectl: what is there, what is not, and what it refuses to say."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
import yaml

from prober.diagnose.cluster import ClusterReading, read_cluster
from prober.diagnose.collect_kubectl import Kubectl
from prober.diagnose.manifest import read_manifests
from prober.diagnose.routes import read_routes
from prober.findings import Confidence
from tests.diagnose.evidence_samples import GROUP, WILDCARD, probe, told

# Answers as kubectl 1.28 words them, to the arguments that are asked: a table of (end of the command line, status, output).
_SCRIPT = """#!/bin/sh
case "$*" in
{cases}
*) echo "error: unexpected: $*" >&2; exit 1;;
esac
"""


@pytest.fixture
def kubectl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Kubectl:
    """A kubectl that answers from files which `answer` writes."""
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return Kubectl(namespace="apigee")


def answers(directory: Path, rows: dict[str, tuple[int, str]]) -> None:
    cases = []
    for number, (words, (status, text)) in enumerate(rows.items()):
        (directory / f"answer{number}").write_text(text)
        cases.append(f'*"{words}"*) cat {directory}/answer{number} >&{2 if status else 1}; exit {status};;')
    program = directory / "kubectl"
    program.write_text(_SCRIPT.format(cases="\n".join(cases)))
    program.chmod(program.stat().st_mode | stat.S_IXUSR)


def listing(*objects: object) -> tuple[int, str]:
    return 0, json.dumps({"kind": "List", "items": list(objects)})


def pod(name: str, **labels: str) -> dict[str, object]:
    return {
        "metadata": {"name": name, "labels": {"app": "apigee-ingressgateway", **labels}},
        "status": {"conditions": [{"type": "Ready", "status": "True"}]},
    }


ROUTES = {
    "get apigeeroutes": listing(yaml.safe_load(GROUP), yaml.safe_load(WILDCARD)),
    "get apigeerouteconfigs": (1, 'error: the server doesn\'t have a resource type "apigeerouteconfigs"'),
    "get pods": listing(pod("edge-a-1", ingress_name="edge-a"), pod("chain-1", ingress_name="internal-chaining-x")),
    "get apigeeissues": (1, 'Error from server (Forbidden): apigeeissues is forbidden: User "me" cannot list resource'),
    "get secret acme-hyb-prod-grp --no-headers": (1, 'Error from server (NotFound): secrets "acme-hyb-prod-grp" not found'),
}


def read(kubectl: Kubectl, directory: Path, **more: tuple[int, str]) -> ClusterReading:
    given = {words.replace("_", " "): answer for words, answer in more.items()}
    answers(directory, {**given, **ROUTES, **given})  # the first that fits answers
    return read_cluster(kubectl)


def test_routes_pods_and_secrets_are_read(kubectl: Kubectl, tmp_path: Path) -> None:
    """All routes of the namespace, the pods of the ingress but the internal ones, and which Secrets are not there."""
    reading = read(kubectl, tmp_path)
    facts = read_routes(reading.manifests)

    assert facts.complete
    assert ["acme-hyb-prod-grp-000-1a2b3c4", "fallback-no-sni"] == [route.name for route in facts.routes]
    assert [("edge-a-1", True)] == [(each.name, each.ready) for each in reading.facts.pods]
    assert [("acme-hyb-prod-grp", False)] == [(each.name, each.present) for each in reading.facts.secrets]


def test_what_is_refused_is_unknown_and_named(kubectl: Kubectl, tmp_path: Path) -> None:
    """403 is never taken for absent, and a resource that the cluster does not have is no error."""
    refused = (1, "Error from server (Forbidden): secrets is forbidden")
    reading = read(kubectl, tmp_path, get_secret=refused)

    assert [None] == [each.present for each in reading.facts.secrets]
    assert ["apigeeissues", "secret acme-hyb-prod-grp"] == [each.partition(" (")[0] for each in reading.facts.denied]
    assert {"apigeeissues": False, "apigeerouteconfigs": True} == {
        each.name: each.error is None for each in reading.reports if each.name in {"apigeeissues", "apigeerouteconfigs"}
    }


def test_a_cluster_that_cannot_be_asked_is_said_once(kubectl: Kubectl, tmp_path: Path) -> None:
    """Not once for each kind of object; and no routes are taken from silence."""
    reading = read(kubectl, tmp_path, get=(1, "The connection to the server localhost:8080 was refused"))

    assert ["cluster"] == [each.name for each in reading.reports]
    assert () == reading.manifests


def test_a_missing_kubectl_is_a_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says what to do instead."""
    monkeypatch.setenv("PATH", str(tmp_path))

    [report] = read_cluster(Kubectl()).reports

    assert "kubectl is not in PATH" in str(report.error)
    assert "routes.json" in str(report.error)


def test_what_is_no_utf_8_costs_a_character_and_not_the_cluster(kubectl: Kubectl, tmp_path: Path) -> None:
    """As a plugin's message in another encoding is."""
    answers(tmp_path, {"get pods": listing()})
    (tmp_path / "answer0").write_bytes(b'{"items": [{"kind": "Pod", "metadata": {"name": "edge-\xe9"}}]}')

    [found] = kubectl.objects("pods")
    assert "edge-\ufffd" == found["metadata"]["name"]


def test_what_the_cluster_says_names_the_object_and_no_line(kubectl: Kubectl, tmp_path: Path) -> None:
    """A line of the API's JSON is of no use to anybody."""
    broken = WILDCARD.replace("enableNonSniClient: true", "enableNonSniClient: false")
    reading = read(kubectl, tmp_path, get_apigeeroutes=listing(yaml.safe_load(GROUP), yaml.safe_load(broken)))

    finding = told(probes=probe("certificate", "reset"), routes=read_routes(reading.manifests), cluster=reading.facts)["flag-off"]

    assert ("kubernetes", "apigeeroute/fallback-no-sni", None) in [
        (each.source, each.file, each.line) for each in finding.evidence
    ]
    assert Confidence.CONFIRMED is finding.confidence


def test_a_list_of_route_configurations_says_nothing_about_routes() -> None:
    """Where routes are refused (403) and their configurations are not, no route is not known to be missing."""
    configs = read_manifests("kubernetes:apigeerouteconfigs", '{"kind": "ApigeeRouteConfigList", "items": []}')
    routes = read_manifests("kubernetes:apigeeroutes", '{"kind": "ApigeeRouteList", "items": []}')
    assert not read_routes([configs]).complete
    assert read_routes([configs, routes]).complete
