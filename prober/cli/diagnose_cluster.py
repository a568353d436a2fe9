"""The cluster through its API, as discovery speaks it; through kubectl what that cannot do, or where there is no way to the API."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import trio

from prober.diagnose.cluster import ClusterError
from prober.diagnose.collect_kubectl import Kubectl
from prober.diagnose.overrides import INGRESS_APP
from prober.discovery.kubernetes_client import Client, Unknown, list_objects
from prober.sources import SourceError

__all__ = ["ApiServer"]

_APIGEE = "apigee.cloud.google.com/v1alpha1"
_CORE = "v1"


class ApiServer:
    """Reads objects with discovery's client, which needs no program beside prober; asks ``kubectl`` where that fails."""

    def __init__(self, kubectl: Kubectl) -> None:
        self._kubectl = kubectl
        self._client = Client(_kubeconfig(), kubectl.context)

    @property
    def namespace(self) -> str:
        """The namespace of the installation."""
        return self._kubectl.namespace

    @property
    def context(self) -> str | None:
        """The kubeconfig's context; None: the current one."""
        return self._kubectl.context

    def objects(self, kind: str) -> Sequence[Mapping[str, Any]]:
        """All objects of a kind in the namespace. Raises `ClusterError`."""
        group = _CORE if kind == "pods" else _APIGEE
        try:
            found = trio.run(list_objects, self._client, group, kind, self.namespace)
        except SourceError as error:
            if not self._kubectl.installed:
                raise ClusterError(str(error), unreachable=True) from None
            return self._kubectl.objects(kind)
        if isinstance(found, Unknown):
            raise ClusterError(found.reason, absent=not found.forbidden)
        return [each for each in found if kind != "pods" or _is_gateway(each)]

    def find_secret(self, name: str) -> None:
        """Return if the Secret is there. Raises `ClusterError`. The API would send the Secret itself; kubectl prints its name."""
        self._kubectl.find_secret(name)


def _kubeconfig() -> str | None:
    """The file that kubectl would read first; None within a pod, and where there is none."""
    named = os.environ.get("KUBECONFIG", "").split(os.pathsep)[0]
    if not named and "KUBERNETES_SERVICE_HOST" in os.environ:
        return None
    path = Path(named) if named else Path.home() / ".kube" / "config"
    return str(path) if path.is_file() else None


def _is_gateway(pod: Mapping[str, Any]) -> bool:
    labels = (pod.get("metadata") or {}).get("labels") or {}
    return labels.get("app") == INGRESS_APP
