"""The server's flights in TLS 1.0 to 1.2, message by message, and our answer to them (RFC 5246 §7.3, §7.4; RFC 8422; RFC 7627)."""

from __future__ import annotations

import hmac
from typing import Final

from cryptography.hazmat.primitives.asymmetric import padding, rsa

from prober.tls.errors import DecodeError, PeerMisbehaved, UnexpectedMessage
from prober.tls.events import SessionTicketReceived
from prober.tls.ffdhe import FFDHE_GROUPS, FiniteFieldGroup, finite_field_group
from prober.tls.key_exchange import EphemeralDh, GroupNotSupported, generate
from prober.tls.keys import KeyBlock, key_block, master_secret, verify_data12
from prober.tls.messages import handshake_message
from prober.tls.messages12 import (
    Certificate12,
    CertificateRequest12,
    CertificateStatus,
    DheServerKeyExchange,
    EcdheServerKeyExchange,
    NewSessionTicket12,
    Signature,
)
from prober.tls.negotiation import Negotiation
from prober.tls.presented_chains import presented_chain12
from prober.tls.protection import Aead12Protection, Cbc12Protection, Protection, Stream12Protection, supports
from prober.tls.records import MAX_CIPHERTEXT_TLS12
from prober.tls.registry import AlertDescription, ExtensionType, HandshakeType, NamedGroup
from prober.tls.server_hello import accept_alpn, accept_server_hello
from prober.tls.signatures import CannotVerify, public_key_of, verify, verify_legacy
from prober.tls.suites import Suite

__all__ = [
    "Exchange12",
    "certificate",
    "certificate_request",
    "certificate_status",
    "change_cipher_spec",
    "finished",
    "hello_request",
    "new_session_ticket",
    "server_hello",
    "server_hello_done",
    "server_key_exchange",
]

_EXTENDED_MASTER_SECRET: Final = ExtensionType.extended_master_secret.value
_ENCRYPT_THEN_MAC: Final = ExtensionType.encrypt_then_mac.value
_HASH_SIZES: Final = {"md5": 16, "sha1": 20, "sha256": 32, "sha384": 48}


class Exchange12:
    """What ServerHello and ServerKeyExchange leave for the rest of the handshake."""

    __slots__ = (
        "encrypt_then_mac",
        "extended_master_secret",
        "master",
        "next_read_protection",
        "server_key_exchange",
        "server_random",
    )

    def __init__(self, server_random: bytes, *, extended_master_secret: bool, encrypt_then_mac: bool) -> None:
        self.server_random = server_random
        self.extended_master_secret = extended_master_secret
        self.encrypt_then_mac = encrypt_then_mac
        self.server_key_exchange: EcdheServerKeyExchange | DheServerKeyExchange | None = None
        self.master = b""
        self.next_read_protection: Protection | None = None
        """What the server's ChangeCipherSpec will put into force."""


def _exchange(n: Negotiation) -> Exchange12:
    assert n.exchange12 is not None  # the table lets no message of TLS 1.2 precede ServerHello
    return n.exchange12


def _suite(n: Negotiation) -> Suite:
    assert n.suite is not None
    return n.suite


# RFC 5246 §7.4.1.3
def server_hello(n: Negotiation, message: bytes) -> None:
    """Take the server's choices."""
    hello = accept_server_hello(n)
    accept_alpn(n, hello.extensions)
    n.exchange12 = Exchange12(
        hello.random,
        extended_master_secret=_EXTENDED_MASTER_SECRET in hello.extensions,
        encrypt_then_mac=_ENCRYPT_THEN_MAC in hello.extensions,
    )
    if n.to_finish:
        n.start_transcript(_suite(n).prf_hash, message)


# RFC 5246 §7.4.1.1
def hello_request(_: Negotiation, message: bytes) -> None:
    """Ignore it, as a client does that is negotiating already; it is not part of the transcript."""
    if len(message) != 4:
        raise DecodeError("HelloRequest is not empty", message="HelloRequest", offset=4)


# RFC 5246 §7.4.2
def certificate(n: Negotiation, message: bytes) -> None:
    """Keep the chain. An empty one is a fact about the server, not an error here."""
    n.certificate_received(presented_chain12(message).certificates)
    n.absorb(message)


# RFC 6066 §8
def certificate_status(n: Negotiation, message: bytes) -> None:
    """A stapled OCSP response, which is not judged."""
    CertificateStatus.parse(message)
    n.absorb(message)


# RFC 5246 §7.4.3; RFC 8422 §5.4
def server_key_exchange(n: Negotiation, message: bytes) -> None:
    """Take the group; at depth ``finished``, verify the signature over the server's share."""
    suite = _suite(n)
    exchange: EcdheServerKeyExchange | DheServerKeyExchange
    if suite.key_exchange == "ECDHE" and suite.authentication != "PSK":
        exchange = EcdheServerKeyExchange.parse(message, n.version)
        offered = n.offer.factory.groups
        # RFC 8422 §5.1: without supported_groups the server may choose any.
        if offered and exchange.group not in offered:
            reason = f"the server chose {NamedGroup(exchange.group).name}, which was not offered"
            raise PeerMisbehaved(reason, message="ServerKeyExchange", offset=5)
        n.group = exchange.group
    elif suite.key_exchange == "DHE" and suite.authentication != "PSK":
        exchange = DheServerKeyExchange.parse(message, n.version)
        n.group = _named_prime(exchange)
    elif suite.key_exchange == suite.authentication == "RSA":
        raise UnexpectedMessage(expected="ServerHelloDone", got="ServerKeyExchange")
    else:
        return  # of a key exchange that prober knows by name only; server_hello_done says so
    _exchange(n).server_key_exchange = exchange
    if n.to_finish:
        try:
            _verify_signature(n, exchange.params, exchange.signed)
        except CannotVerify as reason:
            n.unfinished_reason = str(reason)
        n.absorb(message)


def _named_prime(exchange: DheServerKeyExchange) -> int | None:
    """The group of RFC 7919 with this prime, if there is one."""
    bits = 8 * len(exchange.prime)
    for group in FFDHE_GROUPS:
        if (
            NamedGroup(group).name == f"ffdhe{bits}"
            and int.from_bytes(exchange.prime) == finite_field_group(NamedGroup(group)).prime
        ):
            return group
    return None


def _verify_signature(n: Negotiation, params: bytes, signed: Signature | None) -> None:
    if signed is None or not n.certificates:
        raise CannotVerify("the key exchange is anonymous")
    key = public_key_of(n.certificates[0])
    content = n.offer.random + _exchange(n).server_random + params
    if signed.scheme is None:
        verify_legacy(key, signed.signature, content, message="ServerKeyExchange")
    else:
        verify(key, signed.scheme, signed.signature, content, version=n.version, message="ServerKeyExchange")


# RFC 5246 §7.4.4
def certificate_request(n: Negotiation, message: bytes) -> None:
    """Note that a client certificate is asked for; a probe has none."""
    CertificateRequest12.parse(message, n.version)
    n.client_certificate_requested = True
    n.absorb(message)


# RFC 5246 §7.4.5
def server_hello_done(n: Negotiation, message: bytes) -> None:
    """The end of depth ``certificate``; at depth ``finished``, send our second flight."""
    if len(message) != 4:
        raise DecodeError("ServerHelloDone is not empty", message="ServerHelloDone", offset=4)
    if not n.to_finish:
        n.done()
        return
    n.absorb(message)
    if n.unfinished_reason is not None:
        n.stop_unfinished(n.unfinished_reason)
        return
    try:
        premaster, client_key_exchange = _client_key_exchange(n)
    except CannotVerify as reason:
        n.stop_unfinished(str(reason))
        return
    if n.client_certificate_requested:
        n.send_handshake(Certificate12(()).serialise())
    n.send_handshake(client_key_exchange)
    writing = _derive_keys(n, premaster)
    n.send_change_cipher_spec()
    n.write_protection = writing
    n.send_handshake(handshake_message(HandshakeType.finished, _verify_data(n, b"client")))


# RFC 5246 §7.4.7; RFC 8422 §5.7
def _client_key_exchange(n: Negotiation) -> tuple[bytes, bytes]:
    """The premaster secret and the ClientKeyExchange. CannotVerify where prober cannot go on."""
    suite = _suite(n)
    if suite.bulk is None or not supports(suite.bulk):
        raise CannotVerify(f"the cipher of {suite.name} is not implemented")
    if suite.authentication not in ("RSA", "ECDSA", "DSS"):
        raise CannotVerify(f"the key exchange of {suite.name} is not implemented")
    exchange = _exchange(n).server_key_exchange
    if isinstance(exchange, EcdheServerKeyExchange):
        try:
            share = generate(NamedGroup(exchange.group), n.entropy)
        except GroupNotSupported as error:
            raise CannotVerify(str(error)) from error
        public = len(share.public).to_bytes(1) + share.public
        premaster = share.exchange(exchange.public)
    elif isinstance(exchange, DheServerKeyExchange):
        group = FiniteFieldGroup(int.from_bytes(exchange.prime), int.from_bytes(exchange.generator))
        dh = EphemeralDh(group, n.entropy)
        public = len(dh.public).to_bytes(2) + dh.public
        premaster = dh.exchange(exchange.public).lstrip(b"\0")  # RFC 5246 §8.1.2
    elif suite.key_exchange == "RSA":
        premaster = n.offer.message[4:6] + n.entropy(46)
        public = _encrypt_to_certificate(n, premaster)
    elif suite.key_exchange in ("ECDHE", "DHE"):
        raise UnexpectedMessage(expected="ServerKeyExchange", got="ServerHelloDone")
    else:
        raise CannotVerify(f"the key exchange of {suite.name} is not implemented")
    return premaster, handshake_message(HandshakeType.client_key_exchange, public)


# RFC 5246 §7.4.7.1
def _encrypt_to_certificate(n: Negotiation, premaster: bytes) -> bytes:
    if not n.certificates:
        raise CannotVerify("the server's chain is empty")
    key = public_key_of(n.certificates[0])
    if not isinstance(key, rsa.RSAPublicKey):
        raise PeerMisbehaved(f"a key of type {type(key).__name__} in an RSA key exchange", message="Certificate")
    try:
        encrypted = key.encrypt(premaster, padding.PKCS1v15())
    except ValueError as error:
        raise CannotVerify(f"the certificate's key cannot be encrypted to: {error}") from error
    return len(encrypted).to_bytes(2) + encrypted


# RFC 5246 §6.3
def _derive_keys(n: Negotiation, premaster: bytes) -> Protection:
    """Derive the master secret and both directions' protection; the client's is returned, the server's kept until its turn."""
    suite, exchange, randoms = _suite(n), _exchange(n), (n.offer.random, _exchange(n).server_random)
    assert suite.bulk is not None
    assert n.transcript is not None
    extended = exchange.extended_master_secret
    seed = n.transcript.digest() if extended else randoms[0] + randoms[1]
    exchange.master = master_secret(n.version, suite.prf_hash, premaster, extended=extended, seed=seed)
    mac_size = _HASH_SIZES[suite.mac_hash] if suite.bulk.kind in ("cbc", "stream") else 0
    sizes = mac_size, suite.bulk.key_size, suite.bulk.fixed_iv
    client, server = key_block(n.version, suite.prf_hash, exchange.master, randoms[1] + randoms[0], *sizes)
    exchange.next_read_protection = _protection(n, server)
    return _protection(n, client)


def _protection(n: Negotiation, keys: KeyBlock) -> Protection:
    suite = _suite(n)
    assert suite.bulk is not None
    if suite.bulk.kind == "stream":
        return Stream12Protection(n.version, keys, suite.mac_hash)
    if suite.bulk.kind != "cbc":
        return Aead12Protection(suite.bulk, keys)
    return Cbc12Protection(
        n.version,
        keys,
        suite.mac_hash,
        encrypt_then_mac=_exchange(n).encrypt_then_mac,
        entropy=n.entropy,
        algorithm=suite.bulk.algorithm,
    )


def _verify_data(n: Negotiation, side: bytes) -> bytes:
    assert n.transcript is not None
    return verify_data12(n.version, _suite(n).prf_hash, _exchange(n).master, side, n.transcript.digest())


# RFC 5077 §3.3
def new_session_ticket(n: Negotiation, message: bytes) -> None:
    """Report a ticket; it is never used."""
    NewSessionTicket12.parse(message)
    n.events.append(SessionTicketReceived())
    n.absorb(message)


# RFC 5246 §7.1
def change_cipher_spec(n: Negotiation, message: bytes) -> None:
    """From the next record on the server's records are protected."""
    if message != b"\x01":
        raise DecodeError(f"{message[:8]!r} is not the byte 1", message="ChangeCipherSpec", offset=0)
    protection = _exchange(n).next_read_protection
    assert protection is not None  # made with our second flight, which the table puts before
    n.change_read_keys(protection, MAX_CIPHERTEXT_TLS12)


# RFC 5246 §7.4.9
def finished(n: Negotiation, message: bytes) -> None:
    """Check the server's Finished."""
    if len(message) != 16:
        raise DecodeError(f"verify_data has {len(message) - 4} bytes, not 12", message="Finished", offset=4)
    if not hmac.compare_digest(message[4:], _verify_data(n, b"server")):
        raise PeerMisbehaved("verify_data is wrong", message="Finished", offset=4, implies=AlertDescription.decrypt_error)
    n.handshake_finished()
