"""Fingerprints of a ClientHello: JA4 (FoxIO's specification, BSD 3-Clause) and its predecessor JA3.

Values of RFC 8701 (GREASE) count nowhere.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from hashlib import md5, sha256

from prober.tls.client_hello_parser import ClientHello
from prober.tls.registry import ExtensionType, is_grease

__all__ = ["ja3", "ja4"]

_VERSIONS: dict[int, str] = {
    0x0304: "13",
    0x0303: "12",
    0x0302: "11",
    0x0301: "10",
    0x0300: "s3",
    0x0002: "s2",
    0xFEFF: "d1",
    0xFEFD: "d2",
    0xFEFC: "d3",
}
_NOTHING = "000000000000"


def _without_grease(codes: Iterable[int]) -> list[int]:
    return [code for code in codes if not is_grease(code)]


def _digest(text: str) -> str:
    return sha256(text.encode("ascii")).hexdigest()[:12]


def _hexadecimal(codes: Iterable[int]) -> str:
    return ",".join(f"{code:04x}" for code in codes)


def _is_ascii_alphanumeric(byte: int) -> bool:
    return byte < 0x80 and chr(byte).isalnum()


def _alpn_characters(protocols: tuple[bytes, ...]) -> str:
    first = protocols[0] if protocols else b""
    if not first:
        return "00"
    if _is_ascii_alphanumeric(first[0]) and _is_ascii_alphanumeric(first[-1]):
        return chr(first[0]) + chr(first[-1])
    digits = first.hex()
    return digits[0] + digits[-1]


def ja4(hello: ClientHello, *, transport: str = "t") -> str:
    """The JA4 of a hello, such as ``t13d1516h2_8daaf6152771_b186095e22b6``.

    ``transport`` is ``t`` (TCP), ``q`` (QUIC) or ``d`` (DTLS).
    """
    kinds = _without_grease(kind for kind, _ in hello.extensions)
    suites = _without_grease(hello.cipher_suites)
    version = max(_without_grease(hello.supported_versions), default=int(hello.legacy_version))
    named = "d" if ExtensionType.server_name in kinds else "i"
    head = (
        f"{transport}{_VERSIONS.get(version, '00')}{named}{min(len(suites), 99):02}{min(len(kinds), 99):02}"
        f"{_alpn_characters(hello.alpn)}"
    )
    return f"{head}_{_suites_digest(tuple(suites))}_{_extensions_digest(tuple(kinds), tuple(_without_grease(hello.signature_schemes)))}"


# The digests of a client are the same in each of its hellos, and a capture has hundreds of thousands of them.
@lru_cache(maxsize=1024)
def _suites_digest(suites: tuple[int, ...]) -> str:
    return _digest(_hexadecimal(sorted(suites))) if suites else _NOTHING


@lru_cache(maxsize=1024)
def _extensions_digest(kinds: tuple[int, ...], schemes: tuple[int, ...]) -> str:
    counted = sorted(set(kinds) - {ExtensionType.server_name, ExtensionType.application_layer_protocol_negotiation})
    tail = _hexadecimal(counted)
    if schemes:
        tail += "_" + _hexadecimal(schemes)
    return _digest(tail) if counted else _NOTHING


def ja3(hello: ClientHello) -> str:
    """The JA3 of a hello: an MD5 in hexadecimal."""
    fields = (
        _without_grease(hello.cipher_suites),
        _without_grease(kind for kind, _ in hello.extensions),
        _without_grease(hello.groups),
        list(hello.point_formats),
    )
    text = ",".join((str(int(hello.legacy_version)), *("-".join(str(int(code)) for code in field) for field in fields)))
    return md5(text.encode("ascii"), usedforsecurity=False).hexdigest()
