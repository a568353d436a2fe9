"""kubeconfig's exec plugins: a program that prints credentials (client.authentication.k8s.io/v1 and v1beta1). All functions block.

A plugin is somebody else's program: it may be missing, hang, leave children behind that hold its output open, or print without end.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import IO, Any

from prober.sources import SourceError

__all__ = ["Credentials", "run_plugin"]

PLUGIN_SECONDS = 30.0
OUTPUT_LIMIT = 1024 * 1024
"""Bytes of an ExecCredential: a token or a certificate chain with its key."""
_API = "client.authentication.k8s.io/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """What a plugin said."""

    token: str | None = field(default=None, repr=False)
    certificate: bytes | None = field(default=None, repr=False)
    key: bytes | None = field(default=None, repr=False)
    expires: float | None = None
    """Unix time in seconds; None: not before the server refuses them."""


def run_plugin(path: Path, plugin: Mapping[str, Any], cluster: Mapping[str, Any], environment: Mapping[str, str]) -> Credentials:
    """Run what ``plugin`` (a user's ``exec``, in the kubeconfig at ``path``) describes.

    `SourceError` says what is wrong with it, and repeats neither its arguments nor what it printed: both may hold a secret.
    """
    version, command = str(plugin.get("apiVersion", "")), str(plugin.get("command") or "")
    if version not in {f"{_API}v1", f"{_API}v1beta1"} or not command:
        raise SourceError(f"{path}: the exec plugin needs a command and the apiVersion {_API}v1 or {_API}v1beta1")
    if plugin.get("interactiveMode") == "Always":
        raise SourceError(f"{path}: {command} wants a person to talk to (interactiveMode: Always); a service has none")
    if "/" in command:
        command = str(path.parent / command)  # relative ones are relative to the kubeconfig, as in client-go
    asked: dict[str, Any] = {"apiVersion": version, "kind": "ExecCredential", "spec": {"interactive": False}}
    if plugin.get("provideClusterInfo") is True:
        known = {"server", "tls-server-name", "insecure-skip-tls-verify", "certificate-authority-data", "proxy-url"}
        asked["spec"]["cluster"] = {key: value for key, value in cluster.items() if key in known}
    arguments = plugin.get("args")
    printed = _output(
        path,
        [command, *map(str, arguments if isinstance(arguments, list) else ())],
        {**environment, **_more(plugin), "KUBERNETES_EXEC_INFO": json.dumps(asked)},
        str(plugin.get("installHint") or ""),
    )
    try:
        credential = json.loads(printed)
        if credential["apiVersion"] != version or credential["kind"] != "ExecCredential":
            raise SourceError(f"{path}: {command} answered another kind or apiVersion than ExecCredential of {version}")
        return _credentials(credential["status"])
    except (ValueError, KeyError, TypeError, RecursionError):
        raise SourceError(f"{path}: {command} printed no ExecCredential with a token, or a certificate and its key") from None


def _more(plugin: Mapping[str, Any]) -> dict[str, str]:
    listed = plugin.get("env")
    entries = [each for each in listed if isinstance(each, dict)] if isinstance(listed, list) else []
    return {str(each["name"]): str(each["value"]) for each in entries if {"name", "value"} <= each.keys()}


def _credentials(status: Any) -> Credentials:
    """``ValueError``, ``KeyError`` or ``TypeError`` when it holds none."""
    if not isinstance(status, dict):
        raise TypeError
    token, certificate, key = (status.get(name) for name in ("token", "clientCertificateData", "clientKeyData"))
    if (certificate is None) != (key is None) or (token is None and certificate is None):
        raise ValueError
    if not all(each is None or (isinstance(each, str) and each) for each in (token, certificate, key)):
        raise TypeError
    if token is not None and not token.isprintable():
        raise ValueError
    expires = status.get("expirationTimestamp")
    return Credentials(
        token=token,
        certificate=certificate and certificate.encode(),
        key=key and key.encode(),
        expires=None if expires is None else datetime.fromisoformat(expires).timestamp(),
    )


def _output(path: Path, command: list[str], environment: Mapping[str, str], hint: str) -> bytes:
    """What it prints. `SourceError` when it does not end well, and in time."""
    try:
        # A session of its own, so that what it started can be ended with it.
        process = subprocess.Popen(  # noqa: S603
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "its name or its environment has a NUL"
        advice = f"; {hint.strip().splitlines()[0]}" if hint.strip() else ""
        raise SourceError(f"{path}: {command[0]} cannot be run: {why}{advice}") from None
    deadline = time.monotonic() + PLUGIN_SECONDS
    with process:
        assert process.stdout is not None
        try:
            printed = _read(process.stdout, deadline)
            status = process.wait(max(0.0, deadline - time.monotonic()))
        except (TimeoutError, subprocess.TimeoutExpired):
            _end(process)
            raise SourceError(f"{path}: {command[0]} did not end within {PLUGIN_SECONDS:g} s") from None
        except OverflowError:
            _end(process)
            raise SourceError(f"{path}: {command[0]} printed more than {OUTPUT_LIMIT // 1024} KiB") from None
    if status:
        raise SourceError(f"{path}: {command[0]} ended with status {status}")
    return printed


def _end(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _read(stream: IO[bytes], deadline: float) -> bytes:
    """All of it. ``TimeoutError``, or ``OverflowError`` when it is more than the limit."""
    printed = bytearray()
    poll = select.poll()  # select() refuses descriptors from 1024 on, and a prober has many
    poll.register(stream, select.POLLIN)
    while True:
        if not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
            raise TimeoutError
        part = os.read(stream.fileno(), 65_536)
        if not part:
            return bytes(printed)
        printed += part
        if len(printed) > OUTPUT_LIMIT:
            raise OverflowError
