"""The factory and its offers: exact bytes, fresh randomness, padding, and the hello after a HelloRetryRequest."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prober.tls import key_exchange
from prober.tls.client_hello import HelloFactory, Offer
from prober.tls.client_hello_parser import ClientHello, parse_client_hello
from prober.tls.errors import PeerMisbehaved
from prober.tls.fingerprint import ja4
from prober.tls.hello_layout import HelloLayout, HelloTooLarge
from prober.tls.key_exchange import GroupNotSupported, KeySharePool
from prober.tls.profiles import PROFILES
from prober.tls.registry import ExtensionType, NamedGroup, ProtocolVersion
from prober.tls.server_name import BadServerName
from tests.tls.counter import CounterEntropy

NAME = "api.example.test"
LABELS = st.text("abcdefghijklmnopqrstuvwxyz", min_size=1, max_size=63)


def factory(profile: str = "modern", tls: str = "auto") -> HelloFactory:
    """A factory whose every byte is determined."""
    return HelloFactory(PROFILES[profile], tls=tls, entropy=CounterEntropy())


def parsed(offer: Offer) -> ClientHello:
    """The hello of an offer."""
    return parse_client_hello(offer.message)


# SHA-256 of the record for NAME under CounterEntropy: a change of any byte of any profile must be meant.
DIGESTS = {
    "modern": "d769d76c56ebd7c1",
    "tls12-only": "e93d1a85f93c1808",
    "tls13-only": "b95329409891eaaf",
    "pq": "2fb4dc797b4c84e6",
    "openssl-3.0": "3f9072feafb8f75c",
    "curl": "f627450183fb78cb",
    "node-tls": "1f9b4b22bcf51451",
    "java-17": "065c4ab7c0d239de",
    "gnutls-3.7": "fbfe33568d94f550",
    "python-3.11": "c57c89f95dfc25a5",
    "legacy-tls10": "1c1fe67ea5e3a695",
    "sni-ip-literal": "f9b6d2a26b2f284e",
    "sni-trailing-dot": "78585c03918f4c84",
}


@pytest.mark.parametrize("profile", PROFILES)
def test_a_hello_is_exact_to_the_byte(profile: str) -> None:
    """The same entropy gives the same record, on every machine and in every version of prober that does not say otherwise."""
    offer = factory(profile).offer(NAME)
    assert hashlib.sha256(offer.wire).hexdigest()[:16] == DIGESTS[profile]
    assert offer.wire == factory(profile).offer(NAME).wire


def test_the_bytes_of_a_small_hello_are_the_expected_ones() -> None:
    """Known answer, field by field: the oldest profile with a name."""
    expected = (
        "16 0301 005d"  # record: handshake, TLS 1.0, 93 bytes
        "01 000059"  # ClientHello, 89 bytes
        "0301"  # client_version
        "00000001 00000002 00000003 00000004 00000005 00000006 00000007 00000008"  # random
        "00"  # no session id
        "0018 002f 0035 0033 0039 0032 0038 000a 0016 0013 0005 0004 00ff"  # cipher suites
        "01 00"  # compression: null
        "0018"  # extensions, 24 bytes
        "0000 0014 0012 00 000f"  # server_name: a list of one host_name of 15 bytes
    )
    assert factory("legacy-tls10").offer("www.example.com").wire == bytes.fromhex(expected) + b"www.example.com"


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("server_name", [None, NAME])
def test_an_offer_knows_what_its_bytes_say(profile: str, server_name: str | None) -> None:
    """Random, session id, shares and the offered sets equal what a parser finds in the message; the record's length is right."""
    ours = factory(profile)
    offer = ours.offer(server_name)
    hello = parsed(offer)
    assert offer.wire[0] == 0x16
    assert int.from_bytes(offer.wire[3:5]) == len(offer.wire) - 5 == len(offer.message)
    assert (offer.random, offer.session_id, offer.server_name) == (hello.random, hello.session_id, server_name)
    assert [(share.group, share.public) for share in offer.key_shares] == list(hello.key_shares)
    assert ours.cipher_suites == set(hello.cipher_suites)
    assert ours.groups == set(hello.groups)
    assert ours.versions == (set(hello.supported_versions) or {hello.legacy_version})
    assert ours.max_version == max(ours.versions)
    assert offer.extensions >= {kind for kind, _ in hello.extensions} - {ExtensionType.padding}
    assert (ExtensionType.server_name in offer.extensions) == (server_name is not None)
    assert tuple(protocol.encode() for protocol in ours.alpn) == hello.alpn
    assert offer.factory is ours
    assert ours.profile_name == profile


def test_two_offers_differ_in_all_that_must_be_fresh_and_in_nothing_else() -> None:
    """Random and session id are new; the share comes from the pool; the rest stays."""
    ours = factory()
    first, second = ours.offer(NAME), ours.offer(NAME)
    assert first.random != second.random
    assert first.session_id != second.session_id
    assert first.key_shares == second.key_shares
    hello = parsed(second)._replace(random=first.random, session_id=first.session_id)
    assert hello == parsed(first)


def test_factories_may_share_a_pool() -> None:
    """One X25519 key then serves hellos of several profiles."""
    pool = KeySharePool(CounterEntropy())
    modern = HelloFactory(PROFILES["modern"], entropy=CounterEntropy(), pool=pool)
    java = HelloFactory(PROFILES["java-17"], entropy=CounterEntropy(), pool=pool)
    assert modern.offer(None).key_shares[0] is java.offer(None).key_shares[0]


@given(st.lists(LABELS, min_size=1, max_size=3).map(".".join), st.sampled_from(sorted(PROFILES)))
def test_names_of_every_length_make_a_sound_hello(name: str, profile: str) -> None:
    """The name is on the wire, and no profile that pads leaves a length that F5 load balancers choke on."""
    ours = factory(profile)
    offer = ours.offer(name)
    hello = parsed(offer)
    if profile != "sni-ip-literal":
        assert hello.server_name == name + ("." if profile == "sni-trailing-dot" else "")
    if ours.profile.padding != "none":
        assert not 256 <= len(offer.message) <= 511
    assert offer.ja4 == ja4(hello)


def test_padding_fills_up_to_512_bytes_and_stops_above() -> None:
    """Through all lengths of names: 512 bytes exactly while four bytes of extension fit, never less than 512, none when longer."""
    ours = factory()
    lengths = {}
    for size in range(1, 64):
        for labels in range(1, 4):
            name = ".".join(["a" * size] * labels)
            hello = ours.offer(name)
            kinds = [kind for kind, _ in parsed(hello).extensions]
            lengths[len(name)] = (len(hello.message), kinds[-1] == ExtensionType.padding)
    padded = {length for length, is_padded in lengths.values() if is_padded}
    assert padded <= {512, 513, 514, 515}
    assert 512 in padded
    assert all(length >= 512 for length, _ in lengths.values())
    assert any(not is_padded for _, is_padded in lengths.values())


def test_an_impossible_name_is_refused_before_anything_is_made() -> None:
    """BadServerName comes out of `offer`."""
    with pytest.raises(BadServerName, match="empty label"):
        factory().offer("a..b")


def test_an_international_name_keeps_its_text_and_is_sent_as_a_labels() -> None:
    """The offer remembers what was asked for."""
    offer = factory().offer("bücher.example")
    assert offer.server_name == "bücher.example"
    assert parsed(offer).server_name == "xn--bcher-kva.example"


@pytest.mark.parametrize("profile", PROFILES)
def test_the_summary_of_a_profile_tells_its_fingerprint_and_size(profile: str) -> None:
    """`--hello list` prints what is really sent; the JA4 says i without a name and d with one."""
    ours = factory(profile)
    summary = ours.describe()
    without, with_name = ours.offer(None), ours.offer("www.example.com")
    assert (summary.name, summary.description) == (profile, PROFILES[profile].description)
    assert summary.ja4_without_name == ja4(parsed(without)) == ours.ja4(False)
    assert summary.ja4_without_name[3] == "i"
    assert summary.size_without_name == len(without.wire)
    if profile != "sni-ip-literal":
        assert summary.ja4_with_name == ja4(parsed(with_name)) == ours.ja4(True)
        assert summary.ja4_with_name[3] == "d"


def test_describing_makes_no_key() -> None:
    """The list of profiles is printed without entropy."""

    def no_entropy(_: int) -> bytes:
        raise AssertionError

    assert HelloFactory(PROFILES["pq"], entropy=no_entropy).describe().size_without_name > 1500


# RFC 8446 §4.1.2: what a second ClientHello may change
def differences(first: ClientHello, second: ClientHello) -> set[ExtensionType]:
    """The extensions that differ between two hellos, which must otherwise be the same."""
    assert first._replace(extensions=(), key_shares=()) == second._replace(extensions=(), key_shares=())
    before, after = dict(first.extensions), dict(second.extensions)
    common = [kind for kind, _ in first.extensions if kind in after]
    assert common == [kind for kind, _ in second.extensions if kind in before]
    return {kind for kind in before.keys() | after.keys() if before.get(kind) != after.get(kind)}


RETRIES = [
    (name, group)
    for name, profile in PROFILES.items()
    if ProtocolVersion.TLSv1_3 in profile.versions
    for group in profile.groups
    if group not in profile.key_shares and "brainpool" not in group.name
]


@pytest.mark.parametrize(("profile", "group"), RETRIES)
def test_a_retry_brings_the_one_share_that_was_asked_for(profile: str, group: NamedGroup) -> None:
    """Every group that a TLS 1.3 profile lists can be asked for; only key_share (and padding) change, the record says TLS 1.2."""
    offer = factory(profile).offer(NAME)
    second = offer.retry(group, None)
    assert differences(parsed(offer), parsed(second)) - {ExtensionType.padding} == {ExtensionType.key_share}
    assert [share.group for share in second.key_shares] == [group]
    assert [(share.group, share.public) for share in second.key_shares] == list(parsed(second).key_shares)
    assert second.wire[:3] == b"\x16\x03\x03"
    assert (second.random, second.session_id, second.server_name) == (offer.random, offer.session_id, NAME)


@pytest.mark.parametrize("server_name", [None, NAME])
def test_a_retry_returns_the_cookie_and_keeps_the_shares_unless_told_otherwise(server_name: str | None) -> None:
    """With a cookie alone only the cookie is new; with a group as well both change."""
    offer = factory().offer(server_name)
    with_cookie = offer.retry(None, b"cookie of the server")
    assert differences(parsed(offer), parsed(with_cookie)) - {ExtensionType.padding} == {ExtensionType.cookie}
    assert with_cookie.key_shares == offer.key_shares
    assert dict(parsed(with_cookie).extensions)[ExtensionType.cookie] == b"\x00\x14cookie of the server"
    both = offer.retry(NamedGroup.secp256r1, b"c")
    assert differences(parsed(offer), parsed(both)) - {ExtensionType.padding} == {ExtensionType.cookie, ExtensionType.key_share}


def test_a_retry_is_padded_as_the_first_hello_is() -> None:
    """The length rule holds for the second hello too."""
    for size in range(1, 120):
        assert not 256 <= len(factory().offer(None).retry(None, bytes(size)).message) <= 511


@pytest.mark.parametrize("size", [16_000, 40_000, 64_000])
def test_a_long_cookie_makes_a_hello_of_several_records(size: int) -> None:
    """A record holds at most 2^14 bytes (RFC 8446 §5.1); the message is what the records hold together."""
    second = factory().offer(NAME).retry(None, b"\xaa" * size)
    records, rest = [], second.wire
    while rest:
        assert rest[:3] == b"\x16\x03\x03"
        length = int.from_bytes(rest[3:5])
        assert 0 < length <= 1 << 14
        records.append(rest[5 : 5 + length])
        rest = rest[5 + length :]
    assert b"".join(records) == second.message
    assert len(records) == -(-len(second.message) // (1 << 14))
    assert dict(parsed(second).extensions)[ExtensionType.cookie][2:] == b"\xaa" * size


@pytest.mark.parametrize(
    ("profile", "group", "cookie", "complaint"),
    [
        ("modern", None, None, "asks for no change"),
        ("modern", None, b"", "asks for no change"),
        ("modern", 0x001D, None, "the group x25519, whose share was sent"),
        ("pq", 0x11EC, b"c", "the group X25519MLKEM768, whose share was sent"),
        ("modern", 0x0015, None, "the group secp224r1, which was not offered"),
        ("modern", 0x1A1A, None, "the group 0x1A1A, which was not offered"),
        ("modern", 0x001A, None, "the group brainpoolP256r1, which was not offered for TLS 1.3"),
        ("tls12-only", 0x0017, None, "TLS 1.3 was not offered"),
        ("modern", None, bytes(65_535), "its cookie cannot be returned"),
    ],
)
def test_a_retry_request_that_rfc_8446_forbids_is_the_peers_fault(
    profile: str, group: int | None, cookie: bytes | None, complaint: str
) -> None:
    """PeerMisbehaved names the HelloRetryRequest and implies illegal_parameter."""
    with pytest.raises(PeerMisbehaved, match=complaint) as caught:
        factory(profile).offer(NAME).retry(group, cookie)
    assert caught.value.message == "HelloRetryRequest"
    assert caught.value.implies.name == "illegal_parameter"


def test_a_layout_that_cannot_hold_its_cookie_says_so() -> None:
    """HelloTooLarge, not an OverflowError."""
    for size, complaint in ((65_500, "would have"), (65_535, "does not fit")):
        with pytest.raises(HelloTooLarge, match=complaint):
            HelloLayout(PROFILES["modern"], 0, [NamedGroup.x25519], record_version=ProtocolVersion.TLSv1_2, cookie=bytes(size))


def test_without_ml_kem_modern_goes_without_it_and_pq_says_why_it_cannot(monkeypatch: pytest.MonkeyPatch) -> None:
    """An optional group is left out; a profile that is about that group refuses when it is built, with what to do."""

    def without(group: NamedGroup, entropy: object) -> None:
        raise GroupNotSupported("X25519MLKEM768 needs ML-KEM: install cryptography 48 or newer")

    hybrids = {NamedGroup.SecP256r1MLKEM768, NamedGroup.X25519MLKEM768, NamedGroup.SecP384r1MLKEM1024}
    for hybrid in hybrids:
        monkeypatch.setitem(key_exchange._SHARES, hybrid, without)
    key_exchange.require_group.cache_clear()
    try:
        assert not hybrids & factory("modern").groups
        assert not hybrids & set(parsed(factory("modern").offer(None)).groups)
        with pytest.raises(GroupNotSupported, match="install cryptography"):
            factory("pq")
    finally:
        key_exchange.require_group.cache_clear()


def test_an_offer_shows_what_it_is_and_no_key() -> None:
    """For logs and failing tests."""
    ours = factory()
    assert repr(ours.offer(NAME)) == "<Offer modern api.example.test, 517 bytes>"
    assert repr(ours.offer(None)) == "<Offer modern without name, 517 bytes>"
