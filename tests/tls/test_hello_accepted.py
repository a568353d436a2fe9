"""OpenSSL as the judge of our ClientHellos: in memory through Python's `ssl`, and as ``s_server -trace``, which prints what it read."""

from __future__ import annotations

import re
import socket
import ssl
import warnings
from functools import cache
from pathlib import Path

import pytest

from prober.tls.client_hello import HelloFactory, Offer
from prober.tls.client_hello_parser import parse_client_hello
from prober.tls.profiles import PROFILES
from prober.tls.registry import HandshakeType, NamedGroup, ProtocolVersion
from prober.tls.version_restriction import TLS_CHOICES
from tests.pki import Authority, CertificateFiles
from tests.servers.openssl import NO_CONFIGURATION
from tests.servers.ports import Ports
from tests.servers.processes import running, wait_until_accepting
from tests.servers.requirements import require_program
from tests.tls.counter import CounterEntropy

NAME = "api.example.test"
COMBINATIONS = [
    (name, tls)
    for name, profile in PROFILES.items()
    for tls in ("auto", *(tls for tls, code in TLS_CHOICES.items() if code in profile.versions))
]
HELLO_RETRY_REQUEST = bytes.fromhex("CF21AD74E59A6111BE1D8C021E65B891C2A211167ABB8C5E079E09E2C8A8339C")  # RFC 8446 §4.1.3


@pytest.fixture(scope="module")
def rsa(tmp_path_factory: pytest.TempPathFactory) -> CertificateFiles:
    """A server's RSA certificate, which every suite of the old profiles can use."""
    return Authority.root().issue(NAME, key="rsa2048").write(tmp_path_factory.mktemp("rsa"))


class MemoryServer:
    """Python's `ssl` as a server that speaks every version and suite it was built with, fed by hand."""

    def __init__(self, files: CertificateFiles, curve: str | None = None) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of TLS 1.0, which is the point
            context.minimum_version = ssl.TLSVersion.TLSv1
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.load_cert_chain(files.certificate, files.key)
        if curve is not None:
            context.set_ecdh_curve(curve)
        self.names: list[str | None] = []
        context.sni_callback = lambda _socket, name, _context: self.names.append(name)
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._server = context.wrap_bio(self._incoming, self._outgoing, server_side=True)

    def answer(self, data: bytes) -> bytes:
        """What the server sends in answer; ssl.SSLError when it does not like what it got."""
        self._incoming.write(data)
        with pytest.raises(ssl.SSLWantReadError):
            self._server.do_handshake()
        return self._outgoing.read()


def server_hello(answer: bytes) -> tuple[int, bytes, int, bool]:
    """(legacy version, random, cipher suite, whether supported_versions selects TLS 1.3) of a flight's first message."""
    assert answer[0] == 0x16
    assert answer[5] == HandshakeType.server_hello
    session_id = answer[43]
    suite = int.from_bytes(answer[44 + session_id : 46 + session_id])
    message = answer[5 : 9 + int.from_bytes(answer[6:9])]
    return int.from_bytes(answer[9:11]), answer[11:43], suite, bytes.fromhex("002b00020304") in message


@cache
def offer(profile: str, tls: str = "auto", server_name: str | None = NAME) -> Offer:
    """A hello, always the same."""
    return HelloFactory(PROFILES[profile], tls=tls, entropy=CounterEntropy()).offer(server_name)


@pytest.mark.parametrize("server_name", [NAME, None], ids=["name", "no-name"])
@pytest.mark.parametrize(("profile", "tls"), COMBINATIONS)
def test_openssl_answers_every_hello_with_the_highest_version_it_offers(
    rsa: CertificateFiles, profile: str, tls: str, server_name: str | None
) -> None:
    """A ServerHello comes, of the best offered version and an offered suite, echoing the session id in TLS 1.3."""
    ours = offer(profile, tls, server_name)
    server = MemoryServer(rsa)
    answer = server.answer(ours.wire)
    legacy_version, random, suite, is_tls13 = server_hello(answer)
    assert (ProtocolVersion.TLSv1_3 if is_tls13 else legacy_version) == ours.factory.max_version
    assert suite in ours.factory.cipher_suites
    assert random != HELLO_RETRY_REQUEST
    if is_tls13:
        assert answer[44 : 44 + answer[43]] == ours.session_id
    seen = parse_client_hello(ours.message).server_name
    assert server.names == [seen]


RETRIES = [
    (profile, curve, group)
    for profile in PROFILES
    for curve, group in (("secp384r1", NamedGroup.secp384r1), ("secp521r1", NamedGroup.secp521r1), ("X448", NamedGroup.x448))
    if ProtocolVersion.TLSv1_3 in PROFILES[profile].versions
]


@pytest.mark.parametrize(("profile", "curve", "group"), RETRIES)
def test_openssl_accepts_the_second_hello_after_its_retry_request(
    rsa: CertificateFiles, profile: str, curve: str, group: NamedGroup
) -> None:
    """A server with one group that no profile sends a share of asks for it, compares both hellos, and goes on."""
    first = offer(profile)
    server = MemoryServer(rsa, curve)
    _, random, _, _ = server_hello(server.answer(first.wire))
    assert random == HELLO_RETRY_REQUEST
    _, random, suite, is_tls13 = server_hello(server.answer(first.retry(group, None).wire))
    assert random != HELLO_RETRY_REQUEST
    assert is_tls13
    assert suite in first.factory.cipher_suites


def test_openssl_rejects_a_hello_that_is_not_ours_in_one_byte(rsa: CertificateFiles) -> None:
    """The two tests above can fail: with the extension block's length off by one, OpenSSL refuses."""
    wire = bytearray(offer("modern").wire)
    place = wire.index(bytes.fromhex("0100"), 76 + 2 + 2 * 88) + 2
    wire[place + 1] ^= 1
    server = MemoryServer(rsa)
    server._incoming.write(bytes(wire))
    with pytest.raises(ssl.SSLError, match=r"(?i)length|decode"):
        server._server.do_handshake()


@pytest.fixture(scope="module")
def traces(rsa: CertificateFiles, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What ``openssl s_server -trace`` printed about the hello of each profile."""
    directory: Path = tmp_path_factory.mktemp("trace")
    with Ports() as ports:
        endpoint = ports.take()
        command = [require_program("openssl"), "s_server", "-accept", str(endpoint), "-cert", rsa.certificate, "-key", rsa.key]
        # One connection more, since waiting for readiness makes one. It ends by itself, and so has written all it knows.
        command += ["-www", "-trace", "-cipher", "ALL:@SECLEVEL=0", "-naccept", str(len(PROFILES) + 1)]
        with running(command, directory=directory, environment=NO_CONFIGURATION) as program:
            wait_until_accepting(program, [endpoint])
            for profile in PROFILES:
                with socket.create_connection(endpoint, timeout=20) as connection:
                    connection.sendall(offer(profile).wire)
                    assert connection.recv(1) == b"\x16"
            program.process.wait(20)
            received = re.split(r"^Received (?:Record|TCP)", program.log(), flags=re.MULTILINE)
    hellos = [text for text in received if "ClientHello, Length=" in text]
    assert len(hellos) == len(PROFILES)
    return dict(zip(PROFILES, hellos, strict=True))


@pytest.mark.parametrize("profile", PROFILES)
def test_s_server_reads_what_we_meant(traces: dict[str, str], profile: str) -> None:
    """Length, version, random, session id, suites, extensions and their lengths, and key shares, as OpenSSL's trace names them."""
    text = traces[profile].split("Sent Record")[0]
    ours = offer(profile)
    hello = parse_client_hello(ours.message)
    assert f"ClientHello, Length={len(ours.message) - 4}\n" in text
    assert f"client_version=0x{hello.legacy_version:x} " in text
    random = "".join(re.findall(r"gmt_unix_time=0x(\w+)|random_bytes \(len=28\): (\w+)", text)[i][i] for i in range(2))
    assert bytes.fromhex(random) == hello.random
    assert re.findall(r"session_id \(len=\d+\): (\w*)", text)[0].lower() == hello.session_id.hex()
    suites = [int(high + low, 16) for high, low in re.findall(r"^ +\{0x(\w\w), 0x(\w\w)\}", text, flags=re.MULTILINE)]
    assert suites == list(hello.cipher_suites)
    extensions = [(int(kind), int(size)) for kind, size in re.findall(r"extension_type=\w+\((\d+)\), length=(\d+)", text)]
    assert extensions == [(kind, len(body)) for kind, body in hello.extensions]
    shares = re.findall(r"NamedGroup: .*\((\d+)\)\n +key_exchange: +\(len=\d+\): (\w+)", text)
    assert [(int(group), bytes.fromhex(share)) for group, share in shares] == list(hello.key_shares)
