"""Whose RST it was, what is the same hello seen twice, what a long capture costs, and what all of it looks like as JSON."""

from __future__ import annotations

import json

import pytest

from prober.diagnose import capture as module
from prober.diagnose import evidence_capture
from prober.diagnose.capture import Follower
from prober.diagnose.capture_document import capture_object
from prober.diagnose.capture_facts import Ending
from prober.diagnose.capture_files import Frame
from prober.diagnose.evidence import CaptureEvidence, FlowEnd
from prober.diagnose.evidence_capture import flow_groups
from prober.diagnose.packets import decode, quick_key
from prober.findings import Confidence, Severity
from tests.diagnose.evidence_samples import told
from tests.diagnose.packet_maker import ACK, CLIENT, FIN, PSH, RST, SERVER, SYN, Segment, frame, handshake, pcap
from tests.diagnose.test_capture import FACTORY, SERVER_HELLO, facts, hello, read


def reset_by(**rst: object) -> list[Segment]:
    """A connection whose RST has these peculiarities."""
    *before, last = handshake(hello(), "rst")
    return [*before, last._replace(**rst)]


@pytest.mark.parametrize(
    ("rst", "signs"),
    [
        ({}, (False, False)),
        ({"ttl": 63}, (False, False)),
        ({"ttl": 60}, (True, False)),
        ({"ttl": 255}, (True, False)),
        ({"timestamps": False}, (False, True)),
        ({"ttl": 250, "timestamps": False}, (True, True)),
    ],
)
def test_a_foreign_rst_has_another_ttl_or_other_options(rst: dict[str, object], signs: tuple[bool, bool]) -> None:
    """One hop more or less is the path's; the server's other segments carry timestamps."""
    [found] = facts(reset_by(**rst)).hellos

    assert signs == (found.rst_ttl_differs, found.rst_options_differ)


def test_copies_on_both_sides_of_a_router_widen_what_is_the_servers_own() -> None:
    """``-i any`` sees the server's packets with the TTL of both sides; a RST with either is the server's."""
    segments = handshake(hello(), "rst")
    both = [copy for each in segments[:-1] for copy in (each, each._replace(ttl=each.ttl - 3) if each.source == SERVER else each)]

    [found] = facts([*both, segments[-1]._replace(ttl=62)]).hellos

    assert not found.rst_ttl_differs


@pytest.mark.parametrize("ending", ["rst", "fin", "none"])
@pytest.mark.parametrize("answer", [b"", SERVER_HELLO], ids=["none", "ServerHello"])
def test_of_one_direction_alone_nobody_knows_how_it_ended(ending: str, answer: bytes) -> None:
    """The client's side: its hello, which is not unanswered; the server's: what it says, to whom nobody knows. Both: as it was."""
    segments = handshake(hello(), ending, answer=answer)
    goodbye = Segment(CLIENT, SERVER, RST | ACK, segments[-1].sequence, 5001)
    later = [Segment("192.0.2.77", SERVER, SYN, number, source_port=50000 + number) for number in range(120)]

    clients = facts([*(each for each in segments if each.source == CLIENT), goodbye, *later])
    servers = facts([each for each in segments if each.source == SERVER])

    assert ([Ending.UNKNOWN], 1) == ([each.ending for each in clients.hellos], clients.one_sided)
    assert ([], 0) == (servers.hellos, servers.incomplete)
    assert servers.one_sided == (bool(answer) or ending == "rst")
    assert 0 == facts(segments).one_sided
    assert 1 == capture_object("in.pcap", clients)["one_sided_connections"]


CONNECT = b"CONNECT api.example.com:443 HTTP/1.1\r\nHost: api.example.com:443\r\n\r\n"
STANDS = b"HTTP/1.1 200 Connection established\r\nVia: 1.1 proxy\r\n\r\n"
REFUSED = b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 2\r\n\r\nno"


def through_proxy(name: str | None, asked: list[tuple[bytes, bytes]], answer: bytes, end: int) -> list[Segment]:
    """A client that asks a proxy for a tunnel, says hello in it, and what comes of that."""
    segments = [
        Segment(CLIENT, SERVER, SYN, 1000, destination_port=3128),
        Segment(SERVER, CLIENT, SYN | ACK, 5000, 1001, source_port=3128, destination_port=40000),
    ]
    sent, got = 1001, 5001
    for request, said in [*asked, (hello(name), answer)]:
        segments.append(Segment(CLIENT, SERVER, PSH | ACK, sent, got, request, destination_port=3128))
        sent += len(request)
        segments.append(Segment(SERVER, CLIENT, ACK, got, sent, said, source_port=3128, destination_port=40000))
        got += len(said)
    return [*segments, Segment(SERVER, CLIENT, end | ACK, got, sent, source_port=3128, destination_port=40000)]


@pytest.mark.parametrize("name", [None, "api.example.com"])
@pytest.mark.parametrize("asked", [[(CONNECT, STANDS)], [(CONNECT, REFUSED), (CONNECT, STANDS)]], ids=["open", "with a password"])
@pytest.mark.parametrize(
    ("answer", "end", "expected"),
    [(b"", RST, Ending.RESET_BY_SERVER), (b"", FIN, Ending.CLOSED_BY_SERVER), (SERVER_HELLO, FIN, Ending.ANSWERED)],
)
def test_a_hello_through_an_http_proxy_is_read(
    name: str | None, asked: list[tuple[bytes, bytes]], answer: bytes, end: int, expected: Ending
) -> None:
    """Behind CONNECT it is the client's own, with what comes of it; the proxy's port is none that is spoken TLS on."""
    plain = [
        each._replace(source_port=41000) for each in through_proxy(None, [(b"GET http://a/ HTTP/1.1\r\n\r\n", b"")], b"", FIN)
    ]
    found = facts([*through_proxy(name, asked, answer, end), *plain[:3]])

    assert [(name, expected, "HTTP CONNECT", 3128)] == [
        (each.server_name, each.ending, each.via, each.server_port) for each in found.hellos
    ]
    assert {} == found.not_tls


def test_a_tunnel_that_the_proxy_refuses_is_no_hello() -> None:
    """It asked, and was told no."""
    assert [] == facts(through_proxy(None, [(CONNECT, REFUSED)], b"", FIN)[:4]).hellos


def told_of(segments: list[Segment], link: str = "EN10MB") -> dict[str, tuple[Confidence, Severity]]:
    evidence = CaptureEvidence(groups=flow_groups("in.pcap", facts(segments, link)), files=("in.pcap",))
    return {name: (finding.confidence, finding.severity) for name, finding in told(capture=evidence).items()}


def test_a_ttl_makes_a_middlebox_likely_and_options_alone_only_suspected() -> None:
    """Options are a weak sign: some kernels leave them out of a RST."""
    assert "middlebox" not in told_of(reset_by())
    assert (Confidence.LIKELY, Severity.CRITICAL) == told_of(reset_by(ttl=250))["middlebox"]
    assert (Confidence.SUSPECTED, Severity.INFO) == told_of(reset_by(timestamps=False))["middlebox"]


@pytest.mark.parametrize("link", ["EN10MB", "LINUX_SLL", "LINUX_SLL2"])
def test_the_copies_of_any_and_of_address_translation_are_one_hello(link: str) -> None:
    """Three interfaces and two destinations (the Service's address and the pod's): one client, one reset."""
    wire = hello()
    service, pod = handshake(wire, "rst"), handshake(wire, "rst", server="10.64.2.9")
    seen = [copy for pair in zip(service, service, pod, pod, strict=True) for copy in pair]

    found = facts(seen, link)

    assert [(CLIENT, Ending.RESET_BY_SERVER, 2)] == [(each.client, each.ending, each.copies) for each in found.hellos]
    assert {(CLIENT, Ending.RESET_BY_SERVER): 1} == dict(found.without_name)


def test_the_end_may_be_seen_on_one_side_of_the_translation_only() -> None:
    """The flow to the Service's address shows no answer, the one to the pod does."""
    wire = hello()
    found = facts([*handshake(wire, "none"), *handshake(wire, "rst", server="10.64.2.9")])

    assert [(Ending.RESET_BY_SERVER, 2)] == [(each.ending, each.copies) for each in found.hellos]


def test_data_behind_the_decision_changes_nothing_and_a_new_syn_begins_anew() -> None:
    """A long download, then the same port again, with another hello."""
    first = handshake(hello("api.example.com"), "none", answer=SERVER_HELLO)
    last = first[-1]
    at = last.sequence + len(last.payload)
    download = [last._replace(sequence=at + 1400 * number, payload=b"\x17\x03\x03\x40\x00" + bytes(1395)) for number in range(30)]
    odd = [
        download[-1]._replace(flags=RST, payload=b"", ttl=7),
        Segment(CLIENT, SERVER, PSH | ACK, 1001, 5001, b"\x16\x03\x01\x00\x05"),
    ]
    again = [
        each._replace(sequence=each.sequence + 7_000_000, acknowledgement=each.acknowledgement + 7_000_000)
        for each in handshake(hello(), "rst")
    ]

    found = facts([*first, *download, *odd, *again])

    assert [("api.example.com", Ending.ANSWERED), (None, Ending.RESET_BY_SERVER)] == [
        (each.server_name, each.ending) for each in found.hellos
    ]
    assert found.segments == found.frames


def test_the_quick_look_at_a_frame_agrees_with_the_thorough_one() -> None:
    """It says nothing, or the same."""
    seen = 0
    for link in ("EN10MB", "VLAN", "QinQ", "padded", "LINUX_SLL", "LINUX_SLL2", "RAW", "IPV4", "NULL", "LOOP"):
        for segment in handshake(hello(), "rst"):
            number, data = frame(segment, link)
            quick, thorough = quick_key(number, data), decode(number, data)
            if quick is not None:
                seen += 1
                assert thorough is not None
                assert quick == (thorough.flow, thorough.flags)  # type: ignore[union-attr]
    assert seen == 6 * 8  # all but the two with tags


def test_scans_take_bounded_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """A SYN to, and a refusal from, each of many addresses: what is beyond the rows of a table is counted together."""
    monkeypatch.setattr(module, "MAX_HELLOS", 5)
    segments = []
    for number in range(20):
        server = f"198.51.100.{number}"
        segments += [
            Segment(CLIENT, server, SYN, 1000),
            Segment(server, CLIENT, RST | ACK, 0, 1001, source_port=443, destination_port=40000),
            *handshake(b"\x80\x2e\x01\x03\x01" + bytes(40), "rst", client=f"192.0.2.{number}"),
        ]

    found = facts(segments)

    for table in (found.refused, found.sslv2, found.without_name):
        assert (6, 20) == (len(table), sum(table.values()))


def test_hellos_without_a_name_are_found_among_any_number_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy ingress has fifty thousand with a name in a minute, of as many clients, before the one that the capture was made for comes."""
    monkeypatch.setattr(module, "MAX_HELLOS", 5)
    monkeypatch.setattr(evidence_capture, "MAX_GROUPS", 3)
    named = [
        segment
        for number in range(20)
        for segment in handshake(hello("api.example.com"), "fin", client=f"192.0.2.{number}", answer=SERVER_HELLO)
    ]

    found = facts([*named, *handshake(hello(), "rst", client="203.0.113.9")])

    assert [("203.0.113.9", None)] == [(each.client, each.server_name) for each in found.hellos if each.server_name is None]
    assert (6, 15) == (len(found.hellos), found.unlisted)
    [first, *others] = evidence_capture.flow_groups("busy.pcap", found)
    assert (None, FlowEnd.RESET, 2) == (first.sni, first.end, len(others))
    assert capture_object("busy.pcap", found)["hellos"][0]["server_name"] is None  # type: ignore[index]


def test_flows_without_end_take_bounded_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one that was silent longest is closed first; each is counted all the same."""
    monkeypatch.setattr(module, "MAX_LIVE", 10)
    follower = Follower()
    for number in range(50):
        for segment in handshake(FACTORY.offer(None).wire, "none", port=1000 + number):
            link, data = frame(segment)
            follower.add(Frame(float(number), link, data, len(data)))
        assert len(follower._live) <= 10
        assert len(follower._index) <= 20

    assert 50 == sum(follower.finish().without_name.values())


def test_the_document_says_what_was_seen_and_what_was_not_read() -> None:
    """Only JSON values, hellos that are alike together, and the packets about which nothing is said."""
    packets = [frame(segment) for port in (40001, 40002) for segment in handshake(hello(), "rst", port=port)]
    packets += [frame(segment) for segment in handshake(FACTORY.offer("api.example.com").wire, "none", answer=SERVER_HELLO)]
    packets.append((1, bytes(12) + b"\x08\x00\x45\x00"))
    document = json.loads(json.dumps(capture_object("in.pcap", read(pcap(packets)))))

    assert [(None, 2, "reset_by_server"), ("api.example.com", 1, "answered")] == [
        (each["server_name"], each["count"], each["ending"]) for each in document["hellos"]
    ]
    assert FACTORY.ja4(True) == document["hellos"][1]["ja4"]
    assert {"cut off, or damaged, within their headers": 1} == document["not_read"]
    assert [{"client": CLIENT, "ending": "reset_by_server", "count": 2}] == document["without_name"]


def test_a_hello_that_comes_with_the_syn_is_read() -> None:
    """TCP Fast Open, as proxies use it towards their backends; also where the server took no data and the client sends it again."""
    syn, syn_ack, ack, push, *rest = handshake(hello(), "rst")
    early = syn._replace(payload=push.payload)
    taken = [early, syn_ack._replace(acknowledgement=push.sequence + len(push.payload)), ack, *rest]

    for segments in (taken, [early, syn_ack, ack, push, *rest], [early, early, syn_ack, ack, push, push, *rest]):
        assert [(None, Ending.RESET_BY_SERVER)] == [(each.server_name, each.ending) for each in facts(segments).hellos]


PROXY_1 = b"PROXY TCP6 2001:db8:ffff:ffff:ffff:ffff:ffff:ffff 2001:db8:ffff:ffff:ffff:ffff:ffff:fffe 65535 65534\r\n"
PROXY_2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c" + bytes(12)


@pytest.mark.parametrize("header", [PROXY_1, PROXY_2])
def test_a_hello_behind_a_proxy_header_is_read(header: bytes) -> None:
    """Where the server is seen to take such headers: whoever is turned away behind one is turned away for his hello."""
    segments = handshake(header + hello(), "rst") + handshake(header + hello("a.test"), "none", answer=SERVER_HELLO, port=40001)
    segments += handshake(header, "fin", port=40002)  # the load balancer's health check

    found = facts(segments)

    assert [("a.test", Ending.ANSWERED), (None, Ending.RESET_BY_SERVER)] == [(e.server_name, e.ending) for e in found.hellos]
    assert not found.not_tls


@pytest.mark.parametrize("header", [PROXY_1, PROXY_2])
def test_a_proxy_header_that_no_server_is_seen_to_take_is_no_tls(header: bytes) -> None:
    """Envoy turns it away as it does plain HTTP, whatever the hello behind it says."""
    found = facts(handshake(header + hello(), "rst") + handshake(hello("a.test"), "none", answer=SERVER_HELLO, port=40001))

    assert {(CLIENT, "proxy protocol"): 1} == found.not_tls
    assert ["a.test"] == [each.server_name for each in found.hellos]


def test_more_connections_with_a_proxy_header_than_are_waited_for_are_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """By what is known of the server so far; none of them goes missing."""
    monkeypatch.setattr(module, "MAX_LIVE", 2)
    segments = [each for port in range(5) for each in handshake(PROXY_1 + hello(), "rst", port=40000 + port)]

    assert {(CLIENT, "proxy protocol"): 5} == facts(segments).not_tls


def test_servers_without_a_hello_are_named_as_their_addresses_are_written() -> None:
    """One that refuses, and one that says nothing: an IPv6 address has brackets, or its port could be a part of it."""
    there = {"source": "2001:db8::7", "destination": "2001:db8::1"}
    back = {"source": "2001:db8::1", "destination": "2001:db8::7", "source_port": 443}
    refused = [
        Segment(flags=SYN, sequence=1, **there),
        Segment(flags=RST | ACK, sequence=0, acknowledgement=2, destination_port=40000, **back),
    ]
    silent = Segment(flags=SYN, sequence=1, source_port=40001, **there)

    found = read(pcap([frame(each) for each in (silent, *refused, *handshake(hello(), "rst"), *[silent] * 400)]))

    assert {"[2001:db8::1]:443": 1} == dict(found.refused)
    assert {"[2001:db8::1]:443": 1} == dict(found.unanswered_syn)
