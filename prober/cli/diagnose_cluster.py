"""The cluster through its API, as discovery speaks it; through kubectl only where there is no way to the API and kubectl is there."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import trio

from prober.cli.diagnose import since_seconds
from prober.diagnose.cluster import ClusterError
from prober.diagnose.collect_kubectl import Kubectl
from prober.diagnose.overrides import INGRESS_APP
from prober.discovery.kubernetes_client import Client, Refused, Silent, Unknown, list_objects
from prober.sources import SourceError

__all__ = ["ApiServer"]

_APIGEE = "apigee.cloud.google.com/v1alpha1"
_CORE = "v1"
_MOST_LOG = 256 * 1024 * 1024
"""Bytes of one container's log; 350,000 entries. They are kept on disk while they are counted."""
_MOST_SILENT = 3
"""Containers whose log never comes, after which no other is waited for: of a node that is gone there may be hundreds."""
_BLOCK = 1024 * 1024


class ApiServer:
    """Reads objects and logs with discovery's client, which needs no program beside prober.

    Once the API cannot be asked that way, ``kubectl`` is asked for everything, where there is one: it may know another way in.
    """

    def __init__(self, kubectl: Kubectl) -> None:
        self._kubectl = kubectl
        self._client = Client(_kubeconfig(), kubectl.context)
        self._failed: str | None = None
        self._pods: tuple[Mapping[str, Any], ...] = ()

    @property
    def namespace(self) -> str:
        """The namespace of the installation."""
        return self._kubectl.namespace

    @property
    def context(self) -> str | None:
        """The kubeconfig's context; None: the current one."""
        return self._kubectl.context

    @property
    def way(self) -> str:
        """How the cluster was asked, for people."""
        if self._failed is not None:
            return f"kubectl, because {self._failed}"
        return f"the API server ({', '.join(_kubeconfig() or ('by the service account of this pod',))})"

    def objects(self, kind: str) -> Sequence[Mapping[str, Any]]:
        """All objects of a kind in the namespace. Raises `ClusterError`."""
        if self._failed is not None:
            return self._kubectl.objects(kind)
        group = _CORE if kind == "pods" else _APIGEE
        try:
            found = trio.run(list_objects, self._client, group, kind, self.namespace)
        except Refused as error:
            raise ClusterError(str(error)) from None
        except SourceError as error:
            self._give_up(error)
            try:
                return self._kubectl.objects(kind)
            except ClusterError as second:
                if not second.unreachable:
                    raise
                raise ClusterError(f"{error}; and {second}", unreachable=True) from None
        if isinstance(found, Unknown):
            raise ClusterError(found.reason, absent=not found.forbidden)
        if kind != "pods":
            return found
        self._pods = tuple(each for each in found if _is_gateway(each))
        return self._pods

    def find_secret(self, name: str) -> None:
        """Return if the Secret is there: only its metadata is asked for, and sent. Raises `ClusterError`."""
        if self._failed is not None:
            self._kubectl.find_secret(name)
            return
        try:
            found = trio.run(self._client.metadata, _CORE, "secrets", self.namespace, name)
        except SourceError as error:
            # An API server that cannot leave the contents out is not asked in another way.
            raise ClusterError(str(error), unreachable=not isinstance(error, Refused)) from None
        if isinstance(found, Unknown):
            raise ClusterError(found.reason, absent=not found.forbidden)

    def logs(self, since: str) -> Iterator[str]:
        """The logs of the gateway's pods in blocks of whole lines, each line behind its pod's name. Raises `ClusterError`.

        A container that does not give its log is named at the end; the others are read all the same.
        """
        if self._failed is not None:
            yield from self._kubectl.gateway_logs(since)
            return
        containers = [
            (str(pod["metadata"]["name"]), str(container["name"]))
            for pod in self._pods or self.objects("pods")
            for container in (pod.get("spec") or {}).get("containers") or ()
        ]
        problems: list[str] = []
        silent = 0
        for number, (name, container) in enumerate(containers):
            if silent == _MOST_SILENT:
                problems.append(f"{len(containers) - number} more containers were not asked after {silent} silent ones")
                break
            with tempfile.TemporaryFile() as file:
                try:
                    trio.run(self._fetch, name, container, since_seconds(since), file)
                except Refused as error:
                    problems.append(str(error))
                except SourceError as error:
                    problems.append(f"{name}: {error}")
                    silent += isinstance(error, Silent)
                if file.tell() >= _MOST_LOG:
                    problems.append(f"{name}: its log is longer than {_MOST_LOG >> 20} MiB, and was read as far")
                yield from _blocks(file, f"[pod/{name}/{container}] ")
        if problems:
            told = [problems[0], *([problems[-1]] if silent == _MOST_SILENT and len(problems) > 1 else [])]
            more = f" (and {len(problems) - len(told)} more)" if len(problems) > len(told) else ""
            raise ClusterError(f"{'; '.join(told)}{more}")

    async def _fetch(self, pod: str, container: str, since: int, file: IO[bytes]) -> None:
        async for part in self._client.pod_log(self.namespace, pod, container, since=since, limit=_MOST_LOG):
            file.write(part)

    def _give_up(self, error: SourceError) -> None:
        if not self._kubectl.installed:
            raise ClusterError(str(error), unreachable=True) from None
        self._failed = str(error)


def _blocks(file: IO[bytes], prefix: str) -> Iterator[str]:
    file.seek(0)
    while lines := file.readlines(_BLOCK):
        yield "\n".join(prefix + line.decode("utf-8", "replace").rstrip("\r\n") for line in lines)


def _kubeconfig() -> tuple[str, ...] | None:
    """The files that kubectl would read; None within a pod. Where there is none it is still named, so that its absence is told."""
    named = tuple(file for file in os.environ.get("KUBECONFIG", "").split(os.pathsep) if file)
    # As client-go: of several files those that are not there are passed over, and without any a pod has its service account.
    if found := tuple(file for file in named if os.path.isfile(file)):  # noqa: PTH113 - also where nobody lets us look
        return found
    if "KUBERNETES_SERVICE_HOST" in os.environ:
        return None
    return named[:1] or (str(Path.home() / ".kube" / "config"),)


def _is_gateway(pod: Mapping[str, Any]) -> bool:
    labels = (pod.get("metadata") or {}).get("labels")
    return isinstance(labels, dict) and labels.get("app") == INGRESS_APP
