"""The rehearsal ingress as a whole: its listeners, its authority, its control interface, and a configuration that watches it."""

from __future__ import annotations

import datetime
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from shlex import quote

import trio
import yaml

from prober.lab.behaviours import BEHAVIOURS, Behaviour
from prober.lab.certificates import LabCertificates
from prober.lab.control import address, build_control, describe
from prober.lab.listener import Listener, bind

__all__ = ["LabError", "LabOptions", "default_listeners", "run_lab"]

DEFAULT_CONTROL_PORT = 9860
SERVER_NAMES = ("api.lab.test", "www.lab.test")


class LabError(Exception):
    """The rehearsal cannot start; the text says what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabOptions:
    """What to start. ``port`` 0 takes free ports, else listeners take ``port``, ``port + 1`` and so on."""

    listeners: tuple[tuple[str, Behaviour], ...]
    directory: Path
    host: str = "127.0.0.1"
    port: int = 9443
    control_port: int = DEFAULT_CONTROL_PORT


def default_listeners(count: int) -> tuple[tuple[str, Behaviour], ...]:
    """One listener for each behaviour, and ``count`` further healthy ones called ``target-000`` and so on."""
    named = tuple((name, behaviour) for name, behaviour in BEHAVIOURS.items())
    return named + tuple((f"target-{number:03d}", BEHAVIOURS["healthy"]) for number in range(count))


async def run_lab(options: LabOptions, announce: Callable[[str], None]) -> None:
    """Run until cancelled; ``announce`` gets the text to print once everything listens. Raises LabError when it cannot start."""
    from hypercorn.config import Config
    from hypercorn.trio import serve

    sockets: list[trio.socket.SocketType] = []
    try:
        ports = (options.port + number if options.port else 0 for number in range(len(options.listeners)))
        sockets.extend(_bind_listener(options.host, port) for port in ports)
        with _bind_control(options.control_port) as control:
            # Written only now that every port is ours: the directory may be that of a lab that runs already.
            try:
                certificates, listeners, configuration = _prepare(options, [sock.getsockname()[1] for sock in sockets])
            except OSError as error:
                raise LabError(
                    f"cannot write to --directory {options.directory}: {error.strerror}; name one that can be written to"
                ) from error
            control_port = control.getsockname()[1]
            descriptor = control.detach()  # hypercorn's own from now on
        config = Config()
        config.bind = [f"fd://{descriptor}"]
        config.accesslog = None
        config.errorlog = None
        config.graceful_timeout = 0.5
        async with trio.open_nursery() as nursery:
            for listener, sock in zip(listeners.values(), sockets, strict=True):
                await nursery.start(listener.run, sock)
            nursery.start_soon(_serve_control, serve, build_control(listeners), config)
            announce(_announcement(listeners, certificates.ca_file, configuration, control_port))
    finally:
        for sock in sockets:
            sock.close()


def _bind_listener(host: str, port: int) -> trio.socket.SocketType:
    try:
        return bind(host, port)
    except OSError as error:
        raise LabError(
            f"cannot listen on {host} port {port}: {error.strerror}; choose another with --port, or 0 for free ones"
        ) from error


def _prepare(options: LabOptions, ports: list[int]) -> tuple[LabCertificates, dict[str, Listener], Path]:
    """Certificates, listeners on these ports, and the configuration that watches them. Raises OSError where it cannot be written."""
    options.directory.mkdir(parents=True, exist_ok=True)
    names = frozenset(SERVER_NAMES)
    certificates = LabCertificates(options.directory, SERVER_NAMES, datetime.datetime.now(datetime.UTC))
    listeners = {
        name: Listener(name, behaviour, names, certificates, options.host, port)
        for (name, behaviour), port in zip(options.listeners, ports, strict=True)
    }
    configuration = options.directory / "prober.yml"
    configuration.write_text(_configuration(listeners, certificates.ca_file))
    return certificates, listeners, configuration


async def _serve_control(serve: Callable[..., object], app: object, config: object) -> None:
    result = serve(app, config, mode="asgi", shutdown_trigger=trio.sleep_forever)
    await result  # type: ignore[misc]  # hypercorn's signature is wider than what is used here


def _bind_control(port: int) -> socket.socket:
    control = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    control.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        control.bind(("127.0.0.1", port))
    except OSError as error:
        control.close()
        raise LabError(
            f"the control port 127.0.0.1:{port} is taken: {error.strerror}; choose another with --control-port"
        ) from error
    control.listen(16)
    return control


def _configuration(listeners: dict[str, Listener], ca_file: Path) -> str:
    document = {
        "interval": "5s",
        "timeout": "2s",
        "modules": {"default": {"ca_file": str(ca_file.resolve())}},
        "targets": [
            {"name": each.name, "addresses": [address(each)], "server_names": [SERVER_NAMES[0]], "labels": {"environment": "lab"}}
            for each in listeners.values()
        ],
    }
    head = "# Written by `prober lab`: watches each of its listeners. Use it with `prober serve --config` while the lab runs.\n"
    return head + yaml.safe_dump(document, sort_keys=False)


def _announcement(listeners: dict[str, Listener], ca_file: Path, configuration: Path, control_port: int) -> str:
    first = next(iter(listeners.values()))
    flipped = "healthy" if "healthy" in listeners else first.name
    option = "" if control_port == DEFAULT_CONTROL_PORT else f" --control-port {control_port}"
    with suppress(ValueError):
        ca_file = ca_file.relative_to(Path.cwd())
        configuration = configuration.relative_to(Path.cwd())
    return f"""{describe(listeners)}
All listeners serve {" and ".join(SERVER_NAMES)} properly, unless the behaviour concerns everyone.

Try one:   prober once {address(listeners.get("envoy-reset", first))} --server-name {SERVER_NAMES[0]} --ca-file {quote(str(ca_file))}
Watch all: prober serve --config {quote(str(configuration))}
Flip one:  prober lab flip {flipped} envoy-reset{option}
           curl -X PUT --data envoy-reset 127.0.0.1:{control_port}/{flipped}
List:      curl 127.0.0.1:{control_port}/   (behaviours: curl 127.0.0.1:{control_port}/behaviours)
"""
