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


@pytest.mark.parametrize(("version", "finished"), [("TLSv1.2", False), ("TLSv1.3", True)])
def test_an_end_that_is_our_doing_is_no_fault_of_the_server(version: str, *, finished: bool) -> None:
    """Who wants a client certificate says goodbye to whoever has none, in TLS 1.3 behind the handshake."""
    alert = TlsAlert("fatal", 116, "certificate_required")
    facts = {"tls_version": version, "client_certificate_requested": True, "finished": finished, "tls_alert": alert}
    case = differential("certificate", "certificate")
    assert said(_ended(case, KNOWN, None, close=Close.FIN, **facts)) == said(case)


def test_a_server_of_tls_1_3_that_stops_before_its_finished_message_does_not_miss_a_client_certificate() -> None:
    """It asks for one in front of its own certificate, and cannot know yet that it gets none."""
    facts = {"tls_version": "TLSv1.3", "client_certificate_requested": True}
    case = _ended(differential("certificate", "certificate"), KNOWN, None, close=Close.RST, **facts)
    assert said(case) == f"{AT} presents its certificate and stops behind it (reset): look into its log."


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
