"""Every manifest is valid by the published schemas, and a field that is wrong is found."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from tests.deploy.rendering import KUBERNETES, Manifest, kustomized, of_kind
from tests.deploy.schemas import InvalidDocument, require_manifests

DIRECTORIES = ["base", "overlays/sharded"]


@pytest.mark.parametrize("directory", DIRECTORIES)
def test_what_kustomize_renders_is_valid(directory: str) -> None:
    """Core kinds by the OpenAPI schemas of a Kubernetes release, the operator's by its definitions."""
    rendered = kustomized(KUBERNETES / directory)

    assert len(rendered) >= 10
    require_manifests(rendered)


def planted(kind: str, path: tuple[str | int, ...], value: object) -> Manifest:
    """An object of the sharded overlay, or of the base, with something else at a path."""
    documents = kustomized(KUBERNETES / ("base" if kind in {"Deployment", "ServiceMonitor"} else "overlays/sharded"))
    document = copy.deepcopy(of_kind(kind, documents))
    place: Any = document
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    return document


@pytest.mark.parametrize(
    ("kind", "path", "value"),
    [
        ("Deployment", ("spec", "template", "spec", "containers", 0, "readOnlyRootFileSystem"), True),
        ("Deployment", ("spec", "replicas"), "two"),
        ("StatefulSet", ("spec", "volumeClaimTemplate"), []),
        ("StatefulSet", ("spec", "template", "spec", "containers", 0, "livenessProbe", "httpGet", "url"), "/"),
        ("Service", ("spec", "ports", 0, "port"), "http"),
        ("NetworkPolicy", ("spec", "ingress", 0, "form"), []),
        ("PodDisruptionBudget", ("spec", "maxUnavailible"), 1),
        ("ClusterRole", ("rules", 0, "verb"), ["list"]),
        ("ClusterRoleBinding", ("roleRef", "namespace"), "prober"),
        ("ServiceMonitor", ("spec", "endpoints", 0, "relabelings", 0, "source_labels"), ["pod"]),
        ("ServiceMonitor", ("spec", "endpoints", 0, "interval"), "15 s"),
        ("PodMonitor", ("spec", "endpoints"), []),
        ("PodMonitor", ("spec", "podMetricsEndpoints", 0, "relabelings", 0, "action"), "remove"),
        ("PrometheusRule", ("spec", "groups", 0, "rules", 0, "exp"), "1"),
        ("PrometheusRule", ("spec", "groups", 0, "rules", 1, "keep_firing_for"), "half a minute"),
    ],
)
def test_a_field_that_is_wrong_is_found(kind: str, path: tuple[str | int, ...], value: object) -> None:
    """Misspelt, misplaced, of another type, or not in the form that is asked for."""
    with pytest.raises(InvalidDocument, match=kind):
        require_manifests([planted(kind, path, value)])
