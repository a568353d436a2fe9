"""The ways to a cluster."""

from __future__ import annotations

import os
import pty
import ssl
import subprocess
import sys
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID

from prober.discovery.kubeconfig import access
from prober.sources import SourceError
from tests.pki import Authority


def written(directory: Path, user: dict[str, Any], **cluster: Any) -> str:
    file = directory / "kubeconfig"
    document = {
        "current-context": "one",
        "contexts": [{"name": name, "context": {"cluster": "c", "user": "u", "namespace": name}} for name in ("one", "two")],
        "clusters": [{"name": "c", "cluster": {"server": "https://kubernetes.test:6443/", **cluster}}],
        "users": [{"name": "u", "user": user}],
    }
    file.write_text(yaml.safe_dump(document))
    return str(file)


def test_a_pod_uses_its_service_account(tmp_path: Path) -> None:
    """Token, authority and namespace are where the kubelet puts them; IPv6 hosts get brackets."""
    authority = Authority.root().write(tmp_path)
    authority.rename(tmp_path / "ca.crt")
    (tmp_path / "token").write_text("abc\n")
    (tmp_path / "namespace").write_text("apigee")
    environment = {
        "KUBERNETES_SERVICE_HOST": "2001:db8::1",
        "KUBERNETES_SERVICE_PORT": "6443",
        "PROBER_SERVICE_ACCOUNT": str(tmp_path),
    }
    how = access(None, None, environment)
    assert how.server == "https://[2001:db8::1]:6443"
    assert how.headers == {"Authorization": "Bearer abc"}
    assert how.namespace == "apigee"
    assert how.tls.cert_store_stats()["x509_ca"] == 1
    assert "abc" not in repr(how)


def test_outside_of_a_pod_a_kubeconfig_is_asked_for() -> None:
    """And the message says so."""
    with pytest.raises(SourceError, match=r"write kubeconfig: FILE$"):
        access(None, None, {})


def test_who_set_kubeconfig_in_the_environment_of_the_service_is_told_that_it_is_not_read() -> None:
    """And by which path it would have been."""
    with pytest.raises(SourceError, match=r"KUBECONFIG names \(/home/me/config\) is for prober diagnose alone"):
        access(None, None, {"KUBECONFIG": "/home/me/config"})


def test_a_kubeconfig_that_is_not_there_is_named_with_what_to_do() -> None:
    """It may have been there when the configuration was checked."""
    with pytest.raises(SourceError, match=r"^/nonexistent/config: there is no such kubeconfig; name one that is there \("):
        access("/nonexistent/config", None, {})


@pytest.mark.parametrize("inline", [True, False])
def test_a_client_certificate_is_presented(inline: bool, tmp_path: Path) -> None:
    """Inline or in files beside the kubeconfig; the server is verified by the authority that stands there."""
    authority = Authority.root()
    ca = authority.write(tmp_path)
    client = authority.issue("prober", extended_key_usage=[ExtendedKeyUsageOID.CLIENT_AUTH]).write(tmp_path)
    paths = {"client-certificate": client.certificate, "client-key": client.key}
    user = {f"{key}-data": b64encode(Path(path).read_bytes()).decode() for key, path in paths.items()}
    if not inline:
        user = {key: Path(path).name for key, path in paths.items()}
    how = access(written(tmp_path, user, **{"certificate-authority": ca.name}), None, {})
    assert how.server == "https://kubernetes.test:6443"
    assert (how.tls.verify_mode, how.tls.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert _presented(how.tls, authority, tmp_path) == "prober"


def test_an_authority_may_be_named_in_any_language_beside_its_pem(tmp_path: Path) -> None:
    """As the bundles of distributions do; kubectl passes it over. What is no PEM is refused all the same."""
    pem = "# Základní autorita Größe\n".encode() + Authority.root().pem
    how = access(written(tmp_path, {}, **{"certificate-authority-data": b64encode(pem).decode()}), None, {})
    assert how.tls.cert_store_stats()["x509_ca"] == 1
    with pytest.raises(SourceError, match=r"the certificate authority is no PEM$"):
        access(written(tmp_path, {}, **{"certificate-authority-data": b64encode("Größe".encode()).decode()}), None, {})


_BEFORE_A_TERMINAL = """
import os, sys
os.open(sys.argv[1], os.O_RDWR)  # becomes the terminal of this new session
from prober.discovery.kubeconfig import access
from prober.sources import SourceError
try:
    access(sys.argv[2], None, {})
except SourceError as error:
    print(error)
"""


def test_nobody_is_asked_for_the_pass_phrase_of_a_key(tmp_path: Path) -> None:
    """Not even where there is a terminal: a service that is tried out by hand would stand still, and show a question in its log."""
    client = Authority.root().issue("prober")
    key = client.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))
    user = {"client-certificate-data": b64encode(client.chain_pem).decode(), "client-key-data": b64encode(key).decode()}
    terminal, theirs = pty.openpty()
    try:
        command = [sys.executable, "-c", _BEFORE_A_TERMINAL, os.ttyname(theirs), written(tmp_path, user)]
        said = subprocess.run(command, start_new_session=True, capture_output=True, text=True, timeout=30, check=True).stdout
    finally:
        os.close(terminal)
        os.close(theirs)
    assert said.endswith("the client certificate and its key cannot be used\n")


def _presented(tls: ssl.SSLContext, authority: Authority, directory: Path) -> str:
    """The name in the certificate that a client with this context shows to a server that asks for one."""
    files = authority.issue("kubernetes.test").write(directory)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.certificate, files.key)
    context.load_verify_locations(authority.write(directory))
    context.verify_mode = ssl.CERT_REQUIRED
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = tls.wrap_bio(to_client, to_server, server_hostname="kubernetes.test")
    server = context.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(4):
        for side in (client, server):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    certificate = server.getpeercert()
    assert certificate
    names = certificate["subjectAltName"]
    return str(names[0][1])


@pytest.mark.parametrize("data", ["***", "Zm9v\u00e9"])
def test_data_that_is_no_base64_is_refused_without_being_repeated(data: str, tmp_path: Path) -> None:
    """It may be a key."""
    with pytest.raises(SourceError, match=r"kubeconfig: client-key-data is no base64$"):
        access(written(tmp_path, {"client-key-data": data}), None, {})


@pytest.mark.parametrize(
    ("user", "header"),
    [
        ({"token": "abc"}, "Bearer abc"),
        ({"token": "abc", "tokenFile": "token"}, "Bearer def"),
        ({"username": "me", "password": "hunter2"}, "Basic bWU6aHVudGVyMg=="),
        ({}, None),
    ],
)
def test_what_authorizes_is_taken_from_the_user(user: dict[str, Any], header: str | None, tmp_path: Path) -> None:
    """A token file wins over a token, as in client-go."""
    (tmp_path / "token").write_text("def\n")
    assert access(written(tmp_path, user), None, {}).headers.get("Authorization") == header


def test_another_context_can_be_chosen(tmp_path: Path) -> None:
    """One that there is not is named."""
    file = written(tmp_path, {})
    assert access(file, "two", {}).namespace == "two"
    with pytest.raises(SourceError, match="there is no context 'three'"):
        access(file, "three", {})


@pytest.mark.parametrize(
    "text",
    ["token: [", "- a\n", "a: 1\n", "token: 2001-99-99\n", "token: " + "[" * 3000 + "]" * 3000],
    ids=lambda text: text[:20],
)
def test_what_is_no_kubeconfig_is_refused_without_its_content(text: str, tmp_path: Path) -> None:
    """It may hold secrets."""
    file = tmp_path / "kubeconfig"
    file.write_text(text)
    with pytest.raises(SourceError) as refused:
        access(str(file), None, {})
    assert "token" not in str(refused.value)
