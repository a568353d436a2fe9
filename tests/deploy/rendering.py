"""What kustomize and Helm make of the manifests in ``deploy/``. Neither asks a cluster."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tests.servers.requirements import optional_program, require_module

__all__ = ["CHART", "DEPLOY", "KUBERNETES", "Manifest", "Rendered", "helm", "kustomized", "of_kind"]

DEPLOY = Path(__file__).parents[2] / "deploy"
KUBERNETES = DEPLOY / "kubernetes"
CHART = DEPLOY / "helm" / "prober"

Manifest = dict[str, Any]
Rendered = dict[str, Any]
"""``objects``: list of manifests; ``notes``: NOTES.txt; or ``error``: what Helm complained of."""

# A process of its own: the library brings Go's runtime along, with threads and signal handlers.
_HELM = """
import json, sys
import helm_python as helm
from helm_python.errors import HelmError
request = json.load(sys.stdin)
answers = []
with helm.Chart.load(request["chart"]) as chart:
    for values in request["values"]:
        try:
            answers.append({"files": chart.render(values, name=request["name"], namespace=request["namespace"])})
        except HelmError as error:
            answers.append({"error": str(error)})
json.dump({"answers": answers, "lint": helm.lint(request["chart"])}, sys.stdout)
"""


def of_kind(kind: str, documents: list[Manifest]) -> Manifest:
    """The one object of a kind."""
    (found,) = [document for document in documents if document["kind"] == kind]
    return found


@cache
def _kustomized(directory: Path) -> str:
    kubectl = optional_program("kubectl")
    done = subprocess.run([kubectl, "kustomize", str(directory)], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert "deprecated" not in done.stderr, done.stderr
    return done.stdout


def kustomized(directory: Path) -> list[Manifest]:
    """What ``kubectl kustomize`` makes of a directory."""
    return list(yaml.safe_load_all(_kustomized(directory)))


def helm(
    *values: Manifest, name: str = "prober", namespace: str = "prober", chart: Path = CHART
) -> tuple[list[Rendered], Manifest]:
    """What Helm itself makes of the chart with each of ``values``, and what its lint says."""
    require_module("helm_python", package="helm-python-sdk")
    request = json.dumps({"chart": str(chart), "values": values, "name": name, "namespace": namespace})
    done = subprocess.run([sys.executable, "-c", _HELM], input=request, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    return [_read(answer) for answer in said["answers"]], said["lint"]


def _read(answer: Rendered) -> Rendered:
    if "error" in answer:
        return answer
    files: dict[str, str] = {re.sub(r"^.*/", "", name): text for name, text in answer["files"].items()}
    notes = files.pop("NOTES.txt")
    objects = [document for text in files.values() for document in yaml.safe_load_all(text) if document]
    return {"objects": objects, "notes": notes}
