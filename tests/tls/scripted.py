"""Servers that say whatever a test wants, each message of a handshake one at a time: their keys are right unless told otherwise.

They share the key schedule and the record protection with the client under test. That these are right is proved elsewhere,
against RFC 8448 and OpenSSL; here the question is what the client does with each message.
"""

from __future__ import annotations

import hashlib
from functools import cache

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from prober.tls.client_hello import HelloFactory, Offer
from prober.tls.handshake import ClientHandshake
from prober.tls.key_exchange import generate
from prober.tls.keys import (
    KeySchedule,
    finished_mac,
    key_block,
    master_secret,
    next_traffic_secret,
    traffic_keys,
    verify_data12,
)
from prober.tls.messages import HELLO_RETRY_REQUEST_RANDOM, ServerHello, handshake_message
from prober.tls.messages12 import Certificate12, EcdheServerKeyExchange, Signature
from prober.tls.messages13 import Certificate13, CertificateEntry, CertificateVerify, EncryptedExtensions
from prober.tls.profiles import PROFILES
from prober.tls.protection import Aead12Protection, Protection, Tls13Protection
from prober.tls.records import MAX_CIPHERTEXT_TLS12, Record, RecordReader, plain_records
from prober.tls.registry import CipherSuite, ContentType, ExtensionType, HandshakeType, NamedGroup, SignatureScheme
from prober.tls.signatures import certificate_verify_content
from prober.tls.suites import BULK_CIPHERS
from tests.pki import Issued, self_signed
from tests.tls.counter import CounterEntropy

__all__ = ["SERVER_NAME", "Script12", "Script13", "client", "factory", "issued", "offer_of", "read_records"]

SERVER_NAME = "api.example.test"
HANDSHAKE = ContentType.handshake


@cache
def issued() -> Issued:
    """The certificate that all scripted servers present: P-256."""
    return self_signed(SERVER_NAME)


@cache
def factory(tls: str = "auto", profile: str = "modern") -> HelloFactory:
    """The hellos that the scripted servers answer."""
    return HelloFactory(PROFILES[profile], tls=tls, entropy=CounterEntropy())


def client(
    tls: str = "auto", *, depth: str = "finished", server_name: str | None = SERVER_NAME, profile: str = "modern", **options: bool
) -> ClientHandshake:
    """A client that has sent its hello."""
    handshake = ClientHandshake(factory(tls, profile).offer(server_name), depth=depth, **options)
    handshake.data_to_send()
    return handshake


def offer_of(handshake: ClientHandshake) -> Offer:
    """The hello that the client sent last."""
    return handshake._negotiation.offer


class Script13:
    """A server of TLS 1.3 with TLS_AES_128_GCM_SHA256."""

    def __init__(self, offer: Offer) -> None:
        self.offer = offer
        self.transcript = hashlib.sha256(offer.message)
        self.sending: Protection | None = None
        self.server_secret = b""
        self.client_secret = b""
        self.schedule: KeySchedule | None = None

    def records(self, message: bytes, content_type: int = HANDSHAKE) -> bytes:
        """``message`` in one record, protected once there are keys; handshake messages before Finished are transcribed."""
        if content_type == HANDSHAKE:
            self.transcript.update(message)
        if self.sending is None:
            return plain_records(content_type, 0x0303, message)
        return self.sending.protect(content_type, message)

    def hello_retry_request(self, group: int | None = None, cookie: bytes | None = None, **fields: object) -> bytes:
        """A HelloRetryRequest; the script goes on with the hello that answers it (`answer`)."""
        extensions = {ExtensionType.supported_versions: b"\x03\x04"}
        if group is not None:
            extensions[ExtensionType.key_share] = group.to_bytes(2)
        if cookie is not None:
            extensions[ExtensionType.cookie] = len(cookie).to_bytes(2) + cookie
        values = {
            "legacy_version": 0x0303,
            "random": HELLO_RETRY_REQUEST_RANDOM,
            "session_id": self.offer.session_id,
            "cipher_suite": CipherSuite.TLS_AES_128_GCM_SHA256,
            "compression_method": 0,
            "extensions": extensions,
        }
        message = ServerHello(**{**values, **fields}).serialise()  # type: ignore[arg-type]
        stands_for_hello = handshake_message(HandshakeType.message_hash, self.transcript.digest())
        self.transcript = hashlib.sha256(stands_for_hello)
        return self.records(message)

    def answer(self, handshake: ClientHandshake) -> None:
        """Take the second ClientHello."""
        self.offer = offer_of(handshake)
        assert self.offer.wire in handshake.data_to_send()
        self.transcript.update(self.offer.message)

    def hello(self, *, share: bytes | None = None, **fields: object) -> bytes:
        """A ServerHello; from then on records are protected."""
        ours = generate(NamedGroup(self.offer.key_shares[0].group), CounterEntropy(7))
        public = ours.public if share is None else share
        extensions = {
            ExtensionType.supported_versions: b"\x03\x04",
            ExtensionType.key_share: ours.group.to_bytes(2) + len(public).to_bytes(2) + public,
        }
        values = {
            "legacy_version": 0x0303,
            "random": bytes(range(32)),
            "session_id": self.offer.session_id,
            "cipher_suite": CipherSuite.TLS_AES_128_GCM_SHA256,
            "compression_method": 0,
            "extensions": extensions,
        }
        wire = self.records(ServerHello(**{**values, **fields}).serialise())  # type: ignore[arg-type]
        self.schedule = KeySchedule("sha256", ours.exchange(self.offer.key_shares[0].public))
        digest = self.transcript.digest()
        self.server_secret = self.schedule.handshake_traffic(b"s", digest)
        self.client_secret = self.schedule.handshake_traffic(b"c", digest)
        self.sending = self._protection(self.server_secret)
        return wire

    @staticmethod
    def _protection(secret: bytes) -> Protection:
        return Tls13Protection(BULK_CIPHERS["AES_128_GCM"], traffic_keys(secret, 16, "sha256"))

    def encrypted_extensions(self, **extensions: bytes) -> bytes:
        """EncryptedExtensions with these, by name."""
        return self.records(EncryptedExtensions({ExtensionType[name]: data for name, data in extensions.items()}).serialise())

    def certificate(self, *, context: bytes = b"", entries: tuple[CertificateEntry, ...] | None = None) -> bytes:
        """Certificate with `issued`."""
        chain = (CertificateEntry(issued().der, {}),) if entries is None else entries
        return self.records(Certificate13(context, chain).serialise())

    def certificate_verify(self, scheme: int = SignatureScheme.ecdsa_secp256r1_sha256) -> bytes:
        """CertificateVerify by the key of `issued`."""
        key = issued().key
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        signature = key.sign(certificate_verify_content(self.transcript.digest()), ec.ECDSA(hashes.SHA256()))
        return self.records(CertificateVerify(scheme, signature).serialise())

    def finished(self) -> bytes:
        """Finished; from then on records are protected with the application keys."""
        verify_data = finished_mac(self.server_secret, self.transcript.digest(), "sha256")
        wire = self.records(handshake_message(HandshakeType.finished, verify_data))
        assert self.schedule is not None
        self.client_secret = self.schedule.application_traffic(b"c", self.transcript.digest())
        self.server_secret = self.schedule.application_traffic(b"s", self.transcript.digest())
        self.sending = self._protection(self.server_secret)
        return wire

    def update_keys(self) -> None:
        """Change to the next application keys, after a KeyUpdate."""
        self.server_secret = next_traffic_secret(self.server_secret, "sha256")
        self.sending = self._protection(self.server_secret)

    def reading(self) -> Protection:
        """What reads the client's records that are protected with the current client secret."""
        return self._protection(self.client_secret)

    def flight(self) -> bytes:
        """Everything from ServerHello to Finished."""
        hello = self.hello()
        return hello + self.encrypted_extensions() + self.certificate() + self.certificate_verify() + self.finished()


class Script12:
    """A server of TLS 1.2 with TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 on X25519, without extended master secret."""

    SUITE = CipherSuite.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
    RANDOM = bytes(range(32))

    def __init__(self, offer: Offer) -> None:
        self.offer = offer
        self.transcript = hashlib.sha256(offer.message)
        self.share = generate(NamedGroup.x25519, CounterEntropy(9))
        self.sending: Protection | None = None
        self.next_sending: Protection | None = None
        self.receiving: Protection | None = None
        self.master = b""

    def records(self, message: bytes, content_type: int = HANDSHAKE) -> bytes:
        """``message`` in one record, protected after `change_cipher_spec`."""
        if content_type == HANDSHAKE:
            self.transcript.update(message)
        if self.sending is None:
            return plain_records(content_type, 0x0303, message)
        return self.sending.protect(content_type, message)

    def hello(self, **fields: object) -> bytes:
        """A ServerHello."""
        values = {
            "legacy_version": 0x0303,
            "random": self.RANDOM,
            "session_id": b"",
            "cipher_suite": self.SUITE,
            "compression_method": 0,
            "extensions": {ExtensionType.renegotiation_info: b"\0"},
        }
        return self.records(ServerHello(**{**values, **fields}).serialise())  # type: ignore[arg-type]

    def certificate(self) -> bytes:
        """Certificate with `issued`."""
        return self.records(Certificate12((issued().der,)).serialise())

    def server_key_exchange(self, group: int = NamedGroup.x25519) -> bytes:
        """A signed share."""
        key = issued().key
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        exchange = EcdheServerKeyExchange(group, self.share.public, None)
        signature = key.sign(self.offer.random + self.RANDOM + exchange.params, ec.ECDSA(hashes.SHA256()))
        signed = Signature(SignatureScheme.ecdsa_secp256r1_sha256, signature)
        return self.records(exchange._replace(signed=signed).serialise())

    def server_hello_done(self) -> bytes:
        """ServerHelloDone."""
        return self.records(handshake_message(HandshakeType.server_hello_done, b""))

    def flight(self) -> bytes:
        """The whole first flight."""
        return self.hello() + self.certificate() + self.server_key_exchange() + self.server_hello_done()

    def answer(self, handshake: ClientHandshake) -> list[bytes]:
        """Take the client's second flight and check its Finished. The handshake messages before it."""
        reader = RecordReader()
        reader.limit = MAX_CIPHERTEXT_TLS12
        *plain, last = list(reader.receive(handshake.data_to_send()))
        messages = [record.fragment for record in plain if record.content_type == HANDSHAKE]
        for message in messages:
            self.transcript.update(message)
        premaster = self.share.exchange(messages[-1][5:])
        seed = self.offer.random + self.RANDOM
        self.master = master_secret(0x0303, "sha256", premaster, extended=False, seed=seed)
        randoms = self.RANDOM + self.offer.random
        client_keys, server_keys = key_block(0x0303, "sha256", self.master, randoms, mac_size=0, key_size=16, iv_size=4)
        bulk = BULK_CIPHERS["AES_128_GCM"]
        self.receiving, self.next_sending = Aead12Protection(bulk, client_keys), Aead12Protection(bulk, server_keys)
        verify_data = verify_data12(0x0303, "sha256", self.master, b"client", self.transcript.digest())
        content_type, finished = self.receiving.unprotect(last)
        assert content_type == HANDSHAKE
        assert finished == handshake_message(HandshakeType.finished, verify_data)
        self.transcript.update(finished)
        return messages

    def change_cipher_spec(self) -> bytes:
        """ChangeCipherSpec; from then on records are protected."""
        wire = self.records(b"\x01", ContentType.change_cipher_spec)
        self.sending = self.next_sending
        return wire

    def finished(self) -> bytes:
        """Finished."""
        verify_data = verify_data12(0x0303, "sha256", self.master, b"server", self.transcript.digest())
        return self.records(handshake_message(HandshakeType.finished, verify_data))


def read_records(wire: bytes) -> list[Record]:
    """The records in ``wire``."""
    reader = RecordReader()
    reader.limit = MAX_CIPHERTEXT_TLS12
    return list(reader.receive(wire))
