"""Large inputs for measuring ``prober diagnose``, the same bytes each time.

python -m tests.diagnose.make_load logs million.log 1000000       # lines of typed JSON, the 23 keys of Apigee hybrid
python -m tests.diagnose.make_load capture gigabyte.pcap 1000     # megabytes: connections with hellos and data, some of them reset
"""

from __future__ import annotations

import json
import random
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from prober.tls.client_hello import HelloFactory
from prober.tls.profiles import PROFILES
from tests.diagnose.log_samples import entry
from tests.diagnose.packet_maker import ACK, FIN, PSH, Segment, frame, handshake

_SERVED = {
    "status": 200, "status_details": "via_upstream", "tls_protocol": "TLSv1.3", "bytes_received": 310, "bytes_sent": 8801,
    "host": "api.acme.example", "sni_host": "api.acme.example", "request": "POST /orders/v1/items HTTP/2", "request_method": "POST",
    "request_path": "/orders/v1/items", "request_protocol": "HTTP/2", "upstream_address": "10.64.5.20:8998",
    "upstream_cluster": "outbound|8998||apigee-runtime-acme-hyb-prod-1a2b3c4.apigee.svc.cluster.local", "upstream_response_flags": None,
    "upstream_response_time": 40, "upstream_service_time": "39", "user_agent": "okhttp/4.12.0", "x_forwarded_for": "203.0.113.9",
    "request_id": "9969c5e5-c934-40ed-9caa-7352fbacd6e3",
}  # fmt: skip


def log_lines(count: int) -> Iterator[str]:
    """Nine lines in ten are requests that were served; of the others most are clients without a name."""
    rng = random.Random(count)
    for number in range(count):
        minutes, seconds = divmod(number // 100, 60)
        start = (
            f"2026-03-{2 + minutes // 1440 % 28:02}T{minutes // 60 % 24:02}:{minutes % 60:02}:{seconds:02}.{number % 1000:03}Z"
        )
        remote = f"10.64.{rng.randrange(20)}.{rng.randrange(250)}:{1024 + rng.randrange(60000)}"
        kind = rng.random()
        if kind < 0.9:
            yield json.dumps(entry(start_time=start, remote_address=remote, **_SERVED), separators=(",", ":"))
        elif kind < 0.98:
            yield json.dumps(entry(start_time=start, remote_address=remote), separators=(",", ":"))
        else:
            name = f"shop-{rng.randrange(50)}.example"
            yield json.dumps(entry(start_time=start, remote_address=remote, sni_host=name), separators=(",", ":"))


def write_capture(file: BinaryIO, size: int) -> None:
    """A pcap file of at least ``size`` bytes: of ten connections one has no name and is reset, nine carry 24 segments of data."""
    rng = random.Random(size)
    factory = HelloFactory(PROFILES["modern"], entropy=rng.randbytes)
    answer = bytes.fromhex("160303002a020000260303") + bytes(32) + bytes.fromhex("00c02f00")
    file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 1))
    written, number = 24, 0
    data = b"\x17\x03\x03\x40\x00" + bytes(1443)
    while written < size:
        client, port = f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}", 10_000 + number % 50_000
        if number % 10 == 0:
            segments = handshake(factory.offer(None).wire, "rst", client=client, port=port)
        else:
            segments = handshake(factory.offer("api.example.com").wire, "none", client=client, port=port, answer=answer)
            last = segments[-1]
            at = last.sequence + len(last.payload)
            for _ in range(24):
                segments.append(last._replace(sequence=at, payload=data, flags=PSH | ACK))
                at += len(data)
            segments.append(Segment(last.destination, last.source, FIN | ACK, last.acknowledgement, at, source_port=port))
        for place, segment in enumerate(segments):
            _, content = frame(segment)
            time = number * 1000 + place * 10
            file.write(
                struct.pack("<IIII", 1_700_000_000 + time // 1_000_000, time % 1_000_000, len(content), len(content)) + content
            )
            written += 16 + len(content)
        number += 1


def main() -> None:
    """As the module says."""
    kind, path, amount = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    if kind == "logs":
        with path.open("w") as log:
            log.writelines(f"{line}\n" for line in log_lines(amount))
    else:
        with path.open("wb") as capture:
            write_capture(capture, amount * 1_000_000)


if __name__ == "__main__":
    main()
