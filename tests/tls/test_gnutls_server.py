"""``gnutls-serv`` on loopback, for the ciphers that OpenSSL is built without: what old appliances choose."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from prober.tls.events import ApplicationData
from prober.tls.profiles import PROFILES
from prober.tls.registry import CipherSuite
from tests.pki import self_signed
from tests.servers.ports import Ports
from tests.servers.processes import running, wait_until_accepting
from tests.servers.requirements import require_program
from tests.tls.live import handshake_for
from tests.tls.test_openssl_server import shake_hands

_PRIORITY = "NONE:+VERS-ALL:+{}:+SHA1:+MD5:+COMP-NULL:+SIGN-ALL:+SIGN-RSA-SHA1:+ECDHE-RSA:+DHE-RSA:+RSA:+GROUP-ALL:+CTYPE-ALL"


@contextmanager
def _serving(cipher: str, directory: Path) -> Iterator[int]:
    """A server with nothing but this cipher, which says what it is told; its port."""
    program = require_program("gnutls-serv", package="gnutls-bin")
    files = self_signed("api.example.test", key="rsa2048").write(directory)
    with Ports() as ports:
        endpoint = ports.take("127.0.0.1")
        command = [program, "--port", str(endpoint.port), "--echo", "--quiet", "--disable-client-cert"]
        command += ["--x509certfile", str(files.certificate), "--x509keyfile", str(files.key)]
        command += ["--priority", _PRIORITY.format(cipher)]
        with running(command, directory=directory, name="gnutls-serv") as server:
            wait_until_accepting(server, [endpoint])
            yield endpoint.port


@pytest.mark.parametrize(
    ("cipher", "suites"),
    [
        ("3DES-CBC", "TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA TLS_DHE_RSA_WITH_3DES_EDE_CBC_SHA TLS_RSA_WITH_3DES_EDE_CBC_SHA"),
        ("ARCFOUR-128", "TLS_ECDHE_RSA_WITH_RC4_128_SHA TLS_RSA_WITH_RC4_128_SHA TLS_RSA_WITH_RC4_128_MD5"),
        ("CAMELLIA-128-CBC", "TLS_DHE_RSA_WITH_CAMELLIA_128_CBC_SHA TLS_RSA_WITH_CAMELLIA_128_CBC_SHA"),
    ],
)
def test_old_ciphers_are_finished_in_every_version(cipher: str, suites: str, tmp_path: Path) -> None:
    """Both Finished messages are right, and so is what is said behind them."""
    with _serving(cipher, tmp_path) as port:
        for suite in suites.split():
            for tls in ("1.0", "1.1", "1.2"):
                handshake = handshake_for(replace(PROFILES["modern"], cipher_suites=(CipherSuite[suite],)), tls)
                with shake_hands(port, handshake) as connection:
                    assert handshake.unfinished_reason is None
                    assert handshake.facts().finished, (suite, tls, handshake.facts())
                    assert handshake.facts().cipher_suite == suite
                    handshake.send_application_data(b"hello\n")
                    connection.sendall(handshake.data_to_send())
                    echoed = b""
                    while len(echoed) < 6 and (data := connection.recv(65_536)):
                        echoed += b"".join(e.data for e in handshake.receive_data(data) if isinstance(e, ApplicationData))
                    assert echoed == b"hello\n"
