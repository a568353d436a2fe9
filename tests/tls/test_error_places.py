"""Each refusal says which message it is about, and at which offset of it the field begins that is wrong."""

from __future__ import annotations

import pytest

from prober.tls.errors import ProtocolError
from prober.tls.records import RecordReader
from prober.tls.registry import CipherSuite, ExtensionType
from tests.tls.scripted import Script12, client, offer_of

X = ExtensionType
STATUS = {X.extended_master_secret: b"", X.renegotiation_info: b"\0"}
"""What is well in front of what is not."""


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"legacy_version": 0x0300}, b"\x03\x00"),
        ({"extensions": {**STATUS, X.supported_versions: b"\x03\x03"}}, b"\x03\x03"),
        ({"extensions": {**STATUS, X.supported_versions: b"\x03\x03\x03"}}, b"\x03\x03\x03"),
        ({"cipher_suite": 0x1A1A, "session_id": b"\x07" * 32}, b"\x1a\x1a"),
        ({"cipher_suite": CipherSuite.TLS_AES_128_GCM_SHA256}, b"\x13\x01"),
        ({"compression_method": 1}, b"\x01"),
        ({"extensions": {**STATUS, X.heartbeat: b"\x01"}}, b"\x00\x0f\x00\x01\x01"),
    ],
)
def test_an_offset_points_at_the_bytes_that_are_wrong(fields: dict[str, object], wrong: bytes) -> None:
    """Counted from the message's header on, as a dissector counts."""
    handshake = client(depth="certificate")
    flight = Script12(offer_of(handshake)).hello(**fields)
    (record,) = RecordReader().receive(flight)
    with pytest.raises(ProtocolError) as caught:
        handshake.receive_data(flight)
    error = caught.value
    assert error.message == "ServerHello"
    assert record.fragment[error.offset :].startswith(wrong)
    assert str(error) == f"ServerHello at offset {error.offset}: {error.reason}"


def test_what_is_wrong_as_a_whole_is_at_its_beginning() -> None:
    """A message that may not come now, a record that may not."""
    with pytest.raises(ProtocolError, match=r"^handshake at offset 0: expected ServerHello or HelloRetryRequest, got Finished$"):
        client().receive_data(bytes.fromhex("160303000414000000"))
    with pytest.raises(
        ProtocolError, match=r"^record at offset 0: expected ServerHello or HelloRetryRequest, got application_data$"
    ):
        client().receive_data(bytes.fromhex("170303000100"))
