"""The table of the handshake: every message in every state is either taken or refused by name."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from prober.tls.errors import ProtocolError, UnexpectedMessage
from prober.tls.handshake import ClientHandshake
from prober.tls.messages import HELLO_RETRY_REQUEST_RANDOM, ServerHello, handshake_message
from prober.tls.messages12 import (
    Certificate12,
    CertificateRequest12,
    CertificateStatus,
    EcdheServerKeyExchange,
    NewSessionTicket12,
)
from prober.tls.messages13 import (
    Certificate13,
    CertificateRequest13,
    CertificateVerify,
    EncryptedExtensions,
    KeyUpdate,
    NewSessionTicket13,
)
from prober.tls.registry import ContentType, ExtensionType, HandshakeType
from prober.tls.transitions import TRANSITIONS, Message, State, expected_in, message_name
from tests.tls.scripted import Script12, Script13, client, offer_of

TLS12 = [state for state in State if state.name.startswith("TLS12")]
TLS13 = [state for state in State if state.name.startswith("TLS13")]

REQUEST12 = CertificateRequest12(b"\x01\x40", (0x0403,), ()).serialise()
REQUEST13 = CertificateRequest13(b"", {ExtensionType.signature_algorithms: b"\x00\x02\x04\x03"}).serialise()


def _steps12(script: Script12, handshake: ClientHandshake) -> dict[State, Callable[[], bytes]]:
    def change_cipher_spec() -> bytes:
        script.answer(handshake)
        return script.change_cipher_spec()

    return {
        State.TLS12_SERVER_HELLO: script.hello,
        State.TLS12_CERTIFICATE: script.certificate,
        State.TLS12_CERTIFICATE_STATUS: lambda: script.records(CertificateStatus(1, b"ocsp").serialise()),
        State.TLS12_SERVER_KEY_EXCHANGE: script.server_key_exchange,
        State.TLS12_CERTIFICATE_REQUEST: lambda: script.records(REQUEST12),
        State.TLS12_SERVER_HELLO_DONE: script.server_hello_done,
        State.TLS12_NEW_SESSION_TICKET: lambda: _ticket_after_our_flight(script, handshake),
        State.TLS12_CHANGE_CIPHER_SPEC: lambda: change_cipher_spec() if not script.master else script.change_cipher_spec(),
        State.TLS12_FINISHED: script.finished,
    }


def _ticket_after_our_flight(script: Script12, handshake: ClientHandshake) -> bytes:
    script.answer(handshake)
    return script.records(NewSessionTicket12(300, b"ticket").serialise())


def _steps13(script: Script13) -> dict[State, Callable[[], bytes]]:
    return {
        State.TLS13_SERVER_HELLO: script.hello,
        State.TLS13_ENCRYPTED_EXTENSIONS: script.encrypted_extensions,
        State.TLS13_CERTIFICATE_REQUEST: lambda: script.records(REQUEST13),
        State.TLS13_CERTIFICATE: script.certificate,
        State.TLS13_CERTIFICATE_VERIFY: script.certificate_verify,
        State.TLS13_FINISHED: script.finished,
    }


def reach(state: State) -> tuple[ClientHandshake, Script12 | Script13]:
    """A client at depth ``finished`` that a right server has brought into ``state``."""
    tls = "1.2" if state in TLS12 else "auto"
    handshake = client(tls, close_when_finished=False)
    script: Script12 | Script13
    steps: dict[State, Callable[[], bytes]]
    if state in TLS12:
        script = Script12(offer_of(handshake))
        steps = _steps12(script, handshake)
    else:
        script = Script13(offer_of(handshake))
        steps = _steps13(script)
        if state is State.HELLO_RETRY_REQUEST:
            handshake.receive_data(script.hello_retry_request(cookie=b"cookie"))
            script.answer(handshake)
    for reached, step in steps.items():
        if state in steps and handshake.state is not state:
            handshake.receive_data(step())
            assert handshake.state is reached
    assert handshake.state is state
    return handshake, script


def sample(message: Message, state: State, script: Script12 | Script13) -> bytes:
    """A message of this kind, of the right shape for the version that the state belongs to."""
    is_tls13 = state in TLS13
    hello = ServerHello(0x0303, bytes(32), script.offer.session_id, 0xC02B, 0, {})
    hello13 = hello._replace(extensions={ExtensionType.supported_versions: b"\x03\x04"})
    retry = hello13._replace(
        random=HELLO_RETRY_REQUEST_RANDOM,
        cipher_suite=0x1301,
        extensions={**hello13.extensions, ExtensionType.cookie: b"\x00\x01x"},
    )
    samples = {
        Message.HelloRequest: handshake_message(HandshakeType.hello_request, b""),
        Message.ServerHello: hello.serialise(),
        Message.ServerHello13: hello13.serialise(),
        Message.HelloRetryRequest: retry.serialise(),
        Message.NewSessionTicket: (
            NewSessionTicket13(300, 0, b"", b"ticket", {}).serialise() if is_tls13 else NewSessionTicket12(300, b"").serialise()
        ),
        Message.EncryptedExtensions: EncryptedExtensions({}).serialise(),
        Message.Certificate: Certificate13(b"", ()).serialise() if is_tls13 else Certificate12(()).serialise(),
        Message.ServerKeyExchange: EcdheServerKeyExchange(0x001D, bytes(32), None).serialise(),
        Message.CertificateRequest: REQUEST13 if is_tls13 else REQUEST12,
        Message.ServerHelloDone: handshake_message(HandshakeType.server_hello_done, b""),
        Message.CertificateVerify: CertificateVerify(0x0403, b"").serialise(),
        Message.Finished: handshake_message(HandshakeType.finished, bytes(32 if is_tls13 else 12)),
        Message.CertificateStatus: CertificateStatus(1, b"").serialise(),
        Message.KeyUpdate: KeyUpdate(request_update=False).serialise(),
        Message.CompressedCertificate: handshake_message(HandshakeType.compressed_certificate, b""),
    }
    return samples[message]


HANDSHAKE_MESSAGES = [message for message in Message if message is not Message.ChangeCipherSpec]


@pytest.mark.parametrize("message", HANDSHAKE_MESSAGES, ids=lambda message: message.name)
@pytest.mark.parametrize("state", State, ids=lambda state: state.name)
def test_every_message_in_every_state_is_taken_or_refused_by_the_table(state: State, message: Message) -> None:
    """What the table has is handled; all else is unexpected_message, ends the handshake, and says what was expected."""
    handshake, script = reach(state)
    wire = sample(message, state, script)
    handshake.data_to_send()

    if message in TRANSITIONS[state]:
        try:
            handshake.receive_data(script.records(wire))
        except UnexpectedMessage as error:
            # The suite asks for a ServerKeyExchange; the table cannot know.
            if (error.expected, error.got) != ("ServerKeyExchange", "ServerHelloDone"):
                pytest.fail(f"the table takes it: {error}")
        except ProtocolError:
            assert handshake.closed  # the sample's content is wrong; its place was right
        else:
            assert handshake.state is TRANSITIONS[state][message].next_state
        return
    with pytest.raises(UnexpectedMessage) as caught:
        handshake.receive_data(script.records(wire))
    assert caught.value.got == message_name(message)
    assert caught.value.expected == expected_in(state)
    assert handshake.closed
    assert handshake.data_to_send() != b""


@pytest.mark.parametrize("state", State, ids=lambda state: state.name)
def test_change_cipher_spec_is_tolerated_where_tls_1_3_may_be(state: State) -> None:
    """RFC 8446 section D.4: it means nothing from the first hello to the server's Finished; afterwards it is refused."""
    handshake, script = reach(state)
    record = b"\x14\x03\x03\x00\x01\x01"
    tolerated = state in (State.CLIENT_HELLO, State.HELLO_RETRY_REQUEST) or (state in TLS13 and state is not State.TLS13_FINISHED)
    if tolerated:
        assert handshake.receive_data(record * 3) == []
        assert handshake.state is state
    elif Message.ChangeCipherSpec in TRANSITIONS[state]:
        handshake.receive_data(record)
        assert handshake.state is State.TLS12_CHANGE_CIPHER_SPEC
    else:
        if isinstance(script, Script12) and script.sending is not None:
            record = script.records(b"\x01", ContentType.change_cipher_spec)
        with pytest.raises(UnexpectedMessage, match="ChangeCipherSpec"):
            handshake.receive_data(record)


def test_every_state_of_the_table_is_reached_by_its_rows() -> None:
    """No dead state, no row that leads nowhere."""
    reached = {row.next_state for rows in TRANSITIONS.values() for row in rows.values()}

    assert set(TRANSITIONS) == set(State)
    assert reached | {State.CLIENT_HELLO} == set(State)


@pytest.mark.parametrize("code", sorted(set(range(256)) - {int(message) for message in Message}))
def test_a_handshake_type_that_no_client_takes_is_refused_by_its_name(code: int) -> None:
    """Also one that nobody registered."""
    handshake, script = reach(State.TLS12_SERVER_HELLO)
    with pytest.raises(UnexpectedMessage, match="expected Certificate, got") as caught:
        handshake.receive_data(script.records(handshake_message(code, b"")))
    assert caught.value.got == message_name(code)
    assert caught.value.got[0].isupper() or caught.value.got == f"0x{code:02X}"
