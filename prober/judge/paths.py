"""Certification paths: from the end-entity certificate over presented certificates to a trust anchor (RFC 5280 §6).

The presented chain may be in any order, with duplicates, loops and strangers (RFC 8446 §4.4.2 asks clients to bear that).
Anchors are tried first, and every path that signatures allow is found, up to a bound: with a cross-signed authority one of
them may have expired while another holds. Key identifiers do not count; the signature tells which key it was.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from prober.judge.certificates import CertificateFacts
from prober.judge.name_constraints import names_of, permits
from prober.judge.problems import Problem, ProblemCode
from prober.judge.signing import SignatureCheck, check_signature
from prober.judge.trust import TrustStore
from prober.judge.x509 import ANY_USAGE, SERVER_AUTH, Certificate

__all__ = ["Path", "Search", "end_entity_problems", "find_paths", "path_problems"]

_MAX_DEPTH = 16
_MAX_PATHS = 8
_MAX_SIGNATURES = 40
"""Checks for one chain. Honest ones need a handful; a hostile one of a thousand same-named certificates gets no more than these."""

# RFC 5280 §4.2.1.3, as bits of `Certificate.key_usage`.
_KEY_CERT_SIGN = 1 << 5
_TLS_SERVER_USAGES = 1 << 0 | 1 << 2 | 1 << 4
"""digitalSignature, keyEncipherment, keyAgreement: one of them is enough."""

Path = tuple[CertificateFacts, ...]
"""End-entity first, trust anchor last."""


class Refusal(NamedTuple):
    """An issuer by name whose key did not sign the certificate."""

    certificate: CertificateFacts
    issuer: CertificateFacts
    anchor: bool
    check: SignatureCheck


@dataclass(slots=True)
class Search:
    """What path building found."""

    paths: list[Path] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    farthest: Path = ()
    """The longest path over presented certificates, whether or not it leads to an anchor."""
    exhausted: bool = False
    """A bound was hit."""
    signatures: dict[tuple[str, str], SignatureCheck] = field(default_factory=dict)

    def check(self, certificate: CertificateFacts, issuer: CertificateFacts) -> SignatureCheck:
        """Is the certificate signed by the issuer's key? Each pair is checked once."""
        key = certificate.sha256, issuer.sha256
        known = self.signatures.get(key)
        if known is not None:
            return known
        if len(self.signatures) >= _MAX_SIGNATURES:
            self.exhausted = True
            return SignatureCheck.UNSUPPORTED
        child, parent = _parsed(certificate), _parsed(issuer)
        self.signatures[key] = check = check_signature(child, parent.public_key)
        return check


def _parsed(facts: CertificateFacts) -> Certificate:
    assert facts.certificate is not None, "only certificates that were read are on paths"
    return facts.certificate


def find_paths(end_entity: CertificateFacts, presented: tuple[CertificateFacts, ...], trust: TrustStore) -> Search:
    """All paths from ``end_entity`` (which was read) to an anchor; ``presented`` may hold anything."""
    search = Search(farthest=(end_entity,))
    if end_entity in trust:
        search.paths.append((end_entity,))
        return search
    by_subject: dict[object, list[CertificateFacts]] = {}
    for facts in {facts.sha256: facts for facts in presented if facts.certificate is not None}.values():
        by_subject.setdefault(_parsed(facts).subject.comparable, []).append(facts)
    _extend((end_entity,), by_subject, trust, search)
    return search


def _extend(path: Path, by_subject: dict[object, list[CertificateFacts]], trust: TrustStore, search: Search) -> None:
    if len(path) > len(search.farthest):
        search.farthest = path
    if len(path) >= _MAX_DEPTH:
        search.exhausted = True
        return
    top = path[-1]
    issuer_name = _parsed(top).issuer
    on_path = {(_parsed(facts).subject.comparable, _parsed(facts).public_key) for facts in path}
    anchors = trust.named(issuer_name)
    candidates = [(facts, True) for facts in anchors]
    candidates += [(facts, False) for facts in by_subject.get(issuer_name.comparable, ()) if facts not in anchors]
    for issuer, anchor in candidates:
        if len(search.paths) >= _MAX_PATHS or search.exhausted:
            return
        parsed = issuer.certificate
        # A certificate is on a path once, whichever of its cross-signed forms it takes: that is what ends loops.
        if parsed is None or (parsed.subject.comparable, parsed.public_key) in on_path:
            continue
        check = search.check(top, issuer)
        if check is not SignatureCheck.VALID:
            search.refusals.append(Refusal(top, issuer, anchor, check))
        elif anchor:
            search.paths.append((*path, issuer))
        else:
            _extend((*path, issuer), by_subject, trust, search)


def end_entity_problems(certificate: Certificate) -> tuple[Problem, ...]:
    """What makes an end-entity certificate unacceptable whatever its path and the time are."""
    problems = list(_unreadable_parts(certificate))
    if not _allows_servers(certificate):
        text = f"{certificate.title} is not for TLS servers: its extKeyUsage lacks serverAuth"
        problems.append(Problem(ProblemCode.NOT_A_SERVER_CERTIFICATE, text))
    if certificate.key_usage is not None and not certificate.key_usage & _TLS_SERVER_USAGES:
        text = f"{certificate.title} is not for TLS servers: its keyUsage allows neither signing nor key exchange"
        problems.append(Problem(ProblemCode.NOT_A_SERVER_CERTIFICATE, text))
    return tuple(problems)


def path_problems(path: Path) -> tuple[Problem, ...]:
    """What makes the issuers of a path unacceptable whatever the time is."""
    constrained = [_parsed(path[0])]
    problems: list[Problem] = []
    below = 0
    for facts in path[1:]:
        issuer = _parsed(facts)
        problems += _unreadable_parts(issuer)
        problems += _issuer_problems(issuer, below, constrained, anchor=facts is path[-1])
        # RFC 5280 §4.2.1.9, §6.1.3: self-issued intermediates do not count, and no constraints apply to them.
        if not issuer.self_issued:
            below += 1
            constrained.append(issuer)
    return tuple(problems)


def _unreadable_parts(certificate: Certificate) -> Iterator[Problem]:
    for flaw in certificate.flaws:
        yield Problem(ProblemCode.UNPARSEABLE, f"{certificate.title}: {flaw}")
    if certificate.unknown_critical:
        text = f"{certificate.title} has a critical extension that clients do not know: {', '.join(certificate.unknown_critical)}"
        yield Problem(ProblemCode.UNSUPPORTED_EXTENSION, text)


def _allows_servers(certificate: Certificate) -> bool:
    purposes = certificate.extended_key_usage
    # anyExtendedKeyUsage is enough for Go, Java and NSS; OpenSSL alone wants serverAuth by name.
    return purposes is None or SERVER_AUTH in purposes or ANY_USAGE in purposes


def _issuer_problems(issuer: Certificate, below: int, constrained: Sequence[Certificate], *, anchor: bool) -> Iterator[Problem]:
    constraints = issuer.basic_constraints
    if not _is_authority(issuer, anchor=anchor):
        yield Problem(ProblemCode.CA_CONSTRAINT, f"{issuer.title} issued a certificate, but is no CA (basicConstraints)")
    if issuer.key_usage is not None and not issuer.key_usage & _KEY_CERT_SIGN:
        yield Problem(ProblemCode.CA_CONSTRAINT, f"{issuer.title} may not sign certificates: its keyUsage lacks keyCertSign")
    if constraints is not None and constraints.path_length is not None and below > constraints.path_length:
        allowed = constraints.path_length
        yield Problem(
            ProblemCode.CA_CONSTRAINT,
            f"{issuer.title} allows {allowed} intermediate certificates below it, and there are {below}",
        )
    if not _allows_servers(issuer):
        yield Problem(
            ProblemCode.CA_CONSTRAINT, f"{issuer.title} may not issue for TLS servers: its extKeyUsage lacks serverAuth"
        )
    for name in (name for certificate in constrained for name in names_of(certificate)):
        if not permits(issuer, name):
            yield Problem(ProblemCode.NAME_CONSTRAINT, f"{issuer.title} may not issue for {name}: its name constraints forbid it")


def _is_authority(certificate: Certificate, *, anchor: bool) -> bool:
    if certificate.basic_constraints is not None:
        return certificate.basic_constraints.ca
    # As OpenSSL's check_extensions: without basicConstraints, old self-signed roots (version 1) and those that say keyCertSign
    # count, but only at the top. Nobody takes such a certificate for an intermediate (RFC 5280 §6.1.4 (k)).
    return anchor and (
        (certificate.version == 1 and certificate.self_issued) or (certificate.key_usage or 0) & _KEY_CERT_SIGN != 0
    )
