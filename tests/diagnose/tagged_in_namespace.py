"""Runs in a network namespace of its own, with a cable that nobody else uses: prints as JSON who was seen through tags, labels and PPPoE.

unshare --net python -m tests.diagnose.tagged_in_namespace
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import struct
import subprocess

from prober.diagnose.capture import Follower
from prober.diagnose.collect_live import live_frames
from prober.tls.client_hello import HelloFactory
from prober.tls.profiles import PROFILES
from tests.diagnose.packet_maker import handshake, ip_packet

_IP, _V6 = b"\x08\x00", b"\x86\xdd"
_TICKS = 10
"""Halves of a second after which what did not come is not waited for."""


def wrapped(packet: bytes) -> dict[str, bytes]:
    """An IP packet behind each of what may stand before it, from the EtherType on."""
    kind = _IP if packet[0] >> 4 == 4 else _V6
    return {
        "untagged": kind + packet,
        "VLAN": b"\x81\x00\x00\x05" + kind + packet,
        "VLAN in VLAN": b"\x81\x00\x40\x05\x81\x00\x40\x06" + kind + packet,
        "QinQ": b"\x88\xa8\x00\x05\x81\x00\x60\x06" + kind + packet,
        "MPLS": b"\x88\x47" + b"\x00\x01\x01\x40" + packet,
        "PPPoE": b"\x88\x64\x11\x00\x00\x01"
        + struct.pack(">H", len(packet) + 2)
        + b"\x00"
        + (b"\x21" if kind == _IP else b"\x57")
        + packet,
    }


def main() -> None:
    """Watch one end, send connections into the other, and say which were read."""
    for command in ("link add near type veth peer name far", "link set near up", "link set far up"):
        subprocess.run(["ip", *command.split()], check=True)
    factory = HelloFactory(PROFILES["openssl-3.0"], entropy=os.urandom)
    follower, ticks = Follower(), 0

    def tick(_: int) -> None:
        nonlocal ticks
        ticks += 1
        follower.settle(float("inf"))
        if ticks > _TICKS:
            raise TimeoutError

    frames = live_frames("far", tick)
    sent: dict[str, str] = {}
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as near:
        near.bind(("near", 0))
        for prefix, server in (("192.0.2.", "198.51.100.1"), ("2001:db8::", "2001:db8:1::1")):
            for number, name in enumerate(wrapped(b"\x45")):
                client = f"{prefix}{number + 1}"
                sent[client] = name
                for segment in handshake(factory.offer(None).wire, "rst", client=client, server=server):
                    near.send(b"\xff" * 6 + b"\x02\x00\x00\x00\x00\x01" + wrapped(ip_packet(segment))[name])
    with contextlib.suppress(TimeoutError):
        for frame in frames:
            follower.add(frame)
            if len(follower.facts.hellos) == len(sent):
                break
    seen = {hello.client: hello.ending.value for hello in follower.finish().hellos}
    print(json.dumps([[name, ":" in client, seen.get(client)] for client, name in sent.items()]))


if __name__ == "__main__":
    main()
