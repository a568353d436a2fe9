"""How to reach a cluster: a kubeconfig file, or the service account of the pod that prober runs in.

Everything is read again and again, so that rotated tokens and certificates are used. Of kubeconfig: certificates and keys (inline or
files), token, tokenFile, username and password, exec plugins, and proxy-url. Several files are read as one, as kubectl reads those of
KUBECONFIG: of each name the first that has it, relative to its own file. All functions block.
"""

from __future__ import annotations

import os
import ssl
import tempfile
import time
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from prober.discovery.exec_plugin import run_plugin
from prober.http_access import authorization, read_secret, verifying
from prober.sources import SourceError

__all__ = ["Access", "access"]

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
FRESH_SECONDS = 50.0
"""For which credentials are used before they are read again; a projected token is replaced when a fifth of its life is left."""
PLUGIN_FRESH_SECONDS = 600.0
"""For which a plugin's are used at most: to run it costs more than to read a file."""
_PLUGIN_MARGIN = 10.0
"""Seconds before their end at which a plugin is asked for others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """Where the API server is, and what convinces it, as of now."""

    server: str
    tls: ssl.SSLContext
    headers: Mapping[str, str] = field(repr=False)
    namespace: str = "default"
    server_name: str | None = None
    """In TLS, in place of the server's host."""
    proxy: str | None = field(default=None, repr=False)
    """URL of the HTTP proxy on the way, with its password if it has one."""
    good_for: float = FRESH_SECONDS
    """Seconds from now, after which it is to be read again."""


def access(kubeconfig: str | Sequence[str] | None, context: str | None, environment: Mapping[str, str] = os.environ) -> Access:
    """Read everything, ``kubeconfig`` from one file or several. `SourceError` says what is missing."""
    if kubeconfig is None:
        return _in_cluster(environment)
    files = [kubeconfig] if isinstance(kubeconfig, str) else kubeconfig
    return _by_kubeconfig([_document(Path(file)) for file in files], context, environment)


def _in_cluster(environment: Mapping[str, str]) -> Access:
    host, port = environment.get("KUBERNETES_SERVICE_HOST"), environment.get("KUBERNETES_SERVICE_PORT", "443")
    if not host:
        named = environment.get("KUBECONFIG")
        other = f"; what KUBECONFIG names ({named}) is for prober diagnose alone" if named else ""
        raise SourceError(f"no Kubernetes: this is no pod (KUBERNETES_SERVICE_HOST is not set); write kubeconfig: FILE{other}")
    account = Path(environment.get("PROBER_SERVICE_ACCOUNT", SERVICE_ACCOUNT))
    token = read_secret(str(account / "token"))
    return Access(
        server=f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}",
        tls=_trust(_bytes(account / "ca.crt") if (account / "ca.crt").exists() else None, str(account)),
        headers=authorization("Bearer", token, str(account / "token")),
        namespace=read_secret(str(account / "namespace")) if (account / "namespace").exists() else "default",
    )


class _Document(NamedTuple):
    path: Path
    content: Mapping[str, Any]


def _document(path: Path) -> _Document:
    try:
        document = yaml.safe_load(path.read_bytes())
    except FileNotFoundError:
        there = "name one that is there (for prober diagnose by KUBECONFIG, for prober serve by the key kubeconfig)"
        raise SourceError(f"{path}: there is no such kubeconfig; {there}") from None
    except OSError as error:
        raise SourceError(f"{path}: cannot be read: {error.strerror}") from None
    except (yaml.YAMLError, ValueError, RecursionError):  # ValueError: no UTF-8, or a date that is none
        raise SourceError(f"{path}: is no YAML") from None  # the error would quote secrets
    if not isinstance(document, dict):
        raise SourceError(f"{path}: is no kubeconfig")
    return _Document(path, document)


def _by_kubeconfig(documents: Sequence[_Document], wanted: str | None, environment: Mapping[str, str]) -> Access:
    current = next(filter(None, (each.content.get("current-context") for each in documents)), None)
    path, context = _named(documents, "contexts", "context", wanted or current)
    home, cluster = _named(documents, "clusters", "cluster", context.get("cluster"))
    path, user = _named(documents, "users", "user", context.get("user")) if context.get("user") else (path, {})
    server = str(cluster.get("server") or "")
    if not server.startswith(("https://", "http://")):
        raise SourceError(f"{home}: the cluster {context.get('cluster')!r} has no server with http:// or https://")
    certificate, key = _data(path, user, "client-certificate"), _data(path, user, "client-key")
    headers, good_for = _headers(path, user), FRESH_SECONDS
    if isinstance(user.get("exec"), dict):
        said = run_plugin(path, user["exec"], cluster, environment)
        if said.token is not None:
            headers = authorization("Bearer", said.token, f"{path}: the exec plugin")
        if said.certificate is not None:
            certificate, key = said.certificate, said.key
        left = PLUGIN_FRESH_SECONDS if said.expires is None else said.expires - time.time() - _PLUGIN_MARGIN
        good_for = min(max(left, 1.0), PLUGIN_FRESH_SECONDS)
    elif "auth-provider" in user:
        raise SourceError(f"{path}: auth-provider is gone from Kubernetes since 1.26; use its exec plugin")
    tls = _trust(_data(home, cluster, "certificate-authority"), str(home))
    if cluster.get("insecure-skip-tls-verify") is True:
        tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
    if certificate is not None and key is not None:
        _present(tls, certificate, key, path)
    return Access(
        server=server.rstrip("/"),
        tls=tls,
        headers=headers,
        namespace=str(context.get("namespace") or "default"),
        server_name=str(cluster["tls-server-name"]) if cluster.get("tls-server-name") else None,
        proxy=_proxy(home, cluster),
        good_for=good_for,
    )


def _proxy(path: Path, cluster: Mapping[str, Any]) -> str | None:
    proxy = str(cluster.get("proxy-url") or "")
    if proxy and not proxy.startswith(("http://", "https://")):
        raise SourceError(
            f"{path}: proxy-url leads through something else than an http:// or https:// proxy, which is not spoken here"
        )
    return proxy or None


def _named(documents: Sequence[_Document], plural: str, singular: str, name: object) -> tuple[Path, Mapping[str, Any]]:
    """The first of that name, and the file that it stands in."""
    for path, document in documents:
        listed = document.get(plural)
        for entry in listed if isinstance(listed, list) else ():
            if isinstance(entry, dict) and entry.get("name") == name and isinstance(entry.get(singular), dict):
                return path, entry[singular]
    raise SourceError(f"{', '.join(str(each.path) for each in documents)}: there is no {singular} {name!r}")


def _data(path: Path, entry: Mapping[str, Any], key: str) -> bytes | None:
    """What ``KEY-data`` holds, or the file that ``KEY`` names, relative to the kubeconfig."""
    inline, file = entry.get(f"{key}-data"), entry.get(key)
    try:
        if inline:
            # Broken into lines it is base64, too, for client-go.
            return b64decode(str(inline).replace("\n", "").replace("\r", ""), validate=True)
    except ValueError:  # binascii.Error among them, and text that is no ASCII
        raise SourceError(f"{path}: {key}-data is no base64") from None
    return _bytes(path.parent / str(file)) if file else None


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SourceError(f"{path}: cannot be read: {error.strerror}") from None


def _headers(path: Path, user: Mapping[str, Any]) -> dict[str, str]:
    # The file wins over the inline token, as in client-go.
    if user.get("tokenFile"):
        file = str(path.parent / str(user["tokenFile"]))
        return authorization("Bearer", read_secret(file), file)
    if user.get("token"):
        return authorization("Bearer", str(user["token"]), str(path))
    if user.get("username") and user.get("password"):
        return authorization("Basic", b64encode(f"{user['username']}:{user['password']}".encode()).decode(), str(path))
    return {}


def _trust(authorities: bytes | None, where: str) -> ssl.SSLContext:
    try:
        # Comments beside the PEM may be in any language, but the ssl module takes nothing that is no ASCII.
        return verifying(cadata=authorities.decode("ascii", "backslashreplace") if authorities else None)
    except (ssl.SSLError, ValueError):
        raise SourceError(f"{where}: the certificate authority is no PEM") from None


def _present(tls: ssl.SSLContext, certificate: bytes, key: bytes, path: Path) -> None:
    """Give the client certificate to the context, which takes it from files only: they live in memory where there is a place for that."""
    with ExitStack() as stack:
        directory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108
        files = []
        for content in (certificate, key):
            file = stack.enter_context(tempfile.NamedTemporaryFile(dir=directory))  # mode 0600
            file.write(content)
            file.flush()
            files.append(file.name)
        try:
            # OpenSSL would ask the terminal for the pass phrase of an encrypted key.
            tls.load_cert_chain(files[0], files[1], password=lambda: "")
        except ssl.SSLError:
            raise SourceError(f"{path}: the client certificate and its key cannot be used") from None
