"""What packets may be wrapped in: each tunnel is read, what cannot be read is counted with its reason, and no nesting is endless."""

from __future__ import annotations

import struct
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prober.diagnose.capture_facts import Ending
from prober.diagnose.packets import MAX_NESTING, decode
from tests.diagnose.packet_maker import CLIENT, SERVER, SYN, Segment, ethernet, handshake, ip_packet, outer, pcap, udp
from tests.diagnose.test_capture import hello, read

VXLAN = b"\x08\x00\x00\x00\x00\x00\x2a\x00"
GENEVE_ETHERNET = b"\x01\x00\x65\x58\x00\x00\x2a\x00" + b"\x01\x02\x80\x00"  # one option of four bytes
GENEVE_IP = b"\x00\x00\x08\x00\x00\x00\x2a\x00"


def gre(kind: int, payload: bytes, *, flags: int = 0, options: bytes = b"") -> bytes:
    return struct.pack(">HH", flags, kind) + options + payload


WRAPPED: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "VXLAN": ("VXLAN", lambda packet: outer(17, udp(4789, VXLAN + ethernet(packet)))),
    "VXLAN on Linux's port": ("VXLAN", lambda packet: outer(17, udp(8472, VXLAN + ethernet(packet)))),
    "VXLAN over IPv6": ("VXLAN", lambda packet: outer(17, udp(4789, VXLAN + ethernet(packet)), v6=True)),
    "VXLAN with a VLAN tag within": ("VXLAN", lambda packet: outer(17, udp(4789, VXLAN + bytes(12) + b"\x81\x00\x00\x05\x08\x00" + packet))),
    "GENEVE with Ethernet and options": ("GENEVE", lambda packet: outer(17, udp(6081, GENEVE_ETHERNET + ethernet(packet)))),
    "GENEVE with IP": ("GENEVE", lambda packet: outer(17, udp(6081, GENEVE_IP + packet))),
    "GRE": ("GRE", lambda packet: outer(47, gre(0x0800, packet))),
    "GRE with checksum, key and sequence": ("GRE", lambda packet: outer(47, gre(0x0800, packet, flags=0xB000, options=bytes(12)))),
    "GRE with Ethernet": ("GRE", lambda packet: outer(47, gre(0x6558, ethernet(packet), flags=0x2000, options=bytes(4)))),
    "ERSPAN type I": ("ERSPAN", lambda packet: outer(47, gre(0x88BE, ethernet(packet)))),
    "ERSPAN type II": ("ERSPAN", lambda packet: outer(47, gre(0x88BE, bytes(8) + ethernet(packet), flags=0x1000, options=bytes(4)))),
    "ERSPAN type III": ("ERSPAN", lambda packet: outer(47, gre(0x22EB, bytes(11) + b"\x01" + bytes(8) + ethernet(packet), flags=0x1000, options=bytes(4)))),
    "IP in IP": ("IP in IP", lambda packet: outer(4, packet)),
    "IPv4 in IPv6": ("IP in IP", lambda packet: outer(4, packet, v6=True)),
    "IP in IP, twice": ("IP in IP", lambda packet: outer(4, outer(4, packet))),
    "an authentication header in tunnel mode": ("IP in IP", lambda packet: outer(51, b"\x04\x04" + bytes(22) + packet)),
    "VXLAN within GRE": ("GRE", lambda packet: outer(47, gre(0x0800, outer(17, udp(4789, VXLAN + ethernet(packet)))))),
}  # fmt: skip


@pytest.mark.parametrize(("tunnel", "wrap"), WRAPPED.values(), ids=WRAPPED)
def test_a_hello_is_read_through_each_tunnel(tunnel: str, wrap: Callable[[bytes], bytes]) -> None:
    """The inner addresses, the inner ending, and the name of the outermost tunnel."""
    found = read(pcap([(1, ethernet(wrap(ip_packet(segment)))) for segment in handshake(hello(), "rst")]))

    [one] = found.hellos
    assert (CLIENT, SERVER, 443, None, Ending.RESET_BY_SERVER) == (
        one.client, one.server, one.server_port, one.server_name, one.ending,
    )  # fmt: skip
    assert tunnel == one.via
    assert 6 == found.tunnels[tunnel]
    assert 0 == found.not_read


def test_ipv6_within_a_tunnel_is_read() -> None:
    """IPv6 in IPv4 (protocol 41)."""
    segments = handshake(hello("v6.example.com"), "rst", client="2001:db8::7", server="2001:db8::1")
    found = read(pcap([(1, ethernet(outer(41, ip_packet(segment)))) for segment in segments]))

    assert [("v6.example.com", "2001:db8::7")] == [(each.server_name, each.client) for each in found.hellos]


@pytest.mark.parametrize("link", ["MPLS", "PPPoE"])
def test_labels_and_sessions_between_ethernet_and_ip_are_skipped(link: str) -> None:
    """Two MPLS labels; a PPPoE session."""
    head = {"MPLS": b"\x88\x47" + b"\x00\x01\x00\x40\x00\x02\x01\x40", "PPPoE": b"\x88\x64\x11\x00\x00\x01\x00\x00\x00\x21"}[link]
    found = read(pcap([(1, bytes(12) + head + ip_packet(segment)) for segment in handshake(hello(), "rst")]))

    assert [Ending.RESET_BY_SERVER] == [each.ending for each in found.hellos]


def test_inside_and_outside_of_a_tunnel_are_one_hello() -> None:
    """``-i any`` on a node sees the pod's packet, and the same one in VXLAN on its way: one client, one handshake."""
    both = []
    for segment in handshake(hello(), "rst"):
        packet = ip_packet(segment)
        both += [(1, ethernet(packet)), (1, ethernet(outer(17, udp(8472, VXLAN + ethernet(packet)))))]
    found = read(pcap(both))

    assert {(CLIENT, Ending.RESET_BY_SERVER): 1} == dict(found.without_name)
    assert 6 == found.tunnels["VXLAN"]


INNER = ip_packet(Segment(CLIENT, SERVER, SYN, 1))
UNREAD = {
    "ESP": (outer(50, bytes(40)), "encrypted by IPsec (ESP)"),
    "ESP over IPv6": (outer(50, bytes(40), v6=True), "encrypted by IPsec (ESP)"),
    "WireGuard": (outer(17, udp(51820, b"\x04\x00\x00\x00" + bytes(60))), "encrypted by WireGuard"),
    "PPTP": (outer(47, gre(0x880B, bytes(40), flags=0x3001)), "GRE of version 1 (PPTP)"),
    "GRE with routes": (outer(47, gre(0x0800, bytes(40), flags=0x4000)), "GRE with source routes"),
    "GRE with another protocol": (outer(47, gre(0x1234, bytes(40))), "GRE with protocol 0x1234"),
    "GENEVE of another version": (outer(17, udp(6081, b"\x40" + bytes(40))), "GENEVE of an unknown version"),
    "a header that is cut": (INNER[:30], "cut off, or damaged, within their headers"),
    "a header that is damaged": (b"\x41" + INNER[1:], "cut off, or damaged, within their headers"),
}


@pytest.mark.parametrize(("packet", "reason"), UNREAD.values(), ids=UNREAD)
def test_what_cannot_be_read_is_counted_with_its_reason(packet: bytes, reason: str) -> None:
    """A result that says nothing of it would claim to be whole."""
    found = read(pcap([(1, bytes(12) + (b"\x86\xdd" if packet[0] >> 4 == 6 else b"\x08\x00") + packet)]))

    assert {reason: 1} == dict(found.unread)
    assert 1 == found.not_read


@pytest.mark.parametrize("packet", [outer(17, udp(53, bytes(40))), outer(1, bytes(40)), outer(17, udp(4789, bytes(40)))])
def test_other_protocols_are_nobodys_business(packet: bytes) -> None:
    """DNS, ICMP, and a datagram to VXLAN's port that is no VXLAN."""
    assert 0 == read(pcap([(1, ethernet(packet))])).not_read


def test_nesting_ends() -> None:
    """As deep as it is followed, and one deeper."""
    packet = INNER
    for _ in range(MAX_NESTING):
        packet = outer(4, packet)

    assert 1 == read(pcap([(101, packet)])).segments
    assert {f"encapsulated more than {MAX_NESTING} times": 1} == dict(read(pcap([(101, outer(4, packet))])).unread)


@given(st.sampled_from(sorted(WRAPPED)), st.binary(min_size=1, max_size=40), st.integers(0, 120))
def test_damaged_tunnels_never_raise(kind: str, patch: bytes, place: int) -> None:
    """Whatever stands in the headers, the answer is a segment, a fragment, a reason, or nothing."""
    packet = bytearray(ethernet(WRAPPED[kind][1](INNER)))
    packet[place : place + len(patch)] = patch
    for size in (len(packet), place):
        decode(1, bytes(packet[:size]))
