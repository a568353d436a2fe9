"""May an authority issue for a name? RFC 5280 §4.2.1.10, for the forms of names that clients hold authorities to.

OpenSSL, GnuTLS and Go all refuse a certificate over any name of it, not only over the one that was asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

from prober.judge import der
from prober.judge.general_names import GeneralName, Kind
from prober.judge.names import canonical, parse_name
from prober.judge.x509 import Certificate

__all__ = ["names_of", "permits"]


def names_of(certificate: Certificate) -> Iterator[GeneralName]:
    """What constraints apply to: the alternative names, and the subject where it is not empty."""
    yield from certificate.alternative_names or ()
    if certificate.subject.rdns:
        yield GeneralName(Kind.DIRECTORY_NAME, certificate.subject.encoding)


def permits(issuer: Certificate, name: GeneralName) -> bool:
    """Whether the issuer's constraints, if it has any, leave room for ``name``."""
    constraints = issuer.name_constraints
    within = _WITHIN.get(name.kind)
    if constraints is None or within is None:
        return True
    permitted = [subtree.value for subtree in constraints.permitted if subtree.kind is name.kind]
    excluded = [subtree.value for subtree in constraints.excluded if subtree.kind is name.kind]
    if not permitted and not excluded:
        return True
    value = name.value
    if name.kind is Kind.URI:
        host = _host_of(value)
        if host is None:
            return False  # "the application MUST reject the certificate"
        value = host
    if any(within(value, subtree) for subtree in excluded):
        return False
    return not permitted or any(within(value, subtree) for subtree in permitted)


def _dns_within(name: bytes, subtree: bytes) -> bool:
    name, subtree = name.lower(), subtree.lower()
    # A leading dot is not in the RFC for DNS names, but in the field it means: subdomains only.
    return not subtree or name == subtree or name.endswith(subtree if subtree.startswith(b".") else b"." + subtree)


def _ip_within(address: bytes, subtree: bytes) -> bool:
    if len(subtree) != 2 * len(address):
        return False
    network, mask = subtree[: len(address)], subtree[len(address) :]
    return all(a & m == n & m for a, n, m in zip(address, network, mask, strict=True))


def _host_within(host: bytes, subtree: bytes) -> bool:
    """Of URIs and e-mail addresses: a constraint is one host, or with a leading dot all that are below it."""
    host, subtree = host.lower(), subtree.lower()
    return not subtree or (host.endswith(subtree) if subtree.startswith(b".") else host == subtree)


def _email_within(mailbox: bytes, subtree: bytes) -> bool:
    local, _, host = mailbox.rpartition(b"@")
    wanted, at, wanted_host = subtree.rpartition(b"@")
    if at:
        return local == wanted and host.lower() == wanted_host.lower()
    return _host_within(host, subtree)


def _host_of(uri: bytes) -> bytes | None:
    """The host name of a URI; None where it has none, or an address for one."""
    try:
        host = urlsplit(uri.decode("ascii")).hostname
    except ValueError:
        return None
    if not host or ":" in host or host.rpartition(".")[2].isdigit():
        return None
    return host.encode("ascii")


def _directory_within(name: bytes, subtree: bytes) -> bool:
    try:
        rdns, base = canonical(parse_name(der.only(name))), canonical(parse_name(der.only(subtree)))
    except der.DerError:
        return False
    return rdns[: len(base)] == base


_WITHIN: dict[Kind, Callable[[bytes, bytes], bool]] = {
    Kind.DNS: _dns_within,
    Kind.IP_ADDRESS: _ip_within,
    Kind.EMAIL: _email_within,
    Kind.URI: _host_within,
    Kind.DIRECTORY_NAME: _directory_within,
}
