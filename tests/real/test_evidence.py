"""What a real Envoy logs about prober's handshakes, and what a real tcpdump captures of them, is what diagnosis reads.

The three routes of the playbook (probe, log, capture) look at one and the same handshake here, and must agree about it.
"""

from __future__ import annotations

import os
import socket
import ssl
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from prober.diagnose.capture import Follower
from prober.diagnose.capture_facts import CaptureFacts, Ending
from prober.diagnose.capture_files import read_frames
from prober.diagnose.log_lines import read_lines
from prober.diagnose.logs import LogFacts, analyse
from prober.model import Differential, Endpoint, Sni
from tests.real.probes import OPENSSL, Probes, Setting
from tests.servers.envoy import access_log
from tests.servers.fleets import Fleets
from tests.servers.material import KNOWN
from tests.servers.processes import running
from tests.servers.requirements import not_permitted, require_program

PATIENCE = 20.0
LOCALHOST = "127.0.0.1"


def probe(fleets: Fleets, listener: str, profile: str = OPENSSL) -> Differential:
    """A fresh differential against one listener of Envoy."""
    return Probes(fleets).differential("envoy", listener, setting=Setting(profile, only=frozenset({listener})))


def canary(told: Differential) -> str:
    """The name that nobody serves, as it was sent."""
    (name,) = (handshake.server_name for handshake in told.handshakes if handshake.sni is Sni.UNKNOWN)
    assert name is not None
    return name


def logged(path: Path, enough: Callable[[LogFacts], bool]) -> LogFacts:
    """The log's facts, once Envoy has written what the test waits for."""
    deadline = time.monotonic() + PATIENCE
    while not enough(facts := analyse(read_lines(path.read_text().splitlines()))):
        assert time.monotonic() < deadline, path.read_text()
        time.sleep(0.05)
    return facts


def get(endpoint: Endpoint, host: str) -> int:
    """The status of a request for ``host`` by a client that sends no SNI."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with socket.create_connection(endpoint, timeout=PATIENCE) as connection, context.wrap_socket(connection) as client:
        client.sendall(f"GET /orders HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        return int(client.recv(4096).split()[1])


@pytest.mark.parametrize(("listener", "dialect"), [("names-only", "JSON"), ("names-only-strings", "JSON of strings")])
def test_envoys_log_tells_what_the_probe_found(listener: str, dialect: str, fleets: Fleets) -> None:
    """The hello without a name and the canary are in the log as ``NR filter_chain_not_found``, in both dialects of Apigee."""
    told = probe(fleets, listener)
    name = canary(told)
    facts = logged(
        access_log(fleets["envoy"], listener), lambda facts: name in facts.canaries and bool(facts.rejected_without_sni)
    )
    assert facts.canaries[name].count == 1
    assert set(facts.rejected_without_sni) == {LOCALHOST}
    assert facts.signatures[("filter_chain_not_found", "NR")] >= 2
    assert (set(facts.dialects), facts.damaged_count) == ({dialect}, 0)
    assert name not in facts.rejected_by_name


def test_a_wildcard_route_that_is_not_linked_shows_after_the_handshake(fleets: Fleets) -> None:
    """The handshake succeeds; the request gets 404, and the log says ``route_not_found`` for a client without SNI."""
    envoy = fleets["envoy"]
    assert get(envoy.endpoints["wildcard-route-not-linked"], KNOWN) == 404
    facts = logged(access_log(envoy, "wildcard-route-not-linked"), lambda facts: KNOWN in facts.unlinked)
    assert facts.unlinked[KNOWN].count >= 1


def test_a_wildcard_route_that_is_linked_is_positive_evidence(fleets: Fleets) -> None:
    """The request is served, and the log shows a client without SNI that was."""
    envoy = fleets["envoy"]
    assert get(envoy.endpoints["wildcard-route"], KNOWN) == 200
    facts = logged(access_log(envoy, "wildcard-route"), lambda facts: LOCALHOST in facts.served_without_sni)
    assert not facts.rejected_without_sni


def test_a_missing_secret_leaves_no_line_in_the_log(fleets: Fleets) -> None:
    """On the wire it is the same reset; what tells it apart is that Envoy logs nothing."""
    told = probe(fleets, "secret-missing-for-the-wildcard")
    name = canary(told)
    # What is logged after it, by the same flush or a later one, proves that the silence was no delay.
    later = probe(fleets, "names-only")
    logged(access_log(fleets["envoy"], "names-only"), lambda facts: canary(later) in facts.canaries)
    assert name not in access_log(fleets["envoy"], "secret-missing-for-the-wildcard").read_text()


@pytest.mark.parametrize("interface", ["lo", "any"])
@pytest.mark.parametrize("profile", ["modern", OPENSSL, "pq"])
def test_a_capture_shows_the_same_handshakes(interface: str, profile: str, fleets: Fleets, tmp_path: Path) -> None:
    """tcpdump, the third route of the playbook: the same hellos by name and fingerprint, and it was Envoy who sent the RST."""
    told, facts = _captured(fleets, profile, interface, tmp_path)
    endings = {hello.server_name: hello.ending for hello in facts.hellos}
    assert endings == {KNOWN: Ending.ANSWERED, None: Ending.RESET_BY_SERVER, canary(told): Ending.RESET_BY_SERVER}
    fingerprints = {handshake.server_name: handshake.ja4 for handshake in told.handshakes}
    assert {hello.server_name: hello.ja4 for hello in facts.hellos} == fingerprints
    assert not any(hello.rst_ttl_differs for hello in facts.hellos)
    assert (facts.truncated, facts.incomplete, dict(facts.unknown_link_types)) == (0, 0, {})


def _captured(fleets: Fleets, profile: str, interface: str, directory: Path) -> tuple[Differential, CaptureFacts]:
    program = require_program("tcpdump")
    if os.geteuid() != 0:
        not_permitted("capturing packets needs root")
    endpoint = fleets["envoy"].endpoints["names-only"]
    file = directory / "capture.pcap"
    # Without the snapshot length each packet takes 256 KiB of the kernel's ring, and the ninth is dropped.
    command = [program, "-i", interface, "-w", str(file), "-U", "--immediate-mode", "-s", "8192", "-Z", "root"]
    command.append(f"tcp port {endpoint.port}")
    with running(command, directory=directory) as tcpdump:
        deadline = time.monotonic() + PATIENCE
        while "listening on" not in tcpdump.log():
            assert tcpdump.process.poll() is None, tcpdump.log()
            assert time.monotonic() < deadline, tcpdump.log()
            time.sleep(0.01)
        told = probe(fleets, "names-only", profile)
        # tcpdump has all of it once the last RST is in the file, and each of the three hellos ends with one: Envoy's or ours.
        while (
            (facts := _read(file)) is None or len(facts.hellos) < 3 or any(one.ending is Ending.UNKNOWN for one in facts.hellos)
        ):
            assert time.monotonic() < deadline, facts
            time.sleep(0.02)
    final = _read(file)
    assert final is not None
    return told, final


def _read(file: Path) -> CaptureFacts | None:
    """What the capture says; None while its last packet is half written."""
    follower = Follower()
    with file.open("rb") as stream:
        try:
            follower.feed(read_frames(stream))
        except Exception:
            return None
    return follower.finish()
