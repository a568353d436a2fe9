"""Chains: every problem at once, and OpenSSL as the witness of what a client would accept."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given
from hypothesis import strategies as st

from prober.judge.chains import assess, judge_chain
from prober.judge.problems import ProblemCode
from prober.judge.trust import NO_TRUST, TrustStore
from tests.judge import forge, witness
from tests.pki import (
    EXPIRED_AT,
    KEY_KINDS,
    NOT_YET_VALID_FROM,
    NOW,
    Authority,
    private_key,
    self_signed,
    usage,
)

API = "api.example.test"
Chain = tuple[bytes, ...]
Case = tuple[Chain, list[bytes]]


def codes(chain: Chain, anchors: list[bytes], *names: str, now: datetime = NOW) -> list[str]:
    """The codes of all problems, in their order."""
    return [problem.code.value for problem in judge_chain(chain, names, TrustStore(witness.pem(anchors)), now)]


def plain() -> Case:
    root = Authority.root()
    return root.intermediate().issue(API).ders, [root.der]


def of_each_key(kind: str) -> Callable[[], Case]:
    def make() -> Case:
        root = Authority.root(key=kind)
        return root.intermediate(key=kind).issue(API, key=kind).ders, [root.der]

    return make


def root_presented() -> Case:
    root = Authority.root()
    return (*root.intermediate().issue(API).ders, root.der), [root.der]


def shuffled_with_strangers() -> Case:
    root = Authority.root()
    first = root.intermediate("One")
    second = first.intermediate("Two")
    leaf = second.issue(API)
    stranger = Authority.root("Stranger").intermediate("Three").issue("other.example.test")
    return (leaf.ders[0], *stranger.ders, leaf.ders[2], leaf.ders[1], leaf.ders[1], leaf.ders[0]), [root.der]


def intermediate_as_anchor() -> Case:
    middle = Authority.root().intermediate()
    return middle.issue(API).ders, [middle.der]


def end_entity_as_anchor() -> Case:
    leaf = Authority.root().intermediate().issue(API)
    return leaf.ders, [leaf.der]


def self_signed_as_anchor() -> Case:
    leaf = self_signed(API)
    return leaf.ders, [leaf.der]


def cross_signed_with_one_expired_path() -> Case:
    """AddTrust, May 2020: the server still presents the expired cross-certificate, the new root is an anchor."""
    old, new = Authority.root("Old Root"), Authority.root("New Root")
    leaf = new.intermediate().issue(API)
    return (*leaf.ders, _der(old.cross_sign(new, expired=True))), [old.der, new.der]


def cross_signed_to_the_old_root() -> Case:
    old, new = Authority.root("Old Root"), Authority.root("New Root")
    return (*new.intermediate().issue(API).ders, _der(old.cross_sign(new))), [old.der]


def stranger_of_the_same_name() -> Case:
    root = Authority.root()
    leaf = root.intermediate("One").issue(API)
    stranger = Authority.root("Stranger").intermediate("One").issue("other.example.test")
    return (leaf.ders[0], *stranger.ders, leaf.ders[1]), [root.der]


def two_authorities_that_signed_each_other() -> Case:
    one, two, root = Authority.root("One"), Authority.root("Two"), Authority.root()
    loop = (_der(one.cross_sign(two)), _der(two.cross_sign(one)))
    return (*one.issue(API).ders, *loop, _der(root.cross_sign(two))), [root.der]


def without_any_extension() -> Case:
    key, root_key = private_key(), private_key()
    root = forge.name(forge.attribute("2.5.4.3", "Version One Root"))
    leaf = forge.forge(subject=forge.name(forge.attribute("2.5.4.3", API)), issuer=root, key=key, issuer_key=root_key)
    return (leaf,), [forge.forge(subject=root, key=root_key, version=1, extensions=None)]


def issuer_in_another_string_type() -> Case:
    """The issuer is named in UTF8String with other case and spaces than the root calls itself in PrintableString."""
    root_key = private_key()
    itself = forge.name(forge.attribute("2.5.4.3", "Sloppy  root", tag=0x13))
    called = forge.name(forge.attribute("2.5.4.3", "sloppy Root", tag=0x0C))
    authority = forge.extension("2.5.29.19", bytes.fromhex("30030101ff"), critical=True)
    leaf = forge.forge(subject=forge.name(forge.attribute("2.5.4.3", API)), issuer=called, issuer_key=root_key)
    return (leaf,), [forge.forge(subject=itself, key=root_key, extensions=[authority])]


def sha1() -> Case:
    root_key = private_key("rsa2048")
    root = forge.name(forge.attribute("2.5.4.3", "Old"))
    authority = forge.extension("2.5.29.19", bytes.fromhex("30030101ff"), critical=True)
    leaf = forge.forge(subject=forge.name(forge.attribute("2.5.4.3", API)), issuer=root, issuer_key=root_key, rsa_hash="sha1")
    return (leaf,), [forge.forge(subject=root, key=root_key, rsa_hash="sha1", extensions=[authority])]


def path_length_that_suffices() -> Case:
    root = Authority.root(path_length=1)
    return root.intermediate().issue(API).ders, [root.der]


def names_within_constraints() -> Case:
    root = Authority.root()
    constraints = x509.NameConstraints([x509.DNSName("example.test"), x509.IPAddress(ip_network("192.0.2.0/24"))], None)
    return root.intermediate(name_constraints=constraints).issue(API, "192.0.2.7").ders, [root.der]


def serving_and_client_purpose() -> Case:
    root = Authority.root()
    purposes = [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]
    return root.intermediate(extended_key_usage=purposes).issue(API, extended_key_usage=purposes).ders, [root.der]


def _der(certificate: x509.Certificate) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding

    return certificate.public_bytes(Encoding.DER)


ACCEPTED = [
    plain,
    root_presented,
    shuffled_with_strangers,
    intermediate_as_anchor,
    end_entity_as_anchor,
    self_signed_as_anchor,
    cross_signed_with_one_expired_path,
    cross_signed_to_the_old_root,
    without_any_extension,
    issuer_in_another_string_type,
    sha1,
    path_length_that_suffices,
    names_within_constraints,
    serving_and_client_purpose,
]


@pytest.mark.parametrize("make", ACCEPTED, ids=lambda make: make.__name__)
def test_a_chain_that_openssl_accepts_has_no_problem(make: Callable[[], Case], openssl: str, tmp_path: Path) -> None:
    """No false alarm: what a client accepts is accepted."""
    chain, anchors = make()
    assert witness.accepts(openssl, tmp_path, chain, anchors, NOW)
    assert codes(chain, anchors) == []


@pytest.mark.parametrize(
    "make", [stranger_of_the_same_name, two_authorities_that_signed_each_other], ids=lambda make: make.__name__
)
def test_a_path_is_found_where_openssl_does_not_turn_back(make: Callable[[], Case]) -> None:
    """OpenSSL follows the first issuer of the right name; Go, Java, browsers and we try the others, too."""
    assert codes(*make()) == []


@pytest.mark.parametrize("kind", [kind for kind in KEY_KINDS if kind != "rsa4096"])
def test_signatures_of_every_kind_of_key_are_checked(kind: str) -> None:
    """A chain of one kind of key holds, and with one bit of the end-entity's body flipped it does not."""
    chain, anchors = of_each_key(kind)()
    assert codes(chain, anchors, API) == []
    position = chain[0].index(API.encode())
    tampered = chain[0][:position] + b"A" + chain[0][position + 1 :]
    assert codes((tampered, *chain[1:]), anchors) == ["invalid_signature"]


def expired() -> Case:
    root = Authority.root()
    return root.issue(API, expired=True).ders, [root.der]


def not_yet_valid() -> Case:
    root = Authority.root()
    return root.issue(API, not_yet_valid=True).ders, [root.der]


def expired_intermediate() -> Case:
    root = Authority.root()
    return root.intermediate(expired=True).issue(API).ders, [root.der]


def intermediate_from_the_future() -> Case:
    root = Authority.root()
    return root.intermediate(not_yet_valid=True).issue(API).ders, [root.der]


def expired_root() -> Case:
    root = Authority.root(expired=True)
    return root.intermediate().issue(API).ders, [root.der]


def untrusted_self_signed() -> Case:
    return self_signed(API).ders, [Authority.root().der]


def unknown_root() -> Case:
    return Authority.root("Unknown").intermediate().issue(API).ders, [Authority.root().der]


def unknown_root_presented() -> Case:
    root = Authority.root("Unknown")
    return (*root.intermediate().issue(API).ders, root.der), [Authority.root().der]


def missing_intermediate() -> Case:
    root = Authority.root()
    return root.intermediate().issue(API).ders[:1], [root.der]


def root_with_the_same_name_and_another_key() -> Case:
    return Authority.root("Twin", key="p256").issue(API).ders, [Authority.root("Twin", key="p256").der]


def root_with_the_same_name_and_another_kind_of_key() -> Case:
    return Authority.root("Twin", key="p256").issue(API).ders, [Authority.root("Twin", key="rsa2048").der]


def issued_by_an_end_entity() -> Case:
    root = Authority.root()
    leaf = root.issue("leaf.example.test", ca=False)
    return Authority(leaf.certificate, leaf.key, (leaf.certificate,)).issue(API).ders, [root.der]


def issuer_without_cert_sign() -> Case:
    root = Authority.root()
    return root.intermediate(key_usage=usage(digital_signature=True)).issue(API).ders, [root.der]


def path_too_long() -> Case:
    root = Authority.root(path_length=0)
    return root.intermediate().issue(API).ders, [root.der]


def client_certificate() -> Case:
    root = Authority.root()
    return root.issue(API, extended_key_usage=[ExtendedKeyUsageOID.CLIENT_AUTH]).ders, [root.der]


def key_usage_of_an_authority_alone() -> Case:
    root = Authority.root()
    return root.issue(API, key_usage=usage(key_cert_sign=True)).ders, [root.der]


def authority_for_clients_only() -> Case:
    root = Authority.root()
    return root.intermediate(extended_key_usage=[ExtendedKeyUsageOID.CLIENT_AUTH]).issue(API).ders, [root.der]


def name_outside_constraints() -> Case:
    root = Authority.root()
    constraints = x509.NameConstraints([x509.DNSName("other.test")], None)
    return root.intermediate(name_constraints=constraints).issue(API).ders, [root.der]


def excluded_address() -> Case:
    root = Authority.root()
    constraints = x509.NameConstraints(None, [x509.IPAddress(ip_network("192.0.2.0/24"))])
    return root.intermediate(name_constraints=constraints).issue("192.0.2.7").ders, [root.der]


def unknown_critical_extension() -> Case:
    root = Authority.root()
    unknown = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.99999.1"), b"\x05\x00")
    return root.issue(API, extensions=[(unknown, True)]).ders, [root.der]


REFUSED = {
    expired: ["expired"],
    not_yet_valid: ["not_yet_valid"],
    expired_intermediate: ["intermediate_expired"],
    intermediate_from_the_future: ["intermediate_not_yet_valid"],
    expired_root: ["intermediate_expired"],
    untrusted_self_signed: ["self_signed"],
    unknown_root: ["unknown_authority"],
    unknown_root_presented: ["unknown_authority"],
    missing_intermediate: ["incomplete_chain"],
    root_with_the_same_name_and_another_key: ["invalid_signature"],
    root_with_the_same_name_and_another_kind_of_key: ["invalid_signature"],
    issued_by_an_end_entity: ["ca_constraint"],
    issuer_without_cert_sign: ["ca_constraint"],
    path_too_long: ["ca_constraint"],
    client_certificate: ["not_a_server_certificate"],
    key_usage_of_an_authority_alone: ["not_a_server_certificate"],
    authority_for_clients_only: ["ca_constraint"],
    name_outside_constraints: ["name_constraint"],
    excluded_address: ["name_constraint"],
    unknown_critical_extension: ["unsupported_extension"],
}


@pytest.mark.parametrize("make", REFUSED, ids=lambda make: make.__name__)
def test_a_chain_that_openssl_refuses_has_the_problem_that_it_was_made_with(
    make: Callable[[], Case], openssl: str, tmp_path: Path
) -> None:
    """No false comfort, and the right name for it."""
    chain, anchors = make()
    assert not witness.accepts(openssl, tmp_path, chain, anchors, NOW)
    assert codes(chain, anchors) == REFUSED[make]


def test_all_problems_are_told_and_not_only_the_first() -> None:
    """Expired, for another name and from an unknown authority: an operator fixes all three at once."""
    chain = Authority.root("Unknown").intermediate().issue("other.example.test", expired=True).ders
    assert codes(chain, [Authority.root().der], API) == ["expired", "name_mismatch", "unknown_authority"]


def test_problems_name_the_certificate_and_the_date() -> None:
    """What a person needs in order to act is in the text."""
    root = Authority.root()
    chain = root.intermediate("Middle", expired=True).issue(API, expired=True).ders
    texts = [problem.text for problem in judge_chain(chain, (API,), TrustStore(root.pem), NOW)]
    assert texts == [f"CN={API} expired on 2025-01-01T00:00:00Z", "CN=Middle expired on 2025-01-01T00:00:00Z"]


def test_md5_is_refused_although_the_signature_is_right() -> None:
    """A signature that anybody can forge proves nothing."""
    root_key = private_key("rsa2048")
    root = forge.name(forge.attribute("2.5.4.3", "Very Old"))
    leaf = forge.forge(issuer=root, issuer_key=root_key, rsa_hash="md5")
    authority = forge.extension("2.5.29.19", bytes.fromhex("30030101ff"))
    assert codes((leaf,), [forge.forge(subject=root, key=root_key, extensions=[authority])]) == ["weak_signature"]


def test_an_unknown_signature_algorithm_is_not_called_a_forgery() -> None:
    """It says that it cannot be checked, not that it is wrong."""
    root = Authority.root()
    issuer = root.certificate.subject.public_bytes()
    leaf = forge.forge(issuer=issuer, issuer_key=root.key, algorithm=forge.tlv(0x30, forge.oid("1.2.3.4")))
    assert codes((leaf,), [root.der]) == ["unsupported_signature"]


def test_any_extended_key_usage_is_enough_for_a_server() -> None:
    """Go, Java and NSS accept anyExtendedKeyUsage; OpenSSL alone does not."""
    root = Authority.root()
    assert codes(root.issue(API, extended_key_usage=[ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE]).ders, [root.der]) == []


def test_an_anchor_with_another_key_identifier_is_an_unknown_authority() -> None:
    """Where key identifiers prove that the authority was made anew, it is said so."""
    ours, theirs = Authority.root("Twin"), Authority.root("Twin")

    def identified(authority: Authority) -> tuple[x509.ExtensionType, bool]:
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key()), False

    anchor = Authority.root("Twin", extensions=[(x509.SubjectKeyIdentifier.from_public_key(ours.key.public_key()), False)])
    chain = theirs.issue(API, extensions=[identified(theirs)]).ders
    (problem,) = judge_chain(chain, (), TrustStore(anchor.pem, origin="ca.pem"), NOW)
    assert problem.code is ProblemCode.UNKNOWN_AUTHORITY
    assert problem.text == f"CN={API} was issued by another CN=Twin than the one among ca.pem: its key is a different one"


def test_no_certificate_at_all_is_a_problem_of_its_own() -> None:
    """An empty Certificate message."""
    assert codes((), []) == ["empty"]


def test_a_certificate_that_is_no_certificate_is_a_problem_wherever_it_is_in_the_chain() -> None:
    """Clients abort on any of them."""
    chain, anchors = plain()
    assert codes((b"\x30\x03abc", *chain[1:]), anchors, API) == ["unparseable", "name_mismatch"]
    assert codes((*chain, b"nothing"), anchors, API) == ["unparseable"]


def test_dates_are_looked_at_in_every_call() -> None:
    """A chain that is remembered still expires, to the second, and a clock that goes back is believed, too."""
    root = Authority.root()
    chain, anchors = root.issue(API, not_after=EXPIRED_AT).ders, [root.der]
    for _ in range(2):
        assert codes(chain, anchors, API, now=EXPIRED_AT) == []
        assert codes(chain, anchors, API, now=EXPIRED_AT + timedelta(seconds=1)) == ["expired"]
        assert codes(chain, anchors, API, now=EXPIRED_AT - timedelta(days=1)) == []


@given(
    leaf=st.tuples(st.integers(0, 8), st.integers(0, 8)),
    middle=st.tuples(st.integers(0, 8), st.integers(0, 8)),
    times=st.lists(st.integers(-1, 9), min_size=1, max_size=8),
)
def test_what_is_remembered_about_dates_is_what_a_fresh_look_says(
    leaf: tuple[int, int], middle: tuple[int, int], times: list[int]
) -> None:
    """The answer at any time, in any order of asking, is a plain comparison with the four dates."""

    def year(offset: int) -> datetime:
        return datetime(2030 + offset, 1, 1, tzinfo=UTC)

    def made(window: tuple[int, int]) -> dict[str, datetime]:
        return {"not_before": year(min(window)), "not_after": year(max(window))}

    root = _ROOT
    authority = root.intermediate(**made(middle))
    chain = authority.issue(API, **made(leaf)).ders
    for offset in times:
        now = year(offset)
        wanted = ["expired"] * (now > year(max(leaf))) + ["not_yet_valid"] * (now < year(min(leaf)))
        wanted += ["intermediate_expired"] * (now > year(max(middle))) + ["intermediate_not_yet_valid"] * (
            now < year(min(middle))
        )
        assert codes(chain, [root.der], API, now=now) == wanted


_ROOT = Authority.root("Root of the property")


def test_the_same_chain_under_another_trust_store_is_judged_anew() -> None:
    """What is remembered belongs to a chain and a trust store."""
    chain, anchors = plain()
    assert codes(chain, anchors) == []
    assert [problem.code for problem in judge_chain(chain, (), NO_TRUST, NOW)] == [ProblemCode.UNKNOWN_AUTHORITY]
    assert codes(chain, anchors) == []


def test_an_unchanged_chain_is_assessed_once() -> None:
    """Equal bytes, not the same objects: each handshake brings its own."""
    chain, anchors = plain()
    trust = TrustStore(witness.pem(anchors))
    copies = tuple(bytes(bytearray(der)) for der in chain)
    assert copies[0] is not chain[0]
    assert assess(copies, trust) is assess(chain, trust)


def test_a_tangled_chain_ends_within_bounds() -> None:
    """Forty cross-signed authorities of one name must not cost more than the bounds allow, nor recurse without end."""
    twins = [Authority.root("Twin") for _ in range(8)]
    tangle = tuple(_der(one.cross_sign(two)) for one in twins for two in twins if one is not two)
    chain = (*twins[0].issue(API).ders, *tangle)
    assert codes(chain, [Authority.root().der]) == ["unknown_authority"]


@given(st.lists(st.binary(max_size=60), max_size=4), st.lists(st.tuples(st.integers(0, 900), st.integers(0, 255)), max_size=4))
def test_no_bytes_make_judging_raise(junk: list[bytes], flips: list[tuple[int, int]]) -> None:
    """Chains come from strangers: damaged certificates, and no certificates at all, are judged."""
    chain = []
    for der in _FUZZED.ders:
        damaged = bytearray(der)
        for position, value in flips:
            damaged[position % len(damaged)] = value
        chain.append(bytes(damaged))
    judge_chain((*chain, *junk), (API,), _FUZZ_TRUST, NOW)
    judge_chain((*junk, *chain), (API,), _FUZZ_TRUST, NOW)


_FUZZ_ROOT = Authority.root("Root of the damaged")
_FUZZED = _FUZZ_ROOT.intermediate().issue(API, "192.0.2.1")
_FUZZ_TRUST = TrustStore(_FUZZ_ROOT.pem)


def test_dates_of_the_year_9999_are_dates() -> None:
    """What RFC 5280 §4.1.2.5 gives to certificates that never expire."""
    root = Authority.root()
    chain = root.issue(API, not_after=datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)).ders
    assert codes(chain, [root.der], API) == []
    assert codes(chain, [root.der], API, now=NOT_YET_VALID_FROM) == []
