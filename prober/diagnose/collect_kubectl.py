"""The cluster through ``kubectl``, as its user is logged in. Only reading verbs are used, and of a Secret only that it is there."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from prober.diagnose.cluster import ClusterError
from prober.diagnose.overrides import INGRESS_APP

__all__ = ["Kubectl"]

_SECONDS = 30
_GATEWAY = f"app={INGRESS_APP}"


@dataclass(frozen=True, slots=True)
class Kubectl:
    """How to call it. ``context`` None is the current one."""

    namespace: str = "apigee"
    context: str | None = None

    @property
    def installed(self) -> bool:
        """Whether there is a ``kubectl`` to ask."""
        return shutil.which("kubectl") is not None

    def run(self, *arguments: str) -> str:
        """Standard output of one call. Raises `ClusterError`."""
        program = shutil.which("kubectl")
        if program is None:
            raise ClusterError(
                "kubectl is not in PATH; install it, or give files (kubectl get apigeeroutes -o json > routes.json)",
                unreachable=True,
            )
        try:
            done = subprocess.run(  # noqa: S603
                [program, *self._options(), *arguments],
                capture_output=True,
                encoding="utf-8",  # what kubectl writes in every locale
                errors="replace",
                timeout=_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise ClusterError(
                f"kubectl {arguments[0]} {arguments[1]} did not end within {_SECONDS} s", unreachable=True
            ) from None
        except OSError as error:
            raise ClusterError(f"kubectl cannot be run: {error.strerror}", unreachable=True) from None
        if done.returncode:
            text = (done.stderr.strip().splitlines() or ["no message"])[-1]
            absent = "NotFound" in text or "doesn't have a resource type" in text
            refused = "Forbidden" in text or "forbidden" in text
            raise ClusterError(f"kubectl: {text[:300]}", absent=absent, unreachable=not absent and not refused)
        return done.stdout

    def objects(self, kind: str) -> list[Mapping[str, Any]]:
        """All objects of a kind in the namespace, pods those of the ingress gateway. Raises `ClusterError`."""
        text = self.run("get", kind, "-o", "json", *(("-l", _GATEWAY) if kind == "pods" else ()))
        try:
            items = json.loads(text).get("items", [])
        except (ValueError, AttributeError):
            raise ClusterError(f"kubectl get {kind} -o json printed no JSON object") from None
        return [item for item in items if isinstance(item, dict)]

    def find_secret(self, name: str) -> None:
        """Return if the Secret is there. Raises `ClusterError`.

        In the form for people kubectl asks for the table alone, so that what the Secret holds does not leave the server.
        """
        self.run("get", "secret", name, "--no-headers")

    def gateway_logs(self, since: str) -> Iterator[str]:
        """The lines of all containers of the ingress gateway's pods, each behind its pod's name. Raises `ClusterError`."""
        selector = ("-l", _GATEWAY, "--all-containers", "--prefix", "--tail=-1", "--max-log-requests=50")
        return self.lines("logs", *selector, f"--since={since}")

    def lines(self, *arguments: str) -> Iterator[str]:
        """Standard output line by line, while it comes. Raises `ClusterError`, also behind what was read, where it ends badly."""
        program = shutil.which("kubectl")
        if program is None:
            raise ClusterError("kubectl is not in PATH")
        command = [program, *self._options(), *arguments]
        # A file, since a pipe that nobody reads would hold it up.
        with (
            tempfile.TemporaryFile() as said,
            subprocess.Popen(command, stdout=subprocess.PIPE, stderr=said) as process,  # noqa: S603
        ):
            assert process.stdout is not None
            try:
                for line in process.stdout:
                    yield line.decode("utf-8", "replace").rstrip("\r\n")
            finally:
                process.terminate()
            if process.wait():
                said.seek(0)
                text = said.read(4096).decode("utf-8", "replace").strip().splitlines() or ["no message"]
                raise ClusterError(f"kubectl: {text[-1][:300]}")

    def _options(self) -> tuple[str, ...]:
        return (*(() if self.context is None else ("--context", self.context)), "--namespace", self.namespace)
