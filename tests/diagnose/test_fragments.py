"""IP packets in parts: put together in any order, counted where parts are missing, and bounded whatever comes."""

from __future__ import annotations

import random

import pytest

from prober.diagnose.capture_facts import CaptureFacts, Ending
from prober.diagnose.fragments import MAX_PACKETS, Reassembly
from prober.diagnose.packets import Fragment, decode
from tests.diagnose.packet_maker import Segment, cut_up, ethernet, handshake, ip_packet, outer, pcap, udp
from tests.diagnose.test_capture import PQ, hello, read
from tests.diagnose.test_tunnels import VXLAN

ADDRESSES = {4: ("192.0.2.7", "198.51.100.1"), 6: ("2001:db8::7", "2001:db8::1")}


def connection(version: int, wire: bytes) -> list[Segment]:
    client, server = ADDRESSES[version]
    return handshake(wire, "rst", client=client, server=server)


def parts_of(segment: Segment, number: int) -> list[bytes]:
    packet = ip_packet(segment)
    return cut_up(packet, 256, identification=number + 1) if segment.payload else [packet]


def facts(packets: list[bytes]) -> CaptureFacts:
    return read(pcap([(1, ethernet(packet)) for packet in packets]))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("version", [4, 6])
def test_a_hello_in_fragments_is_read_in_any_order(version: int, seed: int) -> None:
    """A hello with an ML-KEM key share in six parts and more, reordered, with repetitions."""
    rng = random.Random(seed)
    packets: list[bytes] = []
    for number, segment in enumerate(connection(version, PQ.offer("api.example.com").wire)):
        parts = parts_of(segment, number)
        again = rng.sample(parts, len(parts) // 2)
        mixed = [*parts, *again]
        if len(parts) > 1:
            rng.shuffle(mixed)
        packets += mixed

    found = facts(packets)

    assert [("api.example.com", Ending.RESET_BY_SERVER)] == [(each.server_name, each.ending) for each in found.hellos]
    assert (0, ADDRESSES[version][0]) == (found.not_read, found.hellos[0].client)


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("missing", [0, 1, -1])
def test_a_missing_part_is_counted_and_nothing_is_guessed(version: int, missing: int) -> None:
    """Without its first, a middle or its last part the hello is not there, and the result says so."""
    packets: list[bytes] = []
    for number, segment in enumerate(connection(version, hello("api.example.com"))):
        parts = parts_of(segment, number)
        if len(parts) > 1:
            del parts[missing]
        packets += parts

    found = facts(packets)

    assert ([], 1, 1) == (found.hellos, found.lost_fragments, found.not_read)


def test_fragments_of_a_tunnel_are_read() -> None:
    """A full inner packet does not fit the node's MTU within VXLAN: the outer packet is cut up."""
    packets: list[bytes] = []
    for number, segment in enumerate(connection(4, PQ.offer(None).wire)):
        packets += cut_up(outer(17, udp(4789, VXLAN + ethernet(ip_packet(segment)))), 1000, identification=number + 1)

    found = facts(packets)

    assert [("VXLAN", Ending.RESET_BY_SERVER)] == [(each.via, each.ending) for each in found.hellos]


def test_fragments_of_other_protocols_are_nobodys_business() -> None:
    """Large answers of DNS come in parts, too."""
    first, *_others = cut_up(outer(17, udp(53, bytes(3000))), 1000)

    assert 0 == facts([first]).not_read


def test_parts_that_the_snaplen_cut_are_counted() -> None:
    """A packet that can never be whole."""
    packets = [part for number, each in enumerate(connection(4, hello())) for part in parts_of(each, number)]
    found = read(pcap([(1, ethernet(packet)) for packet in packets], snaplen=200))

    assert 1 == found.lost_fragments


def fragment(number: int, offset: int = 0, size: int = 8, *, more: bool = True) -> Fragment:
    part = decode(101, outer(6, bytes(size), place=offset // 8 | 0x2000 * more, identification=number))
    assert isinstance(part, Fragment)
    return part


def test_first_parts_without_end_take_bounded_room() -> None:
    """Each is given up when there are too many, or when it is too old; and counted."""
    many = Reassembly()
    for number in range(3 * MAX_PACKETS):
        assert many.add(fragment(number), 0.0) is None
    old = Reassembly()
    old.add(fragment(1), 0.0)
    old.add(fragment(2), 1000.0)

    assert 2 * MAX_PACKETS <= many.lost
    assert 3 * MAX_PACKETS == many.finish()
    assert (1, 2) == (old.lost, old.finish())


def test_one_packet_takes_bounded_room() -> None:
    """Parts beyond 64 KiB, or ever smaller ones, are not kept."""
    packet = Reassembly()
    taken = [packet.add(fragment(1, offset, 1400), 0.0) for offset in range(0, 64_000, 1400)]
    taken += [packet.add(fragment(1, 65_528, 8), 0.0) for _ in range(9)]
    taken += [packet.add(fragment(2, offset), 0.0) for offset in range(0, 8 * 2000, 8)]

    assert {None} == set(taken)
    assert 2 == packet.finish()


def test_an_identification_that_is_used_again_is_another_packet() -> None:
    """16 bits are few: a second later than its echo, the same number means something else."""
    packet = Reassembly()
    both = [fragment(1, 0), fragment(1, 8, more=False)]
    wholes = [packet.add(part, time) for time in (0.0, 0.5, 10.0) for part in both]

    assert [False, True, False, False, False, True] == [whole is not None for whole in wholes]
