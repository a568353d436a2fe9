"""Files that gzip packed, and that are cut off or damaged: what comes before the damage counts, and the damage is told."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest

from prober.cli.diagnose_gather import Gathered
from tests.diagnose.log_samples import typed
from tests.diagnose.packet_maker import frame, handshake, pcap
from tests.diagnose.test_capture import hello


def _cut(packed: bytes) -> bytes:
    return packed[:-9]


def _damaged(packed: bytes) -> bytes:
    return packed[:-6] + bytes([packed[-6] ^ 0xFF]) + packed[-5:]  # in the checksum


@pytest.mark.parametrize("times", [1, 500])
@pytest.mark.parametrize(("harm", "said"), [(_cut, "ended before"), (_damaged, "CRC check failed")])
def test_a_packed_capture_whose_writer_was_killed_gives_what_it_holds(
    tmp_path: Path, harm: Callable[[bytes], bytes], said: str, times: int
) -> None:
    """``tcpdump -w - | gzip`` that was killed: a short one, of which the damage is met at once, and one that is read in pieces."""
    frames = [frame(segment) for segment in handshake(hello(), "rst") * times]
    path = tmp_path / "in.pcap.gz"
    path.write_bytes(harm(gzip.compress(pcap(frames))))
    gathered = Gathered()
    gathered.read(str(path), None)

    (report,) = gathered.reports
    assert said in str(report.error)
    found = gathered.captures[str(path)]
    assert found.frames >= len(frames) - 250
    assert 1 == sum(found.without_name.values())


@pytest.mark.parametrize("harm", [_cut, _damaged])
def test_a_packed_log_is_counted_as_far_as_it_can_be_unpacked(tmp_path: Path, harm: Callable[[bytes], bytes]) -> None:
    """Also the one that is so short that nothing of it is unpacked before the damage."""
    path = tmp_path / "in.log.gz"
    path.write_bytes(harm(gzip.compress("\n".join(typed(remote_address=f"10.0.0.7:{port}") for port in range(9)).encode())))
    gathered = Gathered()
    gathered.read(str(path), "logs")

    assert "cannot be unpacked further" in str(gathered.reports[0].error)
    assert gathered.logs is not None
    assert gathered.logs.entries >= 8


def test_a_manifest_that_ends_early_is_not_judged(tmp_path: Path) -> None:
    """What is missing would be taken for absent."""
    path = tmp_path / "routes.yaml.gz"
    path.write_bytes(_cut(gzip.compress(b"apiVersion: apigee.cloud.google.com/v1alpha1\nkind: ApigeeRoute\nspec: {}\n")))
    gathered = Gathered()
    gathered.read(str(path), "routes")

    assert "cannot be unpacked further" in str(gathered.reports[0].error)
    assert [] == gathered.manifests
