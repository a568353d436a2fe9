"""Captures: every container and link layer, every order of segments, every ending, and damage anywhere."""

from __future__ import annotations

import contextlib
import io
import random
from collections.abc import Callable, Iterable
from itertools import pairwise, permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prober.diagnose.capture import Follower
from prober.diagnose.capture_facts import CaptureFacts, Ending
from prober.diagnose.capture_files import CaptureError, read_frames
from prober.diagnose.packets import TcpSegment
from prober.diagnose.tcp_flows import Flow
from prober.tls.client_hello import HelloFactory
from prober.tls.profiles import PROFILES

from .packet_maker import ACK, CLIENT, FIN, PSH, RST, SERVER, SYN, Segment, frame, handshake, pcap, pcapng

_random = random.Random(8446)
FACTORY = HelloFactory(PROFILES["modern"], entropy=_random.randbytes)
PQ = HelloFactory(PROFILES["pq"], entropy=_random.randbytes)
SERVER_HELLO = bytes.fromhex("160303002a020000260303") + bytes(32) + bytes.fromhex("00c02f00")
CERTIFICATE = bytes.fromhex("16030300070b000003000000")
ALERT = bytes.fromhex("15030300020270")


def read(data: bytes) -> CaptureFacts:
    follower = Follower()
    follower.feed(read_frames(io.BytesIO(data)))
    return follower.finish()


def facts(segments: Iterable[Segment], link: str = "EN10MB") -> CaptureFacts:
    return read(pcap([frame(segment, link) for segment in segments]))


def hello(name: str | None = None) -> bytes:
    return FACTORY.offer(name).wire


@pytest.mark.parametrize("link", ["EN10MB", "VLAN", "QinQ", "padded", "LINUX_SLL", "LINUX_SLL2", "RAW", "IPV4", "NULL", "LOOP"])
def test_every_link_type_shows_the_hello_and_the_reset(link: str) -> None:
    """A client without a name, reset by the server after its hello was acknowledged, in every link layer."""
    [found] = facts(handshake(hello(), "rst"), link).hellos

    assert (None, Ending.RESET_BY_SERVER, CLIENT, SERVER, 443) == (
        found.server_name,
        found.ending,
        found.client,
        found.server,
        found.server_port,
    )
    assert found.ja4 == FACTORY.ja4(False)
    assert found.delay == pytest.approx(0.02, abs=1e-6)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("container", ["microseconds", "nanoseconds", "pcapng"])
def test_every_container_gives_the_same(order: str, container: str) -> None:
    """Files of pcap in both resolutions and pcapng, in both byte orders, with interfaces of different link types."""
    frames = [frame(segment, "LINUX_SLL2") for segment in handshake(hello("api.example.com"), "none", answer=SERVER_HELLO)]
    data = pcapng([*frames, frame(Segment(CLIENT, SERVER, SYN, 1, source_port=9))], order=order) if container == "pcapng" else pcap(
        frames, order=order, nanoseconds=container == "nanoseconds"
    )  # fmt: skip

    [found] = read(data).hellos

    assert ("api.example.com", Ending.ANSWERED) == (found.server_name, found.ending)
    assert found.time == pytest.approx(1_700_000_000.03)


@pytest.mark.parametrize(
    ("end", "answer", "expected", "tls_alert"),
    [
        ("rst", b"", Ending.RESET_BY_SERVER, None),
        ("fin", b"", Ending.CLOSED_BY_SERVER, None),
        ("rst", ALERT, Ending.TLS_ALERT, "unrecognized_name"),
        ("none", SERVER_HELLO, Ending.ANSWERED, None),
        ("none", SERVER_HELLO + CERTIFICATE, Ending.CERTIFICATE, None),
        ("fin", SERVER_HELLO + ALERT, Ending.TLS_ALERT, "unrecognized_name"),
        ("fin", b"HTTP/1.1 400 Bad Request\r\n\r\n", Ending.OTHER, None),
        ("none", b"", Ending.UNKNOWN, None),
    ],
)
def test_each_ending_is_told_apart(end: str, answer: bytes, expected: Ending, tls_alert: str | None) -> None:
    """What the server sent, and how it went, decide; an alert before a reset is the alert."""
    [found] = facts(handshake(hello("api.example.com"), end, answer=answer)).hellos

    assert (expected, tls_alert) == (found.ending, found.tls_alert)


def test_an_answer_in_plain_http_is_told_from_other_bytes_that_are_no_tls() -> None:
    """A port without TLS says so; what anything else means nobody knows."""
    plain = handshake(hello(), "fin", answer=b"HTTP/1.1 400 Bad Request\r\n\r\n")
    other = handshake(hello(), "fin", answer=b"SSH-2.0-OpenSSH_9.2\r\n", port=40001)

    assert [True, False] == [each.answered_http for each in facts([*plain, *other]).hellos]


@pytest.mark.parametrize(
    ("server_first", "expected"), [(True, Ending.CLOSED_BY_SERVER), (False, Ending.ABORTED_BY_CLIENT)], ids=["server", "client"]
)
def test_who_closed_first_ended_the_connection(server_first: bool, expected: Ending) -> None:
    """Every client answers the server's FIN with its own, and every server the client's: the first one counts."""
    *before, fin = handshake(hello(), "fin")
    clients = Segment(CLIENT, SERVER, FIN | ACK, 1001 + len(before[3].payload), 5001)

    segments = [*before, fin, clients] if server_first else [*before, clients, fin]

    assert [expected] == [each.ending for each in facts(segments).hellos]


def test_a_reset_behind_the_servers_fin_is_the_fin() -> None:
    """A proxy closed in order, the client said goodbye, and the closed port answered that with RST."""
    segments = handshake(hello(), "fin")
    segments.append(segments[-1]._replace(flags=RST, sequence=5002))

    assert [Ending.CLOSED_BY_SERVER] == [each.ending for each in facts(segments).hellos]


def test_silence_counts_only_when_the_capture_went_on() -> None:
    """A hello without an answer is unanswered when more than a second was captured behind it."""
    later = [Segment(CLIENT, SERVER, SYN, number, source_port=50000 + number) for number in range(120)]

    assert [Ending.UNANSWERED] == [each.ending for each in facts([*handshake(hello(), "none"), *later]).hellos]


def test_a_reset_before_the_acknowledgement_is_a_middleboxs_sign() -> None:
    """RST that acknowledges nothing of the hello, with another TTL, is not the server's decision."""
    segments = handshake(hello(), "none")[:-1]
    segments.append(Segment(SERVER, CLIENT, RST, 5001, source_port=443, destination_port=40000, ttl=61))

    [found] = facts(segments).hellos

    assert (Ending.RESET_BEFORE_ACK, True) == (found.ending, found.rst_ttl_differs)


@pytest.mark.parametrize("seed", range(12))
def test_split_reordered_and_repeated_segments_read_the_same(seed: int) -> None:
    """A hello of two segments and more, in any order, with retransmissions and overlaps, is one hello."""
    rng = random.Random(seed)
    wire = PQ.offer("api.example.com").wire
    whole = handshake(wire, "rst")
    cuts = sorted(rng.sample(range(1, len(wire)), 6))
    pieces = [
        Segment(CLIENT, SERVER, PSH | ACK, 1001 + start, 5001, wire[start:end])
        for start, end in zip([0, *cuts], [*cuts, len(wire)], strict=True)
    ]
    overlap = Segment(CLIENT, SERVER, PSH | ACK, 1001 + cuts[0] - 1, 5001, wire[cuts[0] - 1 : cuts[2] + 1])
    shuffled = [*pieces, overlap, *rng.sample(pieces, 3)]
    rng.shuffle(shuffled)

    [found] = facts([*whole[:3], *shuffled, *whole[4:]]).hellos

    assert ("api.example.com", Ending.RESET_BY_SERVER) == (found.server_name, found.ending)


def test_copies_of_one_hello_count_once() -> None:
    """`-i any` sees a packet twice, and again behind the address translation: one client, one handshake."""
    wire = hello()
    before = handshake(wire, "rst")
    behind = handshake(wire, "rst", server="10.64.2.9")
    both = [segment for pair in zip(before, before, behind, strict=True) for segment in pair]

    found = facts(both)

    assert [(Ending.RESET_BY_SERVER, 2)] == [(each.ending, each.copies) for each in found.hellos]
    assert {(CLIENT, Ending.RESET_BY_SERVER): 1} == dict(found.without_name)


def test_copies_on_both_sides_of_a_masquerading_router_count_once() -> None:
    """The client's address is translated, the server's is not: the numbers of both sides are those of one connection."""
    wire = hello()
    inside, outside = handshake(wire, "rst"), handshake(wire, "rst", client="203.0.113.77", port=61000)

    found = facts([segment for pair in zip(inside, outside, strict=True) for segment in pair])

    # Its answers come back the other way, so that the outside's copy ends first.
    back = facts(
        [segment for pair in zip(inside, outside, strict=True) for segment in (pair if pair[0].source == CLIENT else pair[::-1])]
    )

    for each in (found, back):
        assert [(CLIENT, 40000, 2)] == [(one.client, one.client_port, one.copies) for one in each.hellos]
        assert {(CLIENT, Ending.RESET_BY_SERVER): 1} == dict(each.without_name)


@pytest.mark.parametrize(("client", "port"), [("192.0.2.8", 40000), (CLIENT, 40001), ("192.0.2.8", 40001)])
def test_the_same_bytes_of_another_client_are_another_hello(client: str, port: int) -> None:
    """A replayed hello, or a broken random number generator: who sends it to the same server is counted for himself."""
    wire = hello()
    # A server begins each connection with a number of its own.
    again = [
        each._replace(sequence=each.sequence + 777)
        if each.source == SERVER
        else each._replace(acknowledgement=each.acknowledgement + 777)
        for each in handshake(wire, "rst", client=client, port=port)
    ]
    found = facts([*handshake(wire, "rst"), *again])

    assert 2 == sum(found.without_name.values())
    assert [1, 1] == [each.copies for each in found.hellos]


def test_a_capture_that_begins_in_the_middle_still_shows_the_hello() -> None:
    """Without SYN the hello itself says who the client is."""
    [found] = facts(handshake(hello(), "rst")[3:]).hellos

    assert (CLIENT, Ending.RESET_BY_SERVER) == (found.client, found.ending)


@pytest.mark.parametrize("order", list(permutations(range(3))), ids=str)
@pytest.mark.parametrize("seen_from", [1, 2, 3])
def test_a_capture_that_begins_in_the_middle_may_be_reordered(seen_from: int, order: tuple[int, ...]) -> None:
    """Whatever part of the hello was seen first: what comes before it is put before it, with or without the server's SYN."""
    wire = PQ.offer("api.example.com").wire
    whole = handshake(wire, "rst")
    cuts = [0, 600, 1100, len(wire)]
    pieces = [Segment(CLIENT, SERVER, PSH | ACK, 1001 + start, 5001, wire[start:end]) for start, end in pairwise(cuts)]

    [found] = facts([*whole[seen_from:3], *(pieces[place] for place in order), *whole[4:]]).hellos

    assert (CLIENT, "api.example.com", Ending.RESET_BY_SERVER) == (found.client, found.server_name, found.ending)


def test_nothing_is_put_before_what_a_syn_began() -> None:
    """A keep-alive probe of the connection before has a byte of garbage (RFC 9293 §3.8.4)."""
    whole = handshake(hello("api.example.com"), "rst")
    probe = Segment(CLIENT, SERVER, ACK, 1000, 5001, b"\0")

    [found] = facts([*whole[:3], probe, *whole[3:]]).hellos

    assert "api.example.com" == found.server_name


def test_a_stream_that_begins_in_the_middle_is_kept_for_a_few_segments_alone() -> None:
    """What a capture of a busy port holds of connections that stood before takes bounded room, and ends with the server's answer."""
    there, back = bytes(12), bytes(8) + b"\0\1\0\0"
    talkative, answered = Flow(there, 0.0), Flow(there, 0.0)
    for number in range(100):
        talkative.add(TcpSegment(there, 1000 * number, 1, ACK, b"\x17" * 1000, 1000, 64, timestamps=False), 0.0)
    for flow, size in ((there, 100), (back, 5000)):
        answered.add(TcpSegment(flow, 1, 1, ACK, b"\x17" * size, size, 64, timestamps=False), 0.0)

    assert talkative.to_server.finished
    assert len(talkative.to_server.data) <= 5000
    assert answered.settled


def test_a_short_snaplen_is_reported_not_guessed() -> None:
    """A hello that the snaplen cut is neither with nor without a name."""
    frames = [frame(segment) for segment in handshake(hello(), "rst")]

    found = read(pcap(frames, snaplen=128))

    assert ([], 1) == (found.hellos, found.truncated)


def test_ipv6_with_extension_headers_and_only_first_fragments() -> None:
    """A hop-by-hop header is skipped; a later fragment is no segment."""
    there = handshake(hello("v6.example.com"), "rst", client="2001:db8::7", server="2001:db8::1")
    extended = [frame(segment, extension=bytes([6, 0]) + bytes(6)) for segment in there]
    fragment = frame(Segment(CLIENT, SERVER, SYN, 1), fragment=0x00B9)

    found = read(pcap([*extended, fragment]))

    assert [("v6.example.com", "2001:db8::7")] == [(each.server_name, each.client) for each in found.hellos]
    assert found.segments == len(extended)


def test_other_protocols_on_a_tls_port_are_named() -> None:
    """Plain HTTP sent to the port that others speak TLS on is counted by client; where it is answered it is nobody's business."""
    get = b"GET / HTTP/1.1\r\n\r\n"
    http = handshake(get, "rst", client="192.0.2.8", port=40001)
    behind = handshake(get, "rst", client="192.0.2.8", port=40001, server="10.64.2.9")
    elsewhere = handshake(get, "fin", server="198.51.100.2", answer=b"HTTP/1.1 200 OK\r\n\r\n")

    found = facts([*handshake(hello(), "rst"), *http, *behind, *elsewhere])

    assert {("192.0.2.8", "http"): 1} == dict(found.not_tls)


@pytest.mark.parametrize(
    ("said", "end", "counted"), [(b"GET / ", "rst", 1), (b"SSH-2.0", "fin", 1), (b"GET / ", "none", 0), (b"\0\1", "rst", 0)]
)
def test_what_a_port_had_no_answer_to_is_counted_without_a_hello_beside_it(said: bytes, end: str, counted: int) -> None:
    """A capture of nothing but plain HTTP that is reset: an HTTP port would have answered. A database's port is another matter."""
    assert counted == sum(facts(handshake(said, end)).not_tls.values())


def test_an_sslv2_hello_has_no_name_by_its_nature() -> None:
    """Java 6 sends a hello in the format of SSL 2.0: without a name, whatever it asks for."""
    found = facts(handshake(bytes.fromhex("802e0103010015000000100000050000040000") + bytes(30), "rst"))

    assert ({CLIENT: 1}, {(CLIENT, Ending.RESET_BY_SERVER): 1}) == (dict(found.sslv2), dict(found.without_name))


def test_refused_connections_are_those_whose_syn_was_answered_by_a_reset() -> None:
    """A RST to the SYN refuses; a RST far behind it does not, since packets are missing in between."""
    refused = [
        Segment(CLIENT, SERVER, SYN, 1000),
        Segment(SERVER, CLIENT, RST | ACK, 0, 1001, source_port=443, destination_port=40000),
    ]
    lossy = [
        Segment(CLIENT, SERVER, SYN, 1000, source_port=40001),
        Segment(SERVER, CLIENT, RST | ACK, 0, 1338, source_port=443, destination_port=40001),
    ]

    found = facts([*refused, *lossy])

    assert ({f"{SERVER}:443": 1}, 1) == (dict(found.refused), found.incomplete)


def test_a_file_that_is_no_capture_says_what_it_is_instead() -> None:
    """The error names the first bytes."""
    with pytest.raises(CaptureError, match="begins with 7b 22 61 22, so it is neither pcap nor pcapng"):
        read(b'{"a": 1}')


@pytest.mark.parametrize(("container", "per_frame"), [(pcap, 16), (pcapng, 32)])
def test_a_capture_that_was_cut_off_gives_what_it_holds(container: Callable[..., bytes], per_frame: int) -> None:
    """Wherever the file ends, all whole frames before are read, and an end inside a frame is an error that says so."""
    frames = [frame(segment) for segment in handshake(hello(), "rst")]
    data = container(frames)
    sizes = [per_frame + len(content) + (-len(content) % 4 if container is pcapng else 0) for _, content in frames]
    ends = [len(data) - sum(sizes[number:]) for number in range(len(sizes) + 1)]
    for cut in range(ends[0], len(data), 7):
        follower = Follower()
        if cut in ends:
            follower.feed(read_frames(io.BytesIO(data[:cut])))
        else:
            with pytest.raises(CaptureError, match="cut off"):
                follower.feed(read_frames(io.BytesIO(data[:cut])))

        assert follower.finish().frames == sum(end <= cut for end in ends) - 1


@given(st.binary(max_size=400), st.integers(0, 10_000))
def test_damage_never_raises_anything_else(patch: bytes, place: int) -> None:
    """Patched anywhere, a capture gives facts or a CaptureError, and nothing else."""
    data = bytearray(pcapng([frame(segment) for segment in handshake(bytes.fromhex("1603010005010000010000"), "rst")]))
    place %= len(data)
    data[place : place + len(patch)] = patch
    follower = Follower()
    with contextlib.suppress(CaptureError):
        follower.feed(read_frames(io.BytesIO(bytes(data))))
    assert follower.finish().segments <= follower.facts.frames


@given(st.binary(max_size=300), st.sampled_from([0, 1, 101, 113, 276]))
def test_arbitrary_frames_never_raise(content: bytes, link: int) -> None:
    """Whatever a frame holds, it is a segment or it is none."""
    assert read(pcap([(link, content)])).frames == 1
