"""Apache as the tests meet it, where it is installed: one process, virtual hosts by name on every port."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from prober.model import Verdict
from tests.servers.listeners import Fleet, Listener, by_name, cert
from tests.servers.material import KNOWN, SECOND, Material
from tests.servers.ports import IPV6, Ports
from tests.servers.processes import running
from tests.servers.requirements import optional_program

__all__ = ["LISTENERS", "apache"]


def _host(role: str, name: str, more: str = "") -> str:
    pair = f"SSLEngine on\nSSLCertificateFile <{role}.crt>\nSSLCertificateKeyFile <{role}.key>"
    return f"<VirtualHost <at>>\nServerName {name}\n{pair}\n{more}\n</VirtualHost>\n"


def _same(name: str, role: str, more: str = "") -> Listener:
    ending = cert(role)
    return Listener(name=name, config=_host(role, KNOWN, more), known=ending, none=ending, unknown=ending, verdict=Verdict.OK)


_TABLE = (
    Listener(
        name="first-host",
        config=_host("default", "default.example.test") + _host("api", KNOWN),
        known=cert("api"),
        none=cert("default"),
        unknown=cert("default"),
        verdict=Verdict.NON_SNI_WRONG_CERTIFICATE,
    ),
    # Clients without SNI are refused only after the handshake, with HTTP's 403: nothing that a handshake can show.
    Listener(
        name="strict-host-check",
        config=_host("wide", "default.example.test", "SSLStrictSNIVHostCheck on") + _host("shop", SECOND),
        known=cert("shop"),
        none=cert("wide"),
        unknown=cert("wide"),
        verdict=Verdict.OK,
        server_name=SECOND,
    ),
    Listener(
        name="ipv6",
        config=_host("wide", "default.example.test") + _host("api", KNOWN),
        known=cert("api"),
        none=cert("wide"),
        unknown=cert("wide"),
        verdict=Verdict.OK,
        ip=IPV6,
    ),
    _same("tls12-only", "rsa", "SSLProtocol -all +TLSv1.2"),
    _same("client-certificate-optional", "api", "SSLVerifyClient optional\nSSLCACertificateFile <ca>"),
    _same("client-certificate-required", "api", "SSLVerifyClient require\nSSLCACertificateFile <ca>"),
)
LISTENERS = by_name(*_TABLE)

_MODULES = Path("/usr/lib/apache2/modules")
_GLOBAL = """\
ServerName localhost
ServerRoot <root>
PidFile <root>/apache.pid
DefaultRuntimeDir <root>
ErrorLog <root>/error.log
SSLSessionCache none
StartServers 1
"""


@contextmanager
def apache(directory: Path, material: Material) -> Iterator[Fleet]:
    """One Apache with all `LISTENERS`."""
    program = optional_program("apache2")
    with Ports() as ports:
        endpoints = {listener.name: ports.take(listener.ip) for listener in LISTENERS.values()}
        modules = ("mpm_event", "authz_core", "socache_shmcb", "ssl")
        lines = [f"LoadModule {name}_module {_MODULES}/mod_{name}.so\n" for name in modules]
        lines += [material.fill(_GLOBAL, root=directory), *(f"Listen {endpoint}\n" for endpoint in endpoints.values())]
        lines += [material.fill(listener.config, at=endpoints[listener.name]) for listener in LISTENERS.values()]
        configuration = directory / "apache.conf"
        configuration.write_text("".join(lines))
        command = [program, "-X", "-f", configuration]
        with running(command, directory=directory, accepting=endpoints.values(), name="apache"):
            yield Fleet("apache", LISTENERS, endpoints, directory)
