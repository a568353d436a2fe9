"""The PROXY header, byte by byte as its specification gives it."""

from __future__ import annotations

import pytest

from prober.model import Endpoint
from prober.probing.proxy_protocol import PROXY_HEADERS

# HAProxy's proxy-protocol.txt, section 2.1: the example; section 2.2: struct proxy_hdr_v2.
V4 = (Endpoint("192.168.0.1", 56324), Endpoint("192.168.0.11", 443))
V6 = (Endpoint("2001:db8::1", 56324), Endpoint("2001:db8::2", 443))


@pytest.mark.parametrize(
    ("version", "ends", "expected"),
    [
        ("v1", V4, b"PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n"),
        ("v1", V6, b"PROXY TCP6 2001:db8::1 2001:db8::2 56324 443\r\n"),
        ("v2", V4, bytes.fromhex("0d0a0d0a000d0a515549540a 21 11 000c c0a80001 c0a8000b dc04 01bb")),
        (
            "v2",
            V6,
            bytes.fromhex(
                "0d0a0d0a000d0a515549540a 21 21 0024 20010db8000000000000000000000001 20010db8000000000000000000000002 dc04 01bb"
            ),
        ),
    ],
)
def test_a_header_is_what_the_specification_says(version: str, ends: tuple[Endpoint, Endpoint], expected: bytes) -> None:
    """Source before destination, addresses before ports."""
    assert PROXY_HEADERS[version](*ends) == expected


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_a_scope_stays_at_home(version: str) -> None:
    """``%eth0`` means nothing to another host."""
    scoped = PROXY_HEADERS[version](Endpoint("fe80::1%eth0", 1), Endpoint("fe80::2%eth0", 2))
    assert scoped == PROXY_HEADERS[version](Endpoint("fe80::1", 1), Endpoint("fe80::2", 2))


def test_a_version_1_header_is_never_too_long() -> None:
    """Section 2.1: at most 107 bytes."""
    longest = Endpoint("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 65535)
    assert len(PROXY_HEADERS["v1"](longest, longest)) <= 107
