"""Does a certificate cover a name? RFC 9525: the subjectAltName decides, the common name never."""

from __future__ import annotations

import ipaddress

from prober.judge.certificates import CertificateFacts
from prober.judge.general_names import Kind
from prober.judge.problems import Problem, ProblemCode
from prober.tls.server_name import BadServerName, ascii_name

__all__ = ["covers", "name_problem", "reference"]

_SHOWN = 3
"""Names of a certificate that a sentence lists before it says how many more there are."""


def reference(name: str) -> str | bytes:
    """The reference identifier that a name stands for: the octets of an IP literal, or a DNS name in lower-case A-labels.

    A trailing dot, brackets and an IPv6 scope are no part of it (RFC 9525 §4.2, RFC 6066 §3).
    """
    try:
        return ipaddress.ip_address(name.strip("[]").partition("%")[0]).packed
    except ValueError:
        pass
    lowered = name.removesuffix(".").lower()
    if lowered.isascii():
        return lowered
    try:
        return ascii_name(lowered)
    except BadServerName:
        return lowered


def covers(facts: CertificateFacts, name: str) -> bool:
    """True if a presented identifier of the certificate matches the name."""
    certificate = facts.certificate
    if certificate is None or certificate.alternative_names is None:
        return False
    wanted = reference(name)
    if isinstance(wanted, bytes):
        return any(san.kind is Kind.IP_ADDRESS and san.value == wanted for san in certificate.alternative_names)
    exact = wanted.encode("ascii", "replace")
    # RFC 9525 §6.3: "*" is the whole left-most label of the presented identifier, and stands for one label. Right below a
    # top-level domain OpenSSL, GnuTLS, curl, Node.js and browsers do not take it (Go does).
    label, _, parent = exact.partition(b".")
    wildcard = b"*." + parent if label and b"." in parent else None
    return any(
        san.kind is Kind.DNS and (san.value == exact or (presented := san.value.lower()) == exact or presented == wildcard)
        for san in certificate.alternative_names
    )


def name_problem(facts: CertificateFacts, names: tuple[str, ...]) -> Problem | None:
    """None if the certificate covers at least one of the names (or none is asked for); else what it covers instead."""
    if not names or any(covers(facts, name) for name in names):
        return None
    wanted = _listed(names, "or")
    certificate = facts.certificate
    if certificate is None:
        return Problem(ProblemCode.NAME_MISMATCH, f"the certificate cannot be read, so it does not cover {wanted}")
    if certificate.alternative_names is None:
        said = f" (its common name {facts.common_name!r} does not count, RFC 9525)" if facts.common_name else ""
        return Problem(ProblemCode.NAME_MISMATCH, f"the certificate has no subjectAltName{said}, so it does not cover {wanted}")
    presented = _listed(facts.subject_alternative_names, "and") or "no name at all"
    return Problem(ProblemCode.NAME_MISMATCH, f"the certificate covers {presented}, but not {wanted}{_near_miss(facts, names)}")


def _near_miss(facts: CertificateFacts, names: tuple[str, ...]) -> str:
    """What looks as if it covered a name, and does not; nothing where nothing does."""
    refused = {f"*.{name.partition('.')[2]}".lower() for name in names if name.count(".") == 1}
    for presented in facts.dns_names:
        if presented.lower() in refused:
            return f" (clients take no wildcard right below a top-level domain, {presented})"
        if presented in names and isinstance(reference(presented), bytes):
            return f" ({presented} is there as a DNS name; clients want it as an IP address)"
    return ""


def _listed(names: tuple[str, ...], last: str) -> str:
    if len(names) > _SHOWN:
        return f"{', '.join(names[:_SHOWN])} and {len(names) - _SHOWN} more"
    return f" {last} ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))
