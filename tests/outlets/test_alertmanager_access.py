"""How an Alertmanager behind a token, a password or a client certificate is reached: by a real server that asks for them."""

from __future__ import annotations

import base64
import ssl
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import trio
from cryptography.x509.oid import ExtendedKeyUsageOID

from prober.judge.alert_rules import AlertName, Evidence
from prober.judge.alerting import Alert, AlertKey, Phase
from prober.notices import Alertmanager
from prober.outlets.alertmanager import AlertmanagerSender, Pace
from prober.outlets.delivery import Backoff
from prober.outlets.payload import Links
from prober.sources import HttpAccess
from tests.pki import Authority
from tests.servers.hooks import Hook, hook

QUICK = Pace(0.1)
ALERT = Alert(
    AlertKey(AlertName.UNREACHABLE, "edge", "192.0.2.10:443"),
    {},
    Phase.FIRING,
    time.time(),
    time.time(),
    None,
    Evidence("unreachable", "refused", "It is down."),
)


@asynccontextmanager
async def telling(server: Hook, access: HttpAccess) -> AsyncIterator[list[str]]:
    """A sender of one alert, again and again; the problems that it reports."""
    problems: list[str] = []

    def report(_receiver: str, _result: str, problem: str | None) -> None:
        if problem is not None:
            problems.append(problem)

    receiver = Alertmanager(name="alertmanager", url=server.url, access=access)
    backoff = Backoff(first=0.05, cap=0.1)
    links = Links("https://prober.example.com", "https://prober.example.com/runbooks#")
    sender = AlertmanagerSender(receiver, lambda: links, lambda: [ALERT], report, backoff, pace=lambda: QUICK)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(sender.run)
        yield problems
        nursery.cancel_scope.cancel()


async def until(holds: Callable[[], object]) -> None:
    """Return once it does."""
    with trio.fail_after(20):
        while not holds():  # noqa: ASYNC110 -- what is waited for happens in a server's thread
            await trio.sleep(0.01)


def authorizations(server: Hook) -> set[str | None]:
    """Of the requests that were let in."""
    with server.lock:
        return {call.headers.get("authorization") for call in server.accepted}


async def test_a_token_is_sent_and_a_rotated_one_after_it(tmp_path: Path) -> None:
    """Without a reload; while the file is away, nothing is sent without a token."""
    token = tmp_path / "token"
    token.write_text("first\n")
    with hook() as server:
        async with telling(server, HttpAccess(credentials_file=str(token))) as problems:
            await until(lambda: server.accepted)
            token.unlink()
            await until(lambda: problems)
            assert problems[0] == f"{token}: cannot be read: No such file or directory"
            token.write_text("second\n")
            await until(lambda: "Bearer second" in authorizations(server))
    assert authorizations(server) == {"Bearer first", "Bearer second"}
    assert not server.refused


async def test_a_password_is_sent(tmp_path: Path) -> None:
    """As RFC 7617 has it."""
    (tmp_path / "password").write_text("correct horse\n")
    with hook() as server:
        async with telling(server, HttpAccess(username="prober", password_file=str(tmp_path / "password"))):
            await until(lambda: server.accepted)
    assert authorizations(server) == {"Basic " + base64.b64encode(b"prober:correct horse").decode()}


async def test_an_alert_waits_until_the_server_lets_it_in(tmp_path: Path) -> None:
    """A token that is refused is no reason to drop what it was to bring."""
    (tmp_path / "token").write_text("token")
    with hook() as server:
        server.mood = lambda number: (401, 403, 200)[min(number, 2)]
        async with telling(server, HttpAccess(credentials_file=str(tmp_path / "token"))) as problems:
            await until(lambda: server.accepted)
    assert problems[:2] == ["HTTP 401", "HTTP 403"]
    assert server.accepted[0].document[0]["labels"]["target"] == "edge"


async def test_a_client_certificate_is_shown_and_the_server_s_is_verified(tmp_path: Path) -> None:
    """By an authority of the operator's own. A client certificate that is not accepted is read again until it is."""
    root, other = Authority.root("Ours"), Authority.root("Another")
    served = root.issue("localhost").write(tmp_path, "server")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(served.certificate, served.key)
    context.load_verify_locations(cadata=root.pem.decode())
    context.verify_mode = ssl.CERT_REQUIRED
    root.write(tmp_path, "ca")

    def issue(authority: Authority) -> HttpAccess:
        files = authority.issue("prober", extended_key_usage=[ExtendedKeyUsageOID.CLIENT_AUTH]).write(tmp_path, "client")
        return HttpAccess(ca_file=str(tmp_path / "ca.pem"), cert_file=str(files.certificate), key_file=str(files.key))

    with hook(context) as server:
        async with telling(server, issue(other)) as problems:
            await until(lambda: problems)
            assert not server.accepted
            issue(root)
            await until(lambda: server.accepted)


async def test_a_server_of_another_authority_is_told_nothing(tmp_path: Path) -> None:
    """Until its authority is in the file."""
    root, other = Authority.root("Ours"), Authority.root("Another")
    served = root.issue("localhost").write(tmp_path, "server")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(served.certificate, served.key)
    trusted = other.write(tmp_path, "ca")
    with hook(context) as server:
        async with telling(server, HttpAccess(ca_file=str(trusted))) as problems:
            await until(lambda: problems)
            assert "certificate verify failed" in problems[0].lower()
            assert not server.requests
            root.write(tmp_path, "ca")
            await until(lambda: server.accepted)


async def test_a_certificate_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    """The file is; what is in it is not."""
    (tmp_path / "ca.pem").write_text("nothing")
    with hook() as server:
        async with telling(server, HttpAccess(ca_file=str(tmp_path / "ca.pem"))) as problems:
            await until(lambda: len(problems) > 1)
            assert problems[0].startswith(f"{tmp_path / 'ca.pem'}: cannot be used: ")
            assert not server.requests
