"""The playbook end to end: for each of its cases a real Envoy in Apigee's configuration, real clients, its log, a real capture of it.

Everything goes through ``prober diagnose all`` as a person would call it, bare files and all, and the right cause must come first.
"""

from __future__ import annotations

import json
import os
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from prober.model import Endpoint
from tests.real.test_diagnose import GROUP, SECOND, UNLINKED, WILDCARD
from tests.servers.envoy import PLAYBOOK, access_log, envoy
from tests.servers.fleets import Fleets
from tests.servers.listeners import Fleet
from tests.servers.material import KNOWN
from tests.servers.processes import running
from tests.servers.requirements import not_permitted, require_program

PATIENCE = 30.0
LINKED = """\
org: acme-hyb
ingressGateways:
- name: edge-a
virtualhosts:
- name: prod-grp
  selector: {app: apigee-ingressgateway, ingress_name: edge-a}
  sslSecret: acme-hyb-prod-grp
  additionalGateways: ["non-sni"]
"""
NOT_LINKED = LINKED.replace('  additionalGateways: ["non-sni"]\n', "")
OFF = WILDCARD.replace("true", "false")
# With a Secret of its own: one that a group has, too, is in use.
OWN = WILDCARD.replace("acme-hyb-prod-grp", "own-cert")


@pytest.fixture(scope="module")
def fleet(fleets: Fleets, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """An Envoy of its own, so that nobody else's clients are in its logs."""
    with envoy(tmp_path_factory.mktemp("playbook"), fleets.material, PLAYBOOK) as running_envoy:
        yield running_envoy


# -- clients: each says "reset", the HTTP status, or "handshake" ------------------------------------------------------------


def curl(at: Endpoint) -> str:
    """By IP address, with a Host header, as the playbook does."""
    command = [require_program("curl"), "-ksS", "-m", "20", "-o", "/dev/null", "-w", "%{http_code}"]
    done = subprocess.run([*command, f"https://{at}/", "-H", f"Host: {KNOWN}"], capture_output=True, text=True, check=False)
    # 35: CURLE_SSL_CONNECT_ERROR; the text has two wordings, by the version.
    return "reset" if done.returncode == 35 and "reset by peer" in done.stderr.lower() else done.stdout


def s_client(at: Endpoint) -> str:
    """``openssl s_client -noservername``."""
    command = [require_program("openssl"), "s_client", "-connect", str(at), "-noservername"]
    done = subprocess.run(command, input="", capture_output=True, text=True, timeout=PATIENCE, check=False)
    return "reset" if "no peer certificate available" in done.stdout else "handshake"


def node(at: Endpoint) -> str:
    """``https.get`` by IP address; without ``servername`` Node would take the name from the Host header."""
    program = require_program("node", package="nodejs")
    options = f"{{host:'{at.ip}',port:{at.port},rejectUnauthorized:false,servername:'',headers:{{Host:'{KNOWN}'}}}}"
    script = f"require('https').get({options},r=>{{console.log(r.statusCode);r.resume()}}).on('error',e=>console.log(e.code))"
    done = subprocess.run([program, "-e", script], capture_output=True, text=True, timeout=PATIENCE, check=False)
    return done.stdout.strip().replace("ECONNRESET", "reset")


def python(at: Endpoint) -> str:
    """``ssl`` without ``server_hostname``."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection(at, PATIENCE) as plain:
        try:
            with context.wrap_socket(plain) as client:
                client.sendall(f"GET / HTTP/1.1\r\nHost: {KNOWN}\r\nConnection: close\r\n\r\n".encode())
                return client.recv(100).split()[1].decode()
        except ConnectionResetError:
            return "reset"


def plain_http(at: Endpoint) -> str:
    """No TLS at all."""
    with socket.create_connection(at, PATIENCE) as plain:
        plain.sendall(f"GET / HTTP/1.1\r\nHost: {KNOWN}\r\n\r\n".encode())
        try:
            return plain.recv(100).decode("latin-1")
        except ConnectionResetError:
            return "reset"


CLIENTS: tuple[Callable[[Endpoint], str], ...] = (curl, s_client, node, python)


class Case(NamedTuple):
    """A case of the playbook: what is configured, what the clients see, and what must be said about it."""

    listener: str
    routes: tuple[str, ...]
    overrides: str
    symptom: str
    cause: str
    status: int
    shown_by: set[str]
    """Sources among the evidence."""
    clients: tuple[Callable[[Endpoint], str], ...] = CLIENTS
    probed: bool = True


CASES = {
    "healthy": Case("healthy", (GROUP, WILDCARD), LINKED, "200", "ok", 0, {"probe", "capture", "routes"}),
    "no wildcard": Case("no-chain", (UNLINKED,), NOT_LINKED, "reset", "no-wildcard", 1, {"probe", "capture", "routes", "overrides", "logs"}),
    "flag off": Case("no-chain", (GROUP, OFF), LINKED, "reset", "flag-off", 1, {"probe", "capture", "routes", "logs"}),
    "not linked": Case("not-linked", (UNLINKED, WILDCARD), NOT_LINKED, "404", "not-linked", 1, {"probe", "routes", "overrides", "logs"}),
    "missing secret": Case("no-secret", (GROUP, OWN), LINKED, "reset", "secret", 1, {"probe", "capture", "routes", "logs"}),
    "duplicate wildcard": Case("two-wildcards", (GROUP, WILDCARD, SECOND), LINKED, "200", "dup-wildcard", 1, {"probe", "routes"}),
    "plain HTTP on the TLS port": Case(
        "no-chain", (UNLINKED,), NOT_LINKED, "reset", "not-tls", 1, {"capture", "logs"}, clients=(plain_http,) * 4, probed=False
    ),
}  # fmt: skip


@contextmanager
def captured(port: int, interface: str, file: Path, directory: Path) -> Iterator[None]:
    """A real tcpdump of one port while the block runs; the file is whole behind it."""
    if os.geteuid() != 0:
        not_permitted("capturing packets needs root")
    command = [
        require_program("tcpdump"),
        "-n",
        "-i",
        interface,
        "-w",
        str(file),
        "-U",
        "--immediate-mode",
        "-s",
        "8192",
        "-Z",
        "root",
    ]
    with running([*command, f"tcp port {port}"], directory=directory) as tcpdump:
        deadline = time.monotonic() + PATIENCE
        while "listening on" not in tcpdump.log():
            assert tcpdump.process.poll() is None, tcpdump.log()
            assert time.monotonic() < deadline, tcpdump.log()
            time.sleep(0.01)
        yield
        # A connection without a byte, which nobody counts: what is captured of it is behind everything else.
        with socket.create_connection(("127.0.0.1", port), PATIENCE) as marker:
            mark = struct.pack(">HH", marker.getsockname()[1], port)
        while mark not in file.read_bytes():
            assert time.monotonic() < deadline, tcpdump.log()
            time.sleep(0.05)


def appended(path: Path, before: int, enough: int) -> str:
    """What was written behind the first ``before`` bytes, once it has ``enough`` lines."""
    deadline = time.monotonic() + PATIENCE
    while True:
        text = path.read_bytes()[before:].decode() if path.exists() else ""
        if text.count("\n") >= enough:
            return text
        assert time.monotonic() < deadline, text
        time.sleep(0.05)


def serve_somebody_later(at: Endpoint, ca_file: Path, stop: threading.Event) -> None:
    """Well-behaved clients, whose lines show that the log goes on behind the probe."""
    context = ssl.create_default_context(cafile=str(ca_file))
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT  # from Python 3.13 on; the authority has no key identifiers
    while not stop.wait(0.5):
        with socket.create_connection(at, PATIENCE) as plain, context.wrap_socket(plain, server_hostname=KNOWN) as client:
            client.sendall(f"GET / HTTP/1.1\r\nHost: {KNOWN}\r\nConnection: close\r\n\r\n".encode())
            client.recv(100)


@pytest.mark.parametrize("dialect", ["typed", "strings"])
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_each_case_of_the_playbook_is_named(case: Case, dialect: str, fleet: Fleet, fleets: Fleets, tmp_path: Path) -> None:
    """Four real clients, the log that they leave, a real capture of them, the configuration, and a probe: the cause comes first."""
    at, log = fleet.endpoints[f"{case.listener}-{dialect}"], access_log(fleet, f"{case.listener}-{dialect}")
    before = log.stat().st_size if log.exists() else 0
    with captured(at.port, "lo" if dialect == "typed" else "any", tmp_path / "ingress.pcap", tmp_path):
        symptoms = {client.__name__: client(at) for client in case.clients}
    assert {case.symptom} == set(symptoms.values()) - {"handshake"}, symptoms
    (tmp_path / "routes.yaml").write_text("---\n".join(case.routes))
    (tmp_path / "list.yaml").write_text("kind: ApigeeRouteList\nitems: []\n")
    (tmp_path / "overrides.yaml").write_text(case.overrides)

    if case.probed:
        (tmp_path / "ingress.log").symlink_to(log)
        stop = threading.Event()
        later = threading.Thread(target=serve_somebody_later, args=(at, fleets.material.ca_file, stop))
        later.start()
        try:
            code, document = diagnose(
                tmp_path, "--probe", str(at), "--server-name", KNOWN, "--ca-file", str(fleets.material.ca_file), "--http", "--settle", "2"
            )  # fmt: skip
        finally:
            stop.set()
            later.join(PATIENCE)
    else:
        (tmp_path / "ingress.log").write_text(appended(log, before, len(case.clients)))
        code, document = diagnose(tmp_path)

    first = document["findings"][0]
    assert (case.cause, case.status) == (first["id"], code)
    # A capture that shows no ClientHello agrees with no route: then one source alone shows it.
    assert ("confirmed" if case.probed else "likely") == first["confidence"]
    assert case.shown_by <= {each["source"] for each in first["evidence"]}
    if case.cause != "ok" and case.probed:
        assert first["fix"]["commands"][-1].startswith(f"prober diagnose probe {at}")
    _as_captured(document, case)


def diagnose(directory: Path, *arguments: str) -> tuple[int, dict[str, Any]]:
    """Exit status and document of ``diagnose all`` with the files of a directory, told apart by their content."""
    files = ["ingress.log", "ingress.pcap", "routes.yaml", "list.yaml", "overrides.yaml"]
    command = [sys.executable, "-m", "prober", "diagnose", "all", "--json", *arguments, *files]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=directory)
    assert done.stderr == ""
    document: dict[str, Any] = json.loads(done.stdout)
    kinds = {each["name"]: each["kind"] for each in document["sources"] if each["ok"]}
    assert ["logs", "capture", "routes", "routes", "overrides"] == [kinds.get(file) for file in files]
    return done.returncode, document


def _as_captured(document: dict[str, Any], case: Case) -> None:
    """Each client's hello is in the capture, once, with the ending that the client met; nothing was left unread."""
    [capture] = document["captures"]
    assert {} == capture["not_read"]
    hellos = {each["ja4"]: (each["server_name"], each["ending"], each["count"]) for each in capture["hellos"]}
    if case.clients is CLIENTS:
        ending = "reset_by_server" if case.symptom == "reset" else "answered"
        assert 4 == sum(count for _, _, count in hellos.values())
        assert {(None, ending)} == {(name, end) for name, end, _ in hellos.values()}
        # Four programs, of which two may share a library and its fingerprint.
        assert len(hellos) >= 2
    else:
        assert not hellos
        assert [("127.0.0.1", "http", 4)] == [(each["client"], each["protocol"], each["count"]) for each in capture["not_tls"] if each["protocol"] == "http"]  # fmt: skip
