"""prober classifies what real servers do exactly as independent clients saw it.

The profile ``openssl-3.0`` sends the hello of ``openssl s_client``, so that everything the server decides (version, suite,
group, certificate, whether to retry) must be the same for both. The other profiles are held to what does not depend on them.
"""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from prober.judge.trust import TrustStore
from prober.judge.verdicts import judge
from prober.model import Close, Depth, NonSniPolicy, Observation, Outcome, Sni, Stage
from tests.real.matrix import ABRUPT, Case, Truths, cases
from tests.real.probes import Probes, Setting
from tests.real.witness import Witnessed
from tests.servers.fleets import Fleets

pytestmark = pytest.mark.timeout(300)
"""The first case of a server pays for all of them: it starts the server, and probes every listener."""

ALL = list(cases())
_CLOSE = {Outcome.RESET: Close.RST, Outcome.CLOSED: Close.FIN, Outcome.TIMEOUT: Close.TIMEOUT}
FINISHED = Setting(depth=Depth.FINISHED)
AGAIN = Setting(rounds=2)


@pytest.mark.parametrize("case", ALL, ids=str)
def test_a_handshake_is_what_the_witness_saw(case: Case, truths: Truths, probes: Probes) -> None:
    """Outcome, stage, alert, errno and all that was negotiated are the witness's."""
    seen, said = truths[case], probes.handshake(case).observation
    assert said.outcome is seen.outcome, (said, seen.account)
    assert said.stage is _stage(seen), (said, seen.account)
    assert _CLOSE.get(said.outcome, said.close) is said.close, said
    assert said.errno == ("ECONNRESET" if seen.outcome is Outcome.RESET else None), said
    assert (said.facts.tls_alert.code if said.facts.tls_alert else None) == _alert(seen), (said, seen.account)
    if seen.bytes_received == 0:
        assert said.bytes_received == 0, said
    if case.row.proxy_protocol is None and seen.outcome is not Outcome.PROTOCOL_ERROR:
        _assert_same_handshake(said, seen)
        if not case.row.piecemeal:
            _assert_same_rest(said, seen)


@pytest.mark.parametrize("case", ALL, ids=str)
def test_a_handshake_with_a_server_that_is_known_is_what_the_witness_saw(case: Case, truths: Truths, probes: Probes) -> None:
    """The second round: its flights are recognised by what was read in the first (`prober.tls.known_flights`)."""
    seen, said = truths[case], probes.handshake(case, AGAIN).observation
    assert said.outcome is seen.outcome, (said, seen.account)
    assert said.stage is _stage(seen), (said, seen.account)
    if case.row.proxy_protocol is None and seen.outcome is not Outcome.PROTOCOL_ERROR:
        _assert_same_handshake(said, seen)
        if not case.row.piecemeal:
            _assert_same_rest(said, seen)


@pytest.mark.parametrize("case", ALL, ids=str)
def test_a_whole_handshake_is_finished_where_the_witness_finished(case: Case, truths: Truths, probes: Probes) -> None:
    """With depth ``finished``, both Finished messages are done exactly where OpenSSL's client did them."""
    seen, said = truths[case], probes.handshake(case, FINISHED).observation
    assert said.outcome is seen.outcome, (said, seen.account)
    assert (said.stage is Stage.FINISHED) == seen.finished, (said, seen.account)
    assert said.facts.finished == seen.finished, said
    if case.row.proxy_protocol is None and seen.outcome is not Outcome.PROTOCOL_ERROR:
        _assert_same_handshake(said, seen)
        _assert_same_rest(said, seen)


@pytest.mark.parametrize("case", list(cases(hanging_up=True)), ids=str)
def test_a_server_that_hangs_up_at_once_is_reset_or_closed(case: Case, truths: Truths, probes: Probes) -> None:
    """FIN and RST race each other to the client, witness or prober; either way no byte came, and the errno is told."""
    seen, said = truths[case], probes.handshake(case).observation
    assert {seen.outcome, said.outcome} <= ABRUPT, (said, seen.account)
    assert (said.stage, said.bytes_received) == (Stage.CLIENT_HELLO, 0), said
    reset = said.outcome is Outcome.RESET
    assert said.close is (Close.RST if reset else Close.FIN), said
    assert said.errno in ({"ECONNRESET", "EPIPE"} if reset else {None}), said  # EPIPE: a RST after the FIN (tcp(7))


JUDGED = [case for case in (*ALL, *cases(hanging_up=True)) if case.offer == "auto" and case.sni is Sni.NONE]


@pytest.mark.parametrize("case", JUDGED, ids=lambda case: f"{case.server}-{case.listener}")
def test_a_differential_comes_to_the_declared_verdict(case: Case, probes: Probes, fleets: Fleets) -> None:
    """The judgement of the three hellos is the one that the listener's configuration deserves."""
    trust = TrustStore(fleets.material.ca_file.read_bytes())
    told = probes.differential(case.server, case.listener)
    judgement = judge(told, NonSniPolicy.CERTIFICATE, trust, datetime.now(UTC))
    assert judgement.verdict is case.row.verdict, judgement.summary


def _stage(seen: Witnessed) -> Stage:
    if seen.outcome is Outcome.CERTIFICATE:
        return Stage.CERTIFICATE
    return Stage.SERVER_HELLO if seen.bytes_received else Stage.CLIENT_HELLO


def _alert(seen: Witnessed) -> int | None:
    return seen.tls_alert if seen.outcome is Outcome.TLS_ALERT else None


def _assert_same_handshake(said: Observation, seen: Witnessed) -> None:
    facts = said.facts
    assert facts.tls_version == seen.tls_version
    assert facts.cipher_suite == seen.cipher_suite
    assert facts.certificates == seen.certificates
    assert facts.hello_retry_request == seen.hello_retry_request
    assert tuple(warning.code for warning in facts.warning_alerts) == seen.warning_alerts


def _assert_same_rest(said: Observation, seen: Witnessed) -> None:
    """What TLS 1.2 tells only after the certificate."""
    assert said.facts.group == seen.group
    assert said.facts.client_certificate_requested == seen.client_certificate_requested
