"""Certificates: whatever comes behind one, and handshakes that are completed."""

from __future__ import annotations

import socket
import ssl
import time
from typing import Any

import pytest

from prober.model import Close, Outcome, Stage
from prober.probing.engine import Engine
from tests.probing.conftest import AttemptMaker, Served
from tests.probing.outcomes import ALERT_112, IPS, WARNING_112, ending
from tests.servers.scripted import Step, hold, pause, read_hello, reset, scripted, see_end, send, send_flight


@IPS
@pytest.mark.parametrize("version", ["tls12", "tls13"])
async def test_a_certificate_ends_the_handshake_and_nothing_is_left_behind(
    engine: Engine, attempt: AttemptMaker, request: pytest.FixtureRequest, version: str, ip: str
) -> None:
    """OpenSSL's own flight; the server sees our RST."""
    served: Served = request.getfixturevalue(version)
    with scripted(read_hello(), send_flight(served.context), see_end(), ip=ip) as peer:
        observation = await engine.handshake(attempt(peer.endpoint))
        assert peer.next_ending() == "rst"
    assert ending(observation) == (Outcome.CERTIFICATE, Stage.CERTIFICATE, None, Close.NONE)
    assert observation.facts.certificates == served.issued.ders
    assert observation.facts.tls_version == ("TLSv1.2" if version == "tls12" else "TLSv1.3")
    assert observation.facts.group is not None


@pytest.mark.parametrize("version", ["tls12", "tls13"])
async def test_a_flight_that_comes_byte_by_byte_reads_the_same(
    engine: Engine, attempt: AttemptMaker, request: pytest.FixtureRequest, version: str
) -> None:
    """However TCP cuts it."""
    served: Served = request.getfixturevalue(version)

    def send_in_pieces(connection: Any) -> None:
        flights: list[bytes] = []
        connection.sock.setsockopt(6, 1, 1)  # TCP_NODELAY
        send_flight(served.context, cut=lambda flight: flights.append(flight) or b"")(connection)  # type: ignore[func-returns-value]
        for byte in flights[0]:
            connection.sock.sendall(bytes((byte,)))

    with scripted(read_hello(), send_in_pieces) as peer:
        observation = await engine.handshake(attempt(peer.endpoint))
    assert observation.outcome is Outcome.CERTIFICATE
    assert observation.facts.certificates == served.issued.ders


def _until_certificate(flight: bytes) -> bytes:
    """OpenSSL's TLS 1.2 flight without what follows the Certificate message: one record a message."""
    size = 0
    for _ in range(2):
        size += 5 + int.from_bytes(flight[size + 3 : size + 5])
    assert flight[size + 5] == 0x0C, "ServerKeyExchange comes next"
    return flight[:size]


@pytest.mark.parametrize(
    ("steps", "close"),
    [((hold(),), Close.NONE), ((), Close.FIN), ((reset(),), Close.RST), ((send(ALERT_112),), Close.FIN)],
    ids=["silence", "fin", "rst", "alert"],
)
async def test_whatever_follows_a_certificate_the_outcome_stays(
    engine: Engine, attempt: AttemptMaker, tls12: Served, steps: tuple[Step, ...], close: Close
) -> None:
    """TLS 1.2: the rest of the flight is waited for, half a second at most, and its absence is no failure."""
    with scripted(read_hello(), send_flight(tls12.context, cut=_until_certificate), *steps) as peer:
        began = time.perf_counter()
        observation = await engine.handshake(attempt(peer.endpoint))
        waited = time.perf_counter() - began
    assert ending(observation) == (Outcome.CERTIFICATE, Stage.CERTIFICATE, None, close)
    assert observation.facts.certificates == tls12.issued.ders
    if close is Close.NONE:
        assert 0.4 < waited - observation.seconds.total < 5.0, "the grace is not part of the duration"


async def test_the_rest_of_a_tls12_flight_is_used_when_it_comes_later(
    engine: Engine, attempt: AttemptMaker, tls12: Served
) -> None:
    """The group is in the ServerKeyExchange; the duration ends with the Certificate."""
    flights: list[bytes] = []

    def keep(flight: bytes) -> bytes:
        flights.append(flight)
        return _until_certificate(flight)

    def send_rest(connection: Any) -> None:
        connection.sock.sendall(flights[0][len(_until_certificate(flights[0])) :])

    with scripted(read_hello(), send_flight(tls12.context, cut=keep), pause(0.1), send_rest, hold()) as peer:
        observation = await engine.handshake(attempt(peer.endpoint))
    assert observation.facts.group is not None
    assert observation.seconds.total < 0.1


async def test_a_warning_about_the_name_is_no_end(engine: Engine, attempt: AttemptMaker, tls12: Served) -> None:
    """RFC 6066 §3: a warning-level unrecognized_name, then a normal handshake."""
    with scripted(read_hello(), send(WARNING_112), send_flight(tls12.context), hold()) as peer:
        observation = await engine.handshake(attempt(peer.endpoint))
    assert observation.outcome is Outcome.CERTIFICATE
    assert [alert.description for alert in observation.facts.warning_alerts] == ["unrecognized_name"]


# -- depth finished --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["tls12", "tls13"])
async def test_depth_finished_ends_politely(
    engine: Engine, attempt: AttemptMaker, request: pytest.FixtureRequest, version: str
) -> None:
    """Python's ssl, on the other side, completes the handshake, reads our close_notify, says goodbye and sees a FIN."""
    served: Served = request.getfixturevalue(version)

    def serve(connection: Any) -> None:
        tls = served.context.wrap_socket(connection.sock.dup(), server_side=True, suppress_ragged_eofs=False)
        with tls:
            connection.peer.ended(repr(tls.recv(1)))  # b"" is close_notify; a bare FIN would raise
            plain = tls.unwrap()
            plain.shutdown(1)
            connection.peer.ended(repr(plain.recv(1)))
            plain.close()

    with scripted(serve) as peer:
        observation = await engine.handshake(attempt(peer.endpoint, depth="finished"))
        assert [peer.next_ending(), peer.next_ending()] == ["b''", "b''"]
    assert (observation.outcome, observation.stage) == (Outcome.CERTIFICATE, Stage.FINISHED)
    assert observation.facts.certificates == served.issued.ders
    assert observation.facts.finished


async def test_a_server_that_does_not_close_after_our_goodbye_gets_a_fin(
    engine: Engine, attempt: AttemptMaker, tls13: Served
) -> None:
    """It is waited for, briefly, and then the connection is closed in order, never reset."""

    def serve(connection: Any) -> None:
        tls = tls13.context.wrap_socket(connection.sock, server_side=True, suppress_ragged_eofs=False)
        assert tls.recv(1) == b""
        with socket.socket(fileno=tls.detach()) as plain:
            connection.peer.ended(repr(plain.recv(1)))

    with scripted(serve) as peer:
        observation = await engine.handshake(attempt(peer.endpoint, depth="finished"))
        assert peer.next_ending() == "b''"
    assert ending(observation) == (Outcome.CERTIFICATE, Stage.FINISHED, None, Close.NONE)


@pytest.mark.parametrize("depth", ["certificate", "finished"])
async def test_a_hello_retry_request_is_answered(engine: Engine, attempt: AttemptMaker, tls13: Served, depth: str) -> None:
    """A server that only takes P-521, of which no share was sent."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tls13.files.certificate, tls13.files.key)
    context.set_ecdh_curve("secp521r1")

    def serve(connection: Any) -> None:
        with context.wrap_socket(connection.sock.dup(), server_side=True) as tls:
            tls.recv(1)

    with scripted(serve) as peer:
        observation = await engine.handshake(attempt(peer.endpoint, depth=depth))
    assert observation.outcome is Outcome.CERTIFICATE
    assert observation.facts.hello_retry_request
    assert observation.facts.group == "secp521r1"


async def test_a_finished_handshake_that_stalls_after_the_certificate_has_a_certificate(
    engine: Engine, attempt: AttemptMaker, tls12: Served
) -> None:
    """The stage says how far it came, the close that the deadline ended it."""
    with scripted(read_hello(), send_flight(tls12.context), hold()) as peer:
        observation = await engine.handshake(attempt(peer.endpoint, depth="finished", timeout=0.3))
    assert ending(observation) == (Outcome.CERTIFICATE, Stage.CERTIFICATE, None, Close.TIMEOUT)
    assert observation.detail == "after the certificate: silence while waiting for NewSessionTicket or ChangeCipherSpec"


@pytest.mark.parametrize(
    ("steps", "close", "what"),
    [
        ((), Close.FIN, "FIN"),
        ((reset(),), Close.RST, "RST"),
        ((send(ALERT_112),), Close.FIN, "alert 112 unrecognized_name"),
        ((send(bytes.fromhex("15 0303 0002 01 00")), hold()), Close.NONE, "the end"),
    ],
    ids=["fin", "rst", "alert", "close_notify"],
)
async def test_a_handshake_that_is_cut_short_behind_the_certificate_says_so(
    engine: Engine, attempt: AttemptMaker, tls12: Served, steps: tuple[Step, ...], close: Close, what: str
) -> None:
    """Whoever asks for a finished handshake is told what came in its place; at depth ``certificate`` nothing was missed."""
    with scripted(read_hello(), send_flight(tls12.context, cut=_until_certificate), *steps) as peer:
        observation = await engine.handshake(attempt(peer.endpoint, depth="finished"))
        shallow = await engine.handshake(attempt(peer.endpoint))
    assert ending(observation) == (Outcome.CERTIFICATE, Stage.CERTIFICATE, None, close)
    assert (observation.detail or "").startswith(f"after the certificate: {what} while waiting for CertificateStatus or ")
    assert shallow.detail is None


def _demanding(served: Served) -> ssl.SSLContext:
    """A server that wants a client certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(served.files.certificate, served.files.key)
    context.load_verify_locations(served.files.certificate)
    return context


async def test_a_server_that_demands_a_client_certificate_is_not_told_as_one_that_breaks_off_for_no_reason(
    engine: Engine, attempt: AttemptMaker, tls12: Served
) -> None:
    """TLS 1.2 has no alert for it: OpenSSL says handshake_failure, as for anything else."""
    context = _demanding(tls12)
    context.maximum_version = ssl.TLSVersion.TLSv1_2

    def serve(connection: Any) -> None:
        with pytest.raises(ssl.SSLError), connection.sock.dup() as plain:
            context.wrap_socket(plain, server_side=True)

    with scripted(serve) as peer:
        observation = await engine.handshake(attempt(peer.endpoint, depth="finished"))
    assert ending(observation)[:2] == (Outcome.CERTIFICATE, Stage.CERTIFICATE)
    assert observation.detail == (
        "after the certificate: alert 40 handshake_failure while waiting for NewSessionTicket or ChangeCipherSpec; "
        "it asked for a client certificate, and got none"
    )


async def test_a_server_of_tls_1_3_that_stops_before_its_finished_message_does_not_miss_a_client_certificate(
    engine: Engine, attempt: AttemptMaker, tls13: Served
) -> None:
    """It asks for one in front of its own certificate, and cannot know yet that it gets none."""
    context = _demanding(tls13)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    with scripted(read_hello(), send_flight(context, cut=lambda flight: flight[:-1])) as peer:
        observation = await engine.handshake(attempt(peer.endpoint, depth="finished"))
    assert observation.facts.client_certificate_requested
    assert (observation.detail or "").startswith("after the certificate: FIN while waiting for Finished")
    assert "client certificate" not in (observation.detail or "")


GARBAGE = bytes.fromhex("17 0303 0018") + bytes(24)


@pytest.mark.parametrize("apart", [False, True], ids=["in one segment", "in another segment"])
async def test_what_comes_behind_a_finished_handshake_decides_nothing(
    engine: Engine, attempt: AttemptMaker, tls13: Served, *, apart: bool
) -> None:
    """However TCP cuts it: the handshake was finished, our half of it is sent, and the detail tells what was wrong behind it."""

    def read_finished(connection: Any) -> None:
        connection.peer.ended(str(len(connection.receive())))

    steps = (read_finished, send(GARBAGE)) if apart else (read_finished,)
    with scripted(
        read_hello(), send_flight(tls13.context, cut=lambda flight: flight + (b"" if apart else GARBAGE)), *steps
    ) as peer:
        observation = await engine.handshake(attempt(peer.endpoint, depth="finished"))
        assert int(peer.next_ending()) > 0, "ChangeCipherSpec, Finished, close_notify"
    assert ending(observation) == (Outcome.CERTIFICATE, Stage.FINISHED, None, Close.FIN)
    assert observation.detail == "after the handshake: record at offset 5: a protected record does not decrypt"
