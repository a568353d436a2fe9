"""ServerHello and HelloRetryRequest: which one it is, and whether it stays within what was offered.

The checks are those that clients in use make; a measuring tool must not call an ingress broken that browsers reach.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from functools import lru_cache
from itertools import takewhile
from typing import Final

from prober.tls.errors import DecodeError, PeerMisbehaved, ProtocolError
from prober.tls.events import HelloRetryRequested, ServerHelloReceived
from prober.tls.key_exchange import GroupNotSupported
from prober.tls.messages import ServerHello, handshake_message, parse_alpn
from prober.tls.negotiation import Negotiation
from prober.tls.registry import AlertDescription, CipherSuite, ExtensionType, HandshakeType, ProtocolVersion
from prober.tls.suites import suite_of
from prober.tls.wire import Reader

__all__ = ["DOWNGRADE_SENTINELS", "accept_alpn", "accept_server_hello", "check_extensions", "hello_retry_request"]

_TLS_1_2: Final = ProtocolVersion.TLSv1_2.value
_TLS_1_3: Final = ProtocolVersion.TLSv1_3.value
_SUPPORTED_VERSIONS: Final = ExtensionType.supported_versions.value
_ALPN: Final = ExtensionType.application_layer_protocol_negotiation.value

# Of a ServerHello, header included.
_VERSION_AT: Final = 4
_SESSION_ID_SIZE_AT: Final = 38

# What a server may not send unasked. OpenSSL takes these two all the same, and Go does not look.
_REFUSED: Final = frozenset(ExtensionType) - {ExtensionType.renegotiation_info, ExtensionType.signed_certificate_timestamp}

# RFC 8446 §4.1.3: the last eight bytes of random, of a server that can do better
DOWNGRADE_SENTINELS: Final = (b"DOWNGRD\x01", b"DOWNGRD\x00")


def _version_name(version: int) -> str:
    return ProtocolVersion(version).label


@lru_cache(maxsize=1024)
def _is_choice(code: int, version: int) -> bool:
    """Whether a server may choose this suite for this version."""
    suite = suite_of(code)
    if suite.is_tls13 != (version == _TLS_1_3) or suite.is_signal:
        return False
    # RFC 5246 §5, RFC 5288 §4: AEAD, and MACs other than SHA-1 and MD5, came with TLS 1.2.
    return version >= _TLS_1_2 or (
        suite.mac_hash in ("sha1", "md5") and (suite.bulk is None or suite.bulk.kind in ("cbc", "stream"))
    )


def _accept_choices(n: Negotiation, hello: ServerHello) -> int:
    """Check version, suite and compression: what ServerHello and HelloRetryRequest have in common. The version."""
    factory = n.offer.factory
    version = hello.version
    # RFC 8446 §4.2.1: supported_versions is for TLS 1.3 alone, and TLS 1.3 is selected by it alone.
    if version not in factory.versions or (version >= _TLS_1_3) != (_SUPPORTED_VERSIONS in hello.extensions):
        raise _version_refused(hello, version, factory.versions)
    code = hello.cipher_suite
    if code not in factory.cipher_suites:
        raise _refused(hello, hello.cipher_suite_at, f"the server chose {CipherSuite(code).name}, which was not offered")
    if not _is_choice(code, version):
        raise _refused(hello, hello.cipher_suite_at, f"the server chose {CipherSuite(code).name} for {_version_name(version)}")
    if hello.compression_method:
        raise _refused(hello, hello.cipher_suite_at + 2, f"the server chose compression method {hello.compression_method}")
    # RFC 8446 §4.1.3. In TLS <= 1.2 an echo would mean resumption, and some servers echo without meaning it.
    if version == _TLS_1_3 and hello.session_id != n.offer.session_id:
        raise _refused(hello, _SESSION_ID_SIZE_AT, "the server does not echo our session_id")
    if n.hello_retry_request and (version != n.version or code != n.cipher_suite):
        choice = f"{_version_name(version)} with {CipherSuite(code).name}"
        raise _refused(hello, hello.cipher_suite_at, f"{choice} contradicts the HelloRetryRequest")
    return version


def _version_refused(hello: ServerHello, version: int, offered: Collection[int]) -> PeerMisbehaved:
    by_extension = _SUPPORTED_VERSIONS in hello.extensions
    if version not in offered:
        why = f", offered were {', '.join(map(_version_name, sorted(offered)))}"
    else:
        why = " by supported_versions, which is for TLS 1.3 alone" if by_extension else " without supported_versions"
    return PeerMisbehaved(
        f"the server chose {_version_name(version)}{why}",
        message=hello.name,
        offset=hello.extension_at(_SUPPORTED_VERSIONS) if by_extension else _VERSION_AT,
        implies=AlertDescription.protocol_version,
    )


def _refused(hello: ServerHello, offset: int, reason: str) -> PeerMisbehaved:
    return PeerMisbehaved(reason, message=hello.name, offset=offset)


def check_extensions(
    n: Negotiation, extensions: Mapping[int, bytes], message: str, first: int, allowed: frozenset[int] = frozenset()
) -> None:
    """PeerMisbehaved (unsupported_extension) for an answer to an extension that was not sent and is not ``allowed`` anyhow.

    ``first`` is where in the message the first extension begins. An unregistered one is tolerated, as OpenSSL and Go do.
    """
    offered = n.offer.extensions
    if offered.issuperset(extensions):
        return
    if unsolicited := (extensions.keys() - offered - allowed) & _REFUSED:
        names = ", ".join(ExtensionType(kind).name for kind in sorted(unsolicited))
        before = takewhile(lambda extension: extension[0] not in unsolicited, extensions.items())
        raise PeerMisbehaved(
            f"the server answers {names}, which was not offered",
            message=message,
            offset=first + sum(4 + len(body) for _, body in before),
            implies=AlertDescription.unsupported_extension,
        )


# RFC 7301 §3.1
def accept_alpn(n: Negotiation, extensions: Mapping[int, bytes]) -> None:
    """Take the server's choice of application protocol, if it made one."""
    data = extensions.get(_ALPN)
    if data is None:
        return
    protocol = parse_alpn(data).decode("ascii", "backslashreplace")
    if protocol not in n.offer.factory.alpn:
        reason = f"the server chose the protocol {protocol}, which was not offered"
        raise PeerMisbehaved(reason, message=ExtensionType(_ALPN).name, offset=3)
    n.alpn = protocol


def accept_server_hello(n: Negotiation) -> ServerHello:
    """Check the ServerHello that was just read and keep its choices; its key_share is left to `handshake13`."""
    hello = n.server_hello
    assert hello is not None
    version = _accept_choices(n, hello)
    check_extensions(n, hello.extensions, "ServerHello", hello.extensions_at)
    n.version = version
    n.cipher_suite = hello.cipher_suite
    n.suite = suite_of(hello.cipher_suite)
    # Noted, not refused: who downgrades a probe is a finding, and the certificate is worth reading all the same.
    if version < n.offer.factory.max_version and hello.random[24:] in DOWNGRADE_SENTINELS:
        n.downgrade_sentinel = True
    n.events.append(ServerHelloReceived(version, hello.cipher_suite))
    return hello


# RFC 8446 §4.1.4
def hello_retry_request(n: Negotiation, message: bytes) -> None:
    """Answer with a second ClientHello."""
    hello = n.server_hello
    assert hello is not None
    name = hello.name
    if _accept_choices(n, hello) != _TLS_1_3:
        raise PeerMisbehaved("a HelloRetryRequest without TLS 1.3", message=name, implies=AlertDescription.missing_extension)
    allowed = frozenset({ExtensionType.supported_versions, ExtensionType.key_share, ExtensionType.cookie})
    check_extensions(n, hello.extensions, name, hello.extensions_at, allowed)
    group = _requested_group(hello)
    try:
        second = n.offer.retry(group, _cookie(hello))  # refuses what RFC 8446 §4.1.4 forbids to ask for
    except GroupNotSupported as error:
        raise ProtocolError(
            f"the server asks for a group that prober offers without knowing it: {error}", message=name
        ) from error
    n.version = _TLS_1_3
    n.cipher_suite = hello.cipher_suite
    n.suite = suite = suite_of(hello.cipher_suite)
    n.hello_retry_request = True
    first = hashlib.new(suite.prf_hash, n.offer.message).digest()
    n.offer = second
    # RFC 8446 §4.4.1: a hash stands for the first ClientHello.
    n.transcript_head = (handshake_message(HandshakeType.message_hash, first), message, n.offer.message)
    if n.offer.session_id:
        n.send_change_cipher_spec()
    n.send_hello(n.offer)
    n.events.append(HelloRetryRequested(group))


def _requested_group(hello: ServerHello) -> int | None:
    data = hello.extensions.get(ExtensionType.key_share)
    if data is None:
        return None
    if len(data) != 2:
        at = hello.extension_at(ExtensionType.key_share)
        raise DecodeError(f"key_share has {len(data)} bytes, not 2", message=hello.name, offset=at)
    return int.from_bytes(data)


# RFC 8446 §4.2.2
def _cookie(hello: ServerHello) -> bytes | None:
    data = hello.extensions.get(ExtensionType.cookie)
    if data is None:
        return None
    reader = Reader(data, "cookie")
    cookie = reader.opaque16("cookie")
    reader.expect_end("cookie")
    if not cookie:
        raise DecodeError("the cookie is empty", message="cookie", offset=2)
    return cookie
