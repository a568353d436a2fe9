"""TLS 1.2 to Finished: every lie is found, and what cannot be finished stops with a reason instead of an accusation."""

from __future__ import annotations

from dataclasses import replace

import pytest
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from prober.tls import handshake12, protection
from prober.tls.client_hello import HelloFactory
from prober.tls.errors import DecodeError, PeerMisbehaved, UnexpectedMessage
from prober.tls.events import Progress
from prober.tls.handshake import ClientHandshake
from prober.tls.messages import ServerHello, handshake_message
from prober.tls.messages12 import (
    Certificate12,
    CertificateRequest12,
    DheServerKeyExchange,
    EcdheServerKeyExchange,
    NewSessionTicket12,
    Signature,
)
from prober.tls.profiles import PROFILES
from prober.tls.records import plain_records
from prober.tls.registry import AlertDescription, CipherSuite, HandshakeType, NamedGroup, SignatureScheme
from tests.tls.counter import CounterEntropy
from tests.tls.scripted import SERVER_NAME, Script12, client, issued, offer_of

S = CipherSuite


def offering(*suites: CipherSuite) -> ClientHandshake:
    """A client of TLS 1.2 at depth ``finished`` that offers just these suites."""
    profile = replace(PROFILES["tls12-only"], cipher_suites=suites)
    handshake = ClientHandshake(HelloFactory(profile, entropy=CounterEntropy()).offer(SERVER_NAME), depth="finished")
    handshake.data_to_send()
    return handshake


def flight(suite: CipherSuite, *messages: bytes, certificates: tuple[bytes, ...] | None = None) -> bytes:
    """A first flight with these messages between Certificate and ServerHelloDone."""
    hello = ServerHello(0x0303, Script12.RANDOM, b"", suite, 0, {})
    chain = (issued().der,) if certificates is None else certificates
    done = handshake_message(HandshakeType.server_hello_done, b"")
    parts = [hello.serialise(), Certificate12(chain).serialise(), *messages, done]
    return plain_records(0x16, 0x0303, b"".join(parts))


def test_a_changed_share_is_a_lie() -> None:
    """The signature covers it, and both randoms."""
    handshake = client("1.2")
    script = Script12(offer_of(handshake))
    handshake.receive_data(script.hello() + script.certificate())
    wire = script.server_key_exchange()
    place = wire.index(script.share.public)
    with pytest.raises(PeerMisbehaved, match="signature ecdsa_secp256r1_sha256 is wrong") as caught:
        handshake.receive_data(wire[:place] + bytes([wire[place] ^ 1]) + wire[place + 1 :])
    assert caught.value.implies == AlertDescription.decrypt_error
    assert caught.value.message == "ServerKeyExchange"


def test_a_changed_random_is_a_lie() -> None:
    """Ours as well as the server's."""
    handshake = client("1.2")
    script = Script12(offer_of(handshake))
    with pytest.raises(PeerMisbehaved, match="wrong"):
        handshake.receive_data(script.hello(random=bytes(32)) + script.certificate() + script.server_key_exchange())


def test_depth_certificate_does_not_care_about_lies() -> None:
    """It takes the group, and verifies nothing."""
    handshake = client("1.2", depth="certificate")
    script = Script12(offer_of(handshake))
    handshake.receive_data(script.hello(random=bytes(32)) + script.certificate() + script.server_key_exchange())

    assert handshake.facts().group == "x25519"


def test_a_finished_over_another_transcript_is_a_lie() -> None:
    """For instance when somebody changed a message in clear, such as the ticket."""
    handshake = client("1.2")
    script = Script12(offer_of(handshake))
    handshake.receive_data(script.flight())
    script.answer(handshake)
    script.records(NewSessionTicket12(300, b"ticket").serialise())
    changed = plain_records(0x16, 0x0303, NewSessionTicket12(300, b"tacket").serialise())
    handshake.receive_data(changed + script.change_cipher_spec())

    with pytest.raises(PeerMisbehaved, match="verify_data is wrong"):
        handshake.receive_data(script.finished())
    assert not handshake.facts().finished


@pytest.mark.parametrize(
    ("kind", "body", "name"),
    [(HandshakeType.server_hello_done, b"x", "ServerHelloDone"), (HandshakeType.hello_request, b"x", "HelloRequest")],
)
def test_an_empty_message_is_empty(kind: HandshakeType, body: bytes, name: str) -> None:
    """Anything in it is malformed."""
    handshake = client("1.2")
    script = Script12(offer_of(handshake))
    with pytest.raises(DecodeError, match=f"{name} is not empty"):
        handshake.receive_data(script.hello() + script.certificate() + script.records(handshake_message(kind, body)))


def test_a_hello_request_is_ignored_and_not_transcribed() -> None:
    """RFC 5246 section 7.4.1.1: anywhere in the flight; the Finished messages agree."""
    handshake = client("1.2")
    script = Script12(offer_of(handshake))
    request = plain_records(0x16, 0x0303, handshake_message(HandshakeType.hello_request, b""))
    steps = [script.hello(), script.certificate(), script.server_key_exchange(), script.server_hello_done()]
    handshake.receive_data(request + request.join(steps))
    script.answer(handshake)
    handshake.receive_data(script.change_cipher_spec() + script.finished())

    assert handshake.facts().finished


def test_a_request_is_answered_with_an_empty_certificate() -> None:
    """RFC 5246 section 7.4.6, before ClientKeyExchange; the Finished messages agree."""
    handshake = client("1.2")
    script = Script12(offer_of(handshake))
    first = script.hello() + script.certificate() + script.server_key_exchange()
    first += script.records(CertificateRequest12(b"\x01\x40", (0x0403,), ()).serialise()) + script.server_hello_done()
    handshake.receive_data(first)
    certificate, exchange = script.answer(handshake)
    handshake.receive_data(script.change_cipher_spec() + script.finished())

    assert certificate == b"\x0b\x00\x00\x03\x00\x00\x00"
    assert exchange[0] == HandshakeType.client_key_exchange
    assert handshake.facts().client_certificate_requested
    assert handshake.facts().finished


@pytest.mark.parametrize(
    ("suite", "reason"),
    [
        (S.TLS_RSA_WITH_ARIA_128_GCM_SHA256, "the cipher of TLS_RSA_WITH_ARIA_128_GCM_SHA256 is not implemented"),
        (S.TLS_RSA_WITH_IDEA_CBC_SHA, "the cipher of TLS_RSA_WITH_IDEA_CBC_SHA is not implemented"),
        (S.TLS_RSA_PSK_WITH_AES_128_GCM_SHA256, "the key exchange of TLS_RSA_PSK_WITH_AES_128_GCM_SHA256 is not implemented"),
        (S.TLS_DH_anon_WITH_AES_128_CBC_SHA, "the key exchange of TLS_DH_anon_WITH_AES_128_CBC_SHA is not implemented"),
    ],
)
def test_what_cannot_be_finished_stops_with_a_reason(suite: CipherSuite, reason: str) -> None:
    """The certificate is read, nothing more is sent, the server did nothing wrong."""
    handshake = offering(suite)
    handshake.receive_data(flight(suite))

    assert handshake.unfinished_reason == reason
    assert handshake.progress is Progress.DONE
    assert handshake.closed
    assert handshake.facts().certificate_read
    assert not handshake.facts().finished
    assert handshake.data_to_send() == b""


@pytest.mark.parametrize("suite", [S.TLS_RSA_WITH_RC4_128_SHA, S.TLS_RSA_WITH_3DES_EDE_CBC_SHA], ids=lambda suite: suite.name)
def test_a_cipher_that_the_library_lacks_stops_with_a_reason(suite: CipherSuite, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some builds leave out what nobody should use. It is found out before anything of the second flight is sent."""

    def refuse(*_: object) -> None:
        raise UnsupportedAlgorithm("not in this build")

    monkeypatch.setattr(protection.Cipher, "encryptor", refuse)
    monkeypatch.setattr(handshake12, "supports", protection.supports.__wrapped__)
    handshake = offering(suite)
    handshake.receive_data(flight(suite))

    assert handshake.unfinished_reason == f"the cipher of {suite.name} is not implemented"
    assert handshake.data_to_send() == b""


def test_a_scheme_that_prober_lacks_stops_with_a_reason() -> None:
    """Only at the end of the flight: group and client certificate request are still wanted."""
    suite = S.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
    handshake = offering(suite)
    exchange = EcdheServerKeyExchange(NamedGroup.x25519, bytes(32), Signature(SignatureScheme.mldsa65, b"s"))
    handshake.receive_data(flight(suite, exchange.serialise(), CertificateRequest12(b"\x01", (), ()).serialise()))

    assert handshake.unfinished_reason == "the signature scheme mldsa65 is not implemented"
    assert handshake.facts().group == "x25519"
    assert handshake.facts().client_certificate_requested


def test_an_unsigned_share_stops_with_a_reason() -> None:
    """Nothing would prove whose it is."""
    suite = S.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
    handshake = offering(suite)
    handshake.receive_data(flight(suite, EcdheServerKeyExchange(NamedGroup.x25519, bytes(32), None).serialise()))

    assert handshake.unfinished_reason == "the key exchange is anonymous"


def test_an_empty_chain_stops_with_a_reason() -> None:
    """In an RSA key exchange there is no key to encrypt to."""
    suite = S.TLS_RSA_WITH_AES_128_GCM_SHA256
    handshake = offering(suite)
    handshake.receive_data(flight(suite, certificates=()))

    assert handshake.unfinished_reason == "the server's chain is empty"
    assert handshake.facts().certificate_read


def test_a_chain_that_does_not_fit_the_key_exchange_is_misbehaviour() -> None:
    """An ECDSA certificate cannot take part in an RSA key exchange."""
    suite = S.TLS_RSA_WITH_AES_128_GCM_SHA256
    handshake = offering(suite)
    with pytest.raises(PeerMisbehaved, match="in an RSA key exchange"):
        handshake.receive_data(flight(suite))


def test_a_share_has_no_place_in_an_rsa_key_exchange() -> None:
    """And its absence none in an ephemeral one."""
    rsa, ecdhe = S.TLS_RSA_WITH_AES_128_GCM_SHA256, S.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
    exchange = EcdheServerKeyExchange(NamedGroup.x25519, bytes(32), None).serialise()
    with pytest.raises(UnexpectedMessage, match="expected ServerHelloDone, got ServerKeyExchange"):
        offering(rsa).receive_data(flight(rsa, exchange))
    with pytest.raises(UnexpectedMessage, match="expected ServerKeyExchange, got ServerHelloDone"):
        offering(ecdhe).receive_data(flight(ecdhe))


@pytest.mark.parametrize("group", [NamedGroup.secp256k1, NamedGroup.X25519MLKEM768, 0x7777])
def test_a_group_that_was_not_offered_is_named(group: int) -> None:
    """RFC 8422 section 5.1."""
    handshake = client("1.2")
    script = Script12(offer_of(handshake))
    handshake.receive_data(script.hello() + script.certificate())
    with pytest.raises(PeerMisbehaved, match=f"{NamedGroup(group).name}, which was not offered"):
        handshake.receive_data(script.server_key_exchange(group))


@pytest.mark.parametrize(
    ("prime", "generator", "reason"),
    [
        (b"\xff" * 32, b"\x02", "256 bits"),
        (b"\xff" * 2000, b"\x02", "16000 bits"),
        (b"\xff" * 255 + b"\xfe", b"\x02", "2048 bits"),
    ],
)
def test_an_unusable_prime_costs_nothing(prime: bytes, generator: bytes, reason: str) -> None:
    """Too small, so large that the arithmetic would hold up others, even. Signed, so that it is reached."""
    suite = S.TLS_DHE_DSS_WITH_AES_128_CBC_SHA
    handshake = offering(suite)
    exchange = DheServerKeyExchange(prime, generator, b"\x05", None)
    key = issued().key
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    content = offer_of(handshake).random + Script12.RANDOM + exchange.params
    signature = key.sign(content, ec.ECDSA(hashes.SHA256()))
    signed = exchange._replace(signed=Signature(SignatureScheme.ecdsa_secp256r1_sha256, signature))
    with pytest.raises(PeerMisbehaved, match=reason):
        handshake.receive_data(flight(suite, signed.serialise()))
