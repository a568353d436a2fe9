"""The handshake as its callers see it: progress, what is sent when, limits, and the end."""

from __future__ import annotations

import pytest

from prober.tls.errors import DecodeError, NotTLS, PeerMisbehaved, UnexpectedMessage
from prober.tls.events import ApplicationData, Progress, TlsAlertReceived
from prober.tls.facts import NOTHING_SAID, TlsAlert
from prober.tls.handshake import ClientHandshake
from prober.tls.messages import handshake_message
from prober.tls.messages12 import Certificate12
from prober.tls.messages13 import Certificate13, CertificateEntry, EncryptedExtensions
from prober.tls.records import FLIGHT_LIMIT, RECORD_LIMIT, plain_records
from prober.tls.registry import ContentType, HandshakeType
from tests.tls.scripted import SERVER_NAME, Script12, Script13, client, factory, issued, offer_of, read_records

ALERT = ContentType.alert
FATAL_UNRECOGNIZED_NAME = b"\x15\x03\x03\x00\x02\x02\x70"


def test_the_hello_is_sent_once() -> None:
    """``data_to_send`` hands it out the first time, and nothing until something came."""
    offer = factory().offer(SERVER_NAME)
    handshake = ClientHandshake(offer)

    assert handshake.data_to_send() == offer.wire
    assert handshake.data_to_send() == b""


def test_a_caller_that_sent_the_hello_itself_gets_none() -> None:
    """The engine builds the state machine when the first bytes arrive."""
    assert ClientHandshake(factory().offer(None), hello_sent=True).data_to_send() == b""


def test_an_unknown_depth_is_our_mistake() -> None:
    """ValueError, not a handshake that never ends."""
    with pytest.raises(ValueError, match="'half'"):
        ClientHandshake(factory().offer(None), depth="half")


def test_before_the_first_byte_nothing_is_known() -> None:
    """And what is waited for has a name."""
    handshake = client()

    assert handshake.facts() == NOTHING_SAID
    assert handshake.progress is Progress.WANT_MORE
    assert handshake.waiting_for == "ServerHello or HelloRetryRequest"
    assert handshake.receive_data(b"") == []


def test_progress_at_depth_certificate_in_tls_1_2() -> None:
    """The certificate is known before the flight ends; group and client certificate request come after it."""
    handshake = client("1.2", depth="certificate")
    script = Script12(offer_of(handshake))

    handshake.receive_data(script.hello())
    assert handshake.progress is Progress.WANT_MORE
    handshake.receive_data(script.certificate())
    assert handshake.progress is Progress.CERTIFICATE
    assert handshake.facts().group is None
    handshake.receive_data(script.server_key_exchange())
    assert handshake.facts().group == "x25519"
    handshake.receive_data(script.server_hello_done())
    assert handshake.progress is Progress.DONE
    assert handshake.closed
    assert handshake.data_to_send() == b""


def test_progress_at_depth_certificate_in_tls_1_3() -> None:
    """Nothing after the certificate is of interest."""
    handshake = client(depth="certificate")
    script = Script13(offer_of(handshake))

    handshake.receive_data(script.hello() + script.encrypted_extensions())
    assert handshake.progress is Progress.WANT_MORE
    handshake.receive_data(script.certificate() + b"whatever follows")
    assert handshake.progress is Progress.DONE
    assert handshake.facts().certificates == (issued().der,)
    assert not handshake.facts().finished


def test_depth_finished_in_tls_1_3_ends_with_a_goodbye() -> None:
    """Our Finished and close_notify; the server can read both."""
    handshake = client()
    script = Script13(offer_of(handshake))
    handshake.receive_data(script.flight())

    assert handshake.facts().finished
    assert handshake.progress is Progress.DONE
    change, finished, goodbye = read_records(handshake.data_to_send())
    assert change.content_type == ContentType.change_cipher_spec
    assert finished.content_type == ContentType.application_data
    assert script.reading().unprotect(goodbye) == (ALERT, b"\x01\x00")


def test_depth_finished_in_tls_1_2_ends_with_a_goodbye() -> None:
    """ClientKeyExchange, ChangeCipherSpec, Finished; after the server's Finished, close_notify."""
    handshake = client("1.2")
    script = Script12(offer_of(handshake))
    handshake.receive_data(script.flight())
    assert handshake.progress is Progress.CERTIFICATE
    assert [message[0] for message in script.answer(handshake)] == [HandshakeType.client_key_exchange]
    handshake.receive_data(script.change_cipher_spec() + script.finished())

    assert handshake.facts().finished
    (goodbye,) = read_records(handshake.data_to_send())
    assert script.receiving is not None
    assert script.receiving.unprotect(goodbye) == (ALERT, b"\x01\x00")


def test_application_data_goes_both_ways_until_close() -> None:
    """For the diagnosis that asks one HTTP question after the handshake."""
    handshake = client(close_when_finished=False)
    script = Script13(offer_of(handshake))
    handshake.receive_data(script.flight())
    handshake.data_to_send()

    handshake.send_application_data(b"GET / HTTP/1.1\r\n\r\n" + bytes(20_000))
    first, second = read_records(handshake.data_to_send())
    reading = script.reading()
    question = reading.unprotect(first)[1] + reading.unprotect(second)[1]
    assert question == b"GET / HTTP/1.1\r\n\r\n" + bytes(20_000)
    answer = script.records(b"HTTP/1.1 404 Not Found\r\n", ContentType.application_data)
    assert handshake.receive_data(answer) == [ApplicationData(b"HTTP/1.1 404 Not Found\r\n")]
    handshake.close()
    handshake.close()
    (goodbye,) = read_records(handshake.data_to_send())
    assert reading.unprotect(goodbye) == (ALERT, b"\x01\x00")
    with pytest.raises(RuntimeError):
        handshake.send_application_data(b"more")


def test_application_data_before_the_handshake_is_our_mistake() -> None:
    """And there is nothing to say goodbye to."""
    handshake = client()
    handshake.close()

    assert handshake.data_to_send() == b""
    with pytest.raises(RuntimeError, match="finished handshake"):
        handshake.send_application_data(b"early")


# Errors


def test_an_error_leaves_the_alert_that_it_implies() -> None:
    """RFC 8446 section 6.2; afterwards nothing is read."""
    handshake = client()
    with pytest.raises(DecodeError):
        handshake.receive_data(plain_records(0x16, 0x0303, handshake_message(2, b"")))

    assert handshake.data_to_send() == b"\x15\x03\x03\x00\x02\x02\x32"
    assert handshake.closed
    assert handshake.receive_data(Script12(offer_of(handshake)).flight()) == []


def test_our_alert_is_protected_once_we_have_keys() -> None:
    """After the handshake the server can read it."""
    handshake = client(close_when_finished=False)
    script = Script13(offer_of(handshake))
    handshake.receive_data(script.flight())
    handshake.data_to_send()
    with pytest.raises(UnexpectedMessage):
        handshake.receive_data(script.records(handshake_message(HandshakeType.server_hello_done, b"")))

    (record,) = read_records(handshake.data_to_send())
    assert script.reading().unprotect(record) == (ALERT, b"\x02\x0a")


def test_no_alert_is_sent_to_what_is_no_tls() -> None:
    """An SSH server has no use for it."""
    handshake = client()
    with pytest.raises(NotTLS) as caught:
        handshake.receive_data(b"SSH-2.0-OpenSSH_9.2\r\n")

    assert caught.value.guess == "ssh"
    assert handshake.data_to_send() == b""


def test_the_end_decides_about_too_few_bytes() -> None:
    """One byte that is no TLS is found when no more will come; half a TLS record is no error."""
    handshake = client()
    handshake.receive_data(b"N")
    with pytest.raises(NotTLS) as caught:
        handshake.receive_eof()
    assert caught.value.guess == "postgres"

    handshake = client()
    handshake.receive_data(Script12(offer_of(handshake)).hello()[:20])
    assert handshake.receive_eof() == []
    assert handshake.waiting_for == "ServerHello or HelloRetryRequest (20 bytes of it came)"


def test_waiting_for_names_the_message_that_was_cut() -> None:
    """With the bytes of it that came: a flight that was cut in the middle of a certificate is a finding."""
    handshake = client("1.2")
    script = Script12(offer_of(handshake))
    certificate = Certificate12((bytes(1000),)).serialise()
    handshake.receive_data(script.hello() + plain_records(0x16, 0x0303, certificate[:500]))

    assert handshake.waiting_for == "Certificate (500 bytes of it came)"


def test_a_message_must_not_span_a_change_of_keys() -> None:
    """RFC 8446 section 5.1: nothing follows ServerHello in its record."""
    handshake = client()
    script = Script13(offer_of(handshake))
    hello = script.hello()[5:]
    with pytest.raises(UnexpectedMessage, match="change of keys"):
        handshake.receive_data(plain_records(0x16, 0x0303, hello + EncryptedExtensions({}).serialise()[:3]))


def test_nothing_comes_between_the_fragments_of_a_message() -> None:
    """RFC 8446 section 5.1; an alert is excepted, since a server may fail in the middle."""
    for record, error in ((b"\x14\x03\x03\x00\x01\x01", UnexpectedMessage), (FATAL_UNRECOGNIZED_NAME, None)):
        handshake = client()
        hello = Script12(offer_of(handshake)).hello()[5:]
        handshake.receive_data(plain_records(0x16, 0x0303, hello[:10]))
        if error is None:
            assert handshake.receive_data(record) == [TlsAlertReceived(TlsAlert("fatal", 112, "unrecognized_name"))]
        else:
            with pytest.raises(error, match="the rest of a handshake message"):
                handshake.receive_data(record)


@pytest.mark.parametrize("record", ["170303000100", "180303000100"])
def test_application_data_and_heartbeats_have_no_place_in_a_handshake(record: str) -> None:
    """Whatever they carry."""
    with pytest.raises(UnexpectedMessage, match="expected ServerHello"):
        client().receive_data(bytes.fromhex(record))


def test_after_the_keys_of_tls_1_3_handshake_records_are_protected() -> None:
    """A plain one is refused, even with the right message in it."""
    handshake = client()
    handshake.receive_data(Script13(offer_of(handshake)).hello())
    with pytest.raises(UnexpectedMessage, match="a plain handshake record"):
        handshake.receive_data(plain_records(0x16, 0x0303, EncryptedExtensions({}).serialise()))


def test_a_protected_change_cipher_spec_is_refused() -> None:
    """RFC 8446 section 5: only a plain one is tolerated."""
    handshake = client()
    script = Script13(offer_of(handshake))
    handshake.receive_data(script.hello())
    with pytest.raises(UnexpectedMessage, match="protected ChangeCipherSpec"):
        handshake.receive_data(script.records(b"\x01", ContentType.change_cipher_spec))


@pytest.mark.parametrize("payload", [b"\x02", b"\x01\x01", b""])
def test_only_the_one_change_cipher_spec_is_tolerated(payload: bytes) -> None:
    """RFC 8446 section 5: the single byte 1."""
    handshake = client()
    handshake.receive_data(Script13(offer_of(handshake)).hello())
    with pytest.raises(UnexpectedMessage, match="ChangeCipherSpec"):
        handshake.receive_data(plain_records(0x14, 0x0303, payload))


# Size


@pytest.mark.parametrize("size", [20_000, 100_000, FLIGHT_LIMIT - 2000])
def test_a_chain_over_many_records_is_read(size: int) -> None:
    """TLS 1.2 and 1.3, up to the limit."""
    chain = tuple(bytes([number]) * 10_000 for number in range(size // 10_000))
    handshake = client("1.2", depth="certificate")
    handshake.receive_data(Script12(offer_of(handshake)).hello() + plain_records(0x16, 0x0303, Certificate12(chain).serialise()))
    assert handshake.facts().certificates == chain

    handshake = client(depth="certificate")
    script = Script13(offer_of(handshake))
    handshake.receive_data(script.hello() + script.encrypted_extensions())
    message = Certificate13(b"", tuple(CertificateEntry(one, {}) for one in chain)).serialise()
    for start in range(0, len(message), 16_384):
        handshake.receive_data(script.records(message[start : start + 16_384]))
    assert handshake.facts().certificates == chain


def test_a_chain_beyond_the_limit_is_refused_at_its_header() -> None:
    """256 KiB; not a byte of the rest is waited for."""
    handshake = client("1.2")
    with pytest.raises(DecodeError, match="at most 262144"):
        handshake.receive_data(Script12(offer_of(handshake)).hello() + plain_records(0x16, 0x0303, b"\x0b\x04\x00\x00"))
    assert handshake.data_to_send() == b"\x15\x03\x03\x00\x02\x02\x32"


def test_a_flight_of_too_many_records_is_refused() -> None:
    """One byte of a message in each: every record costs more than it carries."""
    handshake = client("1.2")
    script = Script12(offer_of(handshake))
    certificate = Certificate12((bytes(10_000),)).serialise()
    dust = b"".join(plain_records(0x16, 0x0303, certificate[place : place + 1]) for place in range(len(certificate)))
    with pytest.raises(DecodeError, match="more than 4096 records"):
        handshake.receive_data(script.hello() + dust)


def test_application_data_may_take_any_number_of_records() -> None:
    """After the handshake the caller decides how much is enough."""
    handshake = client(close_when_finished=False)
    script = Script13(offer_of(handshake))
    handshake.receive_data(script.flight())
    for _ in range(RECORD_LIMIT + 10):
        assert handshake.receive_data(script.records(b"x", ContentType.application_data)) == [ApplicationData(b"x")]


def test_a_record_of_the_largest_protected_size_is_read() -> None:
    """2^14 bytes of plaintext, padded to 2^14 + 256 of ciphertext, and not one more."""
    handshake = client()
    script = Script13(offer_of(handshake))
    handshake.receive_data(script.hello())
    script.records(EncryptedExtensions({}).serialise())
    with pytest.raises(PeerMisbehaved, match="16641 bytes"):
        handshake.receive_data(b"\x17\x03\x03\x41\x01")
