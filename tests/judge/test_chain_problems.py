"""What is said about a chain that a client would not accept."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given
from hypothesis import strategies as st

from prober.judge.certificates import certificate_facts, rfc3339
from prober.judge.chains import judge_chain
from prober.judge.problems import ProblemCode
from prober.judge.trust import TrustStore
from tests.judge import forge, witness
from tests.judge.chains import API, codes, der_of, plain
from tests.pki import NOW, Authority, private_key


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


@pytest.mark.parametrize("way", ["md5", "dsa"])
def test_a_self_signed_certificate_whose_signature_is_not_checked_lacks_no_intermediate(way: str) -> None:
    """It names itself as its issuer: to send that one would change nothing. The old default certificate of a device is of this kind."""
    if way == "md5":
        leaf = forge.forge(key=private_key("rsa2048"), rsa_hash="md5")
    else:
        leaf = forge.forge(algorithm=forge.tlv(0x30, forge.oid("2.16.840.1.101.3.4.3.2")))
    assert codes((leaf,), [Authority.root().der]) == ["self_signed"]


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


def test_a_number_that_is_padded_makes_a_certificate_unreadable(openssl: str, tmp_path: Path) -> None:
    """X.690 §8.3.2. What no client can read is no certificate to be content with, though its signature is right."""
    root = Authority.root()
    issuer = root.certificate.subject.public_bytes()
    leaf = forge.forge(issuer=issuer, issuer_key=root.key, serial=b"\x02\x03\x00\x00\x01")
    assert not witness.accepts(openssl, tmp_path, (leaf,), [root.der], NOW)
    assert codes((leaf,), [root.der]) == ["unparseable"]


def test_two_different_signature_algorithms_make_a_certificate_unacceptable(openssl: str, tmp_path: Path) -> None:
    """RFC 5280 §4.1.1.2: the one that is signed, and the one that says how, are the same."""
    root = Authority.root()
    issuer = root.certificate.subject.public_bytes()
    sha256, sha384 = forge.oid("1.2.840.10045.4.3.2"), forge.oid("1.2.840.10045.4.3.3")
    inside, outside, signature = forge.forge(issuer=issuer, issuer_key=root.key, algorithm=forge.tlv(0x30, sha384)).rpartition(
        sha384
    )
    assert outside
    leaf = inside + sha256 + signature  # which is what it was signed with
    assert not witness.accepts(openssl, tmp_path, (leaf,), [root.der], NOW)
    assert codes((leaf,), [root.der]) == ["unparseable"]


@pytest.mark.parametrize(
    ("tag", "text"), [(0x17, "440101000000+0000"), (0x17, "4401010000Z"), (0x18, "20440101000000.5Z"), (0x18, "20440101000000")]
)
def test_a_date_that_openssl_does_not_take_is_told_as_that_and_shown(tag: int, text: str, openssl: str, tmp_path: Path) -> None:
    """RFC 5280 §4.1.2.5: seconds, UTC, no fractions. With any other form clients refuse the certificate, whatever the date is."""
    root = Authority.root()
    after = forge.tlv(tag, text.encode())
    leaf = forge.forge(issuer=root.certificate.subject.public_bytes(), issuer_key=root.key, not_after=after)
    assert not witness.accepts(openssl, tmp_path, (leaf,), [root.der], NOW)
    (problem,) = judge_chain((leaf,), (), TrustStore(root.pem), NOW)
    assert problem == (ProblemCode.UNPARSEABLE, f"CN=forged: malformed validity: OpenSSL takes no date like {text!r}")
    assert rfc3339(certificate_facts(leaf).not_after) == "2044-01-01T00:00:00Z"


@pytest.mark.parametrize(("tag", "octets"), [(0x0C, b"Z\xfcrich"), (0x1E, b"\x00a\x00"), (0x1C, b"\x00\x00a")])
def test_a_name_that_is_no_text_in_its_encoding_makes_a_certificate_unreadable(
    tag: int, octets: bytes, openssl: str, tmp_path: Path
) -> None:
    """Latin-1 in a UTF8String, half a character in a BMPString: clients on OpenSSL and Go drop the certificate as a whole."""
    root = Authority.root()
    subject = forge.name(forge.attribute(forge.COMMON_NAME, octets, tag))
    leaf = forge.forge(subject=subject, issuer=root.certificate.subject.public_bytes(), issuer_key=root.key)
    assert not witness.accepts(openssl, tmp_path, (leaf,), [root.der], NOW)
    (problem,) = judge_chain((leaf,), (), TrustStore(root.pem), NOW)
    shown = f"CN=#{forge.tlv(tag, octets).hex()}"
    reason = f"OpenSSL and Go read no certificate with {shown}, which is no text in its encoding"
    assert problem == (ProblemCode.UNPARSEABLE, f"{shown}: malformed subject: {reason}")


@pytest.mark.parametrize("tag", [0x13, 0x14, 0x16])
def test_octets_above_ascii_in_other_strings_are_let_pass(tag: int, openssl: str, tmp_path: Path) -> None:
    """OpenSSL takes PrintableString, TeletexString and IA5String as they come, so that nobody is alarmed."""
    root = Authority.root()
    subject = forge.name(forge.attribute(forge.COMMON_NAME, b"Z\xfcrich", tag))
    leaf = forge.forge(subject=subject, issuer=root.certificate.subject.public_bytes(), issuer_key=root.key)
    assert witness.accepts(openssl, tmp_path, (leaf,), [root.der], NOW)
    assert codes((leaf,), [root.der]) == []


def test_no_certificate_at_all_is_a_problem_of_its_own() -> None:
    """An empty Certificate message."""
    assert codes((), []) == ["empty"]


def test_a_certificate_that_is_no_certificate_is_a_problem_wherever_it_is_in_the_chain() -> None:
    """Clients abort on any of them."""
    chain, anchors = plain()
    assert codes((b"\x30\x03abc", *chain[1:]), anchors, API) == ["unparseable", "name_mismatch"]
    assert codes((*chain, b"nothing"), anchors, API) == ["unparseable"]


def test_a_tangled_chain_ends_within_bounds() -> None:
    """Forty cross-signed authorities of one name must not cost more than the bounds allow, nor recurse without end."""
    twins = [Authority.root("Twin") for _ in range(8)]
    tangle = tuple(der_of(one.cross_sign(two)) for one in twins for two in twins if one is not two)
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
