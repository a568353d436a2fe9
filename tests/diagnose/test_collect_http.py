"""The HTTP request behind a handshake, with a real server that takes little of what clients offer."""

from __future__ import annotations

import errno
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import trio

from prober.diagnose.collect_http import ask
from prober.diagnose.evidence import HttpAnswer
from prober.model import Endpoint, Sni
from tests.pki import self_signed
from tests.servers.openssl import NO_CONFIGURATION
from tests.servers.ports import Ports
from tests.servers.processes import running, wait_until_accepting

NAME = "api.example.test"
AGENT = "GoogleHC/1.0"


@pytest.mark.parametrize(
    "restriction",
    ["-tls1_2 -cipher ECDHE -groups brainpoolP256r1", "-tls1_2 -cipher CAMELLIA128-SHA", "-tls1_3 -groups P-521"],
)
@pytest.mark.parametrize(("sni", "server_name"), [(Sni.NONE, None), (Sni.KNOWN, NAME)])
def test_the_request_comes_through_wherever_the_handshake_does(
    restriction: str, sni: Sni, server_name: str | None, openssl: str, tmp_path: Path
) -> None:
    """Its hello offers what the judged ones offer: no alert of its own may be taken for the ingress's."""
    files = self_signed(NAME, key="rsa2048").write(tmp_path)
    with Ports() as ports:
        endpoint = ports.take("127.0.0.1")
        command = [openssl, "s_server", "-accept", str(endpoint), "-www", "-quiet", *restriction.split()]
        command += ["-cert", str(files.certificate), "-key", str(files.key)]
        with running(command, directory=tmp_path, name="s_server", environment=NO_CONFIGURATION) as server:
            wait_until_accepting(server, [endpoint])
            answer = _within(10, lambda: ask(endpoint, sni=sni, server_name=server_name, host=NAME, path="/", agent=AGENT))

    assert (answer.status, answer.error) == (200, None)


@pytest.mark.parametrize("goodbye", ["taken", "too late"])
async def test_the_answer_of_a_server_that_is_gone_when_we_say_goodbye_counts(
    goodbye: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It answers and resets the connection at once, so that our close_notify finds nobody."""
    files = self_signed(NAME).write(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.certificate, files.key)
    answered = trio.Event()
    real = trio.open_tcp_stream

    async def serve(stream: trio.SocketStream) -> None:
        tls = trio.SSLStream(stream, context, server_side=True, https_compatible=True)
        await tls.receive_some()
        answered.set()
        await tls.send_all(b"HTTP/1.1 200 OK\r\nserver: istio-envoy\r\ncontent-length: 0\r\n\r\n")
        await tls.aclose()

    async def leaving(*address: Any) -> trio.SocketStream:
        stream = await real(*address)
        send = stream.send_all

        async def send_all(data: bytes) -> None:
            if answered.is_set():
                raise trio.BrokenResourceError from ConnectionResetError(errno.ECONNRESET, "Connection reset by peer")
            await send(data)

        if goodbye == "too late":
            monkeypatch.setattr(stream, "send_all", send_all)
        return stream

    monkeypatch.setattr(trio, "open_tcp_stream", leaving)
    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(trio.serve_tcp, serve, 0)
        endpoint = Endpoint("127.0.0.1", listeners[0].socket.getsockname()[1])
        answer = await ask(endpoint, sni=Sni.KNOWN, server_name=NAME, host=NAME, path="/", agent=AGENT)
        nursery.cancel_scope.cancel()

    assert (answer.status, answer.server, answer.error) == (200, "istio-envoy", None)


def _within(seconds: float, asking: Callable[[], Awaitable[HttpAnswer]]) -> HttpAnswer:
    async def run() -> HttpAnswer:
        with trio.fail_after(seconds):
            return await asking()

    return trio.run(run)
