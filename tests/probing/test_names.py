"""Names that nobody answers for cost nobody else anything."""

from __future__ import annotations

import socket
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trio

from prober.probing.names import Names
from tests.servers.requirements import not_permitted, require_program
from tests.servers.scripted import read_hello, reset, scripted
from tests.service.process import eventually, serving

ANSWER = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", 443))]


class Resolver:
    """Blocks, as getaddrinfo(3) does: ``dead`` names until they are ``revived``."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self.revived = threading.Event()

    def __call__(self, host: Any, *_: Any) -> list[tuple[Any, ...]]:
        """As `socket.getaddrinfo`."""
        name = host.decode() if isinstance(host, bytes) else host
        self.asked[name] += 1
        if name.startswith("dead"):
            self.revived.wait(30)
        if name.startswith("no-such"):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return ANSWER


@pytest.fixture
def system() -> Iterator[Resolver]:
    resolver = Resolver()
    yield resolver
    resolver.revived.set()


async def ask(name: str) -> list[tuple[Any, ...]]:
    return list(await trio.socket.getaddrinfo(name, 443, type=socket.SOCK_STREAM))


async def test_names_that_hang_hold_up_neither_other_names_nor_other_threads(nursery: trio.Nursery, system: Resolver) -> None:
    """A hundred of them, more than Trio has threads."""
    await nursery.start(Names(system).run)
    for number in range(100):
        nursery.start_soon(ask, f"dead-{number}.example")
    await trio.to_thread.run_sync(eventually, lambda: len(system.asked) == 100, "all hundred hang")
    with trio.fail_after(20):
        assert await ask("alive.example") == ANSWER
        assert await trio.to_thread.run_sync(lambda: "a thread") == "a thread"
    system.revived.set()


async def test_a_question_that_is_under_way_is_not_asked_again(nursery: trio.Nursery, system: Resolver) -> None:
    """Round after round gives up on a name that hangs; there is one thread all the while, and the last one gets its answer."""
    await nursery.start(Names(system).run)
    for _ in range(3):
        with trio.move_on_after(0.05) as given_up:
            await ask("dead.example")
        assert given_up.cancelled_caught
    system.revived.set()
    assert await ask("dead.example") == ANSWER
    assert system.asked["dead.example"] == 1
    assert await ask("dead.example") == ANSWER
    assert system.asked["dead.example"] == 2


async def test_a_name_that_does_not_exist_is_told_to_everybody_who_asked(nursery: trio.Nursery, system: Resolver) -> None:
    """As the system's resolver tells it."""
    await nursery.start(Names(system).run)
    told: list[int | None] = []

    async def one() -> None:
        with pytest.raises(socket.gaierror, match="not known") as error:
            await ask("no-such.example")
        told.append(error.value.errno)

    async with trio.open_nursery() as asking:
        asking.start_soon(one)
        asking.start_soon(one)
    assert told == [socket.EAI_NONAME] * 2


@pytest.mark.timeout(120)
@pytest.mark.parametrize("workers", [1, 2])
def test_a_name_server_that_is_gone_does_not_stop_the_service(workers: int, tmp_path: Path) -> None:
    """Sixty names hang in getaddrinfo(3); what Prometheus asks for, compressed, is there at once, and a reload too."""
    inside = [require_program("unshare"), "--mount", "sh", "-c", 'mount --bind "$0" /etc/resolv.conf && exec "$@"']
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent, scripted(read_hello(), reset()) as peer:
        try:
            silent.bind(("127.0.53.1", 53))
        except PermissionError:
            not_permitted("this user may not have port 53, at which a resolver asks")
        (tmp_path / "resolv.conf").write_text("nameserver 127.0.53.1\noptions timeout:30 attempts:1\n")
        inside.append(str(tmp_path / "resolv.conf"))
        if subprocess.run([*inside, "true"], capture_output=True, check=False).returncode:
            not_permitted("this user may not mount over /etc/resolv.conf")
        targets = [{"name": f"gone-{number}", "addresses": [f"gone-{number}.example"]} for number in range(60)]
        targets.append({"name": "there", "addresses": [str(peer.endpoint)], "server_names": ["api.example.test"]})
        document = {"interval": "2s", "timeout": "1s", "targets": targets}
        with serving(tmp_path, document, "--workers", str(workers), wrapper=inside) as service:
            service.wait_ready()
            eventually(
                lambda: (service.value("probe_handshakes_total", target="there", sni="none", outcome="reset") or 0) > 1,
                "two rounds",
            )
            host, _, port = service.url.removeprefix("http://").rpartition(":")
            with socket.create_connection((host, int(port)), timeout=5) as client:
                client.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\nConnection: close\r\n\r\n")
                assert client.recv(12) == b"HTTP/1.1 200"
                while client.recv(65536):
                    pass
            assert service.get("/-/reload", "POST").status == 200
            assert set(service.verdicts().values()) == {"unreachable", "tls_failing"}
            assert service.end()[0] == 0


async def test_an_address_has_a_name_as_ever() -> None:
    """The other question of a resolver is the system's business."""
    assert await Names().getnameinfo(("127.0.0.1", 443), socket.NI_NUMERICHOST | socket.NI_NUMERICSERV) == ("127.0.0.1", "443")
