"""``openssl s_server`` on loopback, for what Python's `ssl` cannot be told to do: CCM suites, cookies, tiny and padded records."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path

import pytest

from prober.tls.client_hello_parser import parse_client_hello
from prober.tls.events import ApplicationData, CloseNotifyReceived, Progress
from prober.tls.handshake import ClientHandshake
from prober.tls.profile import Profile
from prober.tls.profiles import PROFILES
from prober.tls.registry import CipherSuite, ExtensionType
from tests.pki import long_chain, self_signed
from tests.servers.openssl import NO_CONFIGURATION
from tests.tls.live import handshake_for
from tests.tls.scripted import offer_of

Serve = Callable[..., int]
PATIENCE = 20.0
"""Seconds that a busy machine may take for a start or an answer."""


@pytest.fixture
def serve(openssl: str, tmp_path: Path) -> Iterator[Serve]:
    """Start a server with these arguments; its port."""
    with ExitStack() as stack:

        def start(*arguments: str, long: bool = False, www: bool = True) -> int:
            issued = long_chain("api.example.test")[1] if long else self_signed("api.example.test")
            files = issued.write(tmp_path)
            with closing(socket.create_server(("127.0.0.1", 0))) as free:
                port = int(free.getsockname()[1])
            command = [openssl, "s_server", "-accept", f"127.0.0.1:{port}", "-quiet", "-cert", str(files.certificate)]
            command += ["-cert_chain", str(files.certificate), "-key", str(files.key), *arguments]
            command += ["-www"] if www else []
            server = stack.enter_context(
                subprocess.Popen(
                    command,
                    env=os.environ | NO_CONFIGURATION,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                )
            )
            stack.callback(server.kill)
            _wait_until_accepting(port, server)
            return port

        yield start


def _wait_until_accepting(port: int, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=PATIENCE).close()
        except ConnectionRefusedError:
            assert server.poll() is None, "openssl s_server ended"
            assert time.monotonic() < deadline, "openssl s_server does not accept"
            time.sleep(0.01)
        else:
            return


def shake_hands(port: int, handshake: ClientHandshake) -> socket.socket:
    """Carry the handshake over a socket until it is done or the server is."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
    connection.sendall(handshake.data_to_send())
    while handshake.progress not in (Progress.DONE, Progress.ALERT) and not handshake.closed:
        data = connection.recv(65_536)
        if not data:
            break
        handshake.receive_data(data)
        connection.sendall(handshake.data_to_send())
    return connection


def only(suite: CipherSuite) -> Profile:
    """``modern`` with one suite."""
    return replace(PROFILES["modern"], cipher_suites=(suite,))


@pytest.mark.parametrize("suite", [CipherSuite.TLS_AES_128_CCM_SHA256, CipherSuite.TLS_AES_128_CCM_8_SHA256])
def test_the_ccm_suites_of_tls_1_3(suite: CipherSuite, serve: Serve) -> None:
    """With tags of 16 and of 8 bytes."""
    port = serve("-tls1_3", "-ciphersuites", suite.name)
    handshake = handshake_for(only(suite), "1.3")
    with shake_hands(port, handshake):
        assert handshake.facts().finished
        assert handshake.facts().cipher_suite == suite.name


def test_a_stateless_retry_is_answered_with_its_cookie(serve: Serve) -> None:
    """As far as ``s_server`` goes: OpenSSL 3.0's own client, too, sees it hang up after the second hello."""
    port = serve("-tls1_3", "-stateless", www=False)
    handshake = handshake_for(tls="1.3")
    with shake_hands(port, handshake):
        assert handshake.facts().hello_retry_request
        hello = parse_client_hello(offer_of(handshake).message)
        assert len(dict(hello.extensions)[ExtensionType.cookie]) > 32


@pytest.mark.parametrize("tls", ["1.2", "1.3"])
def test_tiny_records_carry_a_long_chain(tls: str, serve: Serve) -> None:
    """512 bytes each: no message is in one record, and many share none."""
    port = serve("-max_send_frag", "512", long=True)
    handshake = handshake_for(tls=tls)
    with shake_hands(port, handshake):
        assert handshake.facts().finished
        assert sum(map(len, handshake.facts().certificates)) > 20_000


def test_padded_records_are_read(serve: Serve) -> None:
    """RFC 8446 section 5.4: to multiples of 4096 bytes."""
    port = serve("-tls1_3", "-record_padding", "4096")
    handshake = handshake_for(tls="1.3")
    with shake_hands(port, handshake):
        assert handshake.facts().finished


def test_a_warning_alert_precedes_a_normal_handshake(serve: Serve, tmp_path: Path) -> None:
    """``s_server`` warns of an unknown name and serves its default certificate."""
    other = self_signed("other.example.test").write(tmp_path, "other")
    port = serve("-tls1_2", "-servername", "other.example.test", "-cert2", str(other.certificate), "-key2", str(other.key))
    handshake = handshake_for(tls="1.2")
    with shake_hands(port, handshake):
        facts = handshake.facts()
        assert [alert.description for alert in facts.warning_alerts] == ["unrecognized_name"]
        assert facts.finished


@pytest.mark.parametrize("tls", ["1.2", "1.3"])
def test_an_http_request_after_the_handshake_is_answered(tls: str, serve: Serve) -> None:
    """The question that tells a wildcard route which is not linked; then the server says goodbye."""
    port = serve()
    handshake = handshake_for(tls=tls)
    with shake_hands(port, handshake) as connection:
        handshake.send_application_data(b"GET / HTTP/1.0\r\n\r\n")
        connection.sendall(handshake.data_to_send())
        answer, said_goodbye = b"", False
        while not said_goodbye and (data := connection.recv(65_536)):
            for event in handshake.receive_data(data):
                if isinstance(event, ApplicationData):
                    answer += event.data
                said_goodbye |= isinstance(event, CloseNotifyReceived)

    assert answer.startswith(b"HTTP/1.0 200 ok")
    assert said_goodbye


def test_a_server_that_requires_a_certificate_says_so_after_our_finished(serve: Serve) -> None:
    """In TLS 1.3 the refusal comes when the client believes that all is well."""
    port = serve("-tls1_3", "-Verify", "1")
    handshake = handshake_for(tls="1.3")
    with shake_hands(port, handshake) as connection:
        assert handshake.facts().finished
        while handshake.progress is Progress.DONE and (data := connection.recv(65_536)):
            handshake.receive_data(data)

    alert = handshake.facts().tls_alert
    assert alert is not None
    assert alert.description == "certificate_required"
    assert handshake.facts().client_certificate_requested
