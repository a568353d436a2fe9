"""What the tests of the engine share: a running engine, and attempts with all but what matters filled in."""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from time import perf_counter
from typing import Any

import pytest
import trio

from prober.model import Endpoint, Observation, Sni
from prober.probing.attempt import Attempt
from prober.probing.engine import Engine
from prober.probing.receive_clock import ANCILLARY_SIZE, ReceiveClock
from prober.tls.client_hello import HelloFactory
from prober.tls.profiles import PROFILES
from tests.pki import Authority

AttemptMaker = Callable[..., Attempt]


def stamped(clock: ReceiveClock) -> bool:
    """Whether a TCP segment that is sent now bears a receive stamp."""
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_connection(listener.getsockname()) as client:
        server, _ = listener.accept()
        with server:
            server.send(b"x")
            clock.want(client)
            return bool(client.recvmsg(10, ANCILLARY_SIZE)[1])


@pytest.fixture(scope="session", autouse=True)
def _stamping() -> Iterator[None]:
    """Receive stamps stay on throughout: a thread of the kernel turns them on some time after the first socket asked for them."""
    with closing(ReceiveClock()) as clock:
        until = perf_counter() + 10
        while clock.available and not stamped(clock):
            assert perf_counter() < until, "the kernel took the option, and stamps nothing"
        yield


@pytest.fixture
async def engine(nursery: trio.Nursery) -> Engine:
    """A running engine; it is cancelled when the test ends."""
    engine = Engine()
    await nursery.start(engine.run)
    return engine


@pytest.fixture(scope="session")
def factory() -> HelloFactory:
    """Hellos of the default profile."""
    return HelloFactory(PROFILES["modern"], entropy=os.urandom)


@pytest.fixture
def attempt(factory: HelloFactory) -> AttemptMaker:
    """Makes an attempt: ``attempt(endpoint, timeout=...)``. Its deadline is generous, for a slow machine."""

    def make(endpoint: Endpoint, **options: Any) -> Attempt:
        defaults: dict[str, Any] = {"factory": factory, "sni": Sni.NONE, "server_name": None, "timeout": 15.0}
        return Attempt(endpoint=endpoint, **defaults | options)

    return make


class Told(list[Observation]):
    """A sink that keeps what it is told, and can be waited for."""

    def __init__(self) -> None:
        self._grown = trio.Event()

    def __call__(self, observation: Observation) -> None:
        """Be told."""
        self.append(observation)
        self._grown.set()
        self._grown = trio.Event()

    async def wait_for(self, count: int) -> None:
        """Wait until there are ``count``; TooSlowError when there will not be."""
        with trio.fail_after(40):
            while len(self) < count:
                await self._grown.wait()


class Served:
    """A certificate, and OpenSSL's server side of one TLS version with it."""

    def __init__(self, directory: Path, version: ssl.TLSVersion) -> None:
        self.issued = Authority.root().intermediate().issue("api.example.test")
        self.files = files = self.issued.write(directory)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(files.certificate, files.key)
        self.context.minimum_version = self.context.maximum_version = version


@pytest.fixture(scope="session")
def tls12(tmp_path_factory: pytest.TempPathFactory) -> Served:
    """OpenSSL as a server of TLS 1.2."""
    return Served(tmp_path_factory.mktemp("tls12"), ssl.TLSVersion.TLSv1_2)


@pytest.fixture(scope="session")
def tls13(tmp_path_factory: pytest.TempPathFactory) -> Served:
    """OpenSSL as a server of TLS 1.3."""
    return Served(tmp_path_factory.mktemp("tls13"), ssl.TLSVersion.TLSv1_3)
