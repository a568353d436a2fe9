"""What is reported as time is the ingress's, not ours; and where that cannot be known, by how much it may be wrong."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
import trio

from prober.model import Endpoint, Observation, Outcome
from prober.probing.engine import Engine
from tests.probing.conftest import AttemptMaker, Told
from tests.probing.outcomes import ALERT_112
from tests.servers.requirements import missing
from tests.servers.scripted import Step, pause, read_hello, reset, scripted, send

BLOCKED = 0.3
"""Seconds for which something else keeps this process from looking."""

ANSWERED = 0.02
"""Seconds after which the peer answers."""


async def observed_late(
    engine: Engine, attempt: AttemptMaker, *steps: Step, meanwhile: Callable[[], None] = lambda: None
) -> Observation:
    """A handshake whose answer comes after `ANSWERED` and is noticed after `BLOCKED`; ``meanwhile`` is called every millisecond."""
    hello_read = threading.Event()

    def tell(_: Any) -> None:
        hello_read.set()

    told = Told()
    with scripted(read_hello(), tell, pause(ANSWERED), *steps) as peer:
        engine.start(attempt(peer.endpoint), told)
        with trio.fail_after(10):
            while not hello_read.is_set():
                await trio.lowlevel.checkpoint()
        end = time.perf_counter() + BLOCKED
        while time.perf_counter() < end:
            meanwhile()
            time.sleep(0.001)  # noqa: ASYNC251 - a computation that does not give way
        assert not told
        await told.wait_for(1)
    return told[0]


async def test_an_answer_that_is_read_late_has_the_time_at_which_it_came(engine: Engine, attempt: AttemptMaker) -> None:
    """The kernel stamped it."""
    if sys.platform != "linux" or not engine.clock.available:
        missing("the kernel stamps no received packets")
    observation = await observed_late(engine, attempt, send(ALERT_112))
    assert observation.outcome is Outcome.TLS_ALERT
    assert observation.seconds.handshake is not None
    assert ANSWERED <= observation.seconds.handshake < BLOCKED / 2
    assert observation.seconds.uncertainty == 0.0


async def test_a_reset_that_is_noticed_late_says_how_late_it_may_be(engine: Engine, attempt: AttemptMaker) -> None:
    """A RST bears no stamp: what is reported is the latest possible time, and the true one lies within the uncertainty."""
    observation = await observed_late(engine, attempt, reset())
    assert observation.outcome is Outcome.RESET
    handshake, uncertainty = observation.seconds.handshake, observation.seconds.uncertainty
    assert handshake is not None
    assert uncertainty is not None
    assert handshake - uncertainty <= ANSWERED + 0.05 < BLOCKED <= handshake


async def test_a_look_stamps_what_came_while_somebody_keeps_the_processor(engine: Engine, attempt: AttemptMaker) -> None:
    """A task that does not give way, but looks, makes no reset late; and what was looked at is told, though nothing else comes."""
    observation = await observed_late(engine, attempt, reset(), meanwhile=engine.look)
    assert observation.outcome is Outcome.RESET
    handshake, uncertainty = observation.seconds.handshake, observation.seconds.uncertainty
    assert handshake is not None
    assert handshake - uncertainty < BLOCKED / 2
    assert ANSWERED <= handshake < BLOCKED / 2
    assert uncertainty < BLOCKED / 4


async def test_an_engine_that_does_not_run_has_nothing_to_look_at() -> None:
    """Before and after: no error."""
    engine = Engine()
    engine.look()
    async with trio.open_nursery() as nursery:
        await nursery.start(engine.run)
        nursery.cancel_scope.cancel()
    engine.look()


async def test_an_idle_engine_is_hardly_uncertain(engine: Engine, attempt: AttemptMaker) -> None:
    """It slept in the kernel and was woken: the time before its sleep does not count."""
    uncertainties = []
    for _ in range(20):
        with scripted(read_hello(), pause(ANSWERED), reset()) as peer:
            observation = await engine.handshake(attempt(peer.endpoint))
        assert observation.seconds.handshake is not None
        assert observation.seconds.handshake >= ANSWERED
        uncertainties.append(observation.seconds.uncertainty or 0.0)
    assert min(uncertainties) < ANSWERED / 2


async def test_the_parts_of_a_handshake_make_up_its_whole(engine: Engine, attempt: AttemptMaker) -> None:
    """Resolution, connection and exchange, and between them only what it takes to make a hello."""
    with scripted(read_hello(), pause(ANSWERED), send(ALERT_112)) as peer:
        seconds = (await engine.handshake(attempt(peer.endpoint, resolve_seconds=0.5))).seconds
    assert seconds.connect is not None
    assert seconds.handshake is not None
    assert seconds.total == pytest.approx(0.5 + seconds.connect + seconds.handshake, abs=0.1)
    assert seconds.total >= 0.5 + seconds.connect + seconds.handshake - 1e-6


async def test_a_refusal_takes_no_time_at_all_that_was_not_spent(engine: Engine, attempt: AttemptMaker) -> None:
    """A connection that never stood has a total, and nothing else."""
    seconds = (await engine.handshake(attempt(Endpoint("127.0.0.1", 1)))).seconds
    assert (seconds.connect, seconds.handshake) == (None, None)
    assert 0.0 < seconds.total < 5.0
    assert seconds.uncertainty is not None
    assert seconds.uncertainty <= seconds.total
