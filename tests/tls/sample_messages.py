"""One sample and one Hypothesis strategy for each kind of server message, with the function that parses it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from hypothesis import strategies as st

from prober.tls.messages import ServerHello
from prober.tls.messages12 import (
    Certificate12,
    CertificateRequest12,
    CertificateStatus,
    DheServerKeyExchange,
    EcdheServerKeyExchange,
    NewSessionTicket12,
    Signature,
)
from prober.tls.messages13 import (
    Certificate13,
    CertificateEntry,
    CertificateRequest13,
    CertificateVerify,
    EncryptedExtensions,
    KeyUpdate,
    NewSessionTicket13,
)

__all__ = ["KINDS", "Kind"]

TLS_1_1, TLS_1_2 = 0x0302, 0x0303


class Kind(NamedTuple):
    """One kind of message."""

    parse: Callable[[bytes], Any]
    sample: Any
    strategy: st.SearchStrategy[Any]


_u16 = st.integers(0, 0xFFFF)
_extensions = st.dictionaries(_u16, st.binary(max_size=40), max_size=4)
_certificate = st.binary(min_size=1, max_size=80)
_scheme_and_signature = st.builds(Signature, _u16, st.binary(max_size=80))
_legacy_signature = st.builds(Signature, st.none(), st.binary(max_size=80))

KINDS: dict[str, Kind] = {
    "ServerHello": Kind(
        ServerHello.parse,
        ServerHello(TLS_1_2, bytes(range(32)), b"session", 0xC02F, 0, {0xFF01: b"\0", 0x0017: b""}),
        st.builds(
            ServerHello, _u16, st.binary(min_size=32, max_size=32), st.binary(max_size=32), _u16, st.integers(0, 255), _extensions
        ),
    ),
    "EncryptedExtensions": Kind(
        EncryptedExtensions.parse,
        EncryptedExtensions({0x0010: b"\x00\x03\x02h2"}),
        st.builds(EncryptedExtensions, _extensions),
    ),
    "Certificate12": Kind(
        Certificate12.parse,
        Certificate12((b"leaf", b"intermediate")),
        st.builds(Certificate12, st.lists(_certificate, max_size=4).map(tuple)),
    ),
    "Certificate13": Kind(
        Certificate13.parse,
        Certificate13(b"context", (CertificateEntry(b"leaf", {0x0005: b"ocsp"}), CertificateEntry(b"intermediate", {}))),
        st.builds(
            Certificate13,
            st.binary(max_size=20),
            st.lists(st.builds(CertificateEntry, _certificate, _extensions), max_size=3).map(tuple),
        ),
    ),
    "CertificateStatus": Kind(
        CertificateStatus.parse,
        CertificateStatus(1, b"response"),
        st.builds(CertificateStatus, st.integers(0, 255), st.binary(max_size=80)),
    ),
    "EcdheServerKeyExchange": Kind(
        partial(EcdheServerKeyExchange.parse, version=TLS_1_2),
        EcdheServerKeyExchange(0x001D, b"k" * 32, Signature(0x0804, b"signature")),
        st.builds(EcdheServerKeyExchange, _u16, st.binary(max_size=80), st.none() | _scheme_and_signature),
    ),
    "EcdheServerKeyExchange of TLS 1.1": Kind(
        partial(EcdheServerKeyExchange.parse, version=TLS_1_1),
        EcdheServerKeyExchange(0x0017, b"k" * 65, Signature(None, b"signature")),
        st.builds(EcdheServerKeyExchange, _u16, st.binary(max_size=80), st.none() | _legacy_signature),
    ),
    "DheServerKeyExchange": Kind(
        partial(DheServerKeyExchange.parse, version=TLS_1_2),
        DheServerKeyExchange(b"prime", b"\x02", b"public", Signature(0x0401, b"signature")),
        st.builds(
            DheServerKeyExchange,
            st.binary(max_size=80),
            st.binary(max_size=8),
            st.binary(max_size=80),
            st.none() | _scheme_and_signature,
        ),
    ),
    "CertificateRequest12": Kind(
        partial(CertificateRequest12.parse, version=TLS_1_2),
        CertificateRequest12(b"\x01\x40", (0x0403, 0x0804), (b"name",)),
        st.builds(
            CertificateRequest12,
            st.binary(max_size=8),
            st.lists(_u16, max_size=4).map(tuple),
            st.lists(st.binary(max_size=40), max_size=3).map(tuple),
        ),
    ),
    "CertificateRequest12 of TLS 1.1": Kind(
        partial(CertificateRequest12.parse, version=TLS_1_1),
        CertificateRequest12(b"\x01\x40", None, (b"name",)),
        st.builds(
            CertificateRequest12, st.binary(max_size=8), st.none(), st.lists(st.binary(max_size=40), max_size=3).map(tuple)
        ),
    ),
    "CertificateRequest13": Kind(
        CertificateRequest13.parse,
        CertificateRequest13(b"context", {0x000D: b"\x00\x02\x04\x03"}),
        st.builds(CertificateRequest13, st.binary(max_size=20), _extensions),
    ),
    "CertificateVerify": Kind(
        CertificateVerify.parse,
        CertificateVerify(0x0804, b"signature"),
        st.builds(CertificateVerify, _u16, st.binary(max_size=80)),
    ),
    "NewSessionTicket12": Kind(
        NewSessionTicket12.parse,
        NewSessionTicket12(7200, b"ticket"),
        st.builds(NewSessionTicket12, st.integers(0, 0xFFFFFFFF), st.binary(max_size=80)),
    ),
    "NewSessionTicket13": Kind(
        NewSessionTicket13.parse,
        NewSessionTicket13(7200, 0x01020304, b"nonce", b"ticket", {0x002A: b"\0\0\0\0"}),
        st.builds(
            NewSessionTicket13,
            st.integers(0, 0xFFFFFFFF),
            st.integers(0, 0xFFFFFFFF),
            st.binary(max_size=20),
            st.binary(max_size=80),
            _extensions,
        ),
    ),
    "KeyUpdate": Kind(KeyUpdate.parse, KeyUpdate(request_update=True), st.builds(KeyUpdate, st.booleans())),
}
