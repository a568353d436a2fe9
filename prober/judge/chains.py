"""All problems of a presented chain at a time.

What does not depend on the time (path building, signatures, constraints) is done once for a chain and a trust store; the
dates are looked at in every call, and in between two dates on the chain the answer is one comparison away.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from prober.judge.certificates import CertificateFacts, certificate_facts, rfc3339
from prober.judge.identity import name_problem
from prober.judge.paths import Path, Search, end_entity_problems, find_paths, path_problems
from prober.judge.problems import Problem, ProblemCode
from prober.judge.signatures import default_certificate
from prober.judge.signing import SignatureCheck, check_signature
from prober.judge.trust import TrustStore
from prober.judge.x509 import Certificate
from prober.tls.remembered import Remembered

__all__ = ["Assessment", "assess", "judge_chain"]

_BEGINNING = datetime.min.replace(tzinfo=UTC)
_END = datetime.max.replace(tzinfo=UTC)
_TICK = timedelta(microseconds=1)


def judge_chain(chain: tuple[bytes, ...], names: tuple[str, ...], trust: TrustStore, now: datetime) -> tuple[Problem, ...]:
    """Every problem of a presented chain (DER, end-entity first); none means that a client would accept it.

    The certificate must cover at least one of ``names``; without names the name is not judged. ``now`` is aware.
    """
    return assess(chain, trust).problems(names, now)


class Assessment:
    """A chain under a trust store: the paths that it allows, and what was said about it last."""

    __slots__ = ("_from", "_paths", "_timeless", "_told", "_until", "certificates", "default_of")

    def __init__(self, chain: tuple[bytes, ...], trust: TrustStore) -> None:
        self.certificates: tuple[CertificateFacts, ...] = tuple(map(certificate_facts, chain))
        """The facts of each presented certificate, in the presented order."""
        default = default_certificate(self.certificates[0]) if self.certificates else None
        self.default_of = None if default is None else default.product
        """The product whose default certificate it is."""
        self._paths: tuple[tuple[Path, tuple[Problem, ...]], ...] = ()
        self._timeless: tuple[Problem, ...] = ()
        self._from, self._until = _END, _BEGINNING
        """The time in which what was told holds."""
        self._told: dict[tuple[str, ...], tuple[Problem, ...]] = {}
        if not self.certificates:
            self._timeless = (Problem(ProblemCode.EMPTY, "the server sent a Certificate message without a certificate"),)
            return
        self._timeless = tuple(_unreadable(self.certificates))
        end_entity = self.certificates[0]
        if end_entity.certificate is not None:
            self._timeless += end_entity_problems(end_entity.certificate)
            search = find_paths(end_entity, self.certificates[1:], trust)
            self._paths = tuple((path, path_problems(path)) for path in search.paths)
            if not self._paths:
                self._timeless = (*self._timeless, _why_untrusted(search, trust))

    def problems(self, names: tuple[str, ...], now: datetime) -> tuple[Problem, ...]:
        """As `judge_chain`."""
        if not self._from <= now < self._until:
            self._from, self._until = self._unchanged_around(now)
            self._told.clear()
        found = self._told.get(names)
        if found is None:
            found = tuple(dict.fromkeys(sorted(self._find(names, now), key=_rank)))
            if len(self._told) >= _MAX_TOLD:
                self._told.clear()
            self._told[names] = found
        return found

    def unchanged_until(self, now: datetime) -> datetime:
        """The next date on a certificate concerned: from then on the problems may be others."""
        return self._until if self._from <= now < self._until else self._unchanged_around(now)[1]

    def verified_until(self, now: datetime) -> datetime | None:
        """Until when the path to an anchor that lasts longest holds, the anchor's own date included; None where none holds now.

        What is presented besides does not count: a cross-signed root that has expired says nothing about the others.
        """
        holding = [path for path, structural in self._paths if not structural and not _issuer_date_problems(path, now)]
        return max((min(facts.not_after or _END for facts in path) for path in holding), default=None)

    def _find(self, names: tuple[str, ...], now: datetime) -> list[Problem]:
        if not self.certificates:
            return list(self._timeless)
        end_entity = self.certificates[0]
        found = [*self._timeless, *_date_problems(end_entity, now, ProblemCode.EXPIRED, ProblemCode.NOT_YET_VALID)]
        mismatch = name_problem(end_entity, names)
        if mismatch is not None:
            found.append(mismatch)
        options = [[*structural, *_issuer_date_problems(path, now)] for path, structural in self._paths]
        return found + min(options, key=len, default=[])

    def _unchanged_around(self, now: datetime) -> tuple[datetime, datetime]:
        """The longest time around ``now`` in which no certificate concerned becomes valid or expires."""
        start, stop = _BEGINNING, _END
        for facts in {
            facts.sha256: facts for path in (self.certificates, *(path for path, _ in self._paths)) for facts in path
        }.values():
            # Through not_after, that moment included (RFC 5280 §4.1.2.5).
            for moment in (facts.not_before, facts.not_after and facts.not_after + _TICK):
                if moment is not None:
                    start, stop = (max(start, moment), stop) if moment <= now else (start, min(stop, moment))
        return start, stop


_MAX_TOLD = 64
"""Sets of names that are remembered for one chain: a shared certificate is asked for many."""

_CACHE_BYTES = 32 * 1024 * 1024
_assessments: Remembered[tuple[bytes, tuple[bytes, ...]], Assessment] = Remembered(_CACHE_BYTES)


def assess(chain: tuple[bytes, ...], trust: TrustStore) -> Assessment:
    """The assessment of a chain under a trust store; remembered by their contents."""
    key = trust.identity, chain
    assessment = _assessments.get(key)
    if assessment is None:
        assessment = _assessments.keep(key, Assessment(chain, trust), 4096 + sum(map(len, chain)))
    return assessment


_RANKS = {code: rank for rank, code in enumerate(ProblemCode)}


def _rank(problem: Problem) -> int:
    return _RANKS[problem.code]


def _date_problems(facts: CertificateFacts, now: datetime, expired: ProblemCode, not_yet: ProblemCode) -> list[Problem]:
    found = []
    title = facts.certificate.title if facts.certificate is not None else "the certificate"
    if facts.not_after is not None and now > facts.not_after:
        found.append(Problem(expired, f"{title} expired on {rfc3339(facts.not_after)}"))
    if facts.not_before is not None and now < facts.not_before:
        found.append(Problem(not_yet, f"{title} is not valid before {rfc3339(facts.not_before)}"))
    return found


def _issuer_date_problems(path: Path, now: datetime) -> list[Problem]:
    codes = ProblemCode.INTERMEDIATE_EXPIRED, ProblemCode.INTERMEDIATE_NOT_YET_VALID
    return [problem for facts in path[1:] for problem in _date_problems(facts, now, *codes)]


def _unreadable(certificates: tuple[CertificateFacts, ...]) -> list[Problem]:
    count = len(certificates)
    return [
        Problem(ProblemCode.UNPARSEABLE, f"certificate {number} of {count}: {'; '.join(facts.problems)}")
        for number, facts in enumerate(certificates, start=1)
        if facts.certificate is None
    ]


def _why_untrusted(search: Search, trust: TrustStore) -> Problem:
    """Why there is no path, in terms of where the longest one ends."""
    top = search.farthest[-1].certificate
    assert top is not None, "only certificates that were read are on paths"
    alone = len(search.farthest) == 1
    if search.exhausted:
        text = f"no path to {trust.origin} was found within bounds: the chain is too long or too tangled"
        return Problem(ProblemCode.UNKNOWN_AUTHORITY, text)
    refusals = [refusal for refusal in search.refusals if refusal.certificate is search.farthest[-1]]
    for check, code, text in _REFUSALS:
        for refusal in refusals:
            if refusal.check is check:
                return Problem(code, text.format(top=top.title))
    for refusal in refusals:
        issuer = refusal.issuer.certificate
        if refusal.anchor and issuer is not None and _another_key(top, issuer):
            text = f"{top.title} was issued by another {top.issuer} than the one among {trust.origin}: its key is a different one"
            return Problem(ProblemCode.UNKNOWN_AUTHORITY, text)
    itself = check_signature(top, top.public_key) if top.self_issued else None
    # One that cannot be checked (DSA, ML-DSA, MD5) is believed here: it names no issuer but itself, so that none can be sent.
    self_signed = itself not in {None, SignatureCheck.INVALID}
    if self_signed and alone:
        return Problem(ProblemCode.SELF_SIGNED, f"{top.title} is self-signed, and not among {trust.origin}")
    if self_signed:
        return Problem(ProblemCode.UNKNOWN_AUTHORITY, f"the chain ends in {top.title}, a root that is not among {trust.origin}")
    if refusals or itself is SignatureCheck.INVALID:
        cause = "the certificate was altered, or another authority has the same name"
        return Problem(
            ProblemCode.INVALID_SIGNATURE, f"the signature of {top.title} does not verify with the key of {top.issuer}: {cause}"
        )
    if alone:
        text = f"its issuer {top.issuer} is neither sent nor among {trust.origin}"
        return Problem(ProblemCode.INCOMPLETE_CHAIN, text)
    text = f"the chain ends at {top.title}, whose issuer {top.issuer} is not among {trust.origin}"
    return Problem(ProblemCode.UNKNOWN_AUTHORITY, text)


_REFUSALS = (
    (SignatureCheck.WEAK, ProblemCode.WEAK_SIGNATURE, "{top} is signed with MD5 or older, which clients refuse"),
    (
        SignatureCheck.UNSUPPORTED,
        ProblemCode.UNSUPPORTED_SIGNATURE,
        "{top} is signed with an algorithm or a key that cannot be checked",
    ),
)


def _another_key(certificate: Certificate, issuer: Certificate) -> bool:
    wanted, there = certificate.authority_key_id, issuer.subject_key_id
    return wanted is not None and there is not None and wanted != there
