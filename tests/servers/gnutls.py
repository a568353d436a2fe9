"""``gnutls-serv`` as the tests meet it: the other TLS library that servers are built on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from prober.model import Verdict
from tests.servers.listeners import Fleet, Listener, alert, cert
from tests.servers.material import KNOWN, Material
from tests.servers.ports import Ports
from tests.servers.processes import running, wait_until_accepting
from tests.servers.requirements import require_program

__all__ = ["LISTENERS", "gnutls"]


def _priority(text: str, role: str = "api") -> str:
    return f"--x509certfile <{role}.crt> --x509keyfile <{role}.key> --priority {text}"


def _one(name: str, text: str, role: str = "api", more: str = "", offers: tuple[str, ...] = ("auto", "1.2", "1.3")) -> Listener:
    same = cert(role)
    config = f"{_priority(text, role)} {more}"
    return Listener(name=name, config=config, known=same, none=same, unknown=same, verdict=Verdict.OK, offers=offers)


LISTENERS = {
    listener.name: listener
    for listener in (
        _one("normal", "NORMAL"),
        _one("tls12", "NORMAL:-VERS-ALL:+VERS-TLS1.2"),
        _one("tls13", "NORMAL:-VERS-ALL:+VERS-TLS1.3"),
        _one("rsa", "NORMAL", "rsa"),
        _one("ed25519", "NORMAL", "ed25519"),
        _one("p384-group", "NORMAL:-GROUP-ALL:+GROUP-SECP384R1"),
        _one("x448-group", "NORMAL:-GROUP-ALL:+GROUP-X448"),
        _one("ffdhe3072-group", "NORMAL:-GROUP-ALL:+GROUP-FFDHE3072", "rsa"),
        _one("client-certificate-requested", "NORMAL", more="--x509cafile <ca>"),
        _one("client-certificate-required", "NORMAL", more="--x509cafile <ca> --require-client-cert"),
        _one("tls10", "LEGACY:-VERS-ALL:+VERS-TLS1.0:%VERIFY_ALLOW_SIGN_WITH_SHA1", "rsa", offers=("1.0",)),
        Listener(
            name="sni-fatal",
            config=f"{_priority('NORMAL')} --sni-hostname {KNOWN} --sni-hostname-fatal",
            known=cert("api"),
            none=cert("api"),
            unknown=alert(112),
            verdict=Verdict.OK,
        ),
        Listener(
            name="nothing-shared",
            config=_priority("NORMAL:-VERS-ALL:+VERS-TLS1.2:-KX-ALL:+PSK"),
            known=alert(40),
            none=alert(40),
            unknown=alert(40),
            verdict=Verdict.TLS_FAILING,
        ),
    )
}


@contextmanager
def gnutls(directory: Path, material: Material) -> Iterator[Fleet]:
    """One ``gnutls-serv`` for each of `LISTENERS`. It cannot be told an address: it listens on all of them."""
    program = require_program("gnutls-serv", package="gnutls-bin")
    with Ports() as ports, ExitStack() as programs:
        endpoints = {listener.name: ports.take(listener.ip) for listener in LISTENERS.values()}
        started = []
        for listener in LISTENERS.values():
            port = str(endpoints[listener.name].port)
            command = [program, "--port", port, "--echo", "--quiet", *material.fill(listener.config).split()]
            one = running(command, directory=directory, name=f"gnutls-{listener.name}")
            started.append((programs.enter_context(one), endpoints[listener.name]))
        for server, endpoint in started:
            wait_until_accepting(server, [endpoint])
        yield Fleet("gnutls", LISTENERS, endpoints, directory)
