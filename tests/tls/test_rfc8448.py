"""The handshakes of RFC 8448, read as a client that holds the RFC's private keys: they decrypt, verify, and we answer alike."""

from __future__ import annotations

import pytest

from prober.tls.errors import ProtocolError
from prober.tls.events import (
    ApplicationData,
    CertificateReceived,
    CloseNotifyReceived,
    HandshakeFinished,
    HelloRetryRequested,
    Progress,
    ServerHelloReceived,
    SessionTicketReceived,
)
from prober.tls.handshake import ClientHandshake
from prober.tls.registry import CipherSuite, NamedGroup, ProtocolVersion
from tests.tls.recorded import TRACES, RecordedOffer, trace

FIFTY_BYTES = bytes(range(50))


def finished_handshake(parts: dict[str, bytes], **options: object) -> ClientHandshake:
    """A client that has read the trace's server flight at depth ``finished``, and sent its hellos."""
    handshake = ClientHandshake(RecordedOffer(parts), depth="finished", **options)  # type: ignore[arg-type]
    assert handshake.data_to_send() == parts["client_hello"]
    if "hello_retry_request" in parts:
        handshake.receive_data(parts["hello_retry_request"])
        assert handshake.data_to_send() == parts["second_client_hello"]
    handshake.receive_data(parts["server_hello"] + parts["server_flight"])
    return handshake


@pytest.mark.parametrize("name", TRACES)
def test_every_trace_verifies_to_the_end(name: str) -> None:
    """Records decrypt, CertificateVerify and Finished are right: the whole key schedule and transcript are."""
    parts = trace(name)

    facts = finished_handshake(parts).facts()

    assert facts.finished
    assert facts.tls_version == "TLSv1.3"
    assert facts.cipher_suite == "TLS_AES_128_GCM_SHA256"
    assert len(facts.certificates) == 1
    assert facts.client_certificate_requested == (name == "6-client-authentication")
    assert facts.hello_retry_request == (name == "5-hello-retry-request")
    assert facts.group == ("secp256r1" if name == "5-hello-retry-request" else "x25519")


@pytest.mark.parametrize("name", [name for name in TRACES if name != "6-client-authentication"])
def test_our_second_flight_is_the_recorded_one(name: str) -> None:
    """Finished, with the ChangeCipherSpec of compatibility mode where the RFC has it, and close_notify, byte for byte."""
    parts = trace(name)
    handshake = finished_handshake(parts, close_when_finished=False)

    assert handshake.data_to_send() == parts["client_finished"]

    if "client_application_data" in parts:
        handshake.send_application_data(FIFTY_BYTES)
        assert handshake.data_to_send() == parts["client_application_data"]
    handshake.close()
    assert handshake.data_to_send() == parts["client_close_notify"]


def test_a_client_certificate_request_is_answered_with_an_empty_certificate() -> None:
    """Our flight differs from the recorded one, where the client has a certificate; it comes in two records."""
    handshake = finished_handshake(trace("6-client-authentication"), close_when_finished=False)

    flight = handshake.data_to_send()

    certificate = 5 + len(b"\x0b\x00\x00\x04\x00\x00\x00\x00") + 1 + 16
    finished = 5 + 4 + 32 + 1 + 16
    assert len(flight) == certificate + finished


def test_what_follows_the_handshake_is_read() -> None:
    """A ticket, application data and close_notify, each with the server's application keys."""
    parts = trace("3-simple-1rtt")
    handshake = finished_handshake(parts, close_when_finished=False)

    assert handshake.receive_data(parts["new_session_ticket"]) == [SessionTicketReceived()]
    assert handshake.receive_data(parts["server_application_data"]) == [ApplicationData(FIFTY_BYTES)]
    assert handshake.receive_data(parts["server_close_notify"]) == [CloseNotifyReceived()]
    assert handshake.closed


def test_events_come_in_the_order_of_the_wire() -> None:
    """One event for each thing that a caller may want to know."""
    parts = trace("5-hello-retry-request")
    handshake = ClientHandshake(RecordedOffer(parts), depth="finished")

    first = handshake.receive_data(parts["hello_retry_request"])
    second = handshake.receive_data(parts["server_hello"] + parts["server_flight"])

    assert first == [HelloRetryRequested(NamedGroup.secp256r1)]
    certificates = handshake.facts().certificates
    assert second == [
        ServerHelloReceived(ProtocolVersion.TLSv1_3, CipherSuite.TLS_AES_128_GCM_SHA256),
        CertificateReceived(certificates),
        HandshakeFinished(),
    ]


@pytest.mark.parametrize("name", TRACES)
def test_depth_certificate_stops_at_the_certificate(name: str) -> None:
    """The same chain, nothing verified, nothing sent after the hellos."""
    parts = trace(name)
    handshake = ClientHandshake(RecordedOffer(parts), hello_sent=True)
    for part in ("hello_retry_request", "server_hello", "server_flight"):
        handshake.receive_data(parts.get(part, b""))

    assert handshake.progress is Progress.DONE
    assert handshake.facts().certificates == finished_handshake(parts).facts().certificates
    assert not handshake.facts().finished
    assert handshake.data_to_send() == parts.get("second_client_hello", b"")


@pytest.mark.parametrize("name", TRACES)
def test_one_changed_bit_anywhere_in_the_flight_is_found(name: str) -> None:
    """Every tenth byte of the protected flight: authenticated encryption lets no change pass."""
    parts = trace(name)
    flight = parts["server_flight"]
    begin = flight.index(b"\x17\x03\x03") + 5
    for place in range(begin, len(flight), 10):
        changed = flight[:place] + bytes([flight[place] ^ 1]) + flight[place + 1 :]
        with pytest.raises(ProtocolError, match="does not decrypt"):
            finished_handshake({**parts, "server_flight": changed})
