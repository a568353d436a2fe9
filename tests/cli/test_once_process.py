"""``prober once`` as a process among others: pipes, signals, terminals."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import pytest

from tests.servers.scripted import hold, read_hello, scripted

COMMAND = (sys.executable, "-m", "prober", "once", "--server-name", "api.example.test")
PATIENCE = 30.0
"""Seconds after which something that should have happened has not: generous, for a machine that is shared."""


@contextmanager
def running(*arguments: object, **streams: Any) -> Iterator[subprocess.Popen[bytes]]:
    """The program, with pipes where nothing else is said; ended with the block."""
    streams = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **streams}
    with subprocess.Popen([*COMMAND, *map(str, arguments)], **streams) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port on which nobody listens."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        yield sock.getsockname()[1]


def read_line(stream: IO[bytes] | None) -> bytes:
    """One line, as soon as it is there; fails instead of waiting forever."""
    assert stream is not None
    line, deadline = b"", time.monotonic() + PATIENCE
    while not line.endswith(b"\n"):
        assert select.select([stream], [], [], max(0.0, deadline - time.monotonic()))[0], f"no line, only {line!r}"
        byte = os.read(stream.fileno(), 1)
        if not byte:
            return line
        line += byte
    return line


def finish(process: subprocess.Popen[bytes]) -> tuple[int, bytes, bytes]:
    """Exit status, the rest of standard output, standard error."""
    out, err = process.communicate(timeout=PATIENCE)
    return process.returncode, out or b"", err or b""


def test_jsonl_answers_each_line_while_the_next_is_not_yet_written(closed_port: int) -> None:
    """A conversation over two pipes: nothing waits for a buffer to fill, in either direction."""
    with running("--file", "-", "--format", "jsonl") as process:
        assert process.stdin is not None
        for host in (1, 2, 3):
            process.stdin.write(f"127.0.0.{host}:{closed_port}\n".encode())
            process.stdin.flush()
            assert json.loads(read_line(process.stdout))["address"] == f"127.0.0.{host}"
        status, out, err = finish(process)
    assert (status, out, err) == (1, b"", b"")


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_run_completes_its_document(number: signal.Signals, status: int, closed_port: int) -> None:
    """What is there is printed, what is under way is counted and not waited for, and no more is started."""
    with scripted(hold()) as peer, running("--file", "-", "--json", "--timeout", 600) as process:
        assert process.stdin is not None
        process.stdin.write(f"127.0.0.1:{closed_port}\n{peer.endpoint}\n".encode())
        process.stdin.flush()
        head = read_line(process.stdout) + read_line(process.stdout)
        assert peer.accepted.acquire(timeout=PATIENCE)
        process.send_signal(number)
        process.wait(PATIENCE)  # before its standard input ends
        got, out, err = finish(process)
    if out.startswith(b"  {"):
        head, out = head + out, b""
    results = json.loads(head + out)["results"]
    missing = f"prober once: {number.name}: 1 address without a result, and the targets were not read to their end\n"
    assert (got, err) == (status, missing.encode())
    assert [result["port"] for result in results] == [closed_port]


def test_an_interrupted_table_shows_what_there_is(closed_port: int) -> None:
    """The few that were kept for their order are shown after all; that one is not among them is said."""
    hellos = threading.Semaphore(0)
    script = (read_hello(), lambda _: hellos.release(), hold())
    with scripted(*script) as peer, running(f"127.0.0.1:{closed_port}", peer.endpoint, "--timeout", 600) as process:
        for _ in range(3):  # the refusals came before these hellos could go out
            assert hellos.acquire(timeout=PATIENCE)
        process.send_signal(signal.SIGINT)
        status, out, err = finish(process)
    assert (status, err) == (130, b"prober once: SIGINT: 1 address without a result\n")
    assert f"unreachable  127.0.0.1:{closed_port}".encode() in out


def test_a_reader_that_has_enough_ends_it_quietly(closed_port: int, tmp_path: Path) -> None:
    """As in ``prober once ... | head -1``: no traceback, no message."""
    file = tmp_path / "targets.txt"
    file.write_text("".join(f"127.0.{net}.{host}:{closed_port}\n" for net in range(40) for host in range(1, 255)))
    with running("--file", file, "--format", "jsonl", stdin=subprocess.DEVNULL) as process:
        assert read_line(process.stdout).startswith(b"{")
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == b""
        assert process.wait(PATIENCE) == 141


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full, which stands for a full disk")
@pytest.mark.parametrize("format_", ["table", "json", "jsonl", "csv"])
def test_output_that_cannot_be_written_is_told(format_: str, closed_port: int) -> None:
    """A full disk: exit status 2 and the reason, not a result that nobody has."""
    with Path("/dev/full").open("wb") as full, running(f"127.0.0.1:{closed_port}", "--format", format_, stdout=full) as process:
        status, _, err = finish(process)
    assert (status, err) == (2, b"prober: cannot write the output: No space left on device\n")


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_closed_standard_stream_changes_no_exit_status(closed: str, closed_port: int) -> None:
    """Whoever asks for the status alone may close what would be printed on; no probe's socket takes its place."""
    command = ("sh", "-c", f'"$@" {closed}', "sh", *COMMAND, f"127.0.0.1:{closed_port}")
    done = subprocess.run(command, check=False, capture_output=True, timeout=PATIENCE)
    assert done.returncode == 1
    assert done.stderr == b""


def test_a_reader_that_is_slow_does_not_make_it_read_ahead() -> None:
    """Memory is bounded: with no room for more handshakes, the rest of the input stays in its pipe."""
    with scripted(hold()) as peer, running("--file", "-", "--concurrency", 3, "--timeout", 600, "--format", "jsonl") as process:
        assert process.stdin is not None
        descriptor = process.stdin.fileno()
        os.set_blocking(descriptor, False)
        line = f"{peer.endpoint}\n".encode()
        written = os.write(descriptor, line)
        assert peer.accepted.acquire(timeout=PATIENCE)
        quiet_since = time.monotonic()
        while time.monotonic() - quiet_since < 1.0 and written < 4_000_000:
            try:
                written += os.write(descriptor, line * 100)
                quiet_since = time.monotonic()
            except BlockingIOError:
                time.sleep(0.02)
        process.kill()
    # A pipe holds 64 KiB, and one block of as much is being split into lines.
    assert written < 400_000


def test_an_encoding_without_ticks_gets_words(closed_port: int) -> None:
    """Nothing is lost and nothing fails where the terminal speaks ASCII."""
    environ = {**os.environ, "PYTHONIOENCODING": "ascii"}
    with running(f"127.0.0.1:{closed_port}", env=environ) as process:
        status, out, err = finish(process)
    assert (status, err) == (1, b"")
    assert out.startswith(b"x unreachable  127.0.0.1:")
    assert out.isascii()


def on_a_terminal(*arguments: object, environ: dict[str, str], **streams: Any) -> tuple[int, bytes]:
    """Run with standard error, and what else is said, on a pseudo-terminal; the exit status and what the terminal got."""
    leader, follower = pty.openpty()
    streams = {name: follower if stream == "terminal" else stream for name, stream in streams.items()}
    with running(*arguments, stderr=follower, env={**os.environ, "TERM": "xterm", **environ}, **streams) as process:
        os.close(follower)
        shown, deadline = b"", time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            try:
                data = os.read(leader, 65536)
            except OSError:  # EIO: the last one has closed it
                break
            if not data:
                break
            shown += data
        os.close(leader)
        return process.wait(PATIENCE), shown


def test_a_long_run_shows_a_bar_where_somebody_looks(closed_port: int, tmp_path: Path) -> None:
    """On standard error, and the document on standard output stays clean; at the end the bar is gone."""
    file = tmp_path / "targets.txt"
    file.write_text("".join(f"127.0.0.{host}:{closed_port}\n" for host in range(1, 101)))
    with (tmp_path / "out.json").open("wb") as out:
        status, shown = on_a_terminal("--file", file, "--json", environ={"COLUMNS": "80"}, stdin=subprocess.DEVNULL, stdout=out)
    assert status == 1
    assert len(json.loads((tmp_path / "out.json").read_bytes())["results"]) == 100
    assert b"/100" in shown
    assert b"at fault" in shown
    assert shown.endswith((b"\x1b[2K", b"\x1b[?25h"))


def test_rows_and_bar_share_a_terminal(closed_port: int, tmp_path: Path) -> None:
    """A row never continues a bar's line."""
    file = tmp_path / "targets.txt"
    file.write_text("".join(f"127.0.0.{host}:{closed_port}\n" for host in range(1, 101)))
    status, shown = on_a_terminal("--file", file, environ={"COLUMNS": "80"}, stdin=subprocess.DEVNULL, stdout="terminal")
    assert status == 1
    assert shown.count(b"unreachable") == 100 + 1
    for line in shown.split(b"\n"):
        row = line.find("✗".encode())
        if row > 0 and b"/100" in line[:row]:
            assert b"\x1b[2K" in line[line.rindex(b"/100") : row]
    assert b"100 addresses" in shown


def test_a_few_targets_show_no_bar(closed_port: int) -> None:
    """There is nothing to wait for, and the start is not delayed by drawing it."""
    status, shown = on_a_terminal(f"127.0.0.1:{closed_port}", environ={}, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    assert (status, shown) == (1, b"")
