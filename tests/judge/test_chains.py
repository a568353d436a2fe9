"""Chains: OpenSSL is the witness of what a client would accept."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_network
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from tests.judge import forge, witness
from tests.judge.chains import API, Case, codes, der_of, plain
from tests.pki import KEY_KINDS, NOW, Authority, private_key, self_signed, usage


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
    return (*leaf.ders, der_of(old.cross_sign(new, expired=True))), [old.der, new.der]


def cross_signed_to_the_old_root() -> Case:
    old, new = Authority.root("Old Root"), Authority.root("New Root")
    return (*new.intermediate().issue(API).ders, der_of(old.cross_sign(new))), [old.der]


def stranger_of_the_same_name() -> Case:
    root = Authority.root()
    leaf = root.intermediate("One").issue(API)
    stranger = Authority.root("Stranger").intermediate("One").issue("other.example.test")
    return (leaf.ders[0], *stranger.ders, leaf.ders[1]), [root.der]


def two_authorities_that_signed_each_other() -> Case:
    one, two, root = Authority.root("One"), Authority.root("Two"), Authority.root()
    loop = (der_of(one.cross_sign(two)), der_of(two.cross_sign(one)))
    return (*one.issue(API).ders, *loop, der_of(root.cross_sign(two))), [root.der]


def without_any_extension() -> Case:
    key, root_key = private_key(), private_key()
    root = forge.name(forge.attribute("2.5.4.3", "Version One Root"))
    leaf = forge.forge(subject=forge.name(forge.attribute("2.5.4.3", API)), issuer=root, key=key, issuer_key=root_key)
    return (leaf,), [forge.forge(subject=root, key=root_key, version=1, extensions=None)]


_CERT_SIGN = forge.extension("2.5.29.15", bytes.fromhex("03020204"), critical=True)


def root_without_basic_constraints() -> Case:
    root_key = private_key()
    root = forge.name(forge.attribute("2.5.4.3", "Root that says keyCertSign"))
    leaf = forge.forge(subject=forge.name(forge.attribute("2.5.4.3", API)), issuer=root, issuer_key=root_key)
    return (leaf,), [forge.forge(subject=root, key=root_key, extensions=[_CERT_SIGN])]


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
    root_without_basic_constraints,
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


def intermediate_without_basic_constraints() -> Case:
    root, key = Authority.root(), private_key()
    middle = forge.name(forge.attribute("2.5.4.3", "Intermediate that says keyCertSign"))
    leaf = forge.forge(subject=forge.name(forge.attribute("2.5.4.3", API)), issuer=middle, issuer_key=key)
    issued = forge.forge(
        subject=middle,
        key=key,
        issuer=root.certificate.subject.public_bytes(),
        issuer_key=root.key,
        extensions=[_CERT_SIGN],
    )
    return (leaf, issued), [root.der]


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
    intermediate_without_basic_constraints: ["ca_constraint"],
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
