"""Which names a certificate covers (RFC 9525)."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from prober.judge.certificates import certificate_facts
from prober.judge.identity import covers, name_problem, reference
from prober.judge.problems import ProblemCode
from tests.judge import forge
from tests.pki import Authority, Issued, name, self_signed

ROOT = Authority.root()


def issued(*names: str) -> Issued:
    return ROOT.issue(*names)


CASES = [
    (["api.example.test"], "api.example.test", True),
    (["API.Example.test"], "api.eXample.test", True),
    (["api.example.test"], "api.example.test.", True),
    (["api.example.test"], "www.api.example.test", False),
    (["api.example.test"], "example.test", False),
    (["*.example.test"], "api.example.test", True),
    (["*.Example.test"], "API.example.test", True),
    (["*.example.test"], "a.b.example.test", False),
    (["*.example.test"], "example.test", False),
    (["*.example.test"], ".example.test", False),
    (["*.*.test"], "a.b.test", False),
    (["*.test"], "api.test", False),
    (["*"], "test", False),
    (["api.*.test"], "api.example.test", False),
    (["a*.example.test"], "api.example.test", False),
    (["xn--bcher-kva.example.test"], "bücher.example.test", True),
    (["strasse.example.test"], "straße.example.test", False),
    (["*.example.test"], "xn--bcher-kva.example.test", True),
    (["192.0.2.1"], "192.0.2.1", True),
    (["192.0.2.1"], "192.0.2.2", False),
    (["2001:db8::1"], "2001:0db8:0::1", True),
    (["2001:db8::1"], "[2001:db8::1]", True),
    (["2001:db8::1"], "2001:db8::2", False),
    (["a.test", "b.test"], "b.test", True),
]


def _means_the_same_to_openssl(name: str) -> bool:
    return name.isascii() and not name.startswith(".") and not name.endswith((".", "]"))


@pytest.mark.parametrize(("names", "wanted", "covered"), CASES)
def test_a_name_is_covered_as_rfc_9525_has_it(names: list[str], wanted: str, *, covered: bool) -> None:
    """Exact names without case, wildcards for the whole left-most label, addresses as addresses."""
    facts = certificate_facts(issued(*names).der)
    assert covers(facts, wanted) is covered
    assert (name_problem(facts, (wanted,)) is None) is covered


@pytest.mark.parametrize(("names", "wanted", "covered"), [case for case in CASES if _means_the_same_to_openssl(case[1])])
def test_openssl_agrees(names: list[str], wanted: str, openssl: str, tmp_path: Path, *, covered: bool) -> None:
    """An independent opinion on the same names."""
    files = issued(*names).write(tmp_path)
    option = "-verify_ip" if isinstance(reference(wanted), bytes) else "-verify_hostname"
    command = [
        openssl,
        "verify",
        "-partial_chain",
        "-CAfile",
        ROOT.write(tmp_path),
        option,
        wanted,
        files.certificate,
    ]
    agrees = subprocess.run(command, capture_output=True, check=False).returncode == 0
    if names == ["a*.example.test"]:
        assert agrees, "OpenSSL still allows a wildcard within a label, which RFC 9525 §6.3 does not"
        return
    assert agrees is covered


def test_a_dns_name_that_looks_like_an_address_does_not_cover_the_address() -> None:
    """An IP-ID is not a DNS-ID."""
    names = forge.extension("2.5.29.17", forge.tlv(0x30, forge.tlv(0x82, b"192.0.2.1")))
    assert not covers(certificate_facts(forge.forge(extensions=[names])), "192.0.2.1")


def test_a_nul_does_not_end_a_name() -> None:
    """What old readers took for good.test is a name of its own."""
    names = forge.extension("2.5.29.17", forge.tlv(0x30, forge.tlv(0x82, b"good.test\x00.evil.test")))
    assert not covers(certificate_facts(forge.forge(extensions=[names])), "good.test")


def test_the_common_name_does_not_count_and_the_problem_says_so() -> None:
    """What clients have not looked at for years, and people still write."""
    facts = certificate_facts(self_signed(subject=name("api.example.test")).der)
    problem = name_problem(facts, ("api.example.test",))
    assert problem is not None
    assert problem.code is ProblemCode.NAME_MISMATCH
    assert problem.text == (
        "the certificate has no subjectAltName (its common name 'api.example.test' does not count, RFC 9525), "
        "so it does not cover api.example.test"
    )


def test_a_wildcard_below_a_top_level_domain_is_named_as_the_reason() -> None:
    """Private authorities issue it for an internal domain; hardly a client takes it."""
    facts = certificate_facts(issued("*.Internal").der)
    problem = name_problem(facts, ("api.internal",))
    assert problem is not None
    assert problem.text == (
        "the certificate covers *.Internal, but not api.internal "
        "(clients take no wildcard right below a top-level domain, *.Internal)"
    )


def test_an_address_that_is_there_as_a_dns_name_is_named_as_the_reason() -> None:
    """To read that it covers an address, but not that address, helps nobody."""
    names = forge.extension("2.5.29.17", forge.tlv(0x30, forge.tlv(0x82, b"192.0.2.1")))
    problem = name_problem(certificate_facts(forge.forge(extensions=[names])), ("192.0.2.1",))
    assert problem is not None
    assert problem.text == (
        "the certificate covers 192.0.2.1, but not 192.0.2.1 (192.0.2.1 is there as a DNS name; clients want it as an IP address)"
    )


def test_one_of_several_names_is_enough() -> None:
    """For a client without SNI, any known name is right."""
    facts = certificate_facts(issued("b.test").der)
    assert name_problem(facts, ("a.test", "b.test")) is None
    assert name_problem(facts, ()) is None


def test_a_mismatch_says_what_is_covered_instead() -> None:
    """A few names, and how many more there are."""
    facts = certificate_facts(issued(*(f"n{number}.test" for number in range(9))).der)
    problem = name_problem(facts, ("a.test", "b.test"))
    assert problem is not None
    assert problem.text == "the certificate covers n0.test, n1.test, n2.test and 6 more, but not a.test or b.test"
