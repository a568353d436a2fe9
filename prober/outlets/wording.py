"""How the pages say things: verdicts, outcomes, durations and ages for people. Pure."""

from __future__ import annotations

from prober.judge.problems import ProblemCode
from prober.model import Outcome, Sni, Verdict

__all__ = ["OUTCOME_WORDS", "PROBLEM_WORDS", "SNI_TITLES", "VERDICT_TITLES", "age", "duration"]

VERDICT_TITLES: dict[Verdict, str] = {
    Verdict.INCONCLUSIVE: "Inconclusive",
    Verdict.UNREACHABLE: "Unreachable",
    Verdict.TLS_FAILING: "TLS fails for every client",
    Verdict.SNI_FAILING: "Fails with the right name",
    Verdict.CERTIFICATE_INVALID: "Certificate invalid",
    Verdict.NON_SNI_RESET: "Resets clients without SNI",
    Verdict.NON_SNI_REJECTED: "Rejects clients without SNI",
    Verdict.NON_SNI_TIMEOUT: "Clients without SNI time out",
    Verdict.NON_SNI_WRONG_CERTIFICATE: "Wrong certificate without SNI",
    Verdict.NON_SNI_FAILING: "Fails clients without SNI",
    Verdict.NON_SNI_SERVED: "Serves clients without SNI",
    Verdict.OK: "OK",
}

SNI_TITLES: dict[Sni, str] = {Sni.KNOWN: "Right SNI", Sni.NONE: "No SNI", Sni.UNKNOWN: "Unknown SNI"}

OUTCOME_WORDS: dict[Outcome, str] = {
    Outcome.CERTIFICATE: "certificate",
    Outcome.TLS_ALERT: "alert",
    Outcome.RESET: "reset",
    Outcome.CLOSED: "closed",
    Outcome.TIMEOUT: "timeout",
    Outcome.REFUSED: "refused",
    Outcome.CONNECT_TIMEOUT: "no connection",
    Outcome.UNREACHABLE: "unreachable",
    Outcome.NOT_TLS: "not TLS",
    Outcome.PROTOCOL_ERROR: "broken TLS",
    Outcome.RESOLVE_FAILED: "no address",
    Outcome.LOCAL_ERROR: "prober error",
}

PROBLEM_WORDS: dict[ProblemCode, str] = {
    ProblemCode.EMPTY: "no certificate",
    ProblemCode.UNPARSEABLE: "unreadable",
    ProblemCode.EXPIRED: "expired",
    ProblemCode.NOT_YET_VALID: "not yet valid",
    ProblemCode.NAME_MISMATCH: "wrong name",
    ProblemCode.SELF_SIGNED: "self-signed",
    ProblemCode.UNKNOWN_AUTHORITY: "untrusted",
    ProblemCode.INCOMPLETE_CHAIN: "incomplete chain",
    ProblemCode.INVALID_SIGNATURE: "bad signature",
    ProblemCode.WEAK_SIGNATURE: "weak signature",
}
"""What a chip says of a certificate; the others are an ``invalid certificate``."""


def duration(seconds: float) -> str:
    """``0.42 ms``, ``12 ms``, ``3.1 s``: two digits, which is what the eye compares."""
    if seconds < 0.0095:
        return f"{seconds * 1e3:.2g} ms" if seconds >= 0.0001 else f"{seconds * 1e3:.2f} ms"
    if seconds < 0.995:
        return f"{seconds * 1e3:.0f} ms"
    return f"{seconds:.2g} s" if seconds < 9.5 else f"{seconds:.0f} s"


def age(seconds: float) -> str:
    """``8 s``, ``12 min``, ``3 h 5 min``, ``4 d 2 h``: how long something has been so."""
    whole = max(int(seconds), 0)
    minutes, hours, days = whole // 60, whole // 3600, whole // 86400
    if not minutes:
        return f"{whole} s"
    if not hours:
        return f"{minutes} min"
    if not days:
        return f"{hours} h {minutes % 60} min" if minutes % 60 else f"{hours} h"
    return f"{days} d {hours % 24} h" if days < 10 and hours % 24 else f"{days} d"
