"""`prober serve --packet-timestamps`: resets are as certain as certificates, whichever process runs the handshakes."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from prober.probing.packet_clock import PacketClock, PacketClockUnavailable
from tests.servers.requirements import not_permitted
from tests.servers.scripted import read_hello, reset, scripted
from tests.service.process import eventually, serving

UNCERTAINTY = "probe_duration_uncertainty_seconds"


@pytest.mark.parametrize(
    ("options", "certain"), [((), False), (("--packet-timestamps",), True), (("--packet-timestamps", "--workers", "2"), True)]
)
def test_resets_are_certain_where_packets_are_stamped(tmp_path: Path, options: tuple[str, ...], certain: bool) -> None:
    """Without the option a reset lies between two polls, and the metric says how far these are apart."""
    try:
        with closing(PacketClock()):
            pass
    except PacketClockUnavailable as reason:
        not_permitted(str(reason))
    with scripted(read_hello(), reset()) as peer:
        target = {"name": "edge", "addresses": [str(peer.endpoint)], "server_names": ["a.example.test"]}
        document = {"listen": "127.0.0.1:0", "interval": "1s", "timeout": "800ms", "targets": [target]}
        with serving(tmp_path, document, *options) as service:
            service.wait_ready()
            eventually(lambda: len(service.samples("probe_handshakes_total", outcome="reset")) == 3, "each hello is reset")
            # One that is looked at late is a reset all the same, and its neighbours on this host's ports are not it.
            eventually(
                lambda: [value == 0.0 for _, value in service.samples(UNCERTAINTY)] == 3 * [certain], "as certain as asked for"
            )
            assert set(service.verdicts().values()) == {"tls_failing"}
