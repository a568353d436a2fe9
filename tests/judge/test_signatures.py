"""Which products are known for a behaviour, and whose default certificates are recognised."""

from __future__ import annotations

import pytest

from prober.judge.answers import Answer
from prober.judge.certificates import certificate_facts
from prober.judge.signatures import SIGNATURES, default_certificate, recognise
from prober.judge.verdicts import judge
from prober.model import NonSniPolicy, Outcome, Sni
from prober.tls.facts import TlsAlert
from tests.judge.differentials import TRUST, differential
from tests.pki import NOW, Authority, name, self_signed


@pytest.mark.parametrize(
    ("known", "none", "unknown", "wanted"),
    [
        ("certificate", "reset", "reset", "envoy"),
        ("certificate", "reset", "certificate", "reset-without-sni"),
        ("certificate", "closed", "closed", "sni-router"),
        ("certificate", "closed", "certificate", "closed-without-sni"),
        ("certificate", "alert 112", "alert 112", "strict-sni"),
        ("certificate", "alert 80", "alert 80", "caddy"),
        ("certificate", "alert 40", "certificate", "cdn"),
        ("certificate", "certificate", "alert 80", "caddy-default-sni"),
        ("certificate", "certificate", "certificate", "default-certificate"),
        ("reset", "reset", "reset", "resets-all"),
        ("closed", "closed", "closed", "closes-all"),
        ("not_tls", "not_tls", "not_tls", "no-tls"),
        ("alert 70", "alert 70", "alert 70", "version"),
        ("alert 40", "alert 40", "alert 40", "handshake-failure"),
        ("timeout", "timeout", "timeout", "silent"),
        ("certificate", "reset", None, "envoy"),
        ("reset", None, None, "resets-all"),
        ("not_tls", None, "not_tls", "no-tls"),
        ("certificate", None, None, None),
        ("certificate", None, "reset", None),
        ("certificate", "reset late", "reset late", None),
        ("certificate", "closed late", "closed late", None),
        ("certificate", "timeout", "timeout", None),
        ("reset", "certificate", "certificate", None),
        (None, "reset", "reset", None),
    ],
)
def test_the_grid_of_behaviours(known: str | None, none: str | None, unknown: str | None, wanted: str | None) -> None:
    """The most particular row comes first, and what nobody is known for has none."""
    found = judge(differential(known, none, unknown), NonSniPolicy.CERTIFICATE, TRUST, NOW).signatures
    assert (found[0].id if found else None) == wanted


def test_known_names_that_behave_differently_are_no_signature() -> None:
    """Nothing is recognised where there is no one behaviour to compare."""
    found = judge(differential("certificate", "reset", "reset", other="timeout"), NonSniPolicy.CERTIFICATE, TRUST, NOW).signatures
    assert found == ()


def test_every_row_is_recognised_by_its_own_behaviours() -> None:
    """And by nothing that is more particular: the order of the table is right."""
    assert len({row.id for row in SIGNATURES}) == len(SIGNATURES)
    for row in SIGNATURES:
        assert row in recognise(row.known, row.none, "whatever else" if row.unknown == "*" else row.unknown)


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (Answer(Sni.NONE, None, Outcome.RESET), "reset"),
        (Answer(Sni.NONE, None, Outcome.RESET, late=True), "reset late"),
        (Answer(Sni.NONE, None, Outcome.CLOSED), "closed"),
        (Answer(Sni.NONE, None, Outcome.CLOSED, late=True), "closed late"),
        (Answer(Sni.NONE, None, Outcome.TIMEOUT, late=True), "timeout"),
        (
            Answer(Sni.NONE, None, Outcome.TLS_ALERT, late=True, tls_alert=TlsAlert("fatal", 112, "unrecognized_name")),
            "alert 112",
        ),
    ],
)
def test_behaviours_tell_a_refusal_without_a_byte_from_one_after_half_an_answer(answer: Answer, text: str) -> None:
    """The first is a decision about the name, the second an accident."""
    assert answer.behaviour == text


@pytest.mark.parametrize(
    ("subject", "product"),
    [
        (name("Kubernetes Ingress Controller Fake Certificate", organization_name="Acme Co"), "ingress-nginx"),
        (name("TRAEFIK DEFAULT CERT"), "Traefik"),
        (name("localhost", organization_name="Kong", organizational_unit_name="IT Department"), "Kong"),
        (name("invalid2.invalid", organizational_unit_name="No SNI provided; please fix your client."), "Google's front end"),
        (name("Plesk", organization_name="Plesk"), "Plesk"),
        (name("localhost"), None),
        (name("api.example.test", organization_name="Kong"), None),
        (name(None), None),
    ],
)
def test_default_certificates_are_recognised_by_their_subjects(subject: object, product: str | None) -> None:
    """Those that a product makes for itself; a test certificate of somebody's own is none."""
    found = default_certificate(certificate_facts(self_signed("x.test", subject=subject).der))
    assert (found.product if found else None) == product


def test_what_is_no_certificate_is_nobodys_default() -> None:
    """Garbage has no subject."""
    assert default_certificate(certificate_facts(b"garbage")) is None


def test_a_default_certificate_is_wrong_even_where_it_covers_the_name_and_is_trusted() -> None:
    """Nobody chose it, and the next restart makes a new one."""
    from tests.judge import differentials

    root = Authority(differentials.ROOT.certificate, differentials.ROOT.key)
    issued = root.issue(differentials.KNOWN, subject=name("TRAEFIK DEFAULT CERT"))
    case = differential("certificate", "certificate")
    none = case.handshakes[1]
    facts = none.observation.facts._replace(certificates=issued.ders)
    swapped = none._replace(observation=none.observation._replace(facts=facts))
    judgement = judge(case._replace(handshakes=(case.handshakes[0], swapped)), NonSniPolicy.CERTIFICATE, TRUST, NOW)
    assert judgement.handshakes[1].certificate_valid is True
    assert judgement.handshakes[1].default_of == "Traefik"
    assert judgement.verdict == "non_sni_wrong_certificate"


def test_alert_40_without_a_name_is_no_matter_of_cdns_alone() -> None:
    """Clients without a name, and with one that is not in its table, get it from sniproxy 0.6; its fallback serves them."""
    (row, *_) = recognise("certificate", "alert 40", "alert 40")

    assert row.products.startswith("sniproxy")
    assert "a fallback" in row.advice
