"""What goes into the server_name extension, and what does not."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prober.addresses import parse_server_name
from prober.tls.server_name import BadServerName, ServerNameForm, canary_name, encode_server_name, host_name
from tests.tls.counter import CounterEntropy


@pytest.mark.parametrize(
    ("name", "encoded"),
    [
        ("example.com", b"example.com"),
        ("Example.COM", b"Example.COM"),
        ("localhost", b"localhost"),
        ("_acme.my_host.example", b"_acme.my_host.example"),
        ("xn--bcher-kva.example", b"xn--bcher-kva.example"),
        ("bücher.example", b"xn--bcher-kva.example"),
        ("BÜCHER.example", b"xn--bcher-kva.example"),
        ("my_host.bücher.example", b"my_host.xn--bcher-kva.example"),
        ("bücher\u3002example", b"xn--bcher-kva.example"),
        ("straße\uff0eexample", b"xn--strae-oqa.example"),
        ("example.com.", b"example.com"),
        ("bücher.example.", b"xn--bcher-kva.example"),
        ("1.example", b"1.example"),
        ("1.2.3.4a", b"1.2.3.4a"),
        ("192.0.2.1", b"192.0.2.1"),
        ("2001:db8::1", b"2001:db8::1"),
        ("a" * 63 + ".b", b"a" * 63 + b".b"),
        (".".join(["a" * 63] * 3 + ["b" * 61]), b".".join([b"a" * 63] * 3 + [b"b" * 61])),
    ],
)
def test_a_name_is_encoded_as_ascii_labels(name: str, encoded: bytes) -> None:
    """Host names go on the wire as they are; international labels as A-labels; a trailing dot is dropped (RFC 6066 §3).

    An IP address stays as it is, though the RFC forbids it: who asks for one wants to see what comes of it.
    """
    assert encode_server_name(name) == encoded


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("", "empty; to send no name, use the hello `none`"),
        (".", "empty"),
        ("a..b", "has an empty label; remove the extra dot"),
        (".example", "empty label"),
        ("example..", "empty label"),
        ("bücher..example", "empty label"),
        ("a" * 64 + ".example", "a label of 64 bytes; a label has at most 63"),
        (".".join(["a" * 63] * 3 + ["b" * 62]), "254 bytes on the wire; a DNS name has at most 253"),
        ("*.example.com", r"contains '\*', which no host name has"),
        ("exa mple.com", "contains ' '"),
        ("example.com\n", r"contains '\\n'"),
        ("example.com\0", r"contains '\\x00'"),
        ("https://example.com", "contains"),
        ("example.com:443", "contains"),
        ("2001:db8::1::2", "contains ':'"),
        ("a\u200db.example", "no valid international name"),
        ("ü" * 64 + ".example", "no valid international name"),
        ("\ud800.example", "no valid international name"),
    ],
)
def test_an_impossible_name_is_refused_with_what_to_do(name: str, complaint: str) -> None:
    """BadServerName, a ValueError, says what is wrong with the name."""
    with pytest.raises(BadServerName, match=complaint) as caught:
        encode_server_name(name)
    assert isinstance(caught.value, ValueError)
    assert len(str(caught.value)) < 250


@given(st.text(max_size=300) | st.text("abz09._-:*", max_size=40))
def test_what_configuration_accepts_can_be_encoded(text: str) -> None:
    """A name that `parse_server_name` lets through never fails later, in the middle of a handshake."""
    try:
        name = parse_server_name(text)
    except ValueError:
        return
    assert encode_server_name(name)


@given(st.text(max_size=300))
def test_any_text_is_encoded_or_refused(name: str) -> None:
    """Nothing but BadServerName is raised, and what is encoded is a host name of at most 253 bytes that encodes to itself."""
    try:
        encoded = encode_server_name(name)
    except BadServerName:
        return
    assert re.fullmatch(rb"([A-Za-z0-9_-]{1,63}\.)*[A-Za-z0-9_-]{1,63}", encoded) or b":" in encoded
    assert len(encoded) <= 253
    assert encode_server_name(encoded.decode("ascii")) == encoded


def test_the_forms_of_a_profile_alter_the_name() -> None:
    """A trailing dot is added once; an IP literal replaces the name, unless it is one."""
    assert host_name(ServerNameForm.HOST_NAME, "example.com.") == b"example.com"
    assert host_name(ServerNameForm.TRAILING_DOT, "example.com") == b"example.com."
    assert host_name(ServerNameForm.TRAILING_DOT, "example.com.") == b"example.com."
    assert host_name(ServerNameForm.IP_LITERAL, "example.com") == b"192.0.2.1"
    assert host_name(ServerNameForm.IP_LITERAL, "198.51.100.7") == b"198.51.100.7"
    assert host_name(ServerNameForm.IP_LITERAL, "2001:db8::1") == b"2001:db8::1"


def test_a_canary_is_a_fresh_name_that_cannot_be_served() -> None:
    """``probe-<16 hexadecimal digits>.invalid``, another one each time, and a valid server name."""
    entropy = CounterEntropy()
    first, second = canary_name(entropy), canary_name(entropy)
    assert first == "probe-0000000100000002.invalid"
    assert second != first
    assert encode_server_name(first) == first.encode("ascii")
