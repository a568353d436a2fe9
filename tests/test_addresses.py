"""Addresses as people write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prober.addresses import parse_address, parse_server_name
from prober.model import Address


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("api.example.com", "api.example.com", 443),
        ("api.example.com:8443", "api.example.com", 8443),
        ("localhost", "localhost", 443),
        ("203.0.113.10", "203.0.113.10", 443),
        ("203.0.113.10:1", "203.0.113.10", 1),
        ("203.0.113.10:65535", "203.0.113.10", 65535),
        ("[2001:db8::1]:8443", "2001:db8::1", 8443),
        ("[2001:db8::1]", "2001:db8::1", 443),
        ("2001:db8::1", "2001:db8::1", 443),
        ("2001:0DB8:0::1", "2001:db8::1", 443),
        ("::1", "::1", 443),
        ("[fe80::1%eth0]:443", "fe80::1%eth0", 443),
        ("https://api.example.com", "api.example.com", 443),
        ("https://api.example.com/", "api.example.com", 443),
        ("HTTPS://api.example.com:8443/", "api.example.com", 8443),
        ("https://[2001:db8::1]:8443/", "2001:db8::1", 8443),
        ("https://[fe80::1%eth0]:8443/", "fe80::1%eth0", 8443),
        ("https://[fe80::1%25eth0]/", "fe80::1%eth0", 443),
        ("https://[fe80::1%25]/", "fe80::1%25", 443),
        ("  api.example.com  ", "api.example.com", 443),
        ("_service.my_host.example", "_service.my_host.example", 443),
        ("api.example.com.", "api.example.com.", 443),
        ("bücher.example", "xn--bcher-kva.example", 443),
        ("xn--bcher-kva.example", "xn--bcher-kva.example", 443),
        # Names of their own since IDNA 2008; before, another one's (strasse.example) was meant.
        ("straße.example", "xn--strae-oqa.example", 443),
        ("my_host.βόλος.example.:8443", "my_host.xn--nxasmm1c.example.", 8443),
        ("bücher。example", "xn--bcher-kva.example", 443),
        ("1e100.example", "1e100.example", 443),
    ],
)
def test_accepts_every_form_that_is_promised(text: str, host: str, port: int) -> None:
    """The promised forms, and what resolvers accept in practice."""
    assert parse_address(text) == Address(host, port)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "is empty"),
        ("   ", "is empty"),
        (":443", "no host before the port"),
        ("api.example.com:", "ends in a colon"),
        ("api.example.com:0", "out of range"),
        ("api.example.com:65536", "out of range"),
        ("api.example.com:123456789", "out of range"),
        ("api.example.com:https", "is no port"),
        ("api.example.com:+443", "is no port"),
        ("api.example.com:٤٤٣", "is no port"),
        ("256.0.0.1", "is no IPv4 address"),
        ("203.0.113", "is no IPv4 address"),
        ("203.0.113.010", "is no IPv4 address"),
        ("2001:db8::1::2", "is no IPv6 address"),
        ("[2001:db8::1", "no closing bracket"),
        ("[2001:db8::1]443", "after the bracket"),
        ("[2001:db8::1]:", "ends in a colon"),
        ("[203.0.113.10]:443", "is no IPv6 address"),
        ("[api.example.com]:443", "is no IPv6 address"),
        ("http://api.example.com", "scheme 'http'"),
        ("https://", "no host"),
        ("https://api.example.com/path", "has a path"),
        ("https://api.example.com/?query", "has a path"),
        ("api.example.com/path", "has a path"),
        ("a..b", "an empty label"),
        (".", "an empty label"),
        ("-a.example", "the label '-a'"),
        ("a b.example", "the label 'a b'"),
        ("a" * 64 + ".example", "the label"),
        (".".join(["a" * 60] * 5), "longer than 253"),
    ],
)
def test_refuses_with_a_reason_and_a_remedy(text: str, complaint: str) -> None:
    """A person reads what is wrong with their input."""
    with pytest.raises(ValueError, match="; ") as refused:
        parse_address(text)
    assert complaint in str(refused.value)


@pytest.mark.parametrize(
    "text", ["user:hunter2@api.example.com", "https://user:hunter2@api.example.com/", "http://:hunter2@a", "hunter2@a"]
)
def test_refuses_user_information_without_repeating_it(text: str) -> None:
    """What stands before an @ may be a password, and messages end up in logs."""
    with pytest.raises(ValueError, match="user information") as refused:
        parse_address(text)
    assert "hunter2" not in str(refused.value)


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    """Nothing but ValueError comes out, and what was read is read the same again."""
    try:
        address = parse_address(text)
    except ValueError:
        return
    assert parse_address(str(address)) == address


@given(st.ip_addresses(), st.integers(min_value=1, max_value=65535))
def test_every_ip_address_and_port_is_read_back(ip: object, port: int) -> None:
    """The written form of an address means that address."""
    assert parse_address(str(Address(str(ip), port))) == Address(str(ip), port)


@pytest.mark.parametrize("text", ["api.example.com", "a_b.example", "api.example.com.", "203.0.113.1", "2001:db8::1"])
def test_server_names_pass_unchanged(text: str) -> None:
    """Also an IP literal and a trailing dot, which RFC 6066 forbids and real clients send."""
    assert parse_server_name(text) == text


@pytest.mark.parametrize("text", ["", "*.example.com", "https://a", "a:443", "a/b", "a b"])
def test_what_no_client_sends_is_no_server_name(text: str) -> None:
    """A pattern, a URL or a port in a server name is a mistake."""
    with pytest.raises(ValueError, match="; "):
        parse_server_name(text)
