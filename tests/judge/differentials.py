"""Differentials in words: ``differential(known="certificate", none="reset", unknown="alert 112")``."""

from __future__ import annotations

from functools import cache

from prober.judge.trust import TrustStore
from prober.model import (
    Address,
    Close,
    Differential,
    Endpoint,
    Handshake,
    Observation,
    Outcome,
    Seconds,
    Sni,
    Stage,
)
from prober.tls.facts import HandshakeFacts, TlsAlert
from prober.tls.registry import AlertDescription
from tests.pki import Authority, Issued, name, self_signed

__all__ = ["CERTIFICATES", "ENDPOINT", "KNOWN", "OTHER", "ROOT", "TRUST", "differential", "observation"]

KNOWN = "api.example.test"
OTHER = "www.example.test"
ENDPOINT = Endpoint("192.0.2.10", 443)
ROOT = Authority.root("Root of the differentials")
TRUST = TrustStore.strict(ROOT.pem, origin="ca.pem")
_MIDDLE = ROOT.intermediate()

CERTIFICATES = ("certificate", "expired", "not yet valid", "misnamed", "untrusted", "fake", "empty", "garbage")
"""The words for chains; all but the first have a problem."""


@cache
def _chain(word: str) -> tuple[bytes, ...]:
    made: dict[str, Issued] = {
        "certificate": _MIDDLE.issue(KNOWN, OTHER),
        "expired": _MIDDLE.issue(KNOWN, OTHER, expired=True),
        "not yet valid": _MIDDLE.issue(KNOWN, OTHER, not_yet_valid=True),
        "misnamed": _MIDDLE.issue("default.example.test"),
        "untrusted": self_signed(KNOWN, OTHER),
        "fake": self_signed(
            "ingress.local", subject=name("Kubernetes Ingress Controller Fake Certificate", organization_name="Acme Co")
        ),
    }
    return {"empty": (), "garbage": (b"garbage",)}.get(word) or (made[word].ders if word in made else ())


def observation(word: str) -> Observation:
    """What a handshake showed: a word of `CERTIFICATES`, ``alert N``, ``reset late``, ``closed late``, or an outcome."""
    if word in CERTIFICATES:
        facts = HandshakeFacts(tls_version="TLSv1.3", certificates=_chain(word), certificate_read=True, server_answered=True)
        seconds = Seconds(resolve=0.0, connect=0.00041234567, handshake=0.0011, total=0.0015)
        return Observation(Outcome.CERTIFICATE, Stage.CERTIFICATE, bytes_received=1500, seconds=seconds, facts=facts)
    kind, _, rest = word.partition(" ")
    if kind == "alert":
        description = AlertDescription(int(rest))
        facts = HandshakeFacts(tls_alert=TlsAlert("fatal", int(rest), description.name))
        return Observation(Outcome.TLS_ALERT, Stage.SERVER_HELLO, bytes_received=7, close=Close.FIN, facts=facts)
    outcome = Outcome(kind)
    late = rest == "late" or outcome in {Outcome.NOT_TLS, Outcome.PROTOCOL_ERROR}
    return Observation(
        outcome,
        _STAGES.get(outcome, Stage.SERVER_HELLO if late else Stage.CLIENT_HELLO),
        errno=_ERRNOS.get(outcome),
        bytes_received=100 if late else 0,
    )


_STAGES = {
    Outcome.RESOLVE_FAILED: Stage.RESOLVE,
    Outcome.REFUSED: Stage.CONNECT,
    Outcome.CONNECT_TIMEOUT: Stage.CONNECT,
    Outcome.UNREACHABLE: Stage.CONNECT,
    Outcome.LOCAL_ERROR: Stage.CONNECT,
}
_ERRNOS = {
    Outcome.RESET: "ECONNRESET",
    Outcome.REFUSED: "ECONNREFUSED",
    Outcome.UNREACHABLE: "EHOSTUNREACH",
    Outcome.RESOLVE_FAILED: "EAI_NONAME",
    Outcome.LOCAL_ERROR: "EMFILE",
}


def differential(
    known: str | None = None,
    none: str | None = None,
    unknown: str | None = None,
    *,
    other: str | None = None,
    endpoint: Endpoint | None = ENDPOINT,
) -> Differential:
    """One run; a hello without a word was not sent. ``other`` is a second known name's."""
    hellos = [
        (Sni.KNOWN, KNOWN, known),
        (Sni.KNOWN, OTHER, other),
        (Sni.NONE, None, none),
        (Sni.UNKNOWN, "probe-0f.invalid", unknown),
    ]
    handshakes = tuple(
        Handshake(sni, server_name, "modern", "t13d_ja4", observation(word))
        for sni, server_name, word in hellos
        if word is not None
    )
    return Differential("edge", Address("ingress.example.test"), endpoint, handshakes)
