"""Every outcome without a certificate, its stage, close and errno, against peers that do one thing each."""

from __future__ import annotations

import time
from threading import Event

import pytest

from prober.model import Close, Depth, Endpoint, Observation, Outcome, Stage
from prober.probing.engine import Engine
from prober.tls.client_hello import HelloFactory
from tests.probing.conftest import AttemptMaker, Served
from tests.probing.outcomes import ALERT_112, IPS, WARNING_112, HookedFactory, ending
from tests.servers.ports import Ports
from tests.servers.scripted import (
    Step,
    close_unread,
    dribble,
    fin,
    hold,
    pause,
    read_hello,
    reset,
    scripted,
    see_end,
    send,
    send_flight,
)

SERVER_HELLO_DONE = bytes.fromhex("16 03 03 00 04 0e 00 00 00")
NO_SERVER_HELLO_DONE = bytes.fromhex("16 03 03 00 05 0e 00 00 01 00")
EMPTY_CLIENT_HELLO = bytes.fromhex("16 03 03 00 04 01 00 00 00")
CLOSE_NOTIFY = bytes.fromhex("15 03 03 00 02 01 00")


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


@pytest.mark.parametrize(
    ("said", "end", "told"),
    [
        (ALERT_112, (Outcome.TLS_ALERT, Stage.SERVER_HELLO, None, Close.RST), [("<", "Alert")]),
        (WARNING_112, (Outcome.RESET, Stage.SERVER_HELLO, "ECONNRESET", Close.RST), [("<", "Alert")]),
        (ALERT_112[:3], (Outcome.RESET, Stage.SERVER_HELLO, "ECONNRESET", Close.RST), []),
    ],
)
async def test_a_hello_that_came_too_late_to_be_sent_is_in_no_transcript(
    engine: Engine,
    attempt: AttemptMaker,
    said: bytes,
    end: tuple[Outcome, Stage, str | None, Close],
    told: list[tuple[str, str]],
) -> None:
    """The server said something and was gone before anybody looked: that counts, and nothing of ours is told as sent."""
    with scripted(send(said), reset()) as peer:
        results: list[Observation] = []
        handle = engine.start(attempt(peer.endpoint, transcript=True), results.append)
        peer.wait_done()  # the engine's task cannot run before this function gives way
        while handle.observation is None:
            await engine.handshake(attempt(Endpoint("127.0.0.1", 1)))
    (observation,) = results
    assert ending(observation) == end
    assert observation.seconds.handshake is None
    assert [(entry.direction, entry.name) for entry in observation.transcript] == told


def _waits_for(event: Event) -> None:
    assert event.wait(5)


async def test_a_rst_that_makes_send_fail_is_a_reset(engine: Engine, attempt: AttemptMaker, factory: HelloFactory) -> None:
    """send() fails with ECONNRESET and recv() says b"" afterwards: the first error counts."""
    wanted = Event()

    def let_it_reset() -> None:
        wanted.set()
        peer.wait_done()

    # Not before the hello is wanted: on a busy machine the connection would be seen to be broken already.
    with scripted(lambda _: _waits_for(wanted), reset()) as peer:
        observation = await engine.handshake(attempt(peer.endpoint, factory=HookedFactory(factory, let_it_reset)))
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


@pytest.mark.parametrize("apart", [False, True], ids=["in one segment", "in another one"])
@pytest.mark.parametrize("rest", [NO_SERVER_HELLO_DONE, EMPTY_CLIENT_HELLO], ids=["malformed", "out of order"])
async def test_what_is_wrong_behind_a_certificate_does_not_take_it_back(
    engine: Engine, attempt: AttemptMaker, tls12: Served, rest: bytes, apart: bool
) -> None:
    """It was read, however the flight was split; the detail says what came then. Who asks for the whole handshake is told of that."""

    def steps() -> tuple[Step, ...]:
        whole = len(SERVER_HELLO_DONE)
        if apart:
            return read_hello(), send_flight(tls12.context, cut=lambda flight: flight[:-whole]), pause(0.05), send(rest), hold()
        return read_hello(), send_flight(tls12.context, cut=lambda flight: flight[:-whole] + rest), hold()

    with scripted(*steps()) as peer:
        observation = await engine.handshake(attempt(peer.endpoint))
    assert ending(observation) == (Outcome.CERTIFICATE, Stage.CERTIFICATE, None, Close.NONE)
    assert observation.facts.certificates
    assert observation.detail is not None
    assert observation.detail.startswith("after the certificate: ")
    with scripted(*steps()) as peer:
        observation = await engine.handshake(attempt(peer.endpoint, depth=Depth.FINISHED))
    assert observation.outcome is Outcome.PROTOCOL_ERROR
