"""The rehearsal ingress, seen by Python's ssl and by raw sockets: it is what it claims, on the wire."""

from __future__ import annotations

import datetime
import errno
import shlex
import signal
import socket
import ssl
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest
import trio
import yaml

from prober.lab.behaviours import BEHAVIOURS, find
from prober.lab.certificates import LabCertificates
from prober.lab.listener import Listener, bind
from prober.lab.rehearsal import SERVER_NAMES, LabOptions, default_listeners, run_lab


class RunningLab:
    """A lab in a process of its own, on free ports."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.process = subprocess.Popen(
            [sys.executable, "-m", "prober", "lab", "--port", "0", "--control-port", "0", "--directory", str(directory)],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        lines = []
        for line in self.process.stdout:
            lines.append(line)
            if line.startswith("List:"):
                break
        rows = [line.split() for line in lines]
        self.ports = {row[0]: int(row[1].rpartition(":")[2]) for row in rows if len(row) == 4 and row[2] in BEHAVIOURS}
        self.control_port = int(rows[-1][2].partition("/")[0].rpartition(":")[2])

    def close(self, number: int = signal.SIGINT) -> int:
        """Ask it to end, as Ctrl-C does; the exit status."""
        self.process.send_signal(number)
        assert self.process.stdout is not None
        with self.process.stdout:
            return self.process.wait(30)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningLab]:
    running = RunningLab(tmp_path_factory.mktemp("lab"))
    yield running
    assert running.close() == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_when_it_is_told_to(number: signal.Signals, tmp_path: Path) -> None:
    """With status 0, also where it was started by a shell's ``&``, which has SIGINT ignored."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        running = RunningLab(tmp_path)
    finally:
        signal.signal(signal.SIGINT, before)
    assert running.close(number) == 0


async def test_what_is_announced_listens(tmp_path: Path, nursery: trio.Nursery) -> None:
    """A script that waits for the announcement may connect at once."""
    announced = trio.Event()
    refusing: list[str] = []

    def announce(_: str) -> None:
        for one in yaml.safe_load((tmp_path / "prober.yml").read_text())["targets"]:
            host, _, port = one["addresses"][0].rpartition(":")
            try:
                socket.create_connection((host, int(port)), timeout=5).close()
            except ConnectionRefusedError:
                refusing.append(one["name"])
        announced.set()

    options = LabOptions(listeners=default_listeners(2), directory=tmp_path, port=0, control_port=0)
    nursery.start_soon(run_lab, options, announce)
    await announced.wait()
    assert refusing == ["refuse"]


async def test_what_is_announced_can_be_pasted(tmp_path: Path, nursery: trio.Nursery) -> None:
    """Into a shell, wherever the lab writes its files."""
    told: list[str] = []
    announced = trio.Event()

    def announce(text: str) -> None:
        told.extend(text.splitlines())
        announced.set()

    options = LabOptions(listeners=default_listeners(0), directory=tmp_path / "my lab", port=0, control_port=0)
    nursery.start_soon(run_lab, options, announce)
    await announced.wait()
    (watch,) = [line.removeprefix("Watch all: ") for line in told if line.startswith("Watch all: ")]
    assert shlex.split(watch) == ["prober", "serve", "--config", str(tmp_path / "my lab" / "prober.yml")]


def handshake(lab: RunningLab, listener: str, server_name: str | None) -> str:
    """What Python's ssl makes of a listener: the certificate's first name, or the error's class and reason."""
    context = ssl.create_default_context(cafile=lab.directory / "ca.pem")
    context.verify_flags |= ssl.VERIFY_X509_STRICT  # the default from Python 3.13 on
    context.check_hostname = False
    try:
        with (
            socket.create_connection(("127.0.0.1", lab.ports[listener]), timeout=3) as connection,
            context.wrap_socket(connection, server_hostname=server_name) as tls,
        ):
            certificate = tls.getpeercert()
            assert certificate is not None
            return certificate["subjectAltName"][0][1]
    except ssl.SSLCertVerificationError as error:
        return error.verify_message
    except ssl.SSLEOFError:
        return "FIN"
    except ssl.SSLError as error:
        return error.reason
    except OSError as error:
        return type(error).__name__


async def test_a_connection_that_cannot_be_accepted_ends_no_listener(tmp_path: Path, nursery: trio.Nursery) -> None:
    """A client that is gone before it is accepted, or no descriptor for it: the next one is served."""
    certificates = LabCertificates(tmp_path, SERVER_NAMES, datetime.datetime.now(datetime.UTC))
    sock = bind("127.0.0.1", 0)
    port = sock.getsockname()[1]
    listener = Listener("plain", find("plain-http"), frozenset(SERVER_NAMES), certificates, "127.0.0.1", port)

    class Failing:
        """A listening socket whose first connections cannot be accepted."""

        errors: ClassVar[list[int]] = [errno.ECONNABORTED, errno.EMFILE]

        def __getattr__(self, name: str) -> object:
            return getattr(sock, name)

        async def accept(self) -> object:
            if self.errors:
                raise OSError(self.errors.pop(0), "")
            return await sock.accept()

    await nursery.start(listener.run, Failing())  # type: ignore[arg-type]
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        await stream.send_all(b"GET / HTTP/1.1\r\n\r\n")
        with trio.fail_after(30):
            assert (await stream.receive_some()).startswith(b"HTTP/1.1 400")
    assert not Failing.errors


@pytest.mark.parametrize(
    ("listener", "server_name", "expected"),
    [
        ("healthy", "api.lab.test", "api.lab.test"),
        ("healthy", None, "api.lab.test"),
        ("envoy-reset", "api.lab.test", "api.lab.test"),
        ("envoy-reset", "API.LAB.TEST", "api.lab.test"),
        ("envoy-reset", None, "ConnectionResetError"),
        ("envoy-reset", "nobody.invalid", "ConnectionResetError"),
        ("wrong-certificate", None, "other.lab.test"),
        ("expired-certificate", "api.lab.test", "certificate has expired"),
        ("alert-112", None, "TLSV1_UNRECOGNIZED_NAME"),
        ("alert-40", None, "SSLV3_ALERT_HANDSHAKE_FAILURE"),
        ("fin", None, "FIN"),
        ("fin", "api.lab.test", "api.lab.test"),
        ("silent", "api.lab.test", "api.lab.test"),
        ("silent", None, "TimeoutError"),
        ("dribble", None, "TimeoutError"),
        ("reset-all", "api.lab.test", "ConnectionResetError"),
        ("plain-http", "api.lab.test", "WRONG_VERSION_NUMBER"),
        ("refuse", "api.lab.test", "ConnectionRefusedError"),
    ],
)
def test_a_listener_behaves_as_its_name_says(lab: RunningLab, listener: str, server_name: str | None, expected: str) -> None:
    """Python's ssl sees on each listener what the behaviour promises."""
    assert expected == handshake(lab, listener, server_name)


def test_a_reset_is_sent_without_a_byte_and_without_reading_the_hello(lab: RunningLab) -> None:
    """A raw client gets ECONNRESET and no data, also when the hello arrives in two segments."""
    hello = bytes.fromhex((Path(__file__).parent / "hello_without_sni.hex").read_text())
    with socket.create_connection(("127.0.0.1", lab.ports["envoy-reset"]), timeout=3) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.send(hello[:100])
        connection.send(hello[100:])

        with pytest.raises(ConnectionResetError):
            connection.recv(1)


def test_clients_that_hang_up_end_no_listener(lab: RunningLab) -> None:
    """A prober whose deadline passes resets the connection while the lab is about to answer."""
    hello = bytes.fromhex((Path(__file__).parent / "hello_without_sni.hex").read_text())
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", lab.ports["healthy"]), timeout=3) as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.send(hello)

    assert handshake(lab, "healthy", None) == "api.lab.test"
    assert lab.process.poll() is None


def test_a_flip_holds_for_the_next_connection_and_back(lab: RunningLab) -> None:
    """`prober lab flip` changes a running listener, also to a refused port and back to the same port."""

    def flip(behaviour: str) -> str:
        command = [sys.executable, "-m", "prober", "lab", "flip", "healthy", behaviour, "--control-port", str(lab.control_port)]
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=20).stdout

    assert "healthy -> envoy-reset" in flip("envoy-reset")
    assert handshake(lab, "healthy", None) == "ConnectionResetError"
    flip("refuse")
    assert handshake(lab, "healthy", None) == "ConnectionRefusedError"
    flip("healthy")
    assert handshake(lab, "healthy", None) == "api.lab.test"


def test_a_flip_that_cannot_be_done_says_what_there_is(lab: RunningLab) -> None:
    """An unknown listener and an unknown behaviour are refused with the list of what exists."""

    def flip(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "prober", "lab", "flip", *words, "--control-port", str(lab.control_port)]
        return subprocess.run(command, check=False, capture_output=True, text=True, timeout=20)

    nowhere = flip("nobody", "fin")
    nothing = flip("healthy", "explode")

    assert nowhere.returncode == 2
    assert "there are healthy, envoy-reset" in nowhere.stderr
    assert nothing.returncode == 2
    assert "no behaviour is called 'explode'; there are healthy" in nothing.stderr


def test_a_listener_without_a_behaviour_is_told_how_to_be_written() -> None:
    """Not that no behaviour has an empty name."""
    refused = start("--listener", "shop", "--port", "0", "--control-port", "0")
    assert refused.returncode == 2
    assert refused.stderr == "prober lab: --listener shop: write NAME=BEHAVIOUR, with a name without '/'\n"


def test_the_lab_writes_a_configuration_that_watches_every_listener(lab: RunningLab) -> None:
    """prober.yml names each listener's address, and the authority that signs its certificates."""
    document = yaml.safe_load((lab.directory / "prober.yml").read_text())

    assert {f"127.0.0.1:{port}" for port in lab.ports.values()} == {each["addresses"][0] for each in document["targets"]}
    assert document["modules"]["default"]["ca_file"] == str(lab.directory / "ca.pem")


def test_a_lab_that_cannot_start_leaves_the_directory_of_the_running_one_alone(lab: RunningLab) -> None:
    """A second `make demo` says that the ports are taken; the first one's authority is still the one that its clients trust."""
    before = {each: each.read_bytes() for each in lab.directory.iterdir()}
    second = start("--port", str(lab.ports["healthy"]), "--control-port", "0", "--directory", str(lab.directory))

    assert second.returncode == 2
    assert second.stderr.startswith(f"prober lab: cannot listen on 127.0.0.1 port {lab.ports['healthy']}: Address already in use")
    assert {each: each.read_bytes() for each in lab.directory.iterdir()} == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--directory", "/dev/null/lab"), "cannot write to --directory /dev/null/lab: Not a directory; name one that"),
        (("--control-port", "65536"), "'65536' is no port; write 0 (a free one) to 65535"),
        (("--port", "-1"), "'-1' is no port; write 0 (a free one) to 65535"),
        (("--port", "9" * 5000), "9' is no port; write 0 (a free one) to 65535"),
        (("--count", "-1"), "'-1' is no number of listeners; write 0 or more"),
        (("--count", "99999999999"), "'99999999999' is more listeners than there are ports; write 0 to 65535"),
    ],
)
def test_what_the_lab_cannot_do_is_said_in_a_line(options: tuple[str, str], message: str) -> None:
    """It is no bug of ours, and there is no traceback."""
    lab = start("--port", "0", "--control-port", "0", *options)

    assert lab.returncode == 2
    assert message in lab.stderr
    assert "Traceback" not in lab.stderr


def test_an_announcement_that_cannot_be_written_ends_the_lab() -> None:
    """Nobody would know where it listens. As with every command: a line, and exit status 2."""
    with Path("/dev/full").open("w") as full:
        lab = subprocess.run(
            [sys.executable, "-m", "prober", "lab", "--port", "0", "--control-port", "0"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=30,
            check=False,
        )
    assert (lab.returncode, lab.stderr) == (2, "prober: cannot write the output: No space left on device\n")


def start(*options: str) -> subprocess.CompletedProcess[str]:
    """`prober lab` with options that keep it from starting."""
    return subprocess.run(
        [sys.executable, "-m", "prober", "lab", *options], capture_output=True, text=True, timeout=30, check=False
    )


def test_an_unknown_behaviour_is_a_clear_error() -> None:
    """`find` lists the behaviours when it does not know one."""
    with pytest.raises(ValueError, match="no behaviour is called 'resets'; there are healthy, "):
        find("resets")
