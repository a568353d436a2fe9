"""The figures of ``/probe`` that are blackbox_exporter's: what is left of a scrape's timeout, and the address as a hash."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prober.outlets.probe_endpoint import ip_address_hash, probe_timeout


@pytest.mark.parametrize(
    ("module", "header", "seconds"),
    [
        (20.0, "15", 14.5),
        (10.0, "10", 9.5),
        (5.0, "10", 5.0),
        (5.0, None, 5.0),
        (5.0, "0", 5.0),
        (5.0, "-3", 5.0),
        (5.0, "nan", 5.0),
        (5.0, "inf", 5.0),
        (5.0, "soon", 5.0),
        (5.0, "", 5.0),
        (5.0, "0.4", 0.2),
        (5.0, "0.75", 0.25),
    ],
)
def test_the_timeout_is_the_module_s_or_what_prometheus_leaves(module: float, header: str | None, seconds: float) -> None:
    """Half a second is kept for the answer's way; nonsense in the header is ignored."""
    assert probe_timeout(module, header) == seconds


@given(st.floats(min_value=0.001, max_value=300), st.text(max_size=12) | st.floats().map(str))
def test_no_header_makes_a_timeout_that_is_not_positive(module: float, header: str) -> None:
    """Nor one that is longer than the module's."""
    assert 0 < probe_timeout(module, header) <= module


@pytest.mark.parametrize(
    ("ip", "value"),
    [
        # FNV-1a of the octets, from the definition: offset basis 0x811c9dc5, prime 0x01000193.
        ("0.0.0.0", 0x4B95F515),
        ("::ffff:0.0.0.0", 0x4B95F515),
    ],
)
def test_the_address_hash_is_fnv_1a(ip: str, value: int) -> None:
    """An IPv4-mapped address hashes as the IPv4 one that it is."""
    assert ip_address_hash(ip) == value


@given(st.ip_addresses())
def test_the_address_hash_has_32_bits(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    """For every address."""
    assert 0 <= ip_address_hash(str(address)) < 2**32
