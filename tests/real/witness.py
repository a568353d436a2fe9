"""Independent clients that say what a server really does: the truth that prober is compared with.

`s_client_witness` is OpenSSL's own client. It prints every message of the handshake decrypted and in hexadecimal
(``-msg``), from which everything is read here, so that nothing of prober has a part in it. `socket_witness` sends a
ClientHello that Python's `ssl` made over a plain blocking socket, and so sees byte counts and errnos itself; it can also
put a PROXY header first.
"""

from __future__ import annotations

import errno
import re
import socket
import ssl
import struct
import subprocess
from collections.abc import Iterator, Sequence
from functools import cache
from typing import NamedTuple

from prober.model import Endpoint, Outcome
from tests.servers.openssl import NO_CONFIGURATION
from tests.servers.requirements import require_program

__all__ = ["Witnessed", "s_client_witness", "socket_witness"]

PATIENCE = 20.0
"""Seconds after which a server counts as silent."""


class Witnessed(NamedTuple):
    """What an independent client saw."""

    outcome: Outcome
    account: str
    """The client's own words, for the report of a failing test."""
    errno: str | None = None
    """The name of the errno with which connect() failed."""
    tls_alert: int | None = None
    warning_alerts: tuple[int, ...] = ()
    tls_version: str | None = None
    cipher_suite: str | None = None
    group: str | None = None
    certificates: tuple[bytes, ...] = ()
    client_certificate_requested: bool = False
    hello_retry_request: bool = False
    finished: bool = False
    """The server's Finished was read."""
    bytes_received: int | None = None


# --- openssl s_client ---------------------------------------------------------------------------------------------------

_OFFERS = {
    "auto": [],
    "1.0": ["-tls1", "-cipher", "DEFAULT:@SECLEVEL=0"],
    "1.1": ["-tls1_1", "-cipher", "DEFAULT:@SECLEVEL=0"],
    "1.2": ["-tls1_2"],
    "1.3": ["-tls1_3"],
}
_NO_ANCHORS = ("-no-CAfile", "-no-CApath", "-no-CAstore")
"""Nobody verifies anything here, and reading the system's anchors would take four fifths of the time."""
_MESSAGE = re.compile(r"^<<< (?P<protocol>[^,]+), (?P<kind>\w+) \[length [0-9a-f]+\](?:, (?P<name>.+))?$")
_ENDINGS = (
    (r"write:errno=(104|32)|read:errno=104", Outcome.RESET),
    (r"unexpected eof while reading", Outcome.CLOSED),
    (r"wrong version number|Not TLS data", Outcome.NOT_TLS),
    (r"unsupported protocol", Outcome.PROTOCOL_ERROR),
    (r"connect:errno=111", Outcome.REFUSED),
    (r"connect:errno=(113|101|22|13|1)\b", Outcome.UNREACHABLE),
)


def s_client_witness(
    endpoint: Endpoint,
    server_name: str | None,
    *,
    offer: str = "auto",
    patience: float = PATIENCE,
    enter: Sequence[str] = (),
) -> Witnessed:
    """What ``openssl s_client`` sees at ``endpoint``; a ``server_name`` of None sends no extension.

    ``enter`` is what to put before the command, so that it runs elsewhere: in a network namespace.
    """
    name = ["-noservername"] if server_name is None else ["-servername", server_name]
    command = [
        *enter,
        require_program("openssl"),
        "s_client",
        *_NO_ANCHORS,
        "-connect",
        str(endpoint),
        "-msg",
        *name,
        *_OFFERS[offer],
    ]
    timed_out = False
    try:
        finished = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=patience, env=NO_CONFIGURATION, check=False
        )
        account = finished.stdout + finished.stderr
    except subprocess.TimeoutExpired as expired:
        account, timed_out = (expired.stdout or b"") + (expired.stderr or b""), True
    return read_account(account.decode("utf-8", errors="replace"), timed_out=timed_out)


def read_account(account: str, *, timed_out: bool = False) -> Witnessed:
    """What an ``openssl s_client -msg`` session tells."""
    received = list(_messages(account))
    alerts = [body for kind, body in received if kind == "Alert"]
    handshake = [body for kind, body in received if kind == "Handshake"]
    fatal = next((body[1] for body in alerts if body[0] == 2), None)
    certificate = next((body for body in handshake if body[0] == 11), None)
    hellos = [_server_hello(body) for body in handshake if body[0] == 2]
    real = next((hello for hello in hellos if not hello.retry), None)
    version = real.version if real else None
    if certificate is not None:
        outcome = Outcome.CERTIFICATE
    elif fatal is not None:
        outcome = Outcome.TLS_ALERT
    elif timed_out:
        outcome = Outcome.TIMEOUT if "CONNECTED" in account else Outcome.CONNECT_TIMEOUT
    else:
        outcome = next((ending for pattern, ending in _ENDINGS if re.search(pattern, account)), Outcome.LOCAL_ERROR)
    failed = re.search(r"connect:errno=(\d+)", account)
    read = re.search(r"SSL handshake has read (\d+) bytes", account)
    exchange = next((body for body in handshake if body[0] == 12), None)
    return Witnessed(
        outcome,
        account,
        errno=errno.errorcode[int(failed[1])] if failed else None,
        tls_alert=fatal,
        warning_alerts=tuple(body[1] for body in alerts if body[0] == 1 and body[1] != 0),
        tls_version=version,
        cipher_suite=_suites().get(real.suite, f"0x{real.suite:04X}") if real else None,
        group=(real.group if real and real.group else None) or (_ephemeral_group(exchange) if exchange else None),
        certificates=tuple(_chain(certificate[4:], tls13=version == "TLSv1.3")) if certificate else (),
        client_certificate_requested=any(body[0] == 13 for body in handshake),
        hello_retry_request=any(hello.retry for hello in hellos),
        finished=any(body[0] == 20 for body in handshake),
        bytes_received=int(read[1]) if read else None,
    )


def _messages(account: str) -> Iterator[tuple[str, bytes]]:
    """Kind and bytes of everything received, in order: the hexadecimal lines below each ``<<<``."""
    kind, digits = None, ""
    for line in [*account.splitlines(), "end"]:
        if line.startswith("    ") and kind:
            digits += line
            continue
        if kind and digits:
            yield kind, bytes.fromhex(digits)
        match = _MESSAGE.match(line)
        kind, digits = (match["kind"] if match else None), ""


class _ServerHello(NamedTuple):
    version: str
    suite: int
    group: str | None
    retry: bool


# RFC 8446 §4.1.3: the random of a ServerHello that is a HelloRetryRequest.
_RETRY = bytes.fromhex("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c")
_VERSIONS = {0x0301: "TLSv1.0", 0x0302: "TLSv1.1", 0x0303: "TLSv1.2", 0x0304: "TLSv1.3"}
_GROUPS = {
    0x0017: "secp256r1",
    0x0018: "secp384r1",
    0x0019: "secp521r1",
    0x001D: "x25519",
    0x001E: "x448",
    0x0100: "ffdhe2048",
    0x0101: "ffdhe3072",
    0x0102: "ffdhe4096",
    0x0103: "ffdhe6144",
    0x0104: "ffdhe8192",
}


def _server_hello(body: bytes) -> _ServerHello:
    after_session = 39 + body[38]
    (suite,) = struct.unpack_from(">H", body, after_session)
    (version,) = struct.unpack_from(">H", body, 4)
    group, at = None, after_session + 5
    while at + 4 <= len(body):
        extension, length = struct.unpack_from(">HH", body, at)
        if extension == 43:
            (version,) = struct.unpack_from(">H", body, at + 4)
        if extension == 51:
            group = _GROUPS[struct.unpack_from(">H", body, at + 4)[0]]
        at += 4 + length
    return _ServerHello(_VERSIONS[version], suite, group, body[6:38] == _RETRY)


# RFC 7919 Appendix A: the primes of all its groups begin alike, and unlike those of RFC 3526.
_RFC7919 = bytes.fromhex("ffffffffffffffffadf85458a2bb4a9a")


def _ephemeral_group(body: bytes) -> str | None:
    """The group of a ServerKeyExchange: ECCurveType named_curve, or the prime of RFC 7919 that dh_p is."""
    (size,) = struct.unpack_from(">H", body, 4)
    if body[6:22] == _RFC7919:
        return f"ffdhe{8 * size}"
    return _GROUPS[struct.unpack_from(">H", body, 5)[0]] if body[4] == 3 else None


def _chain(body: bytes, *, tls13: bool) -> Iterator[bytes]:
    at = 3 + (1 + body[0] if tls13 else 0)
    while at < len(body):
        end = at + 3 + int.from_bytes(body[at : at + 3], "big")
        yield body[at + 3 : end]
        at = end + (2 + int.from_bytes(body[end : end + 2], "big") if tls13 else 0)


@cache
def _suites() -> dict[int, str]:
    """IANA's names of cipher suites by code point, from OpenSSL's own table."""
    command = [require_program("openssl"), "ciphers", "-V", "-stdname", "ALL:COMPLEMENTOFALL:@SECLEVEL=0"]
    table = subprocess.run(command, capture_output=True, text=True, check=True, env=NO_CONFIGURATION).stdout
    rows = re.findall(r"^\s*0x(..),0x(..) - (\S+)", table, re.MULTILINE)
    return {int(high + low, 16): standard for high, low, standard in rows}


# --- a socket and a ClientHello from Python's ssl ----------------------------------------------------------------------------

_PYTHON_VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


def socket_witness(
    endpoint: Endpoint,
    server_name: str | None,
    *,
    offer: str = "auto",
    proxy_protocol: str | None = None,
    patience: float = PATIENCE,
) -> Witnessed:
    """What a plain socket sees that sends a ClientHello of Python's `ssl` (never a name for a ``server_name`` of None)."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if offer != "auto":
        context.minimum_version = context.maximum_version = _PYTHON_VERSIONS[offer]
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(incoming, outgoing, server_hostname=server_name)
    try:
        connection = socket.create_connection(endpoint, timeout=patience)
    except ConnectionRefusedError as error:
        return Witnessed(Outcome.REFUSED, repr(error))
    received = b""
    with connection:
        try:
            if proxy_protocol:
                connection.sendall(_proxy_header(proxy_protocol, connection))
            while True:
                try:
                    client.do_handshake()
                except ssl.SSLWantReadError:
                    connection.sendall(outgoing.read())
                    data = connection.recv(65536)
                    if not data:
                        return Witnessed(Outcome.CLOSED, "recv returned b''", bytes_received=len(received))
                    received += data
                    incoming.write(data)
                else:
                    leaf = client.getpeercert(binary_form=True)
                    version = client.version()
                    certificates = (leaf,) if leaf else ()
                    return Witnessed(
                        Outcome.CERTIFICATE, "handshake done", tls_version=version, certificates=certificates, finished=True
                    )
        except ssl.SSLError as error:
            return _refusal(received, repr(error))
        except TimeoutError as error:
            return Witnessed(Outcome.TIMEOUT, repr(error), bytes_received=len(received))
        except OSError as error:
            if error.errno not in {errno.ECONNRESET, errno.EPIPE}:
                raise
            return Witnessed(Outcome.RESET, repr(error), bytes_received=len(received))


def _refusal(received: bytes, account: str) -> Witnessed:
    # A fatal alert in clear: content type 21, any version, length 2, level 2.
    match = re.match(rb"\x15\x03.\x00\x02\x02(.)", received, re.DOTALL)
    if match is not None:
        return Witnessed(Outcome.TLS_ALERT, account, tls_alert=match[1][0], bytes_received=len(received))
    outcome = Outcome.PROTOCOL_ERROR if received[:1] in {b"\x14", b"\x15", b"\x16", b"\x17"} else Outcome.NOT_TLS
    return Witnessed(outcome, account, bytes_received=len(received))


def _proxy_header(version: str, connection: socket.socket) -> bytes:
    """A PROXY protocol header that tells the truth about ``connection`` (haproxy's proxy-protocol.txt, §2.1 and §2.2)."""
    source, destination = connection.getsockname(), connection.getpeername()
    inet6 = connection.family == socket.AF_INET6
    if version == "v1":
        family = "TCP6" if inet6 else "TCP4"
        return f"PROXY {family} {source[0]} {destination[0]} {source[1]} {destination[1]}\r\n".encode()
    addresses = b"".join(socket.inet_pton(connection.family, place[0]) for place in (source, destination))
    body = addresses + struct.pack(">HH", source[1], destination[1])
    signature = b"\r\n\r\n\x00\r\nQUIT\n"
    return signature + struct.pack(">BBH", 0x21, 0x21 if inet6 else 0x11, len(body)) + body
