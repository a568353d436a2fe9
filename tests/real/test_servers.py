"""The servers do what their tables declare: independent clients see it, without prober."""

from __future__ import annotations

import hashlib

import pytest

from prober.model import Outcome
from tests.real.matrix import UNKNOWN_NAME, Case, Truths, cases
from tests.real.witness import socket_witness
from tests.servers.fleets import Fleets
from tests.servers.ports import has_ipv6
from tests.servers.requirements import not_permitted

pytestmark = pytest.mark.timeout(300)
"""The first case of a server pays for all of them: it starts the server, and probes every listener."""


def test_this_machine_has_ipv6() -> None:
    """Where it has none, the listeners on IPv6 are missing from the tables; this one skip says so."""
    if not has_ipv6():
        not_permitted("there is no IPv6 loopback address here")


DECLARED = list(cases(offers=["auto"]))
FATES = [case for case in DECLARED if case.row.ending(case.sni).outcome in {Outcome.RESET, Outcome.CLOSED}]


@pytest.mark.parametrize("case", DECLARED, ids=str)
def test_a_listener_does_what_is_declared(case: Case, truths: Truths, fleets: Fleets) -> None:
    """OpenSSL's client meets the declared ending, alert and certificate."""
    declared, seen = case.row.ending(case.sni), truths[case]
    assert seen.outcome is declared.outcome, seen.account
    if declared.tls_alert is not None:
        assert seen.tls_alert == declared.tls_alert, seen.account
    if declared.role is not None:
        assert seen.certificates, seen.account
        assert fleets.material.role_of(seen.certificates[0]) == declared.role, hashlib.sha256(seen.certificates[0]).hexdigest()


@pytest.mark.parametrize("case", FATES, ids=str)
def test_two_witnesses_agree_on_resets_and_closes(case: Case, truths: Truths, fleets: Fleets) -> None:
    """A plain socket that sends another client's hello meets the same end, and receives as many bytes: none."""
    seen = socket_witness(
        fleets[case.server].endpoints[case.listener], case.server_name(UNKNOWN_NAME), proxy_protocol=case.row.proxy_protocol
    )
    assert (seen.outcome, seen.bytes_received) == (truths[case].outcome, 0), seen.account
