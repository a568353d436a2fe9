"""Segmentation and noise: a real flight reads the same however it was cut, and raises documented errors alone when damaged."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prober.tls.errors import ProtocolError
from prober.tls.events import Progress
from prober.tls.handshake import ClientHandshake
from tests.pki import Issued, self_signed
from tests.tls.live import Conversation, context, handshake_for
from tests.tls.recorded import TRACES, RecordedOffer, trace
from tests.tls.scripted import offer_of

versions = pytest.mark.parametrize("tls", ["1.0", "1.1", "1.2", "1.3"])


@pytest.fixture(scope="module")
def issued() -> Issued:
    """What the server presents."""
    return self_signed("api.example.test")


@versions
def test_a_flight_cut_at_every_byte_reads_the_same(tls: str, issued: Issued, tmp_path: Path) -> None:
    """Two pieces, at each place there is: the same facts and the same progress."""
    conversation = Conversation(handshake_for(tls=tls, depth="certificate"), context(issued, tmp_path)).run()
    offer, flight = offer_of(conversation.handshake), conversation.flights[0]

    for place in range(1, len(flight)):
        handshake = ClientHandshake(offer, hello_sent=True)
        handshake.receive_data(flight[:place])
        handshake.receive_data(flight[place:])
        assert handshake.facts() == conversation.handshake.facts()
        assert handshake.progress is Progress.DONE


@pytest.mark.parametrize("name", TRACES)
def test_the_traces_of_rfc_8448_cut_anywhere_read_the_same(name: str) -> None:
    """To Finished, HelloRetryRequest and ChangeCipherSpec included; our answer is the same, too."""
    parts = trace(name)
    flight = parts["server_hello"] + parts["server_flight"]

    def outcome(place: int) -> object:
        handshake = ClientHandshake(RecordedOffer(parts), depth="finished", hello_sent=True)  # type: ignore[arg-type]
        retry = parts.get("hello_retry_request", b"")
        events = handshake.receive_data(retry[: place % 100]) + handshake.receive_data(retry[place % 100 :])
        events += handshake.receive_data(flight[:place]) + handshake.receive_data(flight[place:])
        return events, handshake.facts(), handshake.data_to_send()

    whole = outcome(0)
    assert all(outcome(place) == whole for place in (*range(1, 140), *range(140, len(flight), 11)))


@versions
def test_byte_by_byte_reads_the_same(tls: str, issued: Issued, tmp_path: Path) -> None:
    """To Finished, tickets and all."""
    server = context(issued, tmp_path)
    whole = Conversation(handshake_for(tls=tls), server).run()

    bytewise = Conversation(handshake_for(tls=tls), server, cut=lambda data: [bytes([byte]) for byte in data]).run()

    assert bytewise.server_finished
    assert bytewise.handshake.facts() == whole.handshake.facts()
    assert bytewise.events == whole.events


def test_a_retried_handshake_cut_anywhere_reads_the_same(issued: Issued, tmp_path: Path) -> None:
    """Both of the server's flights in pieces."""
    server = context(issued, tmp_path, group="secp384r1")
    whole = Conversation(handshake_for(tls="1.3"), server).run()
    assert whole.handshake.facts().hello_retry_request

    for place in (1, 2, 5, 6, 40, 90, 95, 100, 170, 400, 800):
        halves = Conversation(handshake_for(tls="1.3"), server, cut=lambda data, at=place: [data[:at], data[at:]]).run()  # type: ignore[misc]
        assert halves.handshake.facts() == whole.handshake.facts()


@pytest.mark.parametrize("tls", ["1.2", "1.3"])
def test_noise_in_a_real_flight_raises_documented_errors_alone(tls: str, issued: Issued, tmp_path: Path) -> None:
    """Any patch anywhere, at both depths: an error of ours, or a handshake that goes on; and facts can always be had."""
    conversation = Conversation(handshake_for(tls=tls, depth="certificate"), context(issued, tmp_path)).run()
    offer, flight = offer_of(conversation.handshake), conversation.flights[0]

    @settings(max_examples=120)
    @given(st.integers(0, len(flight) - 1), st.binary(min_size=1, max_size=8), st.sampled_from(["certificate", "finished"]))
    def survive(place: int, patch: bytes, depth: str) -> None:
        handshake = ClientHandshake(offer, depth=depth, hello_sent=True, transcript=True)
        error = _error(handshake, flight[:place] + patch + flight[place + len(patch) :])
        assert handshake.closed or error is None
        handshake.data_to_send()
        handshake.facts()

    survive()


@settings(max_examples=120)
@given(st.binary(max_size=400))
def test_arbitrary_bytes_raise_documented_errors_alone(noise: bytes) -> None:
    """From the first byte on, and behind a record header that promises a handshake."""
    offer = RecordedOffer(trace("3-simple-1rtt"))
    for data in (noise, b"\x16\x03\x03" + len(noise).to_bytes(2) + noise):
        handshake = ClientHandshake(offer, hello_sent=True, transcript=True)  # type: ignore[arg-type]
        error = _error(handshake, data)
        assert handshake.closed or error is None


def _error(handshake: ClientHandshake, data: bytes) -> ProtocolError | None:
    """The one error that may be raised."""
    try:
        handshake.receive_data(data)
        handshake.receive_eof()
    except ProtocolError as error:
        return error
    return None
