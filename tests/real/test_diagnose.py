"""The playbook end to end on a real Envoy, configured as Apigee's ingress is: real clients, their log lines, and the cause by name."""

from __future__ import annotations

import json
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from prober.model import Endpoint
from tests.servers import envoy
from tests.servers.fleets import Fleets
from tests.servers.material import KNOWN
from tests.servers.requirements import require_program

GROUP = f"""\
apiVersion: apigee.cloud.google.com/v1alpha1
kind: ApigeeRoute
metadata: {{name: acme-hyb-prod-grp-000-1a2b3c4, namespace: apigee, generation: 4}}
spec:
  hostnames: [{KNOWN}]
  ports:
  - {{number: 443, protocol: HTTPS, tls: {{credentialName: acme-hyb-prod-grp, mode: SIMPLE}}}}
  selector: {{app: apigee-ingressgateway}}
  additionalGateways: [non-sni]
status: {{state: running, lastAppliedGeneration: 4}}
"""
UNLINKED = GROUP.replace("  additionalGateways: [non-sni]\n", "")
WILDCARD = """\
apiVersion: apigee.cloud.google.com/v1alpha1
kind: ApigeeRoute
metadata: {name: non-sni, namespace: apigee, generation: 1}
spec:
  hostnames: ["*"]
  ports:
  - {number: 443, protocol: HTTPS, tls: {credentialName: acme-hyb-prod-grp, mode: SIMPLE}}
  selector: {app: apigee-ingressgateway}
  enableNonSniClient: true
status: {state: running, lastAppliedGeneration: 1}
"""
SECOND = WILDCARD.replace("name: non-sni", "name: legacy").replace("acme-hyb-prod-grp", "old-cert")


def diagnose(fleets: Fleets, *arguments: str, route: str = "all") -> tuple[int, dict[str, Any]]:
    """Exit status and document."""
    command = [sys.executable, "-m", "prober", "diagnose", route, "--format", "json", *arguments]
    if route in {"all", "probe"}:
        command += ["--server-name", KNOWN, "--ca-file", str(fleets.material.ca_file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=50, check=False)
    assert done.stderr == ""
    return done.returncode, json.loads(done.stdout)


def findings(document: dict[str, Any]) -> dict[str, str]:
    """Confidence by id; the first finding first."""
    return {each["id"]: each["confidence"] for each in document["findings"]}


CASES = [
    ("wildcard-route", (GROUP, WILDCARD), "ok", "confirmed", 0),
    ("names-only", (UNLINKED,), "no-wildcard", "confirmed", 1),
    ("names-only-strings", (UNLINKED,), "no-wildcard", "confirmed", 1),
    ("names-only", (GROUP, WILDCARD.replace("true", "false")), "flag-off", "confirmed", 1),
    ("wildcard-route-not-linked", (UNLINKED, WILDCARD), "not-linked", "confirmed", 1),
    ("secret-missing-for-the-wildcard", (GROUP, WILDCARD.replace("acme-hyb-prod-grp", "own-cert")), "secret", "confirmed", 1),
    ("names-only", (GROUP, WILDCARD), "stale-route", "confirmed", 1),
    ("default-chain", (GROUP, WILDCARD, SECOND), "dup-wildcard", "confirmed", 1),
]


@pytest.mark.parametrize(
    ("listener", "objects", "cause", "confidence", "status"), CASES, ids=[f"{row[0]}-{row[2]}" for row in CASES]
)
def test_the_cause_is_named_from_probe_log_and_routes(
    listener: str, objects: tuple[str, ...], cause: str, confidence: str, status: int, fleets: Fleets, tmp_path: Path
) -> None:
    """A probe with its HTTP request, the log in which that probe then stands, and the routes: the first finding is the cause."""
    fleet = fleets["envoy"]
    (tmp_path / "routes.yaml").write_text("---\n".join(objects))
    (tmp_path / "list.yaml").write_text("kind: ApigeeRouteList\nitems: []\n")
    log = envoy.access_log(fleet, listener)
    # A later line, so that the log is known to go on behind the probe: somebody is served while prober waits for it.
    waiting = subprocess.Popen(
        [sys.executable, "-c", _LATER, *map(str, fleet.endpoints[listener]), str(fleets.material.ca_file), KNOWN]
    )

    code, document = diagnose(
        fleets, "--probe", str(fleet.endpoints[listener]), "--http", "--settle", "3",
        "--logs", str(log), "--routes", str(tmp_path / "routes.yaml"), "--routes", str(tmp_path / "list.yaml"),
    )  # fmt: skip

    assert waiting.wait(20) == 0
    assert (cause, confidence) == next(iter(findings(document).items()))
    assert status == code
    if cause != "ok":
        fix = document["findings"][0]["fix"]
        assert fix["commands"][-1].startswith("prober diagnose probe ")


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_the_request_goes_behind_a_proxy_header_too(version: str, fleets: Fleets) -> None:
    """``--http`` with ``--proxy-protocol``: both requests are answered; without the header nobody is served."""
    place = str(fleets["nginx"].endpoints[f"proxy-protocol-{version}"])
    code, document = diagnose(fleets, place, "--http", "--proxy-protocol", version, route="probe")
    bare, without = diagnose(fleets, place, "--http", route="probe")

    [probe] = document["probes"]
    assert (0, ["none", "known"]) == (code, [answer["sni"] for answer in probe["http"]])
    assert all(answer["status"] is not None and answer["error"] is None for answer in probe["http"])
    assert (1, "l4", []) == (bare, without["findings"][0]["id"], without["probes"][0]["http"])


def test_the_proof_probes_as_the_probe_did(fleets: Fleets) -> None:
    """The last command of a fix has the options without which it would prove nothing."""
    place = str(fleets["envoy"].endpoints["proxy-protocol-v1"])
    _, document = diagnose(fleets, place, "--http", "--proxy-protocol", "v1", route="probe")

    assert "no-wildcard" == document["findings"][0]["id"]
    assert document["findings"][0]["fix"]["commands"][-1] == (
        f"prober diagnose probe {place} --server-name {KNOWN} --ca-file {fleets.material.ca_file} --proxy-protocol v1 --http"
    )


_LATER = """
import socket, ssl, sys, time
time.sleep(1.5)
context = ssl.create_default_context(cafile=sys.argv[3])
context.verify_flags &= ~ssl.VERIFY_X509_STRICT  # from Python 3.13 on; the authority has no key identifiers
with context.wrap_socket(socket.create_connection((sys.argv[1], int(sys.argv[2])), 10), server_hostname=sys.argv[4]) as client:
    client.sendall(f"GET / HTTP/1.1\\r\\nHost: {sys.argv[4]}\\r\\nConnection: close\\r\\n\\r\\n".encode())
    while client.recv(4096):
        pass
"""


def _curl(at: Endpoint) -> None:
    program = require_program("curl")
    subprocess.run([program, "-ksS", "-m", "10", f"https://{at}/", "-H", f"Host: {KNOWN}"], capture_output=True, check=False)


def _s_client(at: Endpoint) -> None:
    program = require_program("openssl")
    subprocess.run(
        [program, "s_client", "-connect", str(at), "-noservername"], input=b"", capture_output=True, timeout=20, check=False
    )


def _node(at: Endpoint) -> None:
    program = require_program("node", package="nodejs")
    script = (
        f"require('tls').connect({{host:'{at.ip}',port:{at.port},rejectUnauthorized:false}}).on('error',e=>console.log(e.code))"
    )
    done = subprocess.run([program, "-e", script], capture_output=True, text=True, timeout=20, check=False)
    assert "ECONNRESET" in done.stdout


def _python(at: Endpoint) -> None:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection(at, 10) as plain, pytest.raises(ConnectionResetError):
        context.wrap_socket(plain)


def _plain_http(at: Endpoint) -> None:
    with socket.create_connection(at, 10) as plain:
        plain.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        with pytest.raises(ConnectionResetError):
            plain.recv(100)


CLIENTS: dict[str, Callable[[Endpoint], None]] = {
    "curl by IP": _curl,
    "openssl s_client -noservername": _s_client,
    "Node": _node,
    "Python": _python,
    "plain HTTP": _plain_http,
}


@pytest.mark.parametrize("listener", ["names-only", "names-only-strings"])
@pytest.mark.parametrize("client", CLIENTS.values(), ids=CLIENTS)
def test_the_log_line_of_a_real_client_is_suspect_and_no_more(
    client: Callable[[Endpoint], None], listener: str, fleets: Fleets, tmp_path: Path
) -> None:
    """Each client leaves one line without a name, in both dialects; plain HTTP leaves the same: nothing is more than suspected."""
    fleet = fleets["envoy"]
    path = envoy.access_log(fleet, listener)
    before = path.stat().st_size if path.exists() else 0

    client(fleet.endpoints[listener])

    lines = _appended(path, before)
    (tmp_path / "ingress.log").write_text(lines)
    code, document = diagnose(fleets, str(tmp_path / "ingress.log"), route="logs")

    assert code == 1
    assert {"no-wildcard": "suspected", "client-no-sni": "suspected", "not-tls": "suspected"} == findings(document)
    assert [("127.0.0.1", 1)] == [(each["source"], each["count"]) for each in document["logs"]["rejected_without_sni"]]


def _appended(path: Path, before: int) -> str:
    """What was written behind the first ``before`` bytes, as soon as it is there."""
    for _ in range(200):
        text = path.read_bytes()[before:].decode() if path.exists() else ""
        if text.endswith("\n"):
            return text
        time.sleep(0.05)
    pytest.fail(f"{path} got no line within 10 s")


def test_the_text_for_people_fits_a_terminal(fleets: Fleets, tmp_path: Path) -> None:
    """At 80 columns only what must be copied is longer: commands and manifests."""
    fleet = fleets["envoy"]
    (tmp_path / "routes.yaml").write_text(UNLINKED)
    done = subprocess.run(
        [sys.executable, "-m", "prober", "diagnose", "all", "--probe", str(fleet.endpoints["names-only"]), "--server-name", KNOWN,
         "--ca-file", str(fleets.material.ca_file), "routes.yaml", "missing.log"],
        capture_output=True, text=True, timeout=50, check=False, cwd=tmp_path, env={"PATH": "/usr/bin", "COLUMNS": "80"},
    )  # fmt: skip

    assert done.returncode == 1
    lines = done.stdout.splitlines()
    assert all(len(line) <= 80 for line in lines if line.startswith("  ") and "credentialName" not in line)
    assert any("missing.log" in line for line in lines)
    evidence, cause, fix = (
        next(i for i, line in enumerate(lines) if line.startswith(f"  {word}")) for word in ("evidence", "cause", "fix")
    )
    assert evidence < cause < fix


def test_the_bundle_holds_the_same_findings(fleets: Fleets, tmp_path: Path) -> None:
    """One archive, and the document on standard output beside it."""
    fleet = fleets["envoy"]
    (tmp_path / "routes.yaml").write_text(UNLINKED)
    command = [sys.executable, "-m", "prober", "diagnose", "bundle", "-o", str(tmp_path / "b.tar.gz"), "--json"]
    command += ["--probe", str(fleet.endpoints["names-only"]), "--server-name", KNOWN, "--ca-file", str(fleets.material.ca_file)]
    done = subprocess.run([*command, str(tmp_path / "routes.yaml")], capture_output=True, text=True, timeout=50, check=False)
    listed = subprocess.run(
        ["tar", "-xzOf", str(tmp_path / "b.tar.gz"), "prober-bundle/findings.json"], capture_output=True, text=True, check=True
    )

    assert findings(json.loads(done.stdout)) == findings(json.loads(listed.stdout))
    assert "no-wildcard" in findings(json.loads(listed.stdout))
