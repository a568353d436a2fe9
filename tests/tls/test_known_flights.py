"""The key of a first flight: where two flights have the same, the state machine reads the same from both.

That is the one thing that matters, so it is tried with every byte of real flights changed, and with flights of many servers.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prober.tls.client_hello import HelloFactory, Offer
from prober.tls.errors import ProtocolError
from prober.tls.events import Progress
from prober.tls.facts import HandshakeFacts
from prober.tls.handshake import ClientHandshake
from prober.tls.known_flights import KnownFlights, flight_key
from prober.tls.profiles import PROFILES
from prober.tls.records import plain_records
from prober.tls.registry import ContentType
from tests.pki import Authority, Issued, self_signed
from tests.servers.material import FFDHE2048
from tests.tls.counter import CounterEntropy
from tests.tls.live import context
from tests.tls.scripted import read_records

NAME = "api.example.test"

both = pytest.mark.parametrize("tls", ["1.2", "1.3"])


@pytest.fixture(scope="module")
def issued() -> Issued:
    """P-256, so that signatures are of different lengths."""
    return self_signed(NAME)


@pytest.fixture(scope="module")
def hellos() -> dict[str, HelloFactory]:
    """By version; entropy that goes on, so that no two hellos are the same."""
    return {tls: HelloFactory(PROFILES["modern"], tls=tls, entropy=CounterEntropy()) for tls in ("auto", "1.2", "1.3")}


def answer(server: ssl.SSLContext, offer: Offer) -> bytes:
    """The first flight of a real server."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    connection = server.wrap_bio(incoming, outgoing, server_side=True)
    incoming.write(offer.wire)
    with pytest.raises(ssl.SSLWantReadError):
        connection.do_handshake()
    return outgoing.read()


def read(offer: Offer, flight: bytes) -> HandshakeFacts | None:
    """What the state machine says of a flight; None where it finds something wrong, or wants more."""
    handshake = ClientHandshake(offer, hello_sent=True)
    try:
        handshake.receive_data(flight)
    except ProtocolError:
        return None
    return handshake.facts() if handshake.progress is Progress.DONE else None


def key_and_facts(offer: Offer, flight: bytes) -> tuple[bytes, HandshakeFacts]:
    """Of a flight that has both."""
    key, facts = flight_key(offer, flight), read(offer, flight)
    assert key is not None
    assert facts is not None
    return key, facts


@both
def test_all_flights_of_one_server_have_the_same_key(
    tls: str, issued: Issued, hellos: dict[str, HelloFactory], tmp_path: Path
) -> None:
    """However long their signatures are."""
    server = context(issued, tmp_path)
    seen = set()
    sizes = set()
    for _ in range(40):
        offer = hellos[tls].offer(NAME)
        flight = answer(server, offer)
        sizes.add(len(flight))
        seen.add(key_and_facts(offer, flight))
    assert len(seen) == 1
    assert len(sizes) > 1


def servers(directory: Path) -> Iterator[ssl.SSLContext]:
    """Many, that differ in one thing each."""
    chain = Authority.root().intermediate()
    # By a version of its own number, each: without a random serial number, the second would be the first.
    for number, issued in enumerate([self_signed(NAME), self_signed(NAME, "other.example.test"), chain.issue(NAME)]):
        yield context(issued, directory / f"plain-{number}")
        for ciphers in ("ECDHE-ECDSA-AES128-GCM-SHA256:@SECLEVEL=0", "ECDHE-ECDSA-CHACHA20-POLY1305:@SECLEVEL=0"):
            yield context(issued, directory / f"{ciphers[:24]}-{number}", ciphers=ciphers)
        yield context(issued, directory / f"p256-{number}", group="prime256v1")
        alpn = context(issued, directory / f"alpn-{number}")
        alpn.set_alpn_protocols(["http/1.1"])
        yield alpn
        asks = context(issued, directory / f"asks-{number}")
        asks.verify_mode = ssl.CERT_OPTIONAL
        yield asks


def test_servers_that_say_something_else_have_other_keys(hellos: dict[str, HelloFactory], tmp_path: Path) -> None:
    """Over many servers, with a name and without: one key, one set of facts."""
    for tls, factory in hellos.items():
        facts_of: dict[bytes, HandshakeFacts] = {}
        for number, server in enumerate(servers(_made(tmp_path / tls))):
            for name in (NAME, None):
                for _ in range(2):
                    offer = factory.offer(name)
                    flight = answer(server, offer)
                    facts = read(offer, flight)
                    key = flight_key(offer, flight)
                    if facts is None or key is None:
                        # Where the server's only group is not the one whose share was sent, it asks for another hello.
                        assert facts is key is None, (tls, number, name)
                        continue
                    assert facts_of.setdefault(key, facts) == facts
        assert len(set(facts_of.values())) > 5


def _made(directory: Path) -> Path:
    for number in range(3):
        for kind in ("plain", "p256", "alpn", "asks", "ECDHE-ECDSA-AES128-GCM-S", "ECDHE-ECDSA-CHACHA20-POL"):
            (directory / f"{kind}-{number}").mkdir(parents=True)
    return directory


@both
@pytest.mark.parametrize("change", [0x01, 0x80, 0xFF])
def test_a_flight_that_was_changed_anywhere_and_keeps_its_key_reads_the_same(
    tls: str, change: int, issued: Issued, hellos: dict[str, HelloFactory], tmp_path: Path
) -> None:
    """Each byte of it. Some may change: the random, the signature."""
    offer = hellos[tls].offer(NAME)
    flight = answer(context(issued, tmp_path), offer)
    key, facts = key_and_facts(offer, flight)
    kept = 0
    for place in range(len(flight)):
        changed = bytearray(flight)
        changed[place] ^= change
        if flight_key(offer, bytes(changed)) == key:
            kept += 1
            assert read(offer, bytes(changed)) == facts, place
    assert kept > (90 if tls == "1.2" else 100)  # else nothing would ever be known again


@both
def test_noise_in_a_flight_never_keeps_the_key_of_another_reading(
    tls: str, issued: Issued, hellos: dict[str, HelloFactory], tmp_path: Path
) -> None:
    """Pieces of any length put in, left out or written over; and nothing raises."""
    offer = hellos[tls].offer(NAME)
    flight = answer(context(issued, tmp_path), offer)
    key, facts = key_and_facts(offer, flight)

    @settings(max_examples=300)
    @given(st.integers(0, len(flight)), st.integers(0, 40), st.binary(max_size=40))
    def hold(place: int, left_out: int, put_in: bytes) -> None:
        changed = flight[:place] + put_in + flight[place + left_out :]
        if flight_key(offer, changed) == key:
            assert read(offer, changed) == facts

    hold()


@settings(max_examples=300)
@given(st.binary(max_size=200), st.sampled_from([b"", b"\x16\x03\x03", b"\x16\x03\x03\x00\x40\x02\x00\x00\x3c\x03\x03"]))
def test_arbitrary_bytes_have_no_key(noise: bytes, head: bytes) -> None:
    """And raise nothing."""
    offer = HelloFactory(PROFILES["modern"], entropy=CounterEntropy()).offer(NAME)
    assert flight_key(offer, head + noise) is None


@pytest.mark.parametrize(
    ("flight", "size"),
    [
        pytest.param(b"\x02\x00\x00\x02\x03\x03" + b"\x0e\x00\x00\x00", 1, id="ServerHello of two bytes"),
        pytest.param(
            b"\x02\x00\x00\x23\x03\x03"
            + bytes(32)
            + b"\xff"
            + b"\x0c\x00\x00\x08\x03\x00\x17\x00"
            + bytes(8)
            + b"\x0e\x00\x00\x00",
            60,
            id="session id beyond the end",
        ),
        pytest.param(
            b"\x02\x00\x00\x26\x03\x03" + bytes(36) + b"\x0b\x01\x00\x00" + b"\x0e\x00\x00\x00", 60, id="message of 64 KiB"
        ),
    ],
)
def test_flights_that_lie_about_their_sizes_have_no_key(flight: bytes, size: int) -> None:
    """And raise nothing: the state machine says what is wrong."""
    offer = HelloFactory(PROFILES["modern"], entropy=CounterEntropy()).offer(NAME)
    pieces = [flight[start : start + size] for start in range(0, len(flight), size)]
    assert flight_key(offer, b"".join(plain_records(ContentType.handshake, 0x0303, piece) for piece in pieces)) is None


@both
def test_what_is_not_a_whole_flight_has_no_key(tls: str, issued: Issued, hellos: dict[str, HelloFactory], tmp_path: Path) -> None:
    """Cut at every byte: no key, or, in TLS 1.3, that of what is complete with the Certificate."""
    offer = hellos[tls].offer(NAME)
    flight = answer(context(issued, tmp_path), offer)
    key, facts = key_and_facts(offer, flight)
    for place in range(len(flight)):
        found = flight_key(offer, flight[:place])
        assert found is None or (tls == "1.3" and found == key and read(offer, flight[:place]) == facts)


def test_records_may_be_cut_in_any_way(issued: Issued, hellos: dict[str, HelloFactory], tmp_path: Path) -> None:
    """Of TLS 1.2: each message in a record of its own, all of them in one, or one in many."""
    offer = hellos["1.2"].offer(NAME)
    flight = answer(context(issued, tmp_path), offer)
    key, facts = key_and_facts(offer, flight)
    messages = b"".join(record.fragment for record in read_records(flight))
    for size in (len(messages), 700, 100, 40):
        pieces = [messages[start : start + size] for start in range(0, len(messages), size)]
        again = b"".join(plain_records(ContentType.handshake, 0x0303, piece) for piece in pieces)
        assert key_and_facts(offer, again) == (key, facts)
    # So small records nobody sends; the state machine still reads them.
    crumbs = b"".join(plain_records(ContentType.handshake, 0x0303, messages[at : at + 9]) for at in range(0, len(messages), 9))
    assert flight_key(offer, crumbs) is None
    assert read(offer, crumbs) == facts


def test_a_downgrade_is_never_taken_for_what_was_known(issued: Issued, hellos: dict[str, HelloFactory], tmp_path: Path) -> None:
    """It stands in the random, which is otherwise left out (RFC 8446 §4.1.3)."""
    offer = hellos["auto"].offer(NAME)
    server = context(issued, tmp_path)
    server.maximum_version = ssl.TLSVersion.TLSv1_2
    flight = answer(server, offer)
    found = {}
    for tail in (b"DOWNGRD\x01", b"DOWNGRD\x00", b"downgrd\x00", b"DOWNGRD\x02"):
        key, facts = key_and_facts(offer, flight[: 11 + 24] + tail + flight[11 + 32 :])
        assert facts.downgrade_sentinel == (tail in {b"DOWNGRD\x01", b"DOWNGRD\x00"})
        found[tail] = key
    assert len(set(found.values())) == 3
    assert found[b"downgrd\x00"] == found[b"DOWNGRD\x02"]


def test_finite_field_groups_have_no_key(hellos: dict[str, HelloFactory], tmp_path: Path) -> None:
    """Which group it is stands in the prime, and the message has another shape."""
    offer = hellos["1.2"].offer(NAME)
    server = context(self_signed(NAME, key="rsa2048"), tmp_path, ciphers="DHE-RSA-AES128-GCM-SHA256:@SECLEVEL=0")
    (tmp_path / "dh.pem").write_text(FFDHE2048)
    server.load_dh_params(str(tmp_path / "dh.pem"))
    flight = answer(server, offer)
    facts = read(offer, flight)
    assert facts is not None
    assert facts.cipher_suite == "TLS_DHE_RSA_WITH_AES_128_GCM_SHA256"
    assert flight_key(offer, flight) is None


def test_rsa_key_exchange_has_a_key(hellos: dict[str, HelloFactory], tmp_path: Path) -> None:
    """Nothing but the random and the session id is new in such a flight."""
    server = context(self_signed(NAME, key="rsa2048"), tmp_path, ciphers="AES128-GCM-SHA256:@SECLEVEL=0")
    seen = set()
    for _ in range(3):
        offer = hellos["1.2"].offer(NAME)
        seen.add(key_and_facts(offer, answer(server, offer)))
    [(_, facts)] = seen
    assert facts.cipher_suite == "TLS_RSA_WITH_AES_128_GCM_SHA256"
    assert facts.group is None


def test_a_known_flight_is_the_very_same_object(issued: Issued, hellos: dict[str, HelloFactory], tmp_path: Path) -> None:
    """So that whoever keeps thousands of them keeps one."""
    offer = hellos["1.3"].offer(NAME)
    key, facts = key_and_facts(offer, answer(context(issued, tmp_path), offer))
    known = KnownFlights()
    assert known.get(key) is None
    known.keep(key, facts)
    assert known.get(key) is facts
