"""Exec plugins: programs of somebody else, which may do anything."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from prober.discovery import exec_plugin
from prober.discovery.exec_plugin import Credentials, run_plugin
from prober.sources import SourceError
from tests.discovery.plugins import VERSION, credential, plugin

CLUSTER = {"server": "https://203.0.113.1:6443", "certificate-authority": "/etc/ca.pem", "certificate-authority-data": "QQ=="}


def run(directory: Path, script: str, **more: Any) -> Credentials:
    return run_plugin(directory / "kubeconfig", plugin(directory, script, **more), CLUSTER, dict(os.environ))


def refusal(directory: Path, script: str, **more: Any) -> str:
    with pytest.raises(SourceError) as refused:
        run(directory, script, **more)
    return str(refused.value)


def test_a_token_and_its_end_are_read(tmp_path: Path) -> None:
    """The end is a time with a zone."""
    said = run(tmp_path, credential(token="t", expirationTimestamp="2026-01-02T03:04:05Z"))
    assert (said.token, said.certificate, said.expires) == ("t", None, 1767323045.0)
    assert "'t'" not in repr(said)


def test_a_certificate_and_its_key_are_read(tmp_path: Path) -> None:
    """Together, and beside a token or without one."""
    said = run(tmp_path, credential(clientCertificateData="CERT", clientKeyData="KEY"))
    assert (said.token, said.certificate, said.key, said.expires) == (None, b"CERT", b"KEY", None)


def test_it_is_told_what_kubernetes_promises(tmp_path: Path) -> None:
    """That nobody is there to answer questions; and which cluster it is for, if it wants that; and its own environment."""
    script = "import os, pathlib; pathlib.Path(__file__).with_name('seen').write_text(os.environ['KUBERNETES_EXEC_INFO'] + os.environ['X'])\n"
    script += credential(token="t")
    run(tmp_path, script, env=[{"name": "X", "value": "-x"}, "no entry", {"name": "Y"}])
    asked, _, added = (tmp_path / "seen").read_text().rpartition("-")
    assert json.loads(asked) == {"apiVersion": VERSION, "kind": "ExecCredential", "spec": {"interactive": False}}
    assert added == "x"
    run(tmp_path, script, env=[{"name": "X", "value": ""}], provideClusterInfo=True)
    cluster = json.loads((tmp_path / "seen").read_text())["spec"]["cluster"]
    assert cluster == {"server": CLUSTER["server"], "certificate-authority-data": "QQ=="}


@pytest.mark.parametrize(
    "script",
    [
        "print('secret')",
        "print('[]')",
        "print('{}')",
        "import sys; sys.stdout.buffer.write(bytes(range(256)))",
        "print('[' * 100000)",
        *(
            f"print({json.dumps({'apiVersion': VERSION, 'kind': 'ExecCredential', 'status': status})!r})"
            for status in (None, [], "x")
        ),
        credential(),
        credential(token=["secret"]),
        credential(token="two\nlines of a secret"),
        credential(clientCertificateData="secret"),
        credential(token="t", expirationTimestamp="secret"),
        credential(token="t", expirationTimestamp=5),
    ],
)
def test_garbage_is_refused_without_being_repeated(script: str, tmp_path: Path) -> None:
    """It may hold a secret."""
    said = refusal(tmp_path, script)
    assert "printed no ExecCredential" in said
    assert "secret" not in said


def test_another_version_of_the_answer_is_refused(tmp_path: Path) -> None:
    """Plugins answer in the version that they are asked in."""
    assert "another kind or apiVersion" in refusal(
        tmp_path, credential(token="t"), apiVersion="client.authentication.k8s.io/v1beta1"
    )


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"command": "no-such-plugin-x", "installHint": "\ninstall it from the shop\nthen log in"}, "install it from the shop"),
        ({"command": "./missing"}, "missing cannot be run: No such file or directory"),
        ({"command": ""}, "needs a command"),
        ({"command": "a\0b"}, "cannot be run"),
        ({"apiVersion": "client.authentication.k8s.io/v1alpha1"}, "needs a command and the apiVersion"),
        ({"interactiveMode": "Always"}, "wants a person to talk to"),
    ],
)
def test_one_that_cannot_be_run_is_named(more: dict[str, Any], said: str, tmp_path: Path) -> None:
    """With the first line of the hint that the kubeconfig gives."""
    assert said in refusal(tmp_path, "", **more)


def test_one_that_fails_is_told_by_its_status(tmp_path: Path) -> None:
    """What it wrote to standard error may hold a secret."""
    said = refusal(tmp_path, "raise SystemExit('secret')")
    assert "ended with status 1" in said
    assert "secret" not in said


def test_one_that_hangs_is_ended_with_its_children(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where a child holds its output open after its own end."""
    monkeypatch.setattr(exec_plugin, "PLUGIN_SECONDS", 1.0)
    began = time.monotonic()
    script = "import pathlib, subprocess\n"
    script += "child = subprocess.Popen(['sleep', '50'])\n"
    script += "pathlib.Path(__file__).with_name('child').write_text(str(child.pid))\n"
    assert "did not end within 1 s" in refusal(tmp_path, script)
    assert time.monotonic() - began < 20
    child = Path("/proc") / (tmp_path / "child").read_text()
    for _ in range(200):
        if not child.exists() or "Z" in (child / "stat").read_text().split()[2]:
            break
        time.sleep(0.05)
    else:
        pytest.fail("the child is still there")


def test_one_that_prints_without_end_is_ended(tmp_path: Path) -> None:
    """Its output is not kept."""
    assert "printed more than 1024 KiB" in refusal(tmp_path, "while True: print('x' * 65536)")
