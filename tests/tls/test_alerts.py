"""TLS alerts: named, warning or fatal, plain or encrypted, before and after the handshake."""

from __future__ import annotations

import pytest

from prober.tls.errors import DecodeError, UnexpectedMessage
from prober.tls.events import CloseNotifyReceived, Progress, TlsAlertReceived
from prober.tls.facts import NOTHING_SAID, TlsAlert
from prober.tls.messages13 import CertificateRequest13
from prober.tls.registry import AlertDescription, ContentType
from tests.tls.scripted import Script12, Script13, client, offer_of

ALERT = ContentType.alert
WARNING_UNRECOGNIZED_NAME = b"\x15\x03\x03\x00\x02\x01\x70"
FATAL_UNRECOGNIZED_NAME = b"\x15\x03\x03\x00\x02\x02\x70"


def test_a_fatal_alert_ends_the_handshake_with_its_name() -> None:
    """What follows it is not looked at."""
    handshake = client()

    events = handshake.receive_data(FATAL_UNRECOGNIZED_NAME + b"garbage that is no TLS")

    alert = TlsAlert("fatal", 112, "unrecognized_name")
    assert events == [TlsAlertReceived(alert)]
    assert handshake.progress is Progress.ALERT
    assert handshake.facts().tls_alert == alert
    assert handshake.receive_data(b"more") == []
    assert handshake.data_to_send() == b""


@pytest.mark.parametrize("code", range(256))
def test_every_alert_has_a_name(code: int) -> None:
    """The IANA name, or ``alert_<n>`` for one that is not registered."""
    handshake = client()
    handshake.receive_data(b"\x15\x03\x01\x00\x02\x02" + bytes([code]))

    alert = handshake.facts().tls_alert
    assert alert is not None
    assert alert.code == code
    registered = {member.value for member in AlertDescription}
    assert alert.description == (AlertDescription(code).name if code in registered else f"alert_{code}")


@pytest.mark.parametrize("tls", ["1.2", "auto"])
def test_a_warning_is_noted_and_the_handshake_goes_on(tls: str) -> None:
    """RFC 6066 section 3: some servers warn of an unrecognized name and then serve it."""
    handshake = client(tls, depth="certificate")
    script = Script12(offer_of(handshake))

    events = handshake.receive_data(WARNING_UNRECOGNIZED_NAME)
    handshake.receive_data(script.flight())

    warning = TlsAlert("warning", 112, "unrecognized_name")
    assert events == [TlsAlertReceived(warning)]
    assert handshake.facts().warning_alerts == (warning,)
    assert handshake.facts().tls_alert is None
    assert handshake.facts().certificate_read


def test_an_encrypted_alert_is_decrypted_before_it_is_named() -> None:
    """In TLS 1.3 the outside of the record says application_data; the level means nothing."""
    handshake = client()
    script = Script13(offer_of(handshake))
    handshake.receive_data(script.hello())

    handshake.receive_data(script.records(b"\x01\x28", ALERT))

    assert handshake.facts().tls_alert == TlsAlert("fatal", 40, "handshake_failure")


def test_user_canceled_is_no_error_in_tls_1_3() -> None:
    """RFC 8446 section 6.1: close_notify follows it."""
    handshake = client()
    script = Script13(offer_of(handshake))
    handshake.receive_data(script.hello() + script.records(b"\x02\x5a", ALERT))
    assert handshake.facts().warning_alerts == (TlsAlert("warning", 90, "user_canceled"),)

    assert handshake.receive_data(script.records(b"\x01\x00", ALERT)) == [CloseNotifyReceived()]
    assert handshake.closed
    assert handshake.facts().tls_alert is None


def test_a_plain_alert_after_a_tls_1_3_hello_is_named_too() -> None:
    """A server that fails before it has its keys can send no other."""
    handshake = client()
    handshake.receive_data(Script13(offer_of(handshake)).hello() + b"\x15\x03\x03\x00\x02\x02\x50")

    assert handshake.facts().tls_alert == TlsAlert("fatal", 80, "internal_error")


def test_close_notify_before_a_certificate_is_an_event_of_its_own() -> None:
    """As good as a FIN; no alert that anybody would look for."""
    handshake = client()

    assert handshake.receive_data(b"\x15\x03\x03\x00\x02\x01\x00") == [CloseNotifyReceived()]
    assert handshake.progress is Progress.WANT_MORE
    assert handshake.closed
    assert handshake.facts() == NOTHING_SAID


def test_a_fatal_close_notify_is_a_fatal_alert() -> None:
    """In TLS <= 1.2 the level counts."""
    handshake = client()
    handshake.receive_data(b"\x15\x03\x03\x00\x02\x02\x00")

    assert handshake.facts().tls_alert == TlsAlert("fatal", 0, "close_notify")


def test_two_alerts_may_share_a_record() -> None:
    """RFC 5246 section 6.2.1 allows it, unlike TLS 1.3."""
    handshake = client()
    handshake.receive_data(b"\x15\x03\x03\x00\x04\x01\x70\x02\x28")

    assert [alert.code for alert in handshake.facts().warning_alerts] == [112]
    assert handshake.facts().tls_alert == TlsAlert("fatal", 40, "handshake_failure")


def test_an_alert_may_come_in_two_records() -> None:
    """RFC 5246 section 6.2.1 allows that, too: half an alert is no alert yet, and only its other half may follow."""
    handshake = client()

    assert handshake.receive_data(bytes.fromhex("150303000102")) == []
    assert handshake.receive_data(bytes.fromhex("150303000170")) == [
        TlsAlertReceived(TlsAlert("fatal", 112, "unrecognized_name"))
    ]

    interrupted = client()
    with pytest.raises(UnexpectedMessage, match="expected the rest of an alert, got handshake"):
        interrupted.receive_data(bytes.fromhex("150303000102") + Script12(offer_of(interrupted)).flight())


@pytest.mark.parametrize("record", ["1503030000", "15030300020370"])
def test_a_malformed_alert_is_a_decode_error(record: str) -> None:
    """No byte, a level that is none."""
    with pytest.raises(DecodeError) as caught:
        client().receive_data(bytes.fromhex(record))
    assert caught.value.message == "Alert"


def test_warnings_are_bounded() -> None:
    """32, then it is somebody who wants to keep us busy; OpenSSL's number for empty records."""
    handshake = client()
    with pytest.raises(UnexpectedMessage, match="32 idle records"):
        handshake.receive_data(WARNING_UNRECOGNIZED_NAME * 33)


def test_an_alert_after_our_finished_is_read() -> None:
    """TLS 1.3 tells a client without certificate only then (RFC 8446 section 4.4.2.4)."""
    handshake = client()
    script = Script13(offer_of(handshake))
    flight = script.hello() + script.encrypted_extensions()
    request = CertificateRequest13(b"", {0x000D: b"\x00\x02\x04\x03"}).serialise()
    flight += script.records(request) + script.certificate() + script.certificate_verify() + script.finished()
    handshake.receive_data(flight)
    assert handshake.facts().client_certificate_requested
    assert handshake.facts().finished

    handshake.receive_data(script.records(b"\x02\x74", ALERT))

    assert handshake.facts().tls_alert == TlsAlert("fatal", 116, "certificate_required")
    assert handshake.facts().finished
    assert handshake.progress is Progress.ALERT
