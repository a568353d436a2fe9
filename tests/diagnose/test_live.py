"""Live traffic: real handshakes on loopback are counted while they happen."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from prober.cli.diagnose_live import watch
from prober.diagnose.collect_live import LiveError, live_frames
from tests.servers.requirements import missing, require_program


def may_capture() -> bool:
    try:
        socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0).close()
    except (AttributeError, PermissionError):
        return False
    return True


def in_namespace(module: str) -> subprocess.CompletedProcess[str]:
    unshare = require_program("unshare", package="util-linux")
    require_program("ip", package="iproute2")
    if os.geteuid() != 0:
        missing("making a network namespace needs root")
    # With a process namespace of its own, nothing of it outlives the test, not even when the test runs out of time.
    own = ("--net", "--pid", "--fork", "--kill-child")
    command = [unshare, *own, sys.executable, "-m", module]
    root = Path(__file__).parents[2]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=50, check=False)
    if done.returncode and "Operation not permitted" in done.stderr:
        missing("this root may not make a network namespace")
    assert done.returncode == 0, done.stderr
    return done


def test_clients_without_a_name_are_told_while_the_traffic_goes_on() -> None:
    """The lines about reset clients appear before the watching ends, and the result behind Ctrl-C has them, too."""
    done = in_namespace("tests.diagnose.live_in_namespace")
    said = json.loads(done.stdout)

    assert said["first"].startswith("watching lo")
    assert said["endings"] == ["ConnectionResetError"] * 20
    assert "127.0.0.1  no server name: reset by server (20 so far)" in said["told"]
    assert "client-no-sni" in [finding["id"] for finding in said["document"]["findings"]]


def test_what_stands_before_a_packet_hides_no_client_from_the_watcher() -> None:
    """The port of a trunk: one tag and two, labels, PPPoE; the kernel takes off the first tag alone."""
    said = json.loads(in_namespace("tests.diagnose.tagged_in_namespace").stdout)

    assert 12 == len(said)
    assert [] == [each for each in said if each[2] != "reset_by_server"]


def test_an_interface_that_is_not_there_is_named_with_those_that_are() -> None:
    """The error lists the interfaces."""
    if not may_capture():
        missing("no right to open an AF_PACKET socket")
    with pytest.raises(LiveError, match=r"cannot watch nowhere0: .*; there are .*lo.* and any"):
        live_frames("nowhere0", lambda _: None)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="live traffic is read on Linux alone")
def test_an_interface_that_goes_down_leaves_what_was_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel's error (ENETDOWN; here that of a datagram nobody took) ends the watching, and not the command."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        address = closed.getsockname()
    failing = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    failing.connect(address)
    failing.send(b"x")
    monkeypatch.setattr("prober.diagnose.collect_live._open", lambda _: failing)
    facts, error = watch("eth7")

    assert error == "eth7 cannot be watched on: Connection refused"
    assert facts.frames == 0
    assert failing.fileno() == -1


def test_only_tcp_and_its_tunnels_pass_the_filter() -> None:
    """A datagram is not copied to the watcher; a segment is, and a datagram to VXLAN's port."""
    if not may_capture():
        missing("no right to open an AF_PACKET socket")
    with (
        contextlib.closing(live_frames("lo", lambda _: None)) as frames,
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
    ):
        udp.sendto(b"x", listener.getsockname())
        udp.sendto(b"tunnel", (listener.getsockname()[0], 4789))
        socket.create_connection(listener.getsockname()).close()
        port = struct.pack(">H", listener.getsockname()[1])
        ours = struct.pack(">H", udp.getsockname()[1])
        seen = []
        for frame in frames:
            if ours in frame.data[20:24] or port in frame.data[20:24]:
                seen.append(frame.data)
            if port in frame.data[20:24]:
                break

    *tunnelled, segment = seen
    assert segment[9] == socket.IPPROTO_TCP
    assert {b"tunnel"} == {data[28:] for data in tunnelled}
