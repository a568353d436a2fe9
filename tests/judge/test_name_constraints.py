"""What an authority may issue for: OpenSSL is the witness, for every form of name that it holds authorities to."""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path

import pytest
from cryptography import x509

from tests.judge import witness
from tests.judge.chains import API, codes
from tests.pki import NOW, Authority, name

OURS = name("ours", organization_name="Ours")
DNS, URI, EMAIL = x509.DNSName, x509.UniformResourceIdentifier, x509.RFC822Name

CASES = [
    ("names below a domain", [DNS("test")], None, (API,), True),
    ("subdomains alone", [DNS(".example.test")], None, (API,), True),
    ("another domain", [DNS("ample.test")], None, (API,), False),
    ("a name left out", None, [DNS(API)], (API,), False),
    ("a network", [x509.IPAddress(ip_network("192.0.2.0/24"))], None, ("192.0.2.7",), True),
    ("another network", [x509.IPAddress(ip_network("192.0.2.0/24"))], None, ("198.51.100.7",), False),
    ("an organisation", [x509.DirectoryName(x509.Name(list(OURS)[:1]))], None, (API,), True),
    ("another organisation", [x509.DirectoryName(name(None, organization_name="Theirs"))], None, (API,), False),
    ("an organisation left out", None, [x509.DirectoryName(x509.Name(list(OURS)[:1]))], (API,), False),
    ("hosts of addresses", [EMAIL("example.test")], None, (API, "ops@example.test"), True),
    ("hosts of addresses below a domain", [EMAIL(".test")], None, (API, "ops@example.test"), True),
    ("one address", [EMAIL("ops@example.test")], None, (API, "ops@example.test"), True),
    ("another address", [EMAIL("dev@example.test")], None, (API, "ops@example.test"), False),
    ("another host of addresses", [EMAIL("other.test")], None, (API, "ops@example.test"), False),
    ("a host of URIs", [URI("example.test")], None, (API, "spiffe://example.test/api"), True),
    ("hosts of URIs below a domain", [URI(".test")], None, (API, "spiffe://example.test/api"), True),
    ("another host of URIs", [URI("other.test")], None, (API, "spiffe://example.test/api"), False),
    ("a host of URIs left out", None, [URI("example.test")], (API, "spiffe://example.test/api"), False),
    ("a form that is not there", [URI("other.test")], None, (API,), True),
]


@pytest.mark.parametrize(
    ("permitted", "excluded", "names", "accepted"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_a_certificate_is_judged_by_all_its_names(
    permitted: list[x509.GeneralName] | None,
    excluded: list[x509.GeneralName] | None,
    names: tuple[str, ...],
    openssl: str,
    tmp_path: Path,
    *,
    accepted: bool,
) -> None:
    """The one that was asked for among them: a client refuses the certificate for any of the others, too."""
    root = Authority.root()
    leaf = root.intermediate(name_constraints=x509.NameConstraints(permitted, excluded)).issue(*names, subject=OURS)
    assert witness.accepts(openssl, tmp_path, leaf.ders, [root.der], NOW) is accepted
    assert codes(leaf.ders, [root.der]) == ([] if accepted else ["name_constraint"])


def test_constraints_hold_for_the_authorities_below_as_well(openssl: str, tmp_path: Path) -> None:
    """A root that is for one organisation does not get another one in by way of an intermediate."""
    root = Authority.root(name_constraints=x509.NameConstraints([x509.DirectoryName(x509.Name(list(OURS)[:1]))], None))
    leaf = root.intermediate("Theirs").issue(API, subject=OURS)
    assert not witness.accepts(openssl, tmp_path, leaf.ders, [root.der], NOW)
    assert codes(leaf.ders, [root.der]) == ["name_constraint"]
