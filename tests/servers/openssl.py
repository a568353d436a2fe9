"""``openssl s_server`` as the tests meet it: one process a listener, for what the ingresses cannot be configured to do.

Old protocol versions, one cipher suite or one group at a time, every kind of key, tiny or padded records, stateless retries,
and warning-level alerts.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from prober.model import Verdict
from tests.servers.listeners import Ending, Fleet, Listener, alert, by_name, cert
from tests.servers.material import KNOWN, Material
from tests.servers.ports import IPV6, Ports
from tests.servers.processes import running, wait_until_accepting
from tests.servers.requirements import require_program

__all__ = ["LISTENERS", "NO_CONFIGURATION", "openssl"]

NO_CONFIGURATION = {"OPENSSL_CONF": "/dev/null"}
"""Keeps the distribution's minimum version and security level out of it."""


def _one(
    name: str,
    role: str,
    arguments: str = "",
    *,
    unknown: Ending | None = None,
    verdict: Verdict = Verdict.OK,
    offers: tuple[str, ...] = ("auto", "1.2", "1.3"),
    ip: str = "127.0.0.1",
) -> Listener:
    """A server with one certificate."""
    config = f"-cert <{role}.crt> -cert_chain <{role}.crt> -key <{role}.key> {arguments}"
    same = cert(role)
    return Listener(
        name=name, config=config, known=same, none=same, unknown=unknown or same, verdict=verdict, offers=offers, ip=ip
    )


def _refusing(name: str, role: str, arguments: str, code: int, offers: tuple[str, ...]) -> Listener:
    """A server that has nothing in common with what clients offer today."""
    config = f"-cert <{role}.crt> -key <{role}.key> {arguments}"
    no = alert(code)
    return Listener(name=name, config=config, known=no, none=no, unknown=no, verdict=Verdict.TLS_FAILING, offers=offers)


_TLS12 = ("auto", "1.2")
_TLS13 = ("auto", "1.3")
_SUITES = {
    "ECDHE-ECDSA-AES128-GCM-SHA256": "api",
    "ECDHE-ECDSA-AES256-GCM-SHA384": "api",
    "ECDHE-ECDSA-CHACHA20-POLY1305": "api",
    "ECDHE-ECDSA-AES128-SHA": "api",
    "ECDHE-ECDSA-AES256-SHA384": "api",
    "ECDHE-RSA-AES128-GCM-SHA256": "rsa",
    "ECDHE-RSA-AES256-GCM-SHA384": "rsa",
    "ECDHE-RSA-CHACHA20-POLY1305": "rsa",
    "ECDHE-RSA-AES256-SHA": "rsa",
    "ECDHE-RSA-AES128-SHA256": "rsa",
    "DHE-RSA-AES256-GCM-SHA384": "rsa",
    "DHE-RSA-CHACHA20-POLY1305": "rsa",
    "DHE-RSA-AES128-SHA": "rsa",
    "AES256-GCM-SHA384": "rsa",
    "AES128-SHA256": "rsa",
    "AES128-SHA": "rsa",
}
"""TLS 1.2 suites that OpenSSL's clients offer, by OpenSSL's name, and the certificate that each needs."""
_SUITES_13 = ("TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256")
_GROUPS = ("P-256", "P-384", "P-521", "X25519", "X448", "ffdhe2048", "ffdhe3072", "ffdhe4096")
_KEYS = ("rsa", "p384", "p521", "ed25519", "ed448")
_SECOND_NAME = f"-servername {KNOWN} -cert2 <api.crt> -key2 <api.key>"
"""Presents the certificate without its intermediate: there is no option for the chain of the second one."""

_TABLE = (
    *(_one(f"suite-{suite}", role, f"-tls1_2 -cipher {suite}", offers=_TLS12) for suite, role in _SUITES.items()),
    *(_one(f"suite-{suite}", "api", f"-tls1_3 -ciphersuites {suite}", offers=_TLS13) for suite in _SUITES_13),
    *(_one(f"group-{group}", "rsa", f"-groups {group}") for group in _GROUPS),
    *(_one(f"key-{role}", role) for role in _KEYS),
    _one("sigalg-pss", "rsa", "-sigalgs RSA-PSS+SHA512"),
    _one("max-fragment", "long", "-max_send_frag 512"),
    _one("padded-records", "api", "-tls1_3 -record_padding 1024", offers=_TLS13),
    _one("no-middlebox-compatibility", "api", "-tls1_3 -no_middlebox", offers=_TLS13),
    _one("no-tickets", "api", "-no_ticket -num_tickets 0"),
    _one("alpn", "api", "-alpn h2,http/1.1"),
    _one("stateless-retry", "api", "-tls1_3 -stateless", offers=_TLS13),
    _one("client-certificate-optional", "api", "-verify 1"),
    _one("client-certificate-required", "api", "-Verify 1 -CAfile <ca>"),
    _one("ipv6", "api", ip=IPV6),
    Listener(
        name="servername-warning",
        config=f"-cert <default.crt> -key <default.key> -tls1_2 {_SECOND_NAME}",
        known=cert("api"),
        none=cert("default"),
        unknown=cert("default"),
        verdict=Verdict.CERTIFICATE_INVALID,
        offers=_TLS12,
    ),
    Listener(
        name="servername-fatal",
        config=f"-cert <wide.crt> -key <wide.key> {_SECOND_NAME} -servername_fatal",
        known=cert("api"),
        none=cert("wide"),
        unknown=alert(112),
        verdict=Verdict.CERTIFICATE_INVALID,
    ),
    _refusing("nothing-shared", "rsa", "-tls1_2 -cipher CAMELLIA128-SHA", 40, _TLS12),
    _refusing("no-group-shared", "api", "-tls1_3 -groups brainpoolP256r1", 40, _TLS13),
    _refusing("tls10-only", "rsa", "-tls1 -cipher ALL:@SECLEVEL=0", 70, ("1.2", "1.3")),
)
_OLD = (
    _one("tls10", "rsa", "-tls1 -cipher ALL:@SECLEVEL=0", offers=("1.0",)),
    _one("tls10-rsa-key-exchange", "rsa", "-tls1 -cipher AES128-SHA:@SECLEVEL=0", offers=("1.0",)),
    _one("tls10-dhe", "rsa", "-tls1 -cipher DHE-RSA-AES256-SHA:@SECLEVEL=0", offers=("1.0",)),
    _one("tls10-ecdsa", "api", "-tls1 -cipher ECDHE-ECDSA-AES128-SHA:@SECLEVEL=0", offers=("1.0",)),
    _one("tls11", "rsa", "-tls1_1 -cipher ALL:@SECLEVEL=0", offers=("1.1",)),
    _one("tls11-or-older", "api", "-no_tls1_2 -no_tls1_3 -cipher ALL:@SECLEVEL=0", offers=("1.0", "1.1")),
)
LISTENERS = by_name(*_TABLE, *_OLD)


@contextmanager
def openssl(directory: Path, material: Material) -> Iterator[Fleet]:
    """One ``openssl s_server`` for each of `LISTENERS`. Each takes one connection at a time."""
    program = require_program("openssl")
    with Ports() as ports, ExitStack() as programs:
        endpoints = {listener.name: ports.take(listener.ip) for listener in LISTENERS.values()}
        started = []
        for listener in LISTENERS.values():
            # -www: answers requests, and so never waits for its standard input.
            arguments = ["-accept", str(endpoints[listener.name]), "-www", *material.fill(listener.config).split()]
            one = running(
                [program, "s_server", *arguments],
                directory=directory,
                name=f"s_server-{listener.name}",
                environment=NO_CONFIGURATION,
            )
            started.append((programs.enter_context(one), endpoints[listener.name]))
        for server, endpoint in started:
            wait_until_accepting(server, [endpoint])
        yield Fleet("openssl", LISTENERS, endpoints, directory)
