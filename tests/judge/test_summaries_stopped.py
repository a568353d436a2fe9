"""The sentence about servers that present a certificate and end the handshake behind it."""

from __future__ import annotations

import pytest

from prober.judge.verdicts import judge
from prober.model import Close, Differential, NonSniPolicy
from prober.tls.facts import TlsAlert
from tests.judge.differentials import KNOWN, TRUST, differential
from tests.pki import NOW

AT = "192.0.2.10:443"


def said(case: Differential) -> str:
    return judge(case, NonSniPolicy.CERTIFICATE, TRUST, NOW).summary


@pytest.mark.parametrize(
    ("stops", "sentence"),
    [
        ((KNOWN, None), f"{AT} presents its certificate and stops behind it (alert 80 internal_error): look into its log."),
        (
            (KNOWN,),
            f"{AT} serves clients without SNI, too. It stops behind the certificate of {KNOWN} (alert 80 internal_error).",
        ),
        (
            (None,),
            f"{AT} presents a certificate to clients without SNI and stops behind it (alert 80 internal_error). It serves {KNOWN}.",
        ),
    ],
)
def test_a_certificate_with_an_alert_behind_it_is_not_called_service(stops: tuple[str | None, ...], sentence: str) -> None:
    """A key that cannot sign: the certificate was read, which is the verdict, and no client gets any further."""
    alert = TlsAlert("fatal", 80, "internal_error")
    assert said(_ended(differential(*("certificate",) * 3), *stops, tls_alert=alert)) == sentence


@pytest.mark.parametrize(
    ("close", "word"), [(Close.FIN, "closed"), (Close.RST, "reset"), (Close.TIMEOUT, "timeout")], ids=lambda value: str(value)
)
def test_a_server_that_leaves_behind_its_certificate_is_not_called_service(close: Close, word: str) -> None:
    """The same without a word of TLS."""
    case = _ended(differential("certificate", "certificate"), KNOWN, None, close=close)
    assert said(case) == f"{AT} presents its certificate and stops behind it ({word}): look into its log."


@pytest.mark.parametrize("fact", ["client_certificate_requested", "finished"])
def test_an_end_that_is_our_doing_is_no_fault_of_the_server(fact: str) -> None:
    """Who wants a client certificate says goodbye to whoever has none, in TLS 1.3 behind the handshake."""
    case = differential("certificate", "certificate")
    ended = _ended(case, KNOWN, None, close=Close.FIN, tls_alert=TlsAlert("fatal", 116, "certificate_required"), **{fact: True})
    assert said(ended) == said(case)


def _ended(case: Differential, *names: str | None, close: Close = Close.FIN, **facts: object) -> Differential:
    """The hellos with these names ended by the server, which said ``facts``."""
    return case._replace(
        handshakes=tuple(
            each._replace(observation=each.observation._replace(close=close, facts=each.observation.facts._replace(**facts)))
            if each.server_name in names
            else each
            for each in case.handshakes
        )
    )
