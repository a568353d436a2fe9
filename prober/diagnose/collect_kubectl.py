"""The cluster as evidence, through ``kubectl``: routes, pods, Secrets' existence, ApigeeIssues, access logs.

Only reading verbs are used, and of a Secret only its name. What the cluster refuses (403) is unknown and is named as such;
it is never taken for absent.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from prober.diagnose.evidence import ClusterFacts, Pod, Secret
from prober.diagnose.findings import SourceReport
from prober.diagnose.manifest import Manifest, read_manifests
from prober.diagnose.overrides import INGRESS_APP

__all__ = ["ClusterReading", "Kubectl", "KubectlError", "read_cluster"]

_SECONDS = 30
_GATEWAY = f"app={INGRESS_APP}"
# An extra gateway of hybrid 1.14 and later, for traffic inside the cluster: it has the same label and is none of the clients' business.
_INTERNAL = "internal-chaining"


class KubectlError(Exception):
    """kubectl is missing, or did not answer; ``denied`` where the cluster refused (403), ``absent`` where it does not know the thing."""

    def __init__(self, text: str, *, denied: bool = False, absent: bool = False) -> None:
        super().__init__(text)
        self.denied = denied
        self.absent = absent


@dataclass(frozen=True, slots=True)
class Kubectl:
    """How to call it. ``context`` None is the current one."""

    namespace: str = "apigee"
    context: str | None = None

    def run(self, *arguments: str) -> str:
        """Standard output of one call. Raises `KubectlError`."""
        program = shutil.which("kubectl")
        if program is None:
            raise KubectlError(
                "kubectl is not in PATH; install it, or give files (kubectl get apigeeroutes -o json > routes.json)"
            )
        try:
            done = subprocess.run(  # noqa: S603
                [program, *self._options(), *arguments], capture_output=True, text=True, timeout=_SECONDS, check=False
            )
        except subprocess.TimeoutExpired:
            raise KubectlError(f"kubectl {arguments[0]} {arguments[1]} did not end within {_SECONDS} s") from None
        except OSError as error:
            raise KubectlError(f"kubectl cannot be run: {error.strerror}") from None
        if done.returncode:
            text = (done.stderr.strip().splitlines() or ["no message"])[-1]
            absent = "NotFound" in text or "doesn't have a resource type" in text
            raise KubectlError(text[:300], denied="Forbidden" in text or "Unauthorized" in text, absent=absent)
        return done.stdout

    def lines(self, *arguments: str) -> Iterator[str]:
        """Standard output line by line, while it comes; what is written to standard error is dropped. Raises `KubectlError`."""
        program = shutil.which("kubectl")
        if program is None:
            raise KubectlError("kubectl is not in PATH")
        command = [program, *self._options(), *arguments]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:  # noqa: S603
            assert process.stdout is not None
            try:
                for line in process.stdout:
                    yield line.decode("utf-8", "replace")
            finally:
                process.terminate()

    def _options(self) -> tuple[str, ...]:
        return (*(() if self.context is None else ("--context", self.context)), "--namespace", self.namespace)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterReading:
    """What was read: manifests for the routes' reader, facts, and a report for each kind of object."""

    manifests: tuple[Manifest, ...]
    facts: ClusterFacts
    reports: tuple[SourceReport, ...]


def read_cluster(kubectl: Kubectl, credentials: Iterable[str] = ()) -> ClusterReading:
    """Read what a diagnosis needs; ``credentials`` are further Secrets to look for, beside those that the routes name."""
    manifests: list[Manifest] = []
    reports: list[SourceReport] = []
    denied: list[str] = []

    def objects(kind: str) -> list[dict[str, Any]] | None:
        """The objects of a kind; None where the cluster does not say."""
        try:
            text = kubectl.run("get", kind, "-o", "json", *(("-l", _GATEWAY) if kind == "pods" else ()))
            items = json.loads(text).get("items", [])
        except (KubectlError, ValueError, AttributeError) as error:
            if isinstance(error, KubectlError) and error.absent:
                reports.append(SourceReport(kind="kubernetes", name=kind, summary="the cluster has no such resource"))
                return None
            denied.append(f"{kind} ({error})" if isinstance(error, KubectlError) else f"{kind} (no JSON)")
            reports.append(SourceReport(kind="kubernetes", name=kind, error=str(error)))
            return None
        if kind.startswith("apigeeroute"):
            manifests.append(read_manifests(f"kubernetes:{kind}", text))
        reports.append(SourceReport(kind="kubernetes", name=kind, summary=f"{len(items)} in namespace {kubectl.namespace}"))
        return [item for item in items if isinstance(item, dict)]

    routes = objects("apigeeroutes") or []
    configs = objects("apigeerouteconfigs") or []
    pods = [pod for each in objects("pods") or [] if (pod := _pod(each)) is not None]
    issues = [text for each in objects("apigeeissues") or [] if (text := _issue(each))]
    names = dict.fromkeys((*credentials, *(name for each in (*routes, *configs) for name in _credentials(each))))
    secrets = [_secret(kubectl, name, denied) for name in names]
    facts = ClusterFacts(
        context=kubectl.context or "current context",
        namespace=kubectl.namespace,
        pods=tuple(pods),
        secrets=tuple(secrets),
        issues=tuple(issues),
        denied=tuple(denied),
    )
    return ClusterReading(manifests=tuple(manifests), facts=facts, reports=tuple(reports))


def _pod(item: dict[str, Any]) -> Pod | None:
    metadata = item.get("metadata", {})
    labels = metadata.get("labels") or {}
    if _INTERNAL in str(labels.get("ingress_name", "")) or _INTERNAL in str(metadata.get("name", "")):
        return None
    conditions = item.get("status", {}).get("conditions") or []
    ready = any(each.get("type") == "Ready" and each.get("status") == "True" for each in conditions)
    return Pod(str(metadata.get("name")), tuple((str(key), str(value)) for key, value in labels.items()), ready)


def _issue(item: dict[str, Any]) -> str:
    spec = item.get("spec", {})
    words = [item.get("metadata", {}).get("name"), spec.get("severity"), spec.get("reason"), spec.get("details")]
    return ", ".join(str(word) for word in words if word)


def _credentials(item: dict[str, Any]) -> Iterator[str]:
    spec = item.get("spec", {})
    for port in spec.get("ports") or []:
        name = (port.get("tls") or {}).get("credentialName")
        if isinstance(name, str):
            yield name


def _secret(kubectl: Kubectl, name: str, denied: list[str]) -> Secret:
    try:
        kubectl.run("get", "secret", name, "-o", "name")
    except KubectlError as error:
        if not error.absent:
            denied.append(f"secret {name} ({error})")
        return Secret(name, kubectl.namespace, False if error.absent else None)
    return Secret(name, kubectl.namespace, True)
