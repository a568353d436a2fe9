"""The listener by its web configuration file, with real clients: TLS, client certificates, passwords."""

from __future__ import annotations

import re
import socket
import ssl
import subprocess
from functools import partial

import httpx
import pytest
import trio
from cryptography.x509.oid import ExtendedKeyUsageOID

from prober.outlets import web_server
from tests.pki import Authority
from tests.service.listening import CLIENTS, PAIR, PATIENCE, USERS, Place, get, listening, place
from tests.service.process import eventually, serving

__all__ = ["place"]


async def s_client(openssl: str, url: str, *options: str) -> str:
    """What ``openssl s_client`` says of the listener."""
    command = [openssl, "s_client", "-connect", url.removeprefix("https://"), "-servername", "localhost", *options]
    run = partial(subprocess.run, command, input=b"", capture_output=True, timeout=PATIENCE, check=False)
    ended: subprocess.CompletedProcess[bytes] = await trio.to_thread.run_sync(run)
    return (ended.stdout + ended.stderr).decode(errors="replace")


async def test_the_application_is_served_by_tls(place: Place, openssl: str) -> None:
    """To Python's client by HTTP/1.1 and HTTP/2 and to openssl, with a chain that verifies; plain HTTP gets nothing."""
    async with listening(place.write(PAIR)) as (url, _):
        assert url.startswith("https://")
        first = await get(url, place.trusting())
        second = await get(url, place.trusting(), http2=True)
        assert [(answer.status_code, answer.http_version) for answer in (first, second)] == [(200, "HTTP/1.1"), (200, "HTTP/2")]
        said = await s_client(openssl, url, "-CAfile", str(place.path / "ca.pem"), "-verify_return_error")
        assert "Verify return code: 0 (ok)" in said
        with pytest.raises(httpx.TransportError):
            await get(url.replace("https", "http"), place.trusting())
        assert (await get(url, place.trusting())).status_code == 200


async def test_versions_suites_and_http2_are_as_they_are_written(place: Place, openssl: str) -> None:
    """A client below the least version is turned away; the one suite and the curve are used; h2 is not offered."""
    text = (
        f"{PAIR}  cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384]\n  max_version: TLS12\n"
        "  curve_preferences: [CurveP384]\nhttp_server_config: {http2: false}\n"
    )
    async with listening(place.write(text)) as (url, _):
        said = await s_client(openssl, url, "-alpn", "h2,http/1.1")
        assert "ECDHE-ECDSA-AES256-GCM-SHA384" in said
        assert "Server Temp Key: ECDH, secp384r1" in said
        assert "ALPN protocol: http/1.1" in said
        assert "Cipher is (NONE)" in await s_client(openssl, url, "-tls1_3")
    async with listening(place.write(f"{PAIR}  min_version: TLS13\n")) as (url, _):
        assert "Cipher is (NONE)" in await s_client(openssl, url, "-tls1_2")
        assert re.search(r"New, TLSv1\.3", await s_client(openssl, url))
    async with listening(place.write(PAIR)) as (url, _):
        assert "Cipher is (NONE)" in await s_client(openssl, url, "-tls1_1", "-cipher", "ALL:@SECLEVEL=0")


async def test_a_client_certificate_can_be_required(place: Place) -> None:
    """None, one of another authority, and one that is for servers are turned away."""
    stranger = Authority.root("Another Root").issue("a.example.test", extended_key_usage=[ExtendedKeyUsageOID.CLIENT_AUTH])
    async with listening(place.write(CLIENTS + "RequireAndVerifyClientCert\n")) as (url, _):
        assert (await get(url, place.trusting(place.client("a.example.test")))).status_code == 200
        for client in (None, stranger, place.root.issue("a.example.test")):
            with pytest.raises(httpx.TransportError):
                await get(url, place.trusting(client))


async def test_a_client_certificate_can_be_optional(place: Place) -> None:
    """None will do; one that is given must verify."""
    stranger = Authority.root("Another Root").issue("a.example.test", extended_key_usage=[ExtendedKeyUsageOID.CLIENT_AUTH])
    async with listening(place.write(CLIENTS + "VerifyClientCertIfGiven\n")) as (url, _):
        for client in (None, place.client("a.example.test")):
            assert (await get(url, place.trusting(client))).status_code == 200
        with pytest.raises(httpx.TransportError):
            await get(url, place.trusting(stranger))


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=str)
async def test_only_named_clients_are_admitted(place: Place, version: ssl.TLSVersion) -> None:
    """By exact match of a DNS name, an address or a URI, not by a suffix or a wildcard; also where a session is resumed."""
    names = "  client_allowed_sans: [prometheus.example.test, 192.0.2.7, 'spiffe://example.test/prometheus']\n"
    async with listening(place.write(CLIENTS + "RequireAndVerifyClientCert\n" + names)) as (url, _):

        async def attempts(*sans: str) -> list[tuple[bool, bool]]:
            context = place.trusting(place.client(*sans))
            context.minimum_version = context.maximum_version = version
            return await trio.to_thread.run_sync(twice, int(url.rpartition(":")[2]), context)

        for san in ("prometheus.example.test", "192.0.2.7", "spiffe://example.test/prometheus"):
            assert await attempts("x.example.test", san) == [(True, False), (True, True)]
        for san in (
            "x.prometheus.example.test",
            "*.example.test",
            "192.0.2.8",
            "spiffe://example.test/",
            "prometheus@example.test",
        ):
            assert [answered for answered, _ in await attempts(san)] == [False, False]


def twice(port: int, context: ssl.SSLContext) -> list[tuple[bool, bool]]:
    """Of two connections, the second with the first one's session: was there an answer, and was it a resumption."""
    seen: list[tuple[bool, bool]] = []
    session: ssl.SSLSession | None = None
    for _ in range(2):
        with (
            socket.create_connection(("localhost", port), timeout=PATIENCE) as plain,
            context.wrap_socket(plain, server_hostname="localhost", session=session) as secured,
        ):
            answer = b""
            try:
                secured.sendall(b"GET /-/healthy HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                answer = secured.recv(4096)
            except OSError:
                pass  # closed by the listener
            session = secured.session
            seen.append((answer.startswith(b"HTTP/1.1 200"), bool(secured.session_reused)))
    return seen


async def test_a_handshake_that_does_not_come_ends_the_connection(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor does it keep others waiting."""
    monkeypatch.setattr(web_server, "HEADER_SECONDS", 2.0)
    async with listening(place.write(PAIR)) as (url, _):
        silent = await trio.open_tcp_stream("localhost", int(url.rpartition(":")[2]))
        assert (await get(url, place.trusting())).status_code == 200
        with trio.fail_after(PATIENCE):
            assert await silent.receive_some() == b""
        await silent.aclose()


async def test_passwords_and_headers_go_with_tls(place: Place) -> None:
    """401 before anything else; the operator's headers are on refusals too, over prober's own."""
    headers = "http_server_config: {headers: {Strict-Transport-Security: max-age=60, X-Frame-Options: sameorigin}}\n"
    async with listening(place.write(PAIR + USERS + headers)) as (url, _):
        refused = await get(url, place.trusting())
        wrong = await get(url, place.trusting(), auth=("alice", "wrong"))
        right = await get(url, place.trusting(), auth=("alice", "correct horse"))
    assert [answer.status_code for answer in (refused, wrong, right)] == [401, 401, 200]
    for answer in (refused, right):
        assert answer.headers["strict-transport-security"] == "max-age=60"
        assert answer.headers["x-frame-options"] == "sameorigin"
        assert answer.headers["x-content-type-options"] == "nosniff"


def test_the_service_is_reached_by_tls_and_password(place: Place) -> None:
    """As a process, by the command line's option: the log says https, /config has the file's name and no secret in it."""
    file = place.write(PAIR + USERS)
    context = place.trusting()
    with serving(place.path, {"targets": []}, "--web.config.file", str(file)) as service:
        assert service.url.startswith("https://127.0.0.1:")
        url = service.url.replace("127.0.0.1", "localhost")

        def ask(path: str, method: str = "GET") -> httpx.Response:
            return httpx.request(method, url + path, auth=("alice", "correct horse"), verify=context, trust_env=False, timeout=30)

        with httpx.Client(verify=context, trust_env=False, timeout=30) as stranger:
            assert stranger.get(url + "/metrics").status_code == 401
        shown = ask("/config")
        assert shown.status_code == 200
        assert f"web_config_file: {file}\n" in shown.text
        assert "$2b$" not in shown.text
        renewed = place.renew()
        assert ask("/-/reload", "POST").status_code == 200
        port = int(url.rpartition(":")[2])
        eventually(lambda: ssl.get_server_certificate(("127.0.0.1", port)).encode() == renewed.chain_pem, "renewed")
        file.write_text(USERS)
        answer = ask("/-/reload", "POST")
        assert answer.status_code == 400
        assert "tls_server_config: changed from https to http, which needs a restart; restart, or change it back" in answer.text
        log = service.program.log()
        assert service.end()[0] == 0
    assert "$2b$" not in log
    assert "PRIVATE" not in log
    assert "Traceback" not in log


def test_the_key_of_the_configuration_does_the_same(place: Place) -> None:
    """Relative to the configuration file; the processes' command line has only paths."""
    place.write(USERS)
    with serving(place.path, {"targets": [], "web_config_file": "web.yml"}) as service:
        assert service.get("/-/healthy").status == 401
        (place.path / "web.yml").write_text("rate_limit: {}\n")
        assert httpx.post(service.url + "/-/reload", auth=("alice", "correct horse"), trust_env=False).text == (
            f"{place.path / 'web.yml'}:1: rate_limit: interval is missing; write the time in which one more request may come, for example 1s, or 0 for no limit\n"
        )


@pytest.mark.timeout(120)
def test_a_rate_limit_holds_for_all_paths_and_a_refused_file_is_seen_in_the_metrics(place: Place) -> None:
    """Health checks count too, as with the exporters; a limit that is taken away is gone without a restart."""
    web = place.write("rate_limit: {interval: 1h, burst: 3}\n")
    with serving(place.path, {"targets": []}, "--web.config.file", str(web)) as service:
        assert [service.get("/-/healthy").status for _ in range(5)] == [200, 200, 200, 429, 429]
        assert service.get("/metrics").status == 429
        web.write_text("{}\n")
        eventually(lambda: service.get("/-/healthy").status == 200, "the limit is gone")
        assert service.value("prober_web_config_last_reload_successful") == 1
        web.write_text("rate_limit: {burst: 3}\n")
        eventually(lambda: service.value("prober_web_config_last_reload_successful") == 0, "the file is refused")
        assert service.value("prober_config_last_reload_successful") == 1
        web.write_text("rate_limit: {interval: 1ms, burst: 1000}\n")
        eventually(lambda: service.value("prober_web_config_last_reload_successful") == 1, "the file is good again")
