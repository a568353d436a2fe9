"""Live traffic: real handshakes on loopback are counted while they happen."""

from __future__ import annotations

import signal
import socket
import struct
import subprocess
import sys
import threading
import time

import pytest

from prober.diagnose.collect_live import LiveError, live_frames
from prober.tls.client_hello import HelloFactory
from prober.tls.profiles import PROFILES
from tests.servers.requirements import missing


def may_capture() -> bool:
    try:
        socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0).close()
    except (AttributeError, PermissionError):
        return False
    return True


def reset_each(listener: socket.socket, count: int) -> None:
    """Close `count` connections with the hello unread."""
    for _ in range(count):
        connection, _ = listener.accept()
        connection.recv(1, socket.MSG_PEEK)
        connection.close()


def test_a_client_without_a_name_is_told_while_the_traffic_goes_on() -> None:
    """The line about a reset client appears before the watching ends, and the result behind Ctrl-C has it, too."""
    if not may_capture():
        missing("no right to open an AF_PACKET socket")
    factory = HelloFactory(PROFILES["openssl-3.0"], entropy=lambda size: bytes(size))
    command = [sys.executable, "-m", "prober", "diagnose", "capture", "--live", "lo", "--json"]
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as watching,
    ):
        assert watching.stderr is not None
        assert "watching lo" in watching.stderr.readline()
        threading.Thread(target=reset_each, args=(listener, 400), daemon=True).start()
        told: list[str] = []
        reader = threading.Thread(target=lambda: told.append(watching.stderr.readline()))
        reader.start()
        # Loopback is everybody's: what else runs on this machine is looked at, too.
        deadline = time.monotonic() + 45
        while reader.is_alive() and time.monotonic() < deadline:
            with socket.create_connection(listener.getsockname()) as client:
                client.send(factory.offer(None).wire)
                with pytest.raises(ConnectionResetError):
                    client.recv(1)
            reader.join(0.2)
        watching.send_signal(signal.SIGINT)
        reader.join(10)
        try:
            out, _ = watching.communicate(timeout=30)
        finally:
            watching.kill()

    assert "127.0.0.1  no server name: reset by server" in told[0]
    assert '"client-no-sni"' in out


def test_an_interface_that_is_not_there_is_named_with_those_that_are() -> None:
    """The error lists the interfaces."""
    if not may_capture():
        missing("no right to open an AF_PACKET socket")
    with pytest.raises(LiveError, match=r"cannot watch nowhere0: .*; there are .*lo.* and any"):
        next(live_frames("nowhere0", lambda: None))


def test_only_tcp_passes_the_filter() -> None:
    """A datagram is not copied to the watcher, a segment is."""
    if not may_capture():
        missing("no right to open an AF_PACKET socket")
    ticks: list[float] = []
    frames = live_frames("lo", lambda: ticks.append(time.monotonic()))
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        threading.Timer(0.3, lambda: udp.sendto(b"x", listener.getsockname())).start()
        threading.Timer(0.6, lambda: socket.create_connection(listener.getsockname()).close()).start()
        frame = next(frame for frame in frames if struct.pack(">H", listener.getsockname()[1]) in frame.data[20:24])

    assert frame.data[9] == socket.IPPROTO_TCP
