"""``prober once``, as a person or a script runs it, against real ingresses: the document, the exit status, the options."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable
from typing import Any

import pytest

from prober.model import Endpoint, Verdict
from tests.servers.fleets import SERVERS, Fleets
from tests.servers.material import KNOWN


def once(fleets: Fleets, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The finished program."""
    command = [sys.executable, "-m", "prober", "once", "--server-name", KNOWN, "--ca-file", str(fleets.material.ca_file)]
    return subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=50, check=False)


def results(answered: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    """The results of the JSON document."""
    assert answered.stderr == ""
    document = json.loads(answered.stdout)
    assert document["schema"] == 1
    told: list[dict[str, Any]] = document["results"]
    return told


def endpoints(fleets: Fleets, listeners: Iterable[tuple[str, str]]) -> list[Endpoint]:
    """Where the named listeners are."""
    return [fleets[server].endpoints[listener] for server, listener in listeners]


_MIXED = {
    ("envoy", "names-only"): Verdict.NON_SNI_RESET,
    ("envoy", "wildcard-route"): Verdict.OK,
    ("envoy", "default-chain"): Verdict.NON_SNI_WRONG_CERTIFICATE,
    ("envoy", "ipv6-names-only"): Verdict.NON_SNI_RESET,
    ("nginx", "reject-handshake"): Verdict.NON_SNI_REJECTED,
    ("nginx", "expired"): Verdict.CERTIFICATE_INVALID,
    ("nginx", "plain-http"): Verdict.TLS_FAILING,
    ("nginx", "serves-strangers-only"): Verdict.SNI_FAILING,
    ("haproxy", "switch-without-default"): Verdict.NON_SNI_RESET,
    ("openssl", "servername-fatal"): Verdict.CERTIFICATE_INVALID,
}
MIXED = {place: verdict for place, verdict in _MIXED.items() if place[1] in SERVERS[place[0]]}


def test_many_ingresses_are_judged_in_one_document(fleets: Fleets) -> None:
    """One result a target, each the one that it deserves, and exit status 1 since some are at fault."""
    places = endpoints(fleets, MIXED)
    answered = once(fleets, "--json", *map(str, places))
    told = {(result["address"], result["port"]): result["verdict"] for result in results(answered)}
    assert told == dict(zip(places, MIXED.values(), strict=True))
    assert answered.returncode == 1


@pytest.mark.parametrize(
    ("server", "listener", "status"),
    [("envoy", "wildcard-route", 0), ("envoy", "names-only", 1), ("nginx", "long-chain", 0), ("haproxy", "strict-sni", 1)],
)
def test_the_exit_status_is_the_verdict(server: str, listener: str, status: int, fleets: Fleets) -> None:
    """0 when all is as expected, 1 when the ingress is at fault."""
    assert once(fleets, str(fleets[server].endpoints[listener])).returncode == status


def test_the_case_that_this_project_began_with(fleets: Fleets) -> None:
    """Envoy without a wildcard route: TLS with the name, a reset and no byte without it, and a sentence that says so."""
    (result,) = results(once(fleets, "--json", str(fleets["envoy"].endpoints["names-only"])))
    known, none, unknown = result["handshakes"]
    assert (known["sni"], known["outcome"], known["certificate_valid"]) == ("known", "certificate", True)
    assert known["certificates"][0]["sha256"] == fleets.material.issued["api"].sha256
    for refused in (none, unknown):
        assert (refused["outcome"], refused["stage"], refused["errno"]) == ("reset", "client_hello", "ECONNRESET")
        assert (refused["close"], refused["bytes_received"], refused["certificates"]) == ("rst", 0, [])
    assert none["server_name"] is None
    assert unknown["server_name"].endswith(".invalid")
    assert result["faults"] == ["non_sni_reset"]
    assert not result["expected"]
    assert str(fleets["envoy"].endpoints["names-only"]) in result["summary"]


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_a_proxy_header_goes_first(version: str, fleets: Fleets) -> None:
    """With the header the ingress serves; without it nobody is served."""
    place = str(fleets["nginx"].endpoints[f"proxy-protocol-{version}"])
    assert once(fleets, "--proxy-protocol", version, place).returncode == 0
    (without,) = results(once(fleets, "--json", place))
    assert without["verdict"] == Verdict.TLS_FAILING


@pytest.mark.parametrize(("fleet", "listener"), [("nginx", "default-covers"), ("envoy", "default-chain"), ("openssl", "alpn")])
@pytest.mark.parametrize("version", ["v1", "v2"])
def test_a_header_that_is_not_expected_is_looked_for_first(version: str, fleet: str, listener: str, fleets: Fleets) -> None:
    """Each of them takes it for broken TLS in its own way, and its port has TLS and backends all the same."""
    place = str(fleets[fleet].endpoints[listener])
    (result,) = results(once(fleets, "--json", "--proxy-protocol", version, place))
    assert result["verdict"] == Verdict.TLS_FAILING
    assert result["summary"].endswith("unless it expects one, probe without it.")


@pytest.mark.parametrize(("tls", "version"), [("1.2", "TLSv1.2"), ("1.3", "TLSv1.3"), ("auto", "TLSv1.3")])
def test_a_whole_handshake_in_the_version_asked_for(tls: str, version: str, fleets: Fleets) -> None:
    """``--depth finished`` ends at stage ``finished`` in every version."""
    place = str(fleets["nginx"].endpoints["default-covers"])
    (result,) = results(once(fleets, "--json", "--tls", tls, "--depth", "finished", place))
    assert [handshake["tls_version"] for handshake in result["handshakes"]] == [version] * 3
    assert [handshake["stage"] for handshake in result["handshakes"]] == ["finished"] * 3


def test_only_the_hellos_asked_for_are_sent(fleets: Fleets) -> None:
    """``--sni known`` cannot say anything about clients without SNI, and finds nothing wrong."""
    (result,) = results(once(fleets, "--json", "--sni", "known", str(fleets["envoy"].endpoints["names-only"])))
    assert [handshake["sni"] for handshake in result["handshakes"]] == ["known"]
    assert "non_sni_reset" not in result["faults"]
