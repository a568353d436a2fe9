"""haproxy as the tests meet it: one process, one frontend a port."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from prober.model import Verdict
from tests.servers.listeners import CLOSED, RESET, TIMEOUT, Fleet, Listener, by_name, cert, some_alert
from tests.servers.material import KNOWN, SECOND, Material
from tests.servers.ports import IPV6, Ports
from tests.servers.processes import running
from tests.servers.requirements import require_program

__all__ = ["LISTENERS", "haproxy"]

_SWITCH = f"""\
 mode tcp
 bind <at>
 tcp-request inspect-delay 2s
 tcp-request content accept if {{ req.ssl_hello_type 1 }}
 use_backend <backend> if {{ req.ssl_sni -i {KNOWN} }}
"""
_TERMINATE = " mode http\n bind <at> ssl "

_TABLE = (
    Listener(
        name="first-certificate",
        config=_TERMINATE + "crt <default.pem> crt <api.pem>",
        known=cert("api"),
        none=cert("default"),
        unknown=cert("default"),
        verdict=Verdict.NON_SNI_WRONG_CERTIFICATE,
    ),
    Listener(
        name="strict-sni",
        config=_TERMINATE + "crt <api.pem> strict-sni",
        known=cert("api"),
        # Which alert a client without SNI gets (112 or 40) has changed between haproxy's versions.
        none=some_alert,
        unknown=some_alert,
        verdict=Verdict.NON_SNI_REJECTED,
    ),
    Listener(
        name="crt-list",
        config=_TERMINATE + "crt-list <list>",
        known=cert("shop"),
        none=cert("wide"),
        unknown=cert("wide"),
        verdict=Verdict.OK,
        server_name=SECOND,
    ),
    Listener(
        name="crt-list-strict",
        config=_TERMINATE + "crt-list <list> strict-sni",
        known=cert("api"),
        none=some_alert,
        unknown=some_alert,
        verdict=Verdict.NON_SNI_REJECTED,
    ),
    Listener(
        name="switch-without-default",
        config=_SWITCH,
        known=cert("api"),
        none=CLOSED,
        unknown=CLOSED,
        verdict=Verdict.NON_SNI_RESET,
    ),
    Listener(
        name="switch-rejects",
        config=_SWITCH.replace(
            " tcp-request content accept",
            f" tcp-request content reject if {{ req.ssl_hello_type 1 }} !{{ req.ssl_sni -i {KNOWN} }}\n tcp-request content accept",
        ),
        known=cert("api"),
        none=CLOSED,
        unknown=CLOSED,
        verdict=Verdict.NON_SNI_RESET,
    ),
    Listener(
        name="switch-drops-silently",
        config=_SWITCH.replace(
            " tcp-request content accept",
            f" tcp-request content silent-drop if {{ req.ssl_hello_type 1 }} !{{ req.ssl_sni -i {KNOWN} }}\n tcp-request content accept",
        ),
        known=cert("api"),
        none=TIMEOUT,
        unknown=TIMEOUT,
        verdict=Verdict.NON_SNI_TIMEOUT,
        silent=True,
        offers=("auto",),
    ),
    Listener(
        name="rejects-connections",
        config=" mode tcp\n bind <at>\n tcp-request connection reject",
        known=RESET,
        none=RESET,
        unknown=RESET,
        verdict=Verdict.TLS_FAILING,
        hangs_up=True,
    ),
    Listener(
        name="client-certificate-optional",
        config=_TERMINATE + "crt <api.pem> ca-file <ca> verify optional",
        known=cert("api"),
        none=cert("api"),
        unknown=cert("api"),
        verdict=Verdict.OK,
    ),
    Listener(
        name="client-certificate-required",
        config=_TERMINATE + "crt <api.pem> ca-file <ca> verify required",
        known=cert("api"),
        none=cert("api"),
        unknown=cert("api"),
        verdict=Verdict.OK,
    ),
    Listener(
        name="accept-proxy-v1",
        config=_TERMINATE + "crt <api.pem> accept-proxy",
        known=cert("api"),
        none=cert("api"),
        unknown=cert("api"),
        verdict=Verdict.OK,
        proxy_protocol="v1",
    ),
    Listener(
        name="accept-proxy-v2",
        config=_TERMINATE + "crt <api.pem> accept-proxy strict-sni",
        known=cert("api"),
        none=some_alert,
        unknown=some_alert,
        verdict=Verdict.NON_SNI_REJECTED,
        proxy_protocol="v2",
    ),
    Listener(
        name="tls12-only",
        config=_TERMINATE + "crt <api.pem> ssl-max-ver TLSv1.2 strict-sni",
        known=cert("api"),
        none=some_alert,
        unknown=some_alert,
        verdict=Verdict.NON_SNI_REJECTED,
    ),
    Listener(
        name="tls13-only",
        config=_TERMINATE + "crt <api.pem> ssl-min-ver TLSv1.3",
        known=cert("api"),
        none=cert("api"),
        unknown=cert("api"),
        verdict=Verdict.OK,
    ),
    Listener(
        name="p384-curve",
        config=_TERMINATE + "crt <api.pem> curves P-384",
        known=cert("api"),
        none=cert("api"),
        unknown=cert("api"),
        verdict=Verdict.OK,
    ),
    Listener(
        name="ipv6-strict-sni",
        config=_TERMINATE + "crt <api.pem> strict-sni",
        known=cert("api"),
        none=some_alert,
        unknown=some_alert,
        verdict=Verdict.NON_SNI_REJECTED,
        ip=IPV6,
    ),
    Listener(
        name="ipv6-switch-without-default",
        config=_SWITCH,
        known=cert("api"),
        none=CLOSED,
        unknown=CLOSED,
        verdict=Verdict.NON_SNI_RESET,
        ip=IPV6,
    ),
)
LISTENERS = by_name(*_TABLE)

_GLOBAL = """\
global
 maxconn 2000
 tune.ssl.default-dh-param 2048
defaults
 timeout client 20s
 timeout server 20s
 timeout connect 5s
backend terminating
 mode tcp
 server it <backend>
"""


@contextmanager
def haproxy(directory: Path, material: Material) -> Iterator[Fleet]:
    """One haproxy with all `LISTENERS`."""
    program = require_program("haproxy")
    crt_list = directory / "crt-list"
    crt_list.write_text(material.fill(f"<wide.pem> !{KNOWN} !{SECOND}\n<api.pem> {KNOWN}\n<shop.pem> {SECOND}\n"))
    with Ports() as ports:
        endpoints = {listener.name: ports.take(listener.ip) for listener in LISTENERS.values()}
        sections = [material.fill(_GLOBAL, backend=endpoints["first-certificate"])]
        for listener in LISTENERS.values():
            address = f"{listener.ip}:{endpoints[listener.name].port}"
            frontend = material.fill(listener.config, at=address, list=crt_list, backend="terminating")
            sections.append(f"frontend {listener.name}\n{frontend}\n")
        configuration = directory / "haproxy.cfg"
        configuration.write_text("".join(sections))
        with running([program, "-db", "-f", configuration], directory=directory, accepting=endpoints.values()):
            yield Fleet("haproxy", LISTENERS, endpoints, directory)
