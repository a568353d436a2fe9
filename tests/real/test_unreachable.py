"""Addresses where no TCP connection comes to stand, each for its own reason, in network namespaces of the test's own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import pytest

from prober.model import Endpoint, Outcome, Verdict
from tests.real.witness import Witnessed, s_client_witness
from tests.servers.namespaces import Namespace, routed_pair
from tests.servers.ports import has_ipv6

TIMEOUT = 6.0
"""Seconds for one handshake. A router's error that comes while connect() still has the socket is passed over by Linux (tcp(7), soft
errors): what counts is then the answer to the SYN that is sent again a second later, and of those answers a router sends one a second."""

# From the client's point of view; see `tests.servers.namespaces`.
_PLACES: dict[str, tuple[str, Outcome, str | None]] = {
    "closed-port": ("127.0.0.1", Outcome.REFUSED, "ECONNREFUSED"),
    "closed-port-elsewhere": ("198.51.100.2", Outcome.REFUSED, "ECONNREFUSED"),
    "dropped-syn": ("198.51.100.9", Outcome.CONNECT_TIMEOUT, None),
    "dropped-by-a-router": ("203.0.113.33", Outcome.CONNECT_TIMEOUT, None),
    "no-route": ("192.0.2.1", Outcome.UNREACHABLE, "ENETUNREACH"),
    "unreachable-route": ("198.18.0.1", Outcome.UNREACHABLE, "EHOSTUNREACH"),
    "prohibited-route": ("198.18.1.1", Outcome.UNREACHABLE, "EACCES"),
    "blackhole-route": ("198.18.2.1", Outcome.UNREACHABLE, "EINVAL"),
    "prohibited-by-a-router": ("203.0.113.1", Outcome.UNREACHABLE, "EHOSTUNREACH"),
    "v6-closed-port": ("::1", Outcome.REFUSED, "ECONNREFUSED"),
    "v6-dropped-syn": ("2001:db8:1::9", Outcome.CONNECT_TIMEOUT, None),
    "v6-no-route": ("2001:db8:f::1", Outcome.UNREACHABLE, "ENETUNREACH"),
    "v6-unreachable-route": ("2001:db8:a::1", Outcome.UNREACHABLE, "EHOSTUNREACH"),
    "v6-prohibited-route": ("2001:db8:b::1", Outcome.UNREACHABLE, "EACCES"),
    "v6-blackhole-route": ("2001:db8:c::1", Outcome.UNREACHABLE, "EINVAL"),
    "v6-prohibited-by-a-router": ("2001:db8:2:a::1", Outcome.UNREACHABLE, "EACCES"),
    "v6-unreachable-for-a-router": ("2001:db8:2:b::1", Outcome.UNREACHABLE, "ENETUNREACH"),
}
PLACES = {name: place for name, place in _PLACES.items() if ":" not in place[0] or has_ipv6()}
PORT = 443


class Told(NamedTuple):
    """What prober and the witness said of all places at once."""

    results: Mapping[str, Mapping[str, Any]]
    """By address."""
    seen: Mapping[str, Witnessed]
    """By address."""
    status: int


@pytest.fixture(scope="module")
def told() -> Iterator[Told]:
    """One ``prober once`` and one witness a place, inside the client's namespace."""
    with routed_pair() as client:
        addresses = [address for address, _, _ in PLACES.values()]
        with ThreadPoolExecutor(len(addresses)) as pool:
            witnessed = pool.map(
                lambda address: s_client_witness(Endpoint(address, PORT), None, patience=TIMEOUT, enter=client.enter), addresses
            )
            answered = _once(client, *map(_target, addresses))
            seen = dict(zip(addresses, witnessed, strict=True))
        document = json.loads(answered.stdout)
        yield Told({result["address"]: result for result in document["results"]}, seen, answered.returncode)


def _target(address: str) -> str:
    return str(Endpoint(address, PORT))


def _once(client: Namespace, *targets: str) -> subprocess.CompletedProcess[str]:
    command = [*client.enter, sys.executable, "-m", "prober", "once", "--json", "--timeout", str(TIMEOUT)]
    command += ["--server-name", "api.example.test", *targets]
    return subprocess.run(command, capture_output=True, text=True, timeout=50, check=False)


@pytest.mark.parametrize("place", PLACES)
def test_every_way_of_not_getting_there_has_its_outcome_and_errno(place: str, told: Told) -> None:
    """All hellos of the differential end at stage ``connect`` as OpenSSL's client does, with the same errno."""
    address, outcome, errno = PLACES[place]
    seen, result = told.seen[address], told.results[address]
    assert (seen.outcome, seen.errno) == (outcome, errno), seen.account
    for handshake in result["handshakes"]:
        assert (handshake["outcome"], handshake["stage"], handshake["errno"]) == (outcome, "connect", errno), handshake
        assert handshake["bytes_received"] == 0
        assert handshake["seconds"]["handshake"] is None
        assert handshake["seconds"]["total"] < TIMEOUT + 1
    assert len(result["handshakes"]) == 3
    assert result["verdict"] == Verdict.UNREACHABLE
    assert result["faults"] == [Verdict.UNREACHABLE]


def test_an_ingress_that_nobody_reaches_is_at_fault(told: Told) -> None:
    """The exit status says so."""
    assert told.status == 1


def test_a_name_that_nobody_resolves_is_unreachable() -> None:
    """Where there is no way to a name server either, the outcome is ``resolve_failed`` at stage ``resolve``."""
    with routed_pair() as client:
        answered = _once(client, "ingress.invalid")
    (result,) = json.loads(answered.stdout)["results"]
    assert result["verdict"] == Verdict.UNREACHABLE
    assert {handshake["outcome"] for handshake in result["handshakes"]} == {"resolve_failed"}
    assert {handshake["stage"] for handshake in result["handshakes"]} == {"resolve"}
    assert answered.returncode == 1
