"""Record protection: what one side protects the other reads, in order, unchanged, and nothing else."""

from __future__ import annotations

import hmac
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import given, settings
from hypothesis import strategies as st

from prober.tls.errors import PeerMisbehaved, ProtocolError
from prober.tls.keys import KeyBlock, TrafficKeys
from prober.tls.protection import Aead12Protection, Cbc12Protection, Protection, Stream12Protection, Tls13Protection, supports
from prober.tls.records import MAX_PLAINTEXT, Record, RecordReader
from prober.tls.registry import AlertDescription
from prober.tls.suites import BULK_CIPHERS
from tests.tls.counter import CounterEntropy

TLS_1_0, TLS_1_1, TLS_1_2 = 0x0301, 0x0302, 0x0303
_MAC_SIZES = {"md5": 16, "sha1": 20, "sha256": 32, "sha384": 48}


def _tls13(name: str) -> Callable[[], Protection]:
    bulk = BULK_CIPHERS[name]
    return lambda: Tls13Protection(bulk, TrafficKeys(bytes(range(bulk.key_size)), bytes(range(12))))


def _aead12(name: str) -> Callable[[], Protection]:
    bulk = BULK_CIPHERS[name]
    return lambda: Aead12Protection(bulk, KeyBlock(b"", bytes(range(bulk.key_size)), bytes(range(bulk.fixed_iv))))


def _cbc(version: int, name: str, mac: str, *, encrypt_then_mac: bool) -> Callable[[], Protection]:
    bulk = BULK_CIPHERS[name]
    keys = KeyBlock(bytes(_MAC_SIZES[mac]), bytes(range(bulk.key_size)), bytes(bulk.fixed_iv))
    options = {"encrypt_then_mac": encrypt_then_mac, "entropy": CounterEntropy(), "algorithm": bulk.algorithm}
    return lambda: Cbc12Protection(version, keys, mac, **options)  # type: ignore[arg-type]


def _stream(version: int, mac: str) -> Callable[[], Protection]:
    keys = KeyBlock(bytes(_MAC_SIZES[mac]), bytes(range(16)), b"")
    return lambda: Stream12Protection(version, keys, mac)


_AEADS = [name for name, bulk in BULK_CIPHERS.items() if bulk.tag_size]
_CBCS = [name for name, bulk in BULK_CIPHERS.items() if bulk.kind == "cbc"]
PROTECTIONS: dict[str, Callable[[], Protection]] = {
    **{f"TLS 1.3 {name}": _tls13(name) for name in _AEADS},
    **{f"TLS 1.2 {name}": _aead12(name) for name in _AEADS},
    **{
        f"TLS {version:04X} {name} {mac} {'EtM' if etm else 'MtE'}": _cbc(version, name, mac, encrypt_then_mac=etm)
        for version in (TLS_1_0, TLS_1_1, TLS_1_2)
        for name in _CBCS
        for mac in (_MAC_SIZES if name.startswith("AES") else ["sha1"])
        for etm in (False, True)
    },
    **{f"TLS {version:04X} RC4_128 {mac}": _stream(version, mac) for version in (TLS_1_0, TLS_1_2) for mac in ("md5", "sha1")},
}
protections = pytest.mark.parametrize("name", PROTECTIONS)


def only_record(wire: bytes) -> Record:
    """The one record in ``wire``."""
    reader = RecordReader()
    reader.limit = MAX_PLAINTEXT + 2048
    (record,) = reader.receive(wire)
    return record


@pytest.mark.parametrize("name", BULK_CIPHERS)
def test_every_cipher_is_there(name: str) -> None:
    """The package cryptography has them all, also those that nobody should use any more."""
    assert supports(BULK_CIPHERS[name])


@protections
def test_what_was_protected_is_read_again_record_by_record(name: str) -> None:
    """The sequence number, and the IV of TLS 1.0, go on from record to record."""
    sender, receiver = PROTECTIONS[name](), PROTECTIONS[name]()
    for kind, payload in (
        (0x16, b"finished"),
        (0x17, b""),
        (0x17, bytes(5000)),
        (0x15, b"\x01\x00"),
        (0x17, bytes(MAX_PLAINTEXT)),
    ):
        assert receiver.unprotect(only_record(sender.protect(kind, payload))) == (kind, payload)


@protections
def test_every_payload_survives(name: str) -> None:
    """Any content, any length (of padding)."""

    @settings(max_examples=10)
    @given(st.binary(max_size=70), st.sampled_from([0x15, 0x16, 0x17]))
    def round_trip(payload: bytes, kind: int) -> None:
        sender, receiver = PROTECTIONS[name](), PROTECTIONS[name]()
        assert receiver.unprotect(only_record(sender.protect(kind, payload))) == (kind, payload)

    round_trip()


@protections
def test_any_changed_byte_is_found(name: str) -> None:
    """The error is bad_record_mac, whatever was changed: the fragment, its end, or the order of the records."""
    wire = PROTECTIONS[name]().protect(0x16, b"sixteen bytes!!!")
    for place in range(5, len(wire)):
        changed = wire[:place] + bytes([wire[place] ^ 0x80]) + wire[place + 1 :]
        with pytest.raises(PeerMisbehaved) as caught:
            PROTECTIONS[name]().unprotect(only_record(changed))
        assert caught.value.implies == AlertDescription.bad_record_mac

    late = PROTECTIONS[name]()
    late.unprotect(only_record(wire))
    with pytest.raises(PeerMisbehaved):
        late.unprotect(only_record(wire))


@protections
def test_arbitrary_fragments_raise_documented_errors_alone(name: str) -> None:
    """Too short, not a multiple of the block, noise."""

    @settings(max_examples=20)
    @given(st.binary(max_size=150))
    def survive(noise: bytes) -> None:
        record = Record(0x17, b"\x17\x03\x03" + len(noise).to_bytes(2), noise)
        with pytest.raises(ProtocolError):
            PROTECTIONS[name]().unprotect(record)

    survive()


def test_padding_of_tls_1_3_is_taken_off() -> None:
    """RFC 8446 section 5.4: any number of zeros behind the content type."""
    sender, receiver = PROTECTIONS["TLS 1.3 AES_128_GCM"](), PROTECTIONS["TLS 1.3 AES_128_GCM"]()

    padded = sender.protect(0x00, b"payload\x16" + bytes(99))

    assert receiver.unprotect(only_record(padded)) == (0x16, b"payload")


def test_a_record_of_zeros_has_no_content_type() -> None:
    """RFC 8446 section 5.4: it must be refused."""
    sender, receiver = PROTECTIONS["TLS 1.3 AES_128_GCM"](), PROTECTIONS["TLS 1.3 AES_128_GCM"]()
    with pytest.raises(ProtocolError, match="without content type"):
        receiver.unprotect(only_record(sender.protect(0x00, bytes(10))))


@pytest.mark.parametrize("name", ["TLS 1.3 AES_128_GCM", "TLS 1.2 AES_128_GCM", "TLS 0303 AES_128_CBC sha1 MtE"])
def test_more_than_2_to_the_14_bytes_of_plaintext_are_refused(name: str) -> None:
    """Even if the record fits the limit for protected records."""
    sender, receiver = PROTECTIONS[name](), PROTECTIONS[name]()
    with pytest.raises(PeerMisbehaved, match="at most 16384") as caught:
        receiver.unprotect(only_record(sender.protect(0x17, b"x" * (MAX_PLAINTEXT + 1))))
    assert caught.value.implies == AlertDescription.record_overflow


def test_longer_padding_than_needed_is_read() -> None:
    """RFC 5246 section 6.2.3.2: up to 255 bytes; some servers hide lengths with it."""
    content = b"hello"
    mac = hmac.digest(bytes(20), bytes(8) + b"\x17\x03\x03" + len(content).to_bytes(2) + content, "sha1")
    padding = 256 - (len(content) + len(mac)) % 16 - 1
    padding -= (len(content) + len(mac) + padding + 1) % 16
    encryptor = Cipher(algorithms.AES(bytes(range(16))), modes.CBC(bytes(16))).encryptor()
    body = encryptor.update(content + mac + bytes([padding]) * (padding + 1)) + encryptor.finalize()
    fragment = bytes(16) + body

    receiver = PROTECTIONS["TLS 0303 AES_128_CBC sha1 MtE"]()

    assert padding > 200
    assert receiver.unprotect(Record(0x17, b"\x17\x03\x03" + len(fragment).to_bytes(2), fragment)) == (0x17, content)
