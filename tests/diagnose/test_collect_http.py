"""The HTTP request behind a handshake, with a real server that takes little of what clients offer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import trio

from prober.diagnose.collect_http import ask
from prober.diagnose.evidence import HttpAnswer
from prober.model import Sni
from tests.pki import self_signed
from tests.servers.openssl import NO_CONFIGURATION
from tests.servers.ports import Ports
from tests.servers.processes import running, wait_until_accepting

NAME = "api.example.test"


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
            answer = _within(10, lambda: ask(endpoint, sni=sni, server_name=server_name, host=NAME, path="/"))

    assert (answer.status, answer.error) == (200, None)


def _within(seconds: float, asking: Callable[[], Awaitable[HttpAnswer]]) -> HttpAnswer:
    async def run() -> HttpAnswer:
        with trio.fail_after(seconds):
            return await asking()

    return trio.run(run)
