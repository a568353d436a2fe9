"""The transcript: every message of a handshake, both ways, decoded for people, and nothing that can fail."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prober.tls.describe import describe_received, describe_record, describe_sent
from prober.tls.errors import ProtocolError
from prober.tls.messages import handshake_message
from prober.tls.messages12 import CertificateRequest12, CertificateStatus, DheServerKeyExchange, NewSessionTicket12
from prober.tls.registry import HandshakeType
from tests.tls.recorded import TRACES, trace
from tests.tls.sample_messages import KINDS
from tests.tls.scripted import Script12, Script13, client, issued, offer_of
from tests.tls.test_rfc8448 import finished_handshake


def entries(handshake: object) -> list[tuple[str, str]]:
    """Direction and name of each entry."""
    return [(entry.direction, entry.name) for entry in handshake.transcript_entries]  # type: ignore[attr-defined]


def test_a_tls_1_3_handshake_is_told_message_by_message() -> None:
    """In the order of the wire, ours and theirs, records that carry no message included."""
    handshake = client(transcript=True)
    script = Script13(offer_of(handshake))
    handshake.receive_data(script.hello_retry_request(cookie=b"cookie"))
    script.answer(handshake)
    handshake.receive_data(b"\x14\x03\x03\x00\x01\x01" + script.flight())
    handshake.data_to_send()

    assert entries(handshake) == [
        (">", "ClientHello"),
        ("<", "HelloRetryRequest"),
        (">", "ChangeCipherSpec"),
        (">", "ClientHello"),
        ("<", "ChangeCipherSpec"),
        ("<", "ServerHello"),
        ("<", "EncryptedExtensions"),
        ("<", "Certificate"),
        ("<", "CertificateVerify"),
        ("<", "Finished"),
        (">", "Finished"),
        (">", "Alert"),
    ]


def test_a_tls_1_2_handshake_is_told_message_by_message() -> None:
    """Our whole second flight, too."""
    handshake = client("1.2", transcript=True)
    script = Script12(offer_of(handshake))
    handshake.receive_data(script.flight())
    script.answer(handshake)
    handshake.receive_data(script.change_cipher_spec() + script.finished())
    handshake.data_to_send()

    names = [name for _, name in entries(handshake)]
    assert names == [
        "ClientHello",
        "ServerHello",
        "Certificate",
        "ServerKeyExchange",
        "ServerHelloDone",
        "ClientKeyExchange",
        "ChangeCipherSpec",
        "Finished",
        "ChangeCipherSpec",
        "Finished",
        "Alert",
    ]


def test_what_was_not_taken_to_be_sent_is_not_told_as_sent() -> None:
    """The second hello, and the alert that a message out of order is owed, are told once they are handed out."""
    handshake = client(transcript=True)
    handshake.receive_data(Script13(offer_of(handshake)).hello_retry_request(cookie=b"cookie"))
    assert entries(handshake)[1:] == [("<", "HelloRetryRequest")]
    handshake.data_to_send()
    assert entries(handshake)[2:] == [(">", "ChangeCipherSpec"), (">", "ClientHello")]
    with pytest.raises(ProtocolError):
        handshake.receive_data(bytes.fromhex("160303000414000000"))
    assert len(entries(handshake)) == 4
    handshake.data_to_send()
    assert entries(handshake)[4:] == [(">", "Alert")]


def test_no_transcript_is_kept_unless_it_was_asked_for() -> None:
    """It costs more than the handshake."""
    handshake = client()
    handshake.receive_data(Script13(offer_of(handshake)).flight())

    assert handshake.transcript_entries == ()


@pytest.mark.parametrize("name", TRACES)
def test_a_transcript_changes_nothing(name: str) -> None:
    """The same facts with and without."""
    with_transcript = finished_handshake(trace(name), transcript=True)

    assert with_transcript.facts() == finished_handshake(trace(name)).facts()
    assert all(entry.size > 0 for entry in with_transcript.transcript_entries)


def test_the_server_hello_is_told_by_its_choices() -> None:
    """Version, suite, group."""
    message = trace("3-simple-1rtt")["server_hello"][5:]

    entry = describe_received(message, 0)

    assert (entry.direction, entry.name, entry.size) == ("<", "ServerHello", len(message))
    assert entry.lines == (
        "version TLSv1.3",
        "random a6af06a4121860dc5e6e60249cd34c95930c8ac5cb1434dac155772ed3e26928",
        "session_id empty",
        "cipher_suite TLS_AES_128_GCM_SHA256",
        "extension key_share: x25519, 32 bytes",
        "extension supported_versions: TLSv1.3",
    )


def test_a_certificate_is_told_by_its_names() -> None:
    """Subject and issuer; one that cannot be read by its size and the reason."""
    from prober.tls.messages12 import Certificate12

    lines = describe_received(Certificate12((issued().der, b"\x30\x00")).serialise(), 0x0303).lines

    assert lines[0] == f"certificate 0: {len(issued().der)} bytes, subject CN=api.example.test, issuer CN=api.example.test"
    assert lines[1].startswith("certificate 1: 2 bytes, cannot be read: ")


@pytest.mark.parametrize(
    ("message", "version", "lines"),
    [
        (CertificateStatus(1, b"ocsp").serialise(), 0x0303, ("OCSP response, 4 bytes",)),
        (NewSessionTicket12(7200, b"ticket").serialise(), 0x0303, ("lifetime 7200 s, 6 bytes",)),
        (
            CertificateRequest12(b"\x01\x40\x99", (0x0403, 0x9999), (b"name",)).serialise(),
            0x0303,
            (
                "certificate_types rsa_sign, ecdsa_sign, 0x99",
                "signature_algorithms ecdsa_secp256r1_sha256, 0x9999",
                "1 certificate_authorities",
            ),
        ),
        (DheServerKeyExchange(bytes(256), b"\x02", bytes(256), None).serialise(), 0x0303, ("prime of 2048 bits", "not signed")),
        (handshake_message(HandshakeType.finished, bytes(32)), 0x0304, ()),
        (handshake_message(HandshakeType.certificate_verify, b"\x08"), 0x0304, ("malformed: CertificateVerify at offset 4",)),
    ],
)
def test_other_messages_are_told_by_what_matters(message: bytes, version: int, lines: tuple[str, ...]) -> None:
    """One line a field; a malformed one says where."""
    described = describe_received(message, version).lines

    assert len(described) == len(lines)
    assert all(line.startswith(expected) for line, expected in zip(described, lines, strict=True))


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("version", [0, 0x0301, 0x0303, 0x0304])
def test_every_message_is_described_in_every_version(name: str, version: int) -> None:
    """Also where it does not belong."""
    message = KINDS[name].sample.serialise()

    assert describe_received(message, version).size == len(message)


@given(st.binary(max_size=80), st.integers(0, 255), st.sampled_from([0, 0x0301, 0x0303, 0x0304]))
def test_arbitrary_messages_are_described_without_failing(body: bytes, kind: int, version: int) -> None:
    """Malformed ones are called that."""
    message = handshake_message(kind, body)

    assert describe_received(message, version).size == len(message)
    assert describe_sent(message).direction == ">"


@given(st.binary(max_size=6))
def test_arbitrary_alerts_are_described_without_failing(payload: bytes) -> None:
    """Half an alert is none."""
    assert len(describe_record("<", 0x15, payload).lines) == len(payload) // 2


def test_an_alert_is_told_by_level_name_and_number() -> None:
    """The number is what other tools print."""
    assert describe_record("<", 0x15, b"\x02\x70").lines == ("fatal unrecognized_name (112)",)
