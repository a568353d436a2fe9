"""What the contenders shake hands with."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from prober.model import Endpoint
from prober.tls.client_hello import HelloFactory
from prober.tls.profiles import PROFILES
from prober.tls.registry import NamedGroup
from tests.bench.addresses import address
from tests.bench.flights import SERVER_NAME, record
from tests.bench.machine import CPUS, Cpus
from tests.bench.peers.native import c_server
from tests.servers.ports import Ports
from tests.servers.processes import running
from tests.servers.requirements import require_program

__all__ = ["SERVER_NAME", "Servers", "Site", "address", "servers"]


@dataclass(frozen=True, slots=True)
class Site:
    """One server, that answers on every address of 127.0.0.0/8."""

    name: str
    port: int
    outcome: str
    """What a right contender sees: ``reset`` or ``certificate``."""
    replayed: bool = False
    """Its flight is a recording: whoever goes beyond the certificate finds a bad signature."""


@dataclass(frozen=True, slots=True)
class Servers:
    """All of them, and what one needs to call them."""

    sites: tuple[Site, ...]
    directory: Path
    flight: Path
    authority: Path
    hello: Path
    """A hello of prober's, for a contender that makes none of its own."""
    key: Path
    """The private key of its X25519 share, 32 bytes."""

    def __getitem__(self, name: str) -> Site:
        return next(site for site in self.sites if site.name == name)


@contextmanager
def servers(directory: Path) -> Iterator[Servers]:
    """Run all servers, on their processor."""
    flight, authority = record(directory)
    hello, key = _hello(directory)
    with (
        c_server("rst", cpu=CPUS.server) as resetting,
        c_server("canned", flight, cpu=CPUS.server) as replaying,
        _nginx(directory, authority) as ports,
    ):
        sites = (
            Site("resetting server", resetting.port, "reset"),
            Site("canned TLS 1.2 flight", replaying.port, "certificate", replayed=True),
            Site("nginx TLS 1.2", ports[0], "certificate"),
            Site("nginx TLS 1.3", ports[1], "certificate"),
        )
        yield Servers(sites, directory, flight, authority, hello, key)


def _hello(directory: Path) -> tuple[Path, Path]:
    """A hello as prober sends it, with a key share whose private key we know."""
    offer = HelloFactory(PROFILES["modern"], entropy=lambda size: bytes(range(1, size + 1))).offer(SERVER_NAME)
    own = X25519PrivateKey.generate()
    [share] = (share.public for share in offer.key_shares if share.group == NamedGroup.x25519)
    hello, key = directory / "hello.bin", directory / "x25519.key"
    hello.write_bytes(offer.wire.replace(share, own.public_key().public_bytes_raw()))
    key.write_bytes(own.private_bytes_raw())
    return hello, key


_NGINX = """\
daemon off; master_process off; pid nginx.pid; error_log stderr crit; worker_rlimit_nofile 20000;
events {{ worker_connections 16384; multi_accept on; }}
http {{
access_log off;
client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;
ssl_certificate {certificate}; ssl_certificate_key {key}; ssl_session_cache off; ssl_session_tickets off;
server {{ listen 0.0.0.0:{ports[0]} ssl backlog=16384; ssl_protocols TLSv1.2; }}
server {{ listen 0.0.0.0:{ports[1]} ssl backlog=16384; ssl_protocols TLSv1.3; }}
}}
"""


@contextmanager
def _nginx(directory: Path, authority: Path) -> Iterator[tuple[int, int]]:
    """One process with two listeners, with the certificate that the canned flight also shows."""
    program = require_program("nginx")
    with Ports() as free:
        ports = (free.take("0.0.0.0").port, free.take("0.0.0.0").port)
        configuration = directory / "nginx.conf"
        configuration.write_text(_NGINX.format(certificate=directory / "server.crt", key=directory / "server.key", ports=ports))
        command = Cpus.pin([program, "-p", directory, "-c", configuration, "-e", "stderr"], CPUS.server)
        with running(command, directory=directory, name="nginx", accepting=[Endpoint("127.0.0.1", port) for port in ports]):
            yield ports
