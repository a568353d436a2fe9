"""Every outcome, stage, close and errno, against peers that do one thing each."""

from __future__ import annotations

import ipaddress
import socket
import ssl
import time
from collections.abc import Callable
from typing import Any

import pytest

from prober.model import Close, Endpoint, Observation, Outcome, Stage
from prober.probing.engine import Engine
from prober.tls.client_hello import HelloFactory, Offer
from tests.probing.conftest import AttemptMaker, Served
from tests.servers.ports import Ports
from tests.servers.scripted import (
    Step,
    close_unread,
    dribble,
    fin,
    hold,
    pause,
    read,
    read_hello,
    reset,
    scripted,
    see_end,
    send,
    send_flight,
)

IPS = pytest.mark.parametrize("ip", ["127.0.0.1", "::1"])

ALERT_112 = bytes.fromhex("15 03 03 00 02 02 70")
WARNING_112 = bytes.fromhex("15 03 03 00 02 01 70")
CLOSE_NOTIFY = bytes.fromhex("15 03 03 00 02 01 00")


def ending(observation: Observation) -> tuple[Outcome, Stage, str | None, Close]:
    """What the contract says about how a handshake ended."""
    return observation.outcome, observation.stage, observation.errno, observation.close


class HookedFactory:
    """A HelloFactory that calls ``hook`` when a hello is wanted: between the connection's standing and the first send."""

    def __init__(self, factory: HelloFactory, hook: Callable[[], None], more: bytes = b"") -> None:
        self._factory = factory
        self._hook = hook
        self._more = more

    def __getattr__(self, name: str) -> Any:
        return getattr(self._factory, name)

    def offer(self, server_name: str | None) -> Offer:
        """The factory's, with ``more`` bytes behind it."""
        self._hook()
        offer = self._factory.offer(server_name)
        offer.wire += self._more
        return offer


# -- nothing but an end ----------------------------------------------------------------------------------------------------


@IPS
async def test_a_server_that_closes_with_the_hello_unread_is_a_reset(engine: Engine, attempt: AttemptMaker, ip: str) -> None:
    """Envoy without a filter chain: RST, no byte."""
    with scripted(close_unread(), ip=ip) as peer:
        observation = await engine.handshake(attempt(peer.endpoint))
    assert ending(observation) == (Outcome.RESET, Stage.CLIENT_HELLO, "ECONNRESET", Close.RST)
    assert observation.bytes_received == 0


@IPS
async def test_a_server_that_reads_and_closes_is_closed(engine: Engine, attempt: AttemptMaker, ip: str) -> None:
    """FIN with no byte received."""
    with scripted(read_hello(), ip=ip) as peer:
        observation = await engine.handshake(attempt(peer.endpoint))
    assert ending(observation) == (Outcome.CLOSED, Stage.CLIENT_HELLO, None, Close.FIN)
    assert observation.bytes_received == 0


@IPS
async def test_a_closed_port_is_refused(engine: Engine, attempt: AttemptMaker, ip: str) -> None:
    """RST to the SYN."""
    with Ports() as ports:
        observation = await engine.handshake(attempt(ports.take(ip)))
    assert ending(observation) == (Outcome.REFUSED, Stage.CONNECT, "ECONNREFUSED", Close.NONE)
    assert observation.seconds.connect is None
    assert observation.seconds.handshake is None


async def test_silence_is_a_timeout(engine: Engine, attempt: AttemptMaker) -> None:
    """Connected, hello sent, nothing came."""
    with scripted(read_hello(), see_end()) as peer:
        observation = await engine.handshake(attempt(peer.endpoint, timeout=0.2))
        assert peer.next_ending() == "rst"
    assert ending(observation) == (Outcome.TIMEOUT, Stage.CLIENT_HELLO, None, Close.TIMEOUT)
    assert observation.seconds.handshake is not None
    assert 0.15 < observation.seconds.handshake < 2.0


async def test_a_rst_before_anybody_looked_is_a_reset_of_a_connection_that_stood(engine: Engine, attempt: AttemptMaker) -> None:
    """SO_ERROR says ECONNRESET before the hello was sent: the connection stood, so this is neither refused nor connect."""
    with scripted(reset()) as peer:
        results: list[Observation] = []
        handle = engine.start(attempt(peer.endpoint), results.append)
        peer.wait_done()  # the engine's task cannot run before this function gives way
        while handle.observation is None:
            await engine.handshake(attempt(Endpoint("127.0.0.1", 1)))
    (observation,) = results
    assert ending(observation) == (Outcome.RESET, Stage.CLIENT_HELLO, "ECONNRESET", Close.RST)
    assert observation.seconds.connect is not None
    assert observation.seconds.handshake is None, "the hello was never sent"


async def test_a_rst_that_makes_send_fail_is_a_reset(engine: Engine, attempt: AttemptMaker, factory: HelloFactory) -> None:
    """send() fails with ECONNRESET and recv() says b"" afterwards: the first error counts."""
    with scripted(reset()) as peer:
        observation = await engine.handshake(attempt(peer.endpoint, factory=HookedFactory(factory, peer.wait_done)))
    assert ending(observation) == (Outcome.RESET, Stage.CLIENT_HELLO, "ECONNRESET", Close.RST)
    assert observation.seconds.handshake == pytest.approx(0.0, abs=0.1)


async def test_a_fin_that_comes_before_the_hello_is_closed(engine: Engine, attempt: AttemptMaker, factory: HelloFactory) -> None:
    """The server ended in order before it could know what we wanted; our hello then meets a RST, which changes nothing."""
    with scripted() as peer:
        observation = await engine.handshake(attempt(peer.endpoint, factory=HookedFactory(factory, peer.wait_done)))
    assert ending(observation) == (Outcome.CLOSED, Stage.CLIENT_HELLO, None, Close.FIN)


# -- some bytes and an end -------------------------------------------------------------------------------------------------

ALERT_ENDINGS: list[tuple[tuple[Step, ...], Close]] = [
    ((fin(), hold()), Close.FIN),
    ((), Close.FIN),
    ((reset(),), Close.RST),
    ((pause(0.02), reset()), Close.RST),
    ((hold(),), Close.NONE),
]


@pytest.mark.parametrize(("steps", "close"), ALERT_ENDINGS, ids=["shutdown", "close", "rst", "late rst", "nothing"])
async def test_what_follows_an_alert_is_seen_and_does_not_change_the_outcome(
    engine: Engine, attempt: AttemptMaker, steps: tuple[Step, ...], close: Close
) -> None:
    """An alert followed by a RST is a TLS alert with close ``rst``."""
    with scripted(read_hello(), send(ALERT_112), *steps) as peer:
        observation = await engine.handshake(attempt(peer.endpoint))
    assert ending(observation) == (Outcome.TLS_ALERT, Stage.SERVER_HELLO, None, close)
    assert observation.facts.tls_alert is not None
    assert observation.facts.tls_alert.description == "unrecognized_name"
    assert observation.bytes_received == 7


async def test_listening_for_what_follows_an_alert_is_not_part_of_the_duration(engine: Engine, attempt: AttemptMaker) -> None:
    """The reported time ends with the alert."""
    with scripted(read_hello(), send(ALERT_112), hold()) as peer:
        began = time.perf_counter()
        observation = await engine.handshake(attempt(peer.endpoint))
        waited = time.perf_counter() - began
    assert waited - observation.seconds.total > 0.08


async def test_an_alert_and_a_rst_before_the_hello_is_an_alert(
    engine: Engine, attempt: AttemptMaker, factory: HelloFactory
) -> None:
    """send() fails with ECONNRESET, and what the peer said before that is still there to be read."""
    with scripted(send(ALERT_112), reset()) as peer:
        observation = await engine.handshake(attempt(peer.endpoint, factory=HookedFactory(factory, peer.wait_done)))
    assert ending(observation) == (Outcome.TLS_ALERT, Stage.SERVER_HELLO, None, Close.RST)


@pytest.mark.parametrize("size", [1, 5, 40, 90])
async def test_a_fin_after_part_of_a_flight_is_closed_with_bytes(
    engine: Engine, attempt: AttemptMaker, tls12: Served, size: int
) -> None:
    """Orderly, and before a certificate."""
    with scripted(read_hello(), send_flight(tls12.context, cut=lambda flight: flight[:size])) as peer:
        observation = await engine.handshake(attempt(peer.endpoint))
    assert ending(observation) == (Outcome.CLOSED, Stage.SERVER_HELLO, None, Close.FIN)
    assert observation.bytes_received == size
    assert observation.detail is not None
    assert "while waiting for" in observation.detail


async def test_a_rst_after_part_of_a_flight_is_a_reset_with_bytes(engine: Engine, attempt: AttemptMaker, tls12: Served) -> None:
    """The stage says that bytes had come."""
    with scripted(read_hello(), send_flight(tls12.context, cut=lambda flight: flight[:40]), reset()) as peer:
        observation = await engine.handshake(attempt(peer.endpoint))
    assert ending(observation) == (Outcome.RESET, Stage.SERVER_HELLO, "ECONNRESET", Close.RST)
    assert observation.bytes_received == 40


async def test_silence_after_part_of_a_flight_is_a_timeout(engine: Engine, attempt: AttemptMaker, tls12: Served) -> None:
    """The deadline passed before the answer was complete."""
    with scripted(read_hello(), send_flight(tls12.context, cut=lambda flight: flight[:200]), hold()) as peer:
        observation = await engine.handshake(attempt(peer.endpoint, timeout=0.2))
    assert ending(observation) == (Outcome.TIMEOUT, Stage.SERVER_HELLO, None, Close.TIMEOUT)
    assert observation.bytes_received == 200


async def test_close_notify_before_a_certificate_is_closed(engine: Engine, attempt: AttemptMaker) -> None:
    """It is an end in order, said in TLS."""
    with scripted(read_hello(), send(CLOSE_NOTIFY)) as peer:
        observation = await engine.handshake(attempt(peer.endpoint))
    assert ending(observation) == (Outcome.CLOSED, Stage.SERVER_HELLO, None, Close.FIN)
    assert observation.detail is not None
    assert "close_notify" in observation.detail


# -- no TLS ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("steps", "guess", "close"),
    [
        ((read_hello(), send(b"HTTP/1.1 400 Bad Request\r\n\r\n")), "http", Close.FIN),
        ((send(b"SSH-2.0-OpenSSH_9.2\r\n"), see_end()), "ssh", Close.NONE),
        ((read_hello(), dribble(b"HTTP/1.0 400 Bad\r\n\r\n", every=0.002)), "http", None),
        ((read_hello(), send(b"HT")), "unknown", Close.FIN),
    ],
    ids=["http", "ssh speaks first", "http byte by byte", "too short to guess"],
)
async def test_something_else_than_tls_is_named_and_its_first_bytes_shown(
    engine: Engine, attempt: AttemptMaker, steps: tuple[Step, ...], guess: str, close: Close | None
) -> None:
    """Bytes that are no TLS record, at whatever end."""
    with scripted(*steps) as peer:
        observation = await engine.handshake(attempt(peer.endpoint))
    assert (observation.outcome, observation.stage) == (Outcome.NOT_TLS, Stage.SERVER_HELLO)
    assert close is None or observation.close is close
    assert observation.detail is not None
    assert observation.detail.startswith(guess)


async def test_a_malformed_server_hello_is_a_protocol_error_that_says_where(engine: Engine, attempt: AttemptMaker) -> None:
    """TLS records, but what is in them cannot be."""
    with scripted(read_hello(), send(bytes.fromhex("16 03 03 00 06 02 00 00 02 03 03")), hold()) as peer:
        observation = await engine.handshake(attempt(peer.endpoint))
    assert ending(observation) == (Outcome.PROTOCOL_ERROR, Stage.SERVER_HELLO, None, Close.NONE)
    assert observation.detail is not None
    assert observation.detail.startswith("ServerHello")


# -- certificates ----------------------------------------------------------------------------------------------------------


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


# -- what is sent ----------------------------------------------------------------------------------------------------------


async def test_a_hello_that_the_kernel_takes_in_parts_arrives_whole(
    engine: Engine, attempt: AttemptMaker, factory: HelloFactory
) -> None:
    """Three megabytes through a small window, to a server that begins to read late."""
    more = bytes(3_000_000)
    fat = HookedFactory(factory, lambda: None, more)
    with scripted(pause(0.1), read(len(more) + 400), send(ALERT_112), receive_buffer=4096) as peer:
        observation = await engine.handshake(attempt(peer.endpoint, factory=fat))
        received = peer.next_received()
    assert observation.outcome is Outcome.TLS_ALERT
    assert received[:1] == b"\x16"
    assert received[400:].count(0) >= len(more) - 400


@IPS
@pytest.mark.parametrize("version", ["v1", "v2"])
async def test_the_proxy_header_comes_before_the_hello_in_one_piece(
    engine: Engine, attempt: AttemptMaker, version: str, ip: str
) -> None:
    """It names both ends of the very connection that it is sent on."""
    clients: list[tuple[Any, ...]] = []
    chunks: list[bytes] = []

    def read_once(connection: Any) -> None:
        clients.append(connection.sock.getpeername())
        chunks.append(connection.receive())

    with scripted(read_once, send(ALERT_112), ip=ip) as peer:
        observation = await engine.handshake(attempt(peer.endpoint, proxy_protocol=version))
    assert observation.outcome is Outcome.TLS_ALERT
    port = clients[0][1]
    if version == "v1":
        family = "TCP6" if ":" in ip else "TCP4"
        header = f"PROXY {family} {ip} {ip} {port} {peer.endpoint.port}\r\n".encode()
    else:
        address = ipaddress.ip_address(ip).packed
        header = b"\r\n\r\n\0\r\nQUIT\n" + bytes((0x21, 0x21 if ":" in ip else 0x11)) + (2 * len(address) + 4).to_bytes(2)
        header += address + address + port.to_bytes(2) + peer.endpoint.port.to_bytes(2)
    assert chunks[0].startswith(header)
    assert chunks[0][len(header)] == 0x16


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
