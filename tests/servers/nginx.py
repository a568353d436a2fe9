"""nginx as the tests meet it: one process, one server block or stream map a port."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from prober.model import Verdict
from tests.servers.listeners import CLOSED, NOT_TLS, Fleet, Listener, alert, by_name, cert
from tests.servers.material import Material
from tests.servers.ports import IPV6, Ports
from tests.servers.processes import running
from tests.servers.requirements import missing, require_program

__all__ = ["LISTENERS", "nginx"]


def _certificate(role: str) -> str:
    return f"ssl_certificate <{role}.crt>; ssl_certificate_key <{role}.key>;"


def _block(role: str, *directives: str, listen: str = "ssl default_server", name: str = "_") -> str:
    """One ``server`` block on the listener's port that presents ``role``."""
    words = [f"listen <at> {listen};", f"server_name {name};", _certificate(role), *directives]
    return "server { " + " ".join(words) + " }\n"


def _only(name: str, role: str, *directives: str, **facts: object) -> Listener:
    """A listener with one server block: every client gets the same certificate, and it is a good one."""
    same = cert(role)
    verdict = facts.pop("verdict", Verdict.OK)
    listen = facts.pop("listen", "ssl default_server")
    config = _block(role, *directives, listen=str(listen))
    return Listener(name=name, config=config, known=same, none=same, unknown=same, verdict=verdict, **facts)  # type: ignore[arg-type]


_NAMED = _block("api", listen="ssl", name="api.example.test")
_REJECTS = "server { listen <at> ssl default_server; ssl_reject_handshake on; }"
_PREREAD = """\
map $ssl_preread_server_name $to_<id> { api.example.test <backend>; }
server { listen <at>; ssl_preread on; proxy_pass $to_<id>; }"""
_TLS12_ONLY = "ssl_protocols TLSv1.2;"

_HTTP = (
    Listener(
        name="default-certificate",
        config=_block("default") + _NAMED,
        known=cert("api"),
        none=cert("default"),
        unknown=cert("default"),
        verdict=Verdict.NON_SNI_WRONG_CERTIFICATE,
    ),
    Listener(
        name="default-covers",
        config=_block("wide") + _NAMED,
        known=cert("api"),
        none=cert("wide"),
        unknown=cert("wide"),
        verdict=Verdict.OK,
    ),
    Listener(
        name="default-expired",
        config=_block("default-expired") + _NAMED,
        known=cert("api"),
        none=cert("default-expired"),
        unknown=cert("default-expired"),
        verdict=Verdict.NON_SNI_WRONG_CERTIFICATE,
    ),
    Listener(
        name="fake-certificate",
        config=_block("fake") + _NAMED,
        known=cert("api"),
        none=cert("fake"),
        unknown=cert("fake"),
        verdict=Verdict.NON_SNI_WRONG_CERTIFICATE,
    ),
    Listener(
        name="second-name",
        config=_block("default") + _NAMED + _block("shop", listen="ssl", name="shop.example.test"),
        known=cert("shop"),
        none=cert("default"),
        unknown=cert("default"),
        verdict=Verdict.NON_SNI_WRONG_CERTIFICATE,
        server_name="shop.example.test",
    ),
    Listener(
        name="reject-handshake",
        config=_REJECTS + _NAMED,
        known=cert("api"),
        none=alert(112),
        unknown=alert(112),
        verdict=Verdict.NON_SNI_REJECTED,
    ),
    Listener(
        name="reject-everyone",
        config=_REJECTS,
        known=alert(112),
        none=alert(112),
        unknown=alert(112),
        verdict=Verdict.TLS_FAILING,
    ),
    Listener(
        name="serves-strangers-only",
        config=_block("default") + "server { listen <at> ssl; server_name api.example.test; ssl_reject_handshake on; }",
        known=alert(112),
        none=cert("default"),
        unknown=cert("default"),
        verdict=Verdict.SNI_FAILING,
    ),
    Listener(
        name="plain-http",
        config="server { listen <at> default_server; }",
        known=NOT_TLS,
        none=NOT_TLS,
        unknown=NOT_TLS,
        verdict=Verdict.TLS_FAILING,
    ),
    _only("expired", "expired", verdict=Verdict.CERTIFICATE_INVALID),
    _only("not-yet-valid", "future", verdict=Verdict.CERTIFICATE_INVALID),
    _only("other-name", "default", verdict=Verdict.CERTIFICATE_INVALID),
    _only("self-signed", "self-signed", verdict=Verdict.CERTIFICATE_INVALID),
    _only("no-intermediate", "no-intermediate", verdict=Verdict.CERTIFICATE_INVALID),
    _only("long-chain", "long"),
    _only("tls12-only", "api", _TLS12_ONLY),
    _only("tls13-only", "api", "ssl_protocols TLSv1.3;"),
    _only("p384-group", "api", "ssl_ecdh_curve secp384r1;"),
    _only("p521-group", "api", "ssl_ecdh_curve secp521r1;"),
    _only("x25519-group", "api", "ssl_ecdh_curve X25519;"),
    _only("x448-group", "api", "ssl_ecdh_curve X448;"),
    _only(
        "client-certificate-optional",
        "api",
        "ssl_client_certificate <ca>; ssl_verify_client optional;",
    ),
    _only(
        "client-certificate-required",
        "api",
        "ssl_client_certificate <ca>; ssl_verify_client on;",
    ),
    _only("rsa", "rsa"),
    _only("p384", "p384"),
    _only("p521", "p521"),
    _only("ed25519", "ed25519"),
    _only("rsa-key-exchange", "rsa", _TLS12_ONLY, "ssl_ciphers AES128-GCM-SHA256;"),
    _only("dhe", "rsa", _TLS12_ONLY, "ssl_ciphers DHE-RSA-AES128-GCM-SHA256; ssl_dhparam <dh>;"),
    _only("cbc", "rsa", _TLS12_ONLY, "ssl_ciphers ECDHE-RSA-AES128-SHA;"),
    _only("rsa-cbc", "rsa", _TLS12_ONLY, "ssl_ciphers AES256-SHA;"),
    _only(
        "chacha20",
        "api",
        "ssl_ciphers ECDHE-ECDSA-CHACHA20-POLY1305; ssl_conf_command Ciphersuites TLS_CHACHA20_POLY1305_SHA256;",
    ),
    _only("aes128", "api", "ssl_ciphers ECDHE-ECDSA-AES128-GCM-SHA256; ssl_conf_command Ciphersuites TLS_AES_128_GCM_SHA256;"),
    _only("aes256", "api", "ssl_ciphers ECDHE-ECDSA-AES256-GCM-SHA384; ssl_conf_command Ciphersuites TLS_AES_256_GCM_SHA384;"),
    _only("http2", "api", listen="ssl http2 default_server"),
    _only("proxy-protocol-v1", "api", listen="ssl proxy_protocol default_server", proxy_protocol="v1"),
    _only("proxy-protocol-v2", "api", listen="ssl proxy_protocol default_server", proxy_protocol="v2"),
    Listener(
        name="ipv6-default-certificate",
        config=_block("default") + _NAMED,
        known=cert("api"),
        none=cert("default"),
        unknown=cert("default"),
        verdict=Verdict.NON_SNI_WRONG_CERTIFICATE,
        ip=IPV6,
    ),
    Listener(
        name="ipv6-reject-handshake",
        config=_REJECTS + _NAMED,
        known=cert("api"),
        none=alert(112),
        unknown=alert(112),
        verdict=Verdict.NON_SNI_REJECTED,
        ip=IPV6,
    ),
    _only("ipv6-proxy-protocol", "api", listen="ssl proxy_protocol default_server", proxy_protocol="v2", ip=IPV6),
    # Two certificates in one block: the client's signature algorithms choose, so that the role is the witness' to say.
    Listener(
        name="ecdsa-and-rsa",
        config="server { listen <at> ssl default_server; server_name _; " + _certificate("api") + _certificate("rsa") + " }",
        known=cert("api"),
        none=cert("api"),
        unknown=cert("api"),
        verdict=Verdict.OK,
    ),
)
_STREAM = (
    Listener(
        name="preread-no-default",
        config=_PREREAD,
        known=cert("api"),
        none=CLOSED,
        unknown=CLOSED,
        verdict=Verdict.NON_SNI_RESET,
    ),
    Listener(
        name="ipv6-preread-no-default",
        config=_PREREAD,
        known=cert("api"),
        none=CLOSED,
        unknown=CLOSED,
        verdict=Verdict.NON_SNI_RESET,
        ip=IPV6,
    ),
)
LISTENERS = by_name(*_HTTP, *_STREAM)

_CONFIGURATION = """\
<modules>
daemon off; master_process off; pid nginx.pid; error_log stderr notice;
events { worker_connections 2048; }
stream {
<stream>}
http {
access_log off;
client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;
ssl_protocols TLSv1.2 TLSv1.3;
ssl_session_cache off;
<http>}
"""


@contextmanager
def nginx(directory: Path, material: Material) -> Iterator[Fleet]:
    """One nginx with all `LISTENERS`."""
    program = require_program("nginx")
    modules = _stream_module(program)
    with Ports() as ports:
        endpoints = {listener.name: ports.take(listener.ip) for listener in LISTENERS.values()}

        def section(table: tuple[Listener, ...]) -> str:
            backend = endpoints["default-certificate"]
            rows = enumerate(row for row in table if row.name in endpoints)
            return "".join(material.fill(row.config, at=endpoints[row.name], id=number, backend=backend) for number, row in rows)

        configuration = directory / "nginx.conf"
        configuration.write_text(material.fill(_CONFIGURATION, modules=modules, stream=section(_STREAM), http=section(_HTTP)))
        command = [program, "-p", directory, "-c", configuration, "-e", "stderr"]
        with running(command, directory=directory, accepting=endpoints.values()):
            yield Fleet("nginx", LISTENERS, endpoints, directory)


def _stream_module(program: str) -> str:
    """The directive that loads the stream module, where it is not compiled in."""
    built = subprocess.run([program, "-V"], capture_output=True, text=True, check=True).stderr
    if "--with-stream=dynamic" not in built:
        return ""
    found = re.search(r"--modules-path=(\S+)", built)
    module = Path(found[1] if found else "/usr/lib/nginx/modules") / "ngx_stream_module.so"
    if not module.exists():
        missing(f"{module} is not installed (package libnginx-mod-stream)")
    return f"load_module {module};"
