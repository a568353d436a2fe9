"""JA4 and JA3 against known answers: the specification's own, and those of captured clients."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prober.tls.client_hello_parser import ClientHello, parse_client_hello
from prober.tls.fingerprint import ja3, ja4
from prober.tls.registry import CipherSuite, ExtensionType, ProtocolVersion, SignatureScheme
from tests.tls.captures import CAPTURES, capture

# Stated for the captures without a name by those who made them; with a name only the first part may differ.
KNOWN_JA4 = {
    "curl-ip": "t13i3111h2_e8f1e7e78f70_b26ce05bbdd6",
    "curl-name": "t13d3112h2_e8f1e7e78f70_b26ce05bbdd6",
    "gnutls-3.7-ip": "t13i291200_723694b0fccc_2cc26d266019",
    "gnutls-3.7-name": "t13d291300_723694b0fccc_2cc26d266019",
    "gnutls-3.7-no-name": "t13i291200_723694b0fccc_2cc26d266019",
    "java-17-ip": "t13i371100_db35923f8641_7c76daad20ec",
    "java-17-name": "t13d371200_db35923f8641_7c76daad20ec",
    "java-17-unqualified": "t13i371100_db35923f8641_7c76daad20ec",
    "node-tls-host": "t13i590900_a33745022dd6_1f22a2ca17c4",
    "node-tls-ip": "t13i590900_a33745022dd6_1f22a2ca17c4",
    "node-tls-name": "t13d591000_a33745022dd6_1f22a2ca17c4",
    "openssl-3.0-ip": "t13i310900_e8f1e7e78f70_1f22a2ca17c4",
    "openssl-3.0-name": "t13d311000_e8f1e7e78f70_1f22a2ca17c4",
    "openssl-3.0-no-name": "t13i310900_e8f1e7e78f70_1f22a2ca17c4",
    "python-3.11-ip": "t13i181000_85036bcba153_d41ae481755e",
    "python-3.11-name": "t13d181100_85036bcba153_d41ae481755e",
    "wget-ip": "t13i291200_723694b0fccc_899037bd0b8c",
}


def codes(text: str) -> list[int]:
    """``1301,1302`` as integers."""
    return [int(code, 16) for code in text.split(",")]


def hello(
    *,
    suites: list[int] | None = None,
    extensions: list[int] | None = None,
    schemes: list[int] | None = None,
    alpn: tuple[bytes, ...] = (),
    versions: tuple[int, ...] = (),
    legacy_version: int = 0x0303,
) -> ClientHello:
    """A ClientHello with these values; extension bodies are not what JA4 reads."""
    return ClientHello(
        legacy_version=ProtocolVersion(legacy_version),
        random=bytes(32),
        session_id=b"",
        cipher_suites=tuple(CipherSuite(code) for code in suites or ()),
        compression_methods=b"\0",
        extensions=tuple((ExtensionType(code), b"") for code in extensions or ()),
        alpn=alpn,
        supported_versions=tuple(ProtocolVersion(code) for code in versions),
        signature_schemes=tuple(SignatureScheme(code) for code in schemes or ()),
    )


SPECIFICATION_EXAMPLE = hello(
    suites=codes("2a2a,1301,1302,1303,c02b,c02f,c02c,c030,cca9,cca8,c013,c014,009c,009d,002f,0035"),
    extensions=codes("dada,001b,0000,0033,0010,4469,0017,002d,000d,0005,0023,0012,002b,ff01,000b,000a,1a1a,0015"),
    schemes=codes("0403,0804,0401,0503,0805,0501,0806,0601"),
    alpn=(b"h2", b"http/1.1"),
    versions=(0x0A0A, 0x0304, 0x0303),
)


@pytest.mark.parametrize("name", CAPTURES)
def test_captured_clients_have_their_known_ja4(name: str) -> None:
    """Every capture has its JA4, and a name changes nothing in the digests."""
    assert ja4(parse_client_hello(capture(name)[5:])) == KNOWN_JA4[name]


def test_the_example_of_the_specification_has_its_ja4() -> None:
    """The lists of FoxIO's technical_details/JA4.md, with GREASE strewn in, give the digests that it prints."""
    assert ja4(SPECIFICATION_EXAMPLE) == "t13d1516h2_8daaf6152771_e5627efa2ab1"
    assert ja4(SPECIFICATION_EXAMPLE, transport="q") == "q13d1516h2_8daaf6152771_e5627efa2ab1"


def test_without_signature_algorithms_the_underscore_is_left_out() -> None:
    """The specification's second digest is of the extensions alone; a list of nothing but GREASE is no list."""
    for schemes in ((), (SignatureScheme(0x0A0A),)):
        assert ja4(SPECIFICATION_EXAMPLE._replace(signature_schemes=schemes)).endswith("_6d807ffa2a79")


def test_empty_lists_are_zeros() -> None:
    """No suites and no extensions print zeros, not the digest of nothing; server_name and ALPN do not count as extensions."""
    assert ja4(hello()) == "t12i000000_000000000000_000000000000"
    assert ja4(hello(extensions=[0, 16], alpn=(b"h2",))) == "t12d0002h2_000000000000_000000000000"
    assert ja4(hello(suites=[0x0A0A], extensions=[0xFAFA])) == "t12i000000_000000000000_000000000000"


@pytest.mark.parametrize(
    ("versions", "legacy_version", "shown"),
    [
        ((0x7A7A, 0x0303, 0x0304), 0x0303, "13"),
        ((0x0303, 0x0302), 0x0301, "12"),
        ((), 0x0303, "12"),
        ((), 0x0302, "11"),
        ((), 0x0301, "10"),
        ((), 0x0300, "s3"),
        ((), 0x0002, "s2"),
        ((), 0xFEFD, "d2"),
        ((), 0x1234, "00"),
        ((0x0A0A,), 0x0302, "11"),
    ],
)
def test_the_version_is_the_highest_supported_one_or_the_legacy_one(
    versions: tuple[int, ...], legacy_version: int, shown: str
) -> None:
    """supported_versions wins, GREASE does not count, what is unknown is 00."""
    assert ja4(hello(versions=versions, legacy_version=legacy_version))[1:3] == shown


@pytest.mark.parametrize(
    ("first", "shown"),
    [
        (b"h2", "h2"),
        (b"http/1.1", "h1"),
        (b"x", "xx"),
        (b"", "00"),
        (b"\xab", "ab"),
        (b"\xab\xcd", "ad"),
        (b"\x30\xab", "3b"),
        (b"\x30\x31\xab\xcd", "3d"),
        (b"\x30\xab\xcd\x31", "01"),
        (b"\x0a\x0a", "0a"),
        ("é".encode("latin-1"), "e9"),
        ("hé".encode(), "69"),
        (b"-x", "28"),
    ],
)
def test_the_alpn_characters_follow_the_specification(first: bytes, shown: str) -> None:
    """First and last character, or first and last hexadecimal digit when either is no ASCII letter or digit."""
    assert ja4(hello(alpn=(first, b"h2")))[8:10] == shown


def test_counts_stop_at_99() -> None:
    """A hundred and more suites or extensions are 99."""
    many = list(range(0x100, 0x1FF))
    assert ja4(hello(suites=many, extensions=many))[4:8] == "9999"


@given(st.permutations(range(5)), st.permutations(range(6)))
def test_ja4_does_not_depend_on_the_order_of_suites_and_extensions(suites: list[int], extensions: list[int]) -> None:
    """Browsers shuffle extensions; their JA4 stays."""
    base_suites, base_extensions = [0x1301, 0xC02B, 0x2F, 0x9C, 0xFF], [0, 10, 13, 43, 51, 21]
    shuffled = hello(suites=[base_suites[i] for i in suites], extensions=[base_extensions[i] for i in extensions])
    assert ja4(shuffled) == ja4(hello(suites=base_suites, extensions=base_extensions))


def test_ja3_is_the_digest_of_the_documented_string() -> None:
    """The two examples of JA3's own description: a hello with extensions, and one without."""
    assert (
        ja3(hello(legacy_version=0x0301, suites=[4, 5, 10, 9, 100, 98, 3, 6, 19, 18, 99])) == "de350869b8c85de67a350c8d186f11e6"
    )
    chrome = hello(
        legacy_version=0x0301,
        suites=[0x1A1A, 47, 53, 5, 10, 49161, 49162, 49171, 49172, 50, 56, 19, 4],
        extensions=[0x0A0A, 0, 10, 11],
    )._replace(groups=(0x3A3A, 23, 24, 25), point_formats=(0,))  # type: ignore[arg-type]
    assert ja3(chrome) == "ada70206e40642a3e4461f35503241d5"
