"""What the engine says of a server that it has seen before: the same, and something else as soon as the server says something else."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from prober.model import Close, Depth, Observation, Outcome, Stage
from prober.probing.engine import Engine
from prober.tls.client_hello import HelloFactory
from prober.tls.profiles import PROFILES
from tests.pki import self_signed
from tests.probing.conftest import AttemptMaker, Served
from tests.servers.scripted import fin, read_hello, scripted, see_end, send_flight
from tests.tls.counter import CounterEntropy

NAME = "api.example.test"


@pytest.fixture(params=[ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["tls12", "tls13"])
def served(request: pytest.FixtureRequest, tmp_path: Path) -> Served:
    """OpenSSL's server, of either version, for one test alone."""
    return Served(tmp_path, request.param)


@pytest.fixture
def fresh() -> HelloFactory:
    """Hellos to which nobody has answered yet."""
    return HelloFactory(PROFILES["modern"], entropy=CounterEntropy())


def without_times(observation: Observation) -> Observation:
    """What can be compared. Signatures are of different lengths."""
    return observation._replace(seconds=None, bytes_received=0)  # type: ignore[arg-type]


async def test_a_known_flight_makes_the_same_observation(
    engine: Engine, attempt: AttemptMaker, served: Served, fresh: HelloFactory
) -> None:
    """And the very same facts, so that whoever remembers what came of them need not compare certificates."""
    with scripted(read_hello(), send_flight(served.context), see_end()) as peer:
        first, second, third = [await engine.handshake(attempt(peer.endpoint, factory=fresh)) for _ in range(3)]
    assert (first.outcome, first.stage, first.close) == (Outcome.CERTIFICATE, Stage.CERTIFICATE, Close.NONE)
    assert first.facts.certificates
    assert without_times(first) == without_times(second) == without_times(third)
    assert third.facts is second.facts
    assert third.seconds.handshake is not None
    assert third.seconds.uncertainty == 0.0


async def test_another_certificate_is_noticed_at_once(
    engine: Engine, attempt: AttemptMaker, served: Served, fresh: HelloFactory
) -> None:
    """A server that is known under one certificate shows another, and then the first again."""
    mine, other = served.issued, self_signed(NAME)
    seen = []
    with scripted(read_hello(), send_flight(served.context), see_end()) as peer:
        for issued in (mine, mine, other, other, mine):
            files = issued.write(served.files.certificate.parent, "rotated")
            served.context.load_cert_chain(files.certificate, files.key)
            seen.append((await engine.handshake(attempt(peer.endpoint, factory=fresh))).facts.certificates[0])
    assert seen == [mine.der, mine.der, other.der, other.der, mine.der]


async def test_a_known_flight_that_is_cut_short_is_no_certificate(
    engine: Engine, attempt: AttemptMaker, tls12: Served, fresh: HelloFactory
) -> None:
    """Half a flight, and the FIN: not taken for the whole that was seen before."""
    with scripted(read_hello(), send_flight(tls12.context), see_end()) as peer:
        assert (await engine.handshake(attempt(peer.endpoint, factory=fresh))).outcome is Outcome.CERTIFICATE
    with scripted(read_hello(), send_flight(tls12.context, cut=lambda flight: flight[:300]), fin()) as peer:
        observation = await engine.handshake(attempt(peer.endpoint, factory=fresh))
    assert (observation.outcome, observation.stage) == (Outcome.CLOSED, Stage.SERVER_HELLO)
    assert observation.bytes_received == 300


async def test_a_transcript_and_a_whole_handshake_are_read_all_the_same(
    engine: Engine, attempt: AttemptMaker, served: Served, fresh: HelloFactory
) -> None:
    """Who asks for messages gets them, and who asks for Finished gets a verified one."""
    with scripted(read_hello(), send_flight(served.context), see_end()) as peer:
        for _ in range(2):
            await engine.handshake(attempt(peer.endpoint, factory=fresh))
        decoded = await engine.handshake(attempt(peer.endpoint, factory=fresh, transcript=True))
        whole = await engine.handshake(attempt(peer.endpoint, factory=fresh, depth=Depth.FINISHED, timeout=2.0))
    assert [entry.name for entry in decoded.transcript][:2] == ["ClientHello", "ServerHello"]
    assert "Certificate" in [entry.name for entry in decoded.transcript]
    assert whole.outcome is Outcome.CERTIFICATE
