"""Caddy as the tests meet it, where it is installed: Go's crypto/tls, which refuses whom it has no certificate for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from prober.model import Verdict
from tests.servers.listeners import Fleet, Listener, alert, cert
from tests.servers.material import KNOWN, Material
from tests.servers.ports import Ports
from tests.servers.processes import running, wait_until_accepting
from tests.servers.requirements import optional_program

__all__ = ["LISTENERS", "caddy"]


def _row(name: str, none_is_served: bool, options: str = "", tls: str = "") -> Listener:
    site = f"https://{KNOWN}:<port> {{\nbind <ip>\ntls <api.crt> <api.key> {tls}\nrespond served\n}}\n"
    return Listener(
        name=name,
        config=f"{{\nadmin off\nauto_https off\nskip_install_trust\nstorage file_system <root>\n{options}\n}}\n{site}",
        known=cert("api"),
        none=cert("api") if none_is_served else alert(80),
        unknown=alert(80),
        verdict=Verdict.OK if none_is_served else Verdict.NON_SNI_REJECTED,
    )


LISTENERS = {
    listener.name: listener
    for listener in (
        _row("names-only", none_is_served=False),
        _row("default-sni", none_is_served=True, options=f"default_sni {KNOWN}"),
        _row("p384-curve", none_is_served=False, tls="{\ncurves secp384r1\n}"),
        _row("tls12-only", none_is_served=False, tls="{\nprotocols tls1.2 tls1.2\n}"),
    )
}


@contextmanager
def caddy(directory: Path, material: Material) -> Iterator[Fleet]:
    """One Caddy for each of `LISTENERS`: some of the options are global."""
    program = optional_program("caddy")
    with Ports() as ports, ExitStack() as programs:
        endpoints = {listener.name: ports.take(listener.ip) for listener in LISTENERS.values()}
        started = []
        for listener in LISTENERS.values():
            at = endpoints[listener.name]
            home = directory / listener.name
            home.mkdir()
            configuration = home / "Caddyfile"
            configuration.write_text(material.fill(listener.config, port=at.port, ip=at.ip, root=home))
            one = running(
                [program, "run", "--config", configuration, "--adapter", "caddyfile"],
                directory=directory,
                name=f"caddy-{listener.name}",
                environment={"HOME": str(home)},
            )
            started.append((programs.enter_context(one), at))
        for server, endpoint in started:
            wait_until_accepting(server, [endpoint])
        yield Fleet("caddy", LISTENERS, endpoints, directory)
