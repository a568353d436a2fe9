"""ServerHello and HelloRetryRequest: what stays within the offer is taken, and what does not is named."""

from __future__ import annotations

import pytest

from prober.tls.errors import DecodeError, PeerMisbehaved, ProtocolError, UnexpectedMessage
from prober.tls.events import HelloRetryRequested
from prober.tls.handshake import ClientHandshake
from prober.tls.registry import AlertDescription, CipherSuite, ExtensionType, NamedGroup
from tests.tls.scripted import SERVER_NAME, Script12, Script13, client, offer_of

X = ExtensionType


def answered(
    hello: dict[str, object], tls: str = "auto", *, server_name: str | None = SERVER_NAME, profile: str = "modern"
) -> ClientHandshake:
    """A client at depth ``certificate`` after a TLS 1.2 ServerHello with these fields."""
    handshake = client(tls, depth="certificate", server_name=server_name, profile=profile)
    handshake.receive_data(Script12(offer_of(handshake)).hello(**hello))
    return handshake


@pytest.mark.parametrize(("version", "label"), [(0x0303, "TLSv1.2"), (0x0302, "TLSv1.1"), (0x0301, "TLSv1.0")])
def test_every_version_that_was_offered_is_taken(version: int, label: str) -> None:
    """The ``modern`` profile offers them all."""
    facts = answered({"legacy_version": version, "cipher_suite": CipherSuite.TLS_RSA_WITH_AES_128_CBC_SHA}).facts()

    assert facts.tls_version == label
    assert facts.server_answered


@pytest.mark.parametrize(
    ("tls", "version", "name"),
    [
        ("auto", 0x0300, "SSLv3"),
        ("auto", 0x0305, "0x0305"),
        ("1.2", 0x0301, "TLSv1.0"),
        ("1.3", 0x0303, "TLSv1.2"),
    ],
)
def test_a_version_that_was_not_offered_is_named(tls: str, version: int, name: str) -> None:
    """protocol_version, saying what was chosen and what was offered."""
    with pytest.raises(PeerMisbehaved, match=f"the server chose {name}, offered were .*TLSv1") as caught:
        answered({"legacy_version": version}, tls)
    assert caught.value.implies == AlertDescription.protocol_version
    assert caught.value.message == "ServerHello"


def test_supported_versions_may_not_select_an_old_version() -> None:
    """RFC 8446 section 4.2.1: it is for TLS 1.3 and later, which are chosen by it alone. Both versions were offered."""
    with pytest.raises(PeerMisbehaved, match=r"the server chose TLSv1\.2 by supported_versions, which is for TLS 1\.3 alone$"):
        answered({"extensions": {X.supported_versions: b"\x03\x03"}})
    with pytest.raises(PeerMisbehaved, match=r"the server chose TLSv1\.3 without supported_versions$") as caught:
        answered({"legacy_version": 0x0304})
    assert caught.value.implies == AlertDescription.protocol_version


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        (
            {"cipher_suite": CipherSuite.TLS_DH_anon_WITH_AES_128_CBC_SHA},
            "TLS_DH_anon_WITH_AES_128_CBC_SHA, which was not offered",
        ),
        ({"cipher_suite": 0x1A1A}, "0x1A1A, which was not offered"),
        ({"cipher_suite": CipherSuite.TLS_AES_128_GCM_SHA256}, r"TLS_AES_128_GCM_SHA256 for TLSv1\.2"),
        (
            {"legacy_version": 0x0301, "cipher_suite": CipherSuite.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256},
            r"TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 for TLSv1\.0",
        ),
        ({"compression_method": 1}, "compression method 1"),
    ],
)
def test_a_choice_outside_the_offer_is_named(fields: dict[str, object], reason: str) -> None:
    """Suites that were not offered or belong to another version, and compression."""
    with pytest.raises(PeerMisbehaved, match=reason) as caught:
        answered(fields)
    assert caught.value.implies == AlertDescription.illegal_parameter


@pytest.mark.parametrize("signal", [CipherSuite.TLS_EMPTY_RENEGOTIATION_INFO_SCSV, CipherSuite.TLS_FALLBACK_SCSV])
def test_a_signalling_suite_is_no_choice(signal: CipherSuite) -> None:
    """Even where it was offered."""
    with pytest.raises(PeerMisbehaved, match="SCSV"):
        answered({"cipher_suite": signal})


@pytest.mark.parametrize("kind", [X.heartbeat, X.max_fragment_length, X.server_certificate_type, X.pre_shared_key])
def test_an_extension_that_was_not_offered_is_named(kind: ExtensionType) -> None:
    """unsupported_extension, as OpenSSL and BoringSSL answer it."""
    with pytest.raises(PeerMisbehaved, match=f"answers {kind.name}, which was not offered") as caught:
        answered({"extensions": {kind: b""}})
    assert caught.value.implies == AlertDescription.unsupported_extension


@pytest.mark.parametrize("kind", [X.renegotiation_info, X.signed_certificate_timestamp, 0x1234, 0x3374])
def test_what_clients_in_use_tolerate_is_tolerated(kind: int) -> None:
    """Two extensions that OpenSSL takes unasked, and any that is not registered."""
    assert answered({"extensions": {kind: b"\0"}}).facts().server_answered


def test_a_server_name_is_acknowledged_only_if_one_was_sent() -> None:
    """Without a name, the acknowledgement is an answer to nothing."""
    assert answered({"extensions": {X.server_name: b""}}).facts().server_answered
    with pytest.raises(PeerMisbehaved, match="server_name"):
        answered({"extensions": {X.server_name: b""}}, server_name=None)


def test_the_chosen_protocol_must_be_one_of_ours() -> None:
    """RFC 7301 section 3.1."""
    alpn = X.application_layer_protocol_negotiation
    assert answered({"extensions": {alpn: b"\x00\x03\x02h2"}}, profile="curl").facts().alpn == "h2"
    with pytest.raises(PeerMisbehaved, match="the protocol spdy"):
        answered({"extensions": {alpn: b"\x00\x05\x04spdy"}}, profile="curl")
    with pytest.raises(PeerMisbehaved, match="application_layer_protocol_negotiation, which was not offered"):
        answered({"extensions": {alpn: b"\x00\x03\x02h2"}})


@pytest.mark.parametrize(("tail", "noted"), [(b"DOWNGRD\x01", True), (b"DOWNGRD\x00", True), (b"DOWNGRD\x02", False)])
def test_a_downgrade_sentinel_is_noted_and_not_fatal(tail: bytes, noted: bool) -> None:
    """The certificate is worth reading all the same (RFC 8446 section 4.1.3)."""
    assert answered({"random": bytes(24) + tail}).facts().downgrade_sentinel == noted


def test_a_sentinel_without_a_higher_offer_means_nothing() -> None:
    """A client of TLS 1.2 alone was not downgraded."""
    assert not answered({"random": bytes(24) + b"DOWNGRD\x01"}, "1.2").facts().downgrade_sentinel


def test_a_tls_1_2_server_may_echo_the_session_id() -> None:
    """Some do without meaning resumption: the certificate follows."""
    handshake = client(depth="certificate")
    script = Script12(offer_of(handshake))

    handshake.receive_data(script.hello(session_id=offer_of(handshake).session_id) + script.certificate())

    assert handshake.facts().certificate_read


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"session_id": b""}, "does not echo our session_id"),
        ({"cipher_suite": CipherSuite.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256}, r"for TLSv1\.3"),
        ({"extensions": {X.supported_versions: b"\x03\x04"}}, "no key_share"),
        (
            {"extensions": {X.supported_versions: b"\x03\x04", X.key_share: b"\x00\x17\x00\x01\x04"}},
            "secp256r1, of which we sent none",
        ),
        ({"share": bytes(32)}, "small order"),
        ({"share": bytes(31)}, "32 bytes, not 31"),
        ({"extensions": {X.supported_versions: b"\x7f\x1c"}}, "the server chose 0x7F1C"),
    ],
)
def test_a_tls_1_3_hello_that_breaks_a_rule_is_refused(fields: dict[str, object], reason: str) -> None:
    """RFC 8446 sections 4.1.3 and 4.2.8."""
    handshake = client()
    with pytest.raises(PeerMisbehaved, match=reason):
        handshake.receive_data(Script13(offer_of(handshake)).hello(**fields))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("group", "cookie"),
    [
        (NamedGroup.secp256r1, None),
        (NamedGroup.secp384r1, None),
        (NamedGroup.ffdhe2048, None),
        (NamedGroup.secp256r1, b"cookie"),
        (None, b"cookie"),
    ],
)
def test_a_hello_retry_request_is_answered_and_the_handshake_goes_on(group: NamedGroup | None, cookie: bytes | None) -> None:
    """With a group, with a cookie, with both."""
    handshake = client()
    script = Script13(offer_of(handshake))

    events = handshake.receive_data(script.hello_retry_request(group, cookie))
    assert handshake.facts().server_answered
    script.answer(handshake)
    handshake.receive_data(script.flight())

    assert events == [HelloRetryRequested(group)]
    facts = handshake.facts()
    assert facts.hello_retry_request
    assert facts.finished
    assert facts.group == ("x25519" if group is None else group.name)


def test_the_second_hello_follows_a_change_cipher_spec() -> None:
    """RFC 8446 section D.4, once only: our Finished has none before it then."""
    handshake = client(close_when_finished=False)
    script = Script13(offer_of(handshake))
    handshake.receive_data(script.hello_retry_request(cookie=b"cookie"))

    answer = handshake.data_to_send()

    assert answer == b"\x14\x03\x03\x00\x01\x01" + offer_of(handshake).wire
    script.offer = offer_of(handshake)
    script.transcript.update(script.offer.message)
    handshake.receive_data(script.flight())
    assert handshake.data_to_send()[:1] == b"\x17"


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        ({}, "no change"),
        ({"group": NamedGroup.x25519}, "whose share was sent"),
        ({"group": NamedGroup.secp256k1}, "was not offered"),
        ({"group": 0x7777}, "was not offered"),
        ({"cookie": b"c", "session_id": b""}, "session_id"),
        ({"cookie": b"c", "compression_method": 1}, "compression"),
        ({"cookie": b"c", "cipher_suite": CipherSuite.TLS_RSA_WITH_AES_128_CBC_SHA}, "TLS_RSA_WITH_AES_128_CBC_SHA"),
    ],
)
def test_a_hello_retry_request_outside_the_offer_is_misbehaviour(request_: dict[str, object], reason: str) -> None:
    """RFC 8446 section 4.1.4."""
    handshake = client()
    with pytest.raises(PeerMisbehaved, match=reason) as caught:
        handshake.receive_data(Script13(offer_of(handshake)).hello_retry_request(**request_))  # type: ignore[arg-type]
    assert caught.value.message == "HelloRetryRequest"


@pytest.mark.parametrize(
    ("extensions", "error"),
    [
        ({X.supported_versions: b"\x03\x04", X.cookie: b"\0\0"}, DecodeError),
        ({X.supported_versions: b"\x03\x04", X.cookie: b"\0\x09c"}, DecodeError),
        ({X.supported_versions: b"\x03\x04", X.key_share: b"\0\x17\0"}, DecodeError),
        ({X.supported_versions: b"\x03\x04", X.cookie: b"\0\x01c", X.heartbeat: b"\x01"}, PeerMisbehaved),
        ({X.cookie: b"\0\x01c"}, PeerMisbehaved),
    ],
)
def test_a_malformed_hello_retry_request_is_refused(extensions: dict[int, bytes], error: type[ProtocolError]) -> None:
    """An empty or truncated cookie, a key_share of the wrong size, extensions that do not belong, none for the version."""
    handshake = client()
    with pytest.raises(error):
        handshake.receive_data(Script13(offer_of(handshake)).hello_retry_request(extensions=extensions))


def test_a_second_hello_retry_request_is_misbehaviour() -> None:
    """RFC 8446 section 4.1.4: one is all that a server may send."""
    handshake = client()
    script = Script13(offer_of(handshake))
    handshake.receive_data(script.hello_retry_request(cookie=b"one"))
    script.answer(handshake)

    with pytest.raises(UnexpectedMessage, match="expected ServerHello, got HelloRetryRequest"):
        handshake.receive_data(script.hello_retry_request(cookie=b"two"))


def test_the_suite_of_a_hello_retry_request_binds() -> None:
    """RFC 8446 section 4.1.4."""
    handshake = client()
    script = Script13(offer_of(handshake))
    handshake.receive_data(script.hello_retry_request(cookie=b"one"))
    script.answer(handshake)

    with pytest.raises(PeerMisbehaved, match="contradicts the HelloRetryRequest"):
        handshake.receive_data(script.hello(cipher_suite=CipherSuite.TLS_AES_256_GCM_SHA384))


def test_after_a_hello_retry_request_the_group_must_be_the_one_that_was_asked_for() -> None:
    """The second hello has a share of no other."""
    handshake = client()
    script = Script13(offer_of(handshake))
    handshake.receive_data(script.hello_retry_request(NamedGroup.secp256r1))
    script.answer(handshake)
    share = NamedGroup.x25519.to_bytes(2) + b"\x00\x20" + bytes(range(32))

    with pytest.raises(PeerMisbehaved, match="x25519, of which we sent none"):
        handshake.receive_data(script.hello(extensions={X.supported_versions: b"\x03\x04", X.key_share: share}))
