"""From start to SIGTERM, in one nursery."""

from __future__ import annotations

import logging
import os
import signal
import socket
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from time import time

import trio

from prober.config import Config
from prober.history.history import History
from prober.outlets.web import create_app
from prober.outlets.web_server import ServerSide, bind, serve
from prober.probing.descriptors import raise_descriptor_limit
from prober.probing.engine import Engine
from prober.probing.names import Names
from prober.probing.runner import Runner
from prober.service import collecting
from prober.service.alerting import Alerting
from prober.service.config_watch import ConfigWatch
from prober.service.diagnosing import Diagnosing
from prober.service.discovering import Discovering
from prober.service.engines import new_engine
from prober.service.logs import event
from prober.service.plan import Plan
from prober.service.recording import Recorder
from prober.service.rounds import Rounds
from prober.service.running import RunningService
from prober.service.service_manager import ServiceManager
from prober.service.shares import Welcome
from prober.service.signals import HEARD, STOPPING, hold, release
from prober.service.web_access import WebAccess
from prober.service.workers import Workers
from prober.snapshot import Change, Statistics, Store
from prober.version import __version__

__all__ = ["STOP_SECONDS", "open_engine", "open_history", "open_listeners", "run"]

_log = logging.getLogger("prober.service")

STOP_SECONDS = 3.0
"""For requests under way when the service is told to stop. Handshakes are not waited for."""


def open_listeners(plan: Plan) -> tuple[socket.socket, ...]:
    """The listening sockets, before anything else starts: ``OSError`` says why not."""
    raise_descriptor_limit()
    return bind(str(plan.config.listen))


def open_history(plan: Plan) -> History:
    """What was remembered, before anything else starts: `prober.history.database.StateError` says why it cannot be."""
    state = plan.config.state
    return History.open(None if state is None else Path(state))


def open_engine(plan: Plan) -> Engine:
    """The service's own, before anything else starts: `PacketClockUnavailable` says why packets cannot be timed."""
    return new_engine(packet_timestamps=plan.options.packet_timestamps)


def run(path: Path, plan: Plan, listeners: tuple[socket.socket, ...], history: History, engine: Engine) -> None:
    """Run the service until SIGTERM or SIGINT. ``engine`` is that of `open_engine`."""
    hold()
    try:
        trio.run(_run, path, plan, listeners, history, engine)
    finally:
        history.close()
        if plan.config.state is not None and history.unsaved:
            problem = f"{history.unsaved} changes that {plan.config.state} had no room for are lost"
            event(_log, logging.WARNING, "state", problem=problem)


async def _run(path: Path, plan: Plan, listeners: tuple[socket.socket, ...], history: History, engine: Engine) -> None:
    store, statistics = Store(), Statistics(lambda: engine.in_flight, time())
    alerting = Alerting(history, plan.config.alerting, store, statistics, shard=plan.options.shard)
    runner = Runner(engine)
    rounds: Rounds | Workers
    if plan.options.workers > 1:
        welcome = Welcome(plan.options.log_level, plan.options.log_format, plan.options.packet_timestamps)
        workers = rounds = Workers(plan.options.workers, store, statistics, Recorder(store, _log_change, alerting), welcome)
        statistics.in_flight = lambda: engine.in_flight + workers.in_flight
    else:
        attentive = Runner(engine, transcript=True)
        rounds = Rounds(runner, store, statistics, _log_change, witness=alerting, attentive=attentive, prompt=True)
    shutdown = trio.Event()
    with trio.open_signal_receiver(*HEARD) as signals:
        release()
        async with history.running(), trio.open_nursery() as nursery:
            await nursery.start(Names().run)
            await nursery.start(engine.run)
            service = RunningService(path, plan, runner, rounds, store, statistics, alerting.configure)
            discovering = Discovering(plan.config, statistics, service.discovered, plan.options.shard)
            access = WebAccess(plan.config.web, statistics.web_file_read)
            watch = ConfigWatch(plan, service.reload)
            diagnosing = Diagnosing(store, plan.config.diagnosis)
            service.diagnosed = diagnosing.of

            def reloaded(config: Config) -> None:
                access.adopt(config.web)
                discovering.configure(config)
                watch.configure(config)
                diagnosing.configure(config.diagnosis)

            service.on_config = reloaded
            service.on_read = watch.read
            manager = ServiceManager.from_environment(os.environ, os.getpid())
            async with trio.open_nursery() as web:
                app = create_app(service, history, users=access.users, headers=access.headers, limit=access.limit)
                tls = ServerSide(access.context, access.admits) if access.has_tls else None
                urls = await web.start(partial(serve, app, listeners, shutdown=shutdown, tls=tls))
                nursery.start_soon(access.run)
                alerting.listening(urls[0])
                await nursery.start(alerting.run)
                nursery.start_soon(rounds.run)
                nursery.start_soon(discovering.run)
                nursery.start_soon(watch.run)
                nursery.start_soon(diagnosing.run)
                nursery.start_soon(manager.run)
                event(
                    _log,
                    logging.INFO,
                    "started",
                    version=__version__,
                    url=", ".join(urls),
                    file=str(path),
                    targets=len(service.targets),
                    shard=str(plan.options.shard) if plan.options.shard.of > 1 else None,
                    vantage=plan.config.vantage,
                )

                def on_reload(begins: bool) -> None:
                    if begins:
                        manager.reloading()
                    else:
                        count = len(service.targets)
                        manager.ready(f"watching {count} {'target' if count == 1 else 'targets'}; {', '.join(urls)}")

                service.on_reload = on_reload
                on_reload(False)
                if plan.config.state is None:
                    event(_log, logging.INFO, "history and alert states are kept in memory; they end with the process")
                collecting.settle()
                nursery.start_soon(collecting.sweep)
                name = await _until_told_to_stop(signals, service, web)
                event(_log, logging.INFO, "stopping", signal=name)
                manager.stopping()
                rounds.stop()
                shutdown.set()
                web.cancel_scope.deadline = trio.current_time() + STOP_SECONDS
            nursery.cancel_scope.cancel()
    event(_log, logging.INFO, "stopped")


async def _until_told_to_stop(signals: AsyncIterator[int], service: RunningService, nursery: trio.Nursery) -> str:
    """Reload at SIGHUP; the name of the signal that ends the service."""
    async for number in signals:
        if number in STOPPING:
            return signal.Signals(number).name
        nursery.start_soon(service.reload)
    raise AssertionError("a signal receiver has no end")


def _log_change(change: Change) -> None:
    """One line for a person. A first verdict is news only where something is wrong."""
    state = change.state
    judgement = state.judgement
    level = logging.WARNING if judgement.at_fault else logging.INFO
    if change.previous is None and not judgement.at_fault:
        level = logging.DEBUG
    event(
        _log,
        level,
        "verdict",
        target=state.key.target,
        address=state.key.address,
        **{"from": change.previous, "to": judgement.verdict},
        expected=judgement.expected,
        summary=judgement.summary,
    )
