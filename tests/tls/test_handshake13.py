"""TLS 1.3 to Finished: every lie is found, and what cannot be verified stops with a reason instead of an accusation."""

from __future__ import annotations

import pytest

from prober.tls.errors import DecodeError, PeerMisbehaved, ProtocolError
from prober.tls.events import Progress, SessionTicketReceived
from prober.tls.messages import handshake_message
from prober.tls.messages13 import CertificateEntry, CertificateRequest13, KeyUpdate, NewSessionTicket13
from prober.tls.registry import AlertDescription, ContentType, HandshakeType, SignatureScheme
from tests.tls.scripted import Script13, client, issued, offer_of, read_records

TICKET = NewSessionTicket13(300, 0, b"", b"ticket", {}).serialise()


def test_a_signature_over_another_transcript_is_a_lie() -> None:
    """The server signs what it saw, which is not what we sent."""
    handshake = client()
    script = Script13(offer_of(handshake))
    handshake.receive_data(script.hello() + script.encrypted_extensions() + script.certificate())
    script.transcript.update(b"something else")

    with pytest.raises(PeerMisbehaved, match="signature ecdsa_secp256r1_sha256 is wrong") as caught:
        handshake.receive_data(script.certificate_verify())
    assert caught.value.implies == AlertDescription.decrypt_error
    assert caught.value.message == "CertificateVerify"
    assert handshake.facts().certificate_read


def test_a_finished_over_another_transcript_is_a_lie() -> None:
    """Also when the signature was right."""
    handshake = client()
    script = Script13(offer_of(handshake))
    flight = script.hello() + script.encrypted_extensions() + script.certificate() + script.certificate_verify()
    handshake.receive_data(flight)
    script.transcript.update(b"something else")

    with pytest.raises(PeerMisbehaved, match="verify_data is wrong"):
        handshake.receive_data(script.finished())
    assert not handshake.facts().finished


def test_a_finished_of_the_wrong_size_is_malformed() -> None:
    """verify_data is as long as the hash."""
    handshake = client()
    script = Script13(offer_of(handshake))
    flight = script.hello() + script.encrypted_extensions() + script.certificate() + script.certificate_verify()
    handshake.receive_data(flight)
    with pytest.raises(DecodeError, match="31 bytes, not 32"):
        handshake.receive_data(script.records(handshake_message(HandshakeType.finished, bytes(31))))


def test_depth_certificate_does_not_care_about_lies() -> None:
    """What the server presents is the question there."""
    handshake = client(depth="certificate")
    script = Script13(offer_of(handshake))
    handshake.receive_data(script.hello() + script.encrypted_extensions() + script.certificate())
    script.transcript.update(b"something else")

    assert handshake.receive_data(script.certificate_verify() + script.finished()) == []
    assert handshake.progress is Progress.DONE


def test_a_scheme_that_prober_lacks_stops_with_a_reason() -> None:
    """The handshake is done as far as it goes; the server did nothing wrong."""
    handshake = client()
    script = Script13(offer_of(handshake))
    flight = script.hello() + script.encrypted_extensions() + script.certificate()

    handshake.receive_data(flight + script.certificate_verify(SignatureScheme.mldsa44))

    assert handshake.progress is Progress.DONE
    assert handshake.unfinished_reason == "the signature scheme mldsa44 is not implemented"
    assert not handshake.facts().finished
    assert handshake.closed


@pytest.mark.parametrize(
    ("entries", "reason"),
    [((), "the server's chain is empty"), ((CertificateEntry(b"no certificate", {}),), "the certificate's key cannot be read")],
)
def test_a_chain_without_a_key_stops_with_a_reason(entries: tuple[CertificateEntry, ...], reason: str) -> None:
    """An empty Certificate and one that is no certificate are facts; judging them is for others."""
    handshake = client()
    script = Script13(offer_of(handshake))
    flight = script.hello() + script.encrypted_extensions() + script.certificate(entries=entries)

    handshake.receive_data(flight + script.certificate_verify())

    assert handshake.facts().certificate_read
    assert handshake.facts().certificates == tuple(entry.certificate for entry in entries)
    assert handshake.unfinished_reason is not None
    assert handshake.unfinished_reason.startswith(reason)


def test_the_server_s_certificate_answers_no_request() -> None:
    """Its certificate_request_context is empty (RFC 8446 section 4.4.2)."""
    handshake = client()
    script = Script13(offer_of(handshake))
    with pytest.raises(PeerMisbehaved, match="certificate_request_context"):
        handshake.receive_data(script.hello() + script.encrypted_extensions() + script.certificate(context=b"x"))


def test_extensions_of_a_certificate_are_tolerated() -> None:
    """A stapled OCSP response or a timestamp is not judged, even unasked: Go and OpenSSL differ on that."""
    handshake = client()
    script = Script13(offer_of(handshake))
    entries = (CertificateEntry(issued().der, {0x0005: b"\x01\x00\x00\x01o", 0x0012: b"", 0x9999: b"?"}),)
    flight = script.hello() + script.encrypted_extensions() + script.certificate(entries=entries)

    handshake.receive_data(flight + script.certificate_verify() + script.finished())

    assert handshake.facts().finished


def test_a_request_is_answered_with_its_context_and_no_certificate() -> None:
    """Our flight is part of the transcript, hence our Finished proves it."""
    handshake = client(close_when_finished=False)
    script = Script13(offer_of(handshake))
    request = CertificateRequest13(b"ctx", {0x000D: b"\x00\x02\x04\x03"}).serialise()
    flight = script.hello() + script.encrypted_extensions() + script.records(request)
    handshake.receive_data(flight + script.certificate() + script.certificate_verify())
    reading = script.reading()
    handshake.receive_data(script.finished())

    _, certificate, finished = read_records(handshake.data_to_send())

    assert reading.unprotect(certificate) == (0x16, b"\x0b\x00\x00\x07\x03ctx\x00\x00\x00")
    assert reading.unprotect(finished)[1][:4] == b"\x14\x00\x00\x20"


def test_the_application_protocol_comes_with_encrypted_extensions() -> None:
    """And one that was not offered is named."""
    handshake = client(profile="curl")
    script = Script13(offer_of(handshake))
    handshake.receive_data(script.hello())
    handshake.receive_data(script.encrypted_extensions(application_layer_protocol_negotiation=b"\x00\x09\x08http/1.1"))
    assert handshake.facts().alpn == "http/1.1"

    handshake = client(profile="curl")
    script = Script13(offer_of(handshake))
    handshake.receive_data(script.hello())
    with pytest.raises(PeerMisbehaved, match="the protocol h3"):
        handshake.receive_data(script.encrypted_extensions(application_layer_protocol_negotiation=b"\x00\x03\x02h3"))


def test_an_answer_to_nothing_in_encrypted_extensions_is_named() -> None:
    """unsupported_extension, with the message's name."""
    handshake = client()
    script = Script13(offer_of(handshake))
    with pytest.raises(PeerMisbehaved, match="heartbeat") as caught:
        handshake.receive_data(script.hello() + script.encrypted_extensions(heartbeat=b"\x01"))
    assert caught.value.message == "EncryptedExtensions"


def test_tickets_are_reported_and_bounded() -> None:
    """Servers send two; a flood of them ends at the limit of a flight."""
    handshake = client(close_when_finished=False)
    script = Script13(offer_of(handshake))
    handshake.receive_data(script.flight())

    assert handshake.receive_data(script.records(TICKET + TICKET)) == [SessionTicketReceived(), SessionTicketReceived()]
    big = NewSessionTicket13(300, 0, b"", bytes(16_000), {}).serialise()
    with pytest.raises(DecodeError, match="at most"):
        for _ in range(17):
            handshake.receive_data(script.records(big))


@pytest.mark.parametrize("requested", [True, False])
def test_a_key_update_is_followed_and_answered_if_asked(requested: bool) -> None:
    """RFC 8446 section 4.6.3: the next record has new keys; ours change after our own KeyUpdate."""
    handshake = client(close_when_finished=False)
    script = Script13(offer_of(handshake))
    handshake.receive_data(script.flight())
    handshake.data_to_send()
    reading = script.reading()

    handshake.receive_data(script.records(KeyUpdate(request_update=requested).serialise()))
    script.update_keys()
    handshake.receive_data(script.records(TICKET))

    handshake.send_application_data(b"question")
    records = read_records(handshake.data_to_send())
    if requested:
        assert reading.unprotect(records[0]) == (ContentType.handshake, KeyUpdate(request_update=False).serialise())
        with pytest.raises(ProtocolError):
            reading.unprotect(records[1])
    else:
        assert reading.unprotect(records[0]) == (ContentType.application_data, b"question")


def test_a_message_behind_a_key_update_in_its_record_is_refused() -> None:
    """It spans a change of keys."""
    handshake = client(close_when_finished=False)
    script = Script13(offer_of(handshake))
    handshake.receive_data(script.flight())
    with pytest.raises(ProtocolError, match="change of keys"):
        handshake.receive_data(script.records(KeyUpdate(request_update=False).serialise() + TICKET))


def test_a_server_name_is_not_needed() -> None:
    """The hello that all this is about."""
    handshake = client(server_name=None)
    handshake.receive_data(Script13(offer_of(handshake)).flight())

    assert handshake.facts().finished
