"""The witnesses tell the truth about servers whose behaviour is written down in a few lines here."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from prober.model import Endpoint, Outcome
from tests.real.witness import Witnessed, s_client_witness, socket_witness
from tests.servers.fleets import Fleets
from tests.servers.material import KNOWN
from tests.servers.ports import Ports

Witness = Callable[..., Witnessed]
BOTH = pytest.mark.parametrize("witness", [s_client_witness, socket_witness], ids=["s_client", "socket"])


@contextmanager
def peer(act: Callable[[socket.socket], object]) -> Iterator[Endpoint]:
    """One that lets ``act`` deal with the first connection, then closes it."""
    with socket.create_server(("127.0.0.1", 0)) as door:

        def serve() -> None:
            connection, _ = door.accept()
            with connection:
                act(connection)

        thread = threading.Thread(target=serve)
        thread.start()
        yield Endpoint(*door.getsockname())
        thread.join(10)


def leave_unread(connection: socket.socket) -> None:
    """Return with the ClientHello in the kernel's buffer: the close that follows is a reset."""
    connection.recv(1, socket.MSG_PEEK)


def say(*answers: bytes) -> Callable[[socket.socket], None]:
    """Read the ClientHello, then send ``answers``."""

    def act(connection: socket.socket) -> None:
        connection.recv(65536)
        for answer in answers:
            connection.sendall(answer)

    return act


FATAL_112 = bytes.fromhex("15030300020270")
FATAL_40 = bytes.fromhex("15030300020228")
WARNING_112 = bytes.fromhex("15030300020170")


@BOTH
@pytest.mark.parametrize(
    ("act", "outcome", "tls_alert"),
    [
        (leave_unread, Outcome.RESET, None),
        (say(), Outcome.CLOSED, None),
        (say(FATAL_112), Outcome.TLS_ALERT, 112),
        (say(b"HTTP/1.1 400 Bad Request\r\n\r\n"), Outcome.NOT_TLS, None),
        (say(b"SSH-2.0-OpenSSH_9.2\r\n"), Outcome.NOT_TLS, None),
    ],
    ids=["reset", "closed", "alert", "http", "ssh"],
)
def test_endings_are_told_apart(
    witness: Witness, act: Callable[[socket.socket], object], outcome: Outcome, tls_alert: int | None
) -> None:
    """A reset, a FIN, alerts and other protocols each have their own outcome."""
    with peer(act) as endpoint:
        seen = witness(endpoint, None)
    assert (seen.outcome, seen.tls_alert) == (outcome, tls_alert), seen.account


@BOTH
def test_a_closed_port_is_refused(witness: Witness) -> None:
    """Nothing listens on a held port."""
    with Ports() as ports:
        assert witness(ports.take(), None).outcome is Outcome.REFUSED


@BOTH
def test_silence_is_a_timeout(witness: Witness) -> None:
    """A peer that reads and says nothing exhausts the patience."""
    done = threading.Event()
    with peer(lambda connection: (connection.recv(65536), done.wait(10))) as endpoint:
        assert witness(endpoint, None, patience=0.3).outcome is Outcome.TIMEOUT
        done.set()


def test_warning_alerts_are_kept_apart_from_fatal_ones() -> None:
    """A warning before a FIN is no refusal; a fatal alert after a warning is one."""
    with peer(say(WARNING_112)) as endpoint:
        seen = s_client_witness(endpoint, None)
    assert (seen.outcome, seen.tls_alert, seen.warning_alerts) == (Outcome.CLOSED, None, (112,))
    with peer(say(WARNING_112, FATAL_40)) as endpoint:
        seen = s_client_witness(endpoint, None)
    assert (seen.outcome, seen.tls_alert, seen.warning_alerts) == (Outcome.TLS_ALERT, 40, (112,))


def test_the_client_tells_everything_that_a_handshake_shows(fleets: Fleets) -> None:
    """Certificates, version, suite, group, certificate request and retry come out of one session's account."""
    fleet, material = fleets["nginx"], fleets.material
    plain = s_client_witness(fleet.endpoints["aes128"], KNOWN, offer="1.2")
    assert plain.certificates == material.issued["api"].ders
    assert (plain.tls_version, plain.cipher_suite) == ("TLSv1.2", "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256")
    assert not plain.client_certificate_requested
    retried = s_client_witness(fleet.endpoints["p384-group"], None)
    assert (retried.tls_version, retried.group, retried.hello_retry_request) == ("TLSv1.3", "secp384r1", True)
    asked = s_client_witness(fleet.endpoints["client-certificate-required"], None)
    assert asked.client_certificate_requested


def test_the_socket_witness_speaks_the_proxy_protocol(fleets: Fleets) -> None:
    """Without the header the same listener resets."""
    fleet = fleets["nginx"]
    for version in ("v1", "v2"):
        seen = socket_witness(fleet.endpoints[f"proxy-protocol-{version}"], KNOWN, proxy_protocol=version)
        assert seen.certificates[:1] == (fleets.material.issued["api"].der,)
    assert socket_witness(fleet.endpoints["proxy-protocol-v1"], KNOWN).outcome is Outcome.RESET
