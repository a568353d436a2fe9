"""Differentials and judgements made by hand, for what renders them."""

from __future__ import annotations

from prober.cli.formats import Finding
from prober.judge.verdicts import HandshakeJudgement, Judgement
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
    Verdict,
)
from prober.tls.facts import HandshakeFacts, TlsAlert, TranscriptEntry

__all__ = ["CLIENT_HELLO", "finding", "handshake"]

CLIENT_HELLO = TranscriptEntry(">", "ClientHello", 512, ("server_name: a.example", "random: " + "ab" * 32))


def handshake(sni: Sni, outcome: Outcome = Outcome.RESET, **changes: object) -> Handshake:
    """One hello that was sent and reset, or what ``changes`` make of its observation."""
    observation = Observation(
        outcome,
        Stage.CLIENT_HELLO,
        errno="ECONNRESET" if outcome is Outcome.RESET else None,
        close=Close.RST if outcome is Outcome.RESET else Close.NONE,
        seconds=Seconds(0.0, 0.0004, 0.0011, 0.0015),
    )._replace(**changes)
    name = {Sni.KNOWN: "a.example", Sni.NONE: None, Sni.UNKNOWN: "probe-00.invalid"}[sni]
    return Handshake(sni, name, "modern", "t13d...", observation)


def finding(number: int, *handshakes: Handshake, verdict: Verdict = Verdict.TLS_FAILING, summary: str = "It fails.") -> Finding:
    """One judged address, 192.0.2.<number>:443."""
    hellos = handshakes or (handshake(Sni.KNOWN), handshake(Sni.NONE, Outcome.TLS_ALERT, facts=HandshakeFacts(tls_alert=ALERT)))
    address = Address(f"192.0.2.{number}")
    judgement = Judgement(
        verdict=verdict,
        faults=() if verdict is Verdict.OK else (verdict,),
        expected=verdict is Verdict.OK,
        at_fault=verdict is not Verdict.OK,
        summary=summary,
        inconclusive=None,
        non_sni_supported=None,
        handshakes=tuple(HandshakeJudgement() for _ in hellos),
        signatures=(),
    )
    return Finding((number, 0), Differential(str(address), address, Endpoint(address.host, 443), hellos), judgement)


ALERT = TlsAlert("fatal", 112, "unrecognized_name")
