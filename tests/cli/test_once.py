"""``prober once`` from the command line to the exit status, against peers that do as they are told."""

from __future__ import annotations

import csv
import gc
import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from prober.cli import main
from prober.model import Endpoint
from prober.report import CSV_FIELDS
from tests.pki import Authority
from tests.servers.scripted import Connection, Step, hold, read_hello, scripted, send_flight

NAME = "api.example.test"


class Ran(NamedTuple):
    """What one run came to."""

    status: int
    out: str
    err: str

    @property
    def results(self) -> list[dict[str, Any]]:
        """Of a JSON document."""
        document = json.loads(self.out)
        assert list(document) == ["schema", "results"]
        assert document["schema"] == 1
        found: list[dict[str, Any]] = document["results"]
        return found


Once = Callable[..., Ran]


@pytest.fixture
def once(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Once]:
    """Runs the command in this process."""
    monkeypatch.setenv("COLUMNS", "80")

    def run(*arguments: object) -> Ran:
        status = main(["once", *map(str, arguments)])
        return Ran(status, *capfd.readouterr())

    yield run
    gc.unfreeze()


class Ingress(NamedTuple):
    """Where a peer listens, and who vouches for its certificate."""

    endpoint: Endpoint
    ca_file: Path

    @property
    def arguments(self) -> tuple[object, ...]:
        """To probe it properly."""
        return (self.endpoint, "--server-name", NAME, "--ca-file", self.ca_file, "--timeout", 20)


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> tuple[Step, Path]:
    """A step that answers a hello with a good certificate, and the file of trust anchors."""
    directory = tmp_path_factory.mktemp("authority")
    root = Authority.root()
    files = root.issue(NAME).write(directory)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.certificate, files.key)
    return send_flight(context), root.write(directory)


@pytest.fixture
def healthy(authority: tuple[Step, Path]) -> Iterator[Ingress]:
    """Serves everyone."""
    flight, ca_file = authority
    with scripted(read_hello(), flight, hold()) as peer:
        yield Ingress(peer.endpoint, ca_file)


@pytest.fixture
def resetting(authority: tuple[Step, Path]) -> Iterator[Ingress]:
    """Serves the known name, and resets everyone else: the playbook's case."""
    flight, ca_file = authority

    def answer(connection: Connection) -> None:
        if NAME.encode() in connection.received:
            flight(connection)
        else:
            connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            connection.sock.close()

    with scripted(read_hello(), answer, hold()) as peer:
        yield Ingress(peer.endpoint, ca_file)


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port that is taken on 127.0.0.1, and on which nobody listens."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        yield sock.getsockname()[1]


def test_a_healthy_ingress_is_ok(once: Once, healthy: Ingress) -> None:
    """Exit status 0, a block that says so, nothing on standard error."""
    ran = once(*healthy.arguments)
    assert ran.err == ""
    assert ran.status == 0
    lines = ran.out.splitlines()
    assert lines[0] == f"✓ ok  {healthy.endpoint}"
    assert [line.split()[:3] for line in lines[2:4]] == [["known", NAME, "certificate"], ["none", "-", "certificate"]]


def test_the_missing_wildcard_route_is_found(once: Once, resetting: Ingress) -> None:
    """Exit status 1; each hello's fact on its row."""
    ran = once(*resetting.arguments)
    assert ran.status == 1
    assert ran.out.startswith(f"✗ non_sni_reset  {resetting.endpoint}\n")
    assert "reset        ECONNRESET after 0 bytes" in ran.out


@pytest.mark.parametrize(("policy", "status", "symbol"), [("certificate", 1, "✗"), ("rejected", 0, "✓"), ("any", 0, "✓")])
def test_the_policy_decides_what_is_a_fault(policy: str, status: int, symbol: str, once: Once, resetting: Ingress) -> None:
    """A reset is a rejection; the verdict stays, whether it is expected or not."""
    ran = once(*resetting.arguments, "--expect-non-sni", policy)
    assert ran.status == status
    assert ran.out.startswith(f"{symbol} non_sni_reset")


def test_without_a_known_name_nothing_can_be_judged(once: Once, healthy: Ingress) -> None:
    """Exit status 3: nothing is at fault, and nothing is proved."""
    ran = once(healthy.endpoint, "--ca-file", healthy.ca_file, "--timeout", 20, "--json")
    assert ran.status == 3
    [result] = ran.results
    assert (result["verdict"], result["faults"], result["expected"]) == ("inconclusive", [], False)
    assert [hello["sni"] for hello in result["handshakes"]] == ["none", "unknown"]


def test_the_json_document_has_the_promised_keys_in_order(once: Once, resetting: Ingress) -> None:
    """No key is missing, none is there that was not promised."""
    [result] = once(*resetting.arguments, "--json").results
    promised = "target address port verdict faults expected summary handshakes"
    assert list(result) == promised.split()
    assert (result["target"], result["address"], result["port"]) == (str(resetting.endpoint), *resetting.endpoint)
    promised = (
        "sni server_name outcome stage errno close bytes_received tls_alert warning_alerts tls_version cipher_suite group alpn"
        " client_certificate_requested hello_retry_request certificates certificate_valid certificate_problems detail hello seconds"
    )
    for hello in result["handshakes"]:
        assert list(hello) == promised.split()
        assert list(hello["hello"]) == ["profile", "ja4"]
        assert list(hello["seconds"]) == ["resolve", "connect", "handshake", "total"]
    known, none, unknown = result["handshakes"]
    assert (known["sni"], known["server_name"], known["outcome"], known["certificate_valid"]) == (
        "known",
        NAME,
        "certificate",
        True,
    )
    assert (none["sni"], none["server_name"], none["outcome"], none["errno"]) == ("none", None, "reset", "ECONNRESET")
    assert (unknown["sni"], unknown["outcome"]) == ("unknown", "reset")
    assert unknown["server_name"].startswith("probe-")
    assert unknown["server_name"].endswith(".invalid")


def test_jsonl_and_csv_say_the_same(once: Once, resetting: Ingress) -> None:
    """One object a line; one row a hello below a header."""
    line = json.loads(once(*resetting.arguments, "--format", "jsonl").out)
    assert (line["verdict"], len(line["handshakes"])) == ("non_sni_reset", 3)
    rows = once(*resetting.arguments, "--format", "csv").out.splitlines()
    assert rows[0] == ",".join(CSV_FIELDS)
    assert [row.split(",")[3] for row in rows[1:]] == ["non_sni_reset"] * 3


def test_only_the_hellos_that_are_asked_for_are_sent(once: Once, healthy: Ingress) -> None:
    """The others are absent, not null."""
    [result] = once(*healthy.arguments, "--sni", "none,known", "--json").results
    assert [hello["sni"] for hello in result["handshakes"]] == ["known", "none"]


def test_every_known_name_gets_its_own_hello(once: Once, healthy: Ingress) -> None:
    """In the order in which they were given; one that is not covered is a fault."""
    [result] = once(*healthy.arguments, "--server-name", "www.example.test", "--json").results
    assert [hello["server_name"] for hello in result["handshakes"][:2]] == [NAME, "www.example.test"]
    assert "certificate_invalid" in result["faults"]


def test_a_name_that_does_not_resolve_is_a_result(once: Once) -> None:
    """Not an error: somebody asked, and this is the answer."""
    ran = once("gone.invalid", "--timeout", 10, "--json")
    assert ran.status == 1
    [result] = ran.results
    assert (result["address"], result["port"], result["verdict"]) == ("gone.invalid", 443, "unreachable")
    assert {(hello["outcome"], hello["stage"]) for hello in result["handshakes"]} == {("resolve_failed", "resolve")}


def test_names_that_nobody_answers_for_hold_up_no_other_name(
    once: Once, closed_port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More of them than Trio has threads, each stuck in getaddrinfo(3) beyond its deadline: what follows them does resolve."""
    given_up = threading.Event()

    def ask(host: bytes, _port: int, _family: int, _type: int, _proto: int, flags: int) -> list[tuple[object, ...]]:
        if flags & socket.AI_NUMERICHOST:  # Trio's own look, without a thread
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        if host.startswith(b"dead"):
            given_up.wait(30)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", closed_port))]

    monkeypatch.setattr(socket, "getaddrinfo", ask)
    names = tmp_path / "names"
    names.write_text("".join(f"dead-{number}.example\n" for number in range(60)) + f"alive.example:{closed_port}\n")
    try:
        results = once("--file", names, "--timeout", 0.3, "--json").results
    finally:
        given_up.set()
    outcomes = {result["target"]: result["handshakes"][0]["outcome"] for result in results}
    assert outcomes.pop(f"alive.example:{closed_port}") == "refused"
    assert set(outcomes.values()) == {"resolve_failed"}


def test_every_address_of_a_name_is_a_result_of_its_own(once: Once, closed_port: int) -> None:
    """All that the system's resolver knows, once each."""
    expected = {answer[4][0] for answer in socket.getaddrinfo("localhost", closed_port, type=socket.SOCK_STREAM)}
    results = once(f"localhost:{closed_port}", "--json").results
    assert sorted(result["address"] for result in results) == sorted(expected)
    assert {result["target"] for result in results} == {f"localhost:{closed_port}"}


def test_an_address_of_the_other_family_is_not_connected_to(once: Once, closed_port: int) -> None:
    """As a name without an address of that family."""
    [result] = once(f"127.0.0.1:{closed_port}", "--connect-ip", 6, "--json").results
    assert [hello["outcome"] for hello in result["handshakes"]] == ["resolve_failed", "resolve_failed"]


def test_the_timeout_is_a_hard_one(once: Once) -> None:
    """A peer that accepts and says nothing holds nobody longer."""
    with scripted(hold()) as peer:
        [result] = once(peer.endpoint, "--server-name", NAME, "--timeout", 0.3, "--json").results
    for hello in result["handshakes"]:
        assert hello["outcome"] == "timeout"
        assert 0.29 <= hello["seconds"]["total"] < 5


@pytest.mark.parametrize("concurrency", [1, 2, 4])
def test_at_most_so_many_handshakes_are_in_flight(concurrency: int, once: Once) -> None:
    """Counted by the peer, over several targets, also where a single differential is larger than the limit."""
    lock, open_now, most = threading.Lock(), 0, 0

    def count(connection: Connection) -> None:
        nonlocal open_now, most
        with lock:
            open_now += 1
            most = max(most, open_now)
        connection.peer.stopping.wait(0.02)
        with lock:
            open_now -= 1

    with scripted(read_hello(), count) as peer:
        ran = once(*[peer.endpoint] * 4, "--server-name", NAME, "--concurrency", concurrency, "--timeout", 20, "--json")
    assert len(ran.results) == 4
    assert most == concurrency if concurrency < 3 else most <= concurrency


def test_a_bad_line_is_told_and_the_others_are_probed(once: Once, closed_port: int, tmp_path: Path) -> None:
    """Nothing is lost: every good line has its result, every bad one its place; exit status 2."""
    file = tmp_path / "targets.txt"
    file.write_text(f"# mine\n127.0.0.1:{closed_port}\nhttp://nope\n127.0.0.2:{closed_port} # second\n\nbad one\n")
    ran = once("--file", file, "--server-name", NAME, "--json")
    assert ran.status == 2
    assert sorted(result["target"] for result in ran.results) == [f"127.0.0.1:{closed_port}", f"127.0.0.2:{closed_port}"]
    assert [line.partition(": ")[2].partition(" ")[0] for line in ran.err.splitlines()] == [f"{file}:3:", f"{file}:6:"]


def test_a_file_without_targets_is_an_error(once: Once, tmp_path: Path) -> None:
    """Success would be a lie that a pipeline believes; the document is valid all the same."""
    file = tmp_path / "targets.txt"
    file.write_text("# all retired\n")
    ran = once("--file", file, "--json")
    assert ran.status == 2
    assert ran.results == []
    assert ran.err == f"prober once: no target in {file}\n"


def test_arguments_and_files_are_probed_together(once: Once, closed_port: int, tmp_path: Path) -> None:
    """More than a few become one line each, with totals."""
    files = []
    for number in (1, 2):
        files.append(tmp_path / f"{number}.txt")
        files[-1].write_text("".join(f"127.0.{number}.{host}:{closed_port}\n" for host in range(1, 5)))
    ran = once(f"127.0.0.1:{closed_port}", "--file", files[0], "--file", files[1], "--server-name", NAME)
    lines = ran.out.splitlines()
    assert lines[0].split() == ["verdict", "known", "none", "unknown", "address"]
    assert sum(line.startswith("✗ unreachable") for line in lines) == 9
    assert lines[-2].startswith("9 addresses in ")
    assert ran.err == ""


def test_verbose_shows_the_hello_that_got_no_answer(once: Once, resetting: Ingress) -> None:
    """Below the block, each hello with its messages and what TCP did."""
    out = once(*resetting.arguments, "--verbose").out
    assert out.count("> ClientHello (") == 3
    assert out.count("< ServerHello (") == 1
    assert out.count("* RST received (ECONNRESET)") == 2


def test_verbose_leaves_documents_to_programs(once: Once, resetting: Ingress) -> None:
    """Beside JSON the transcript goes to standard error, as curl's does."""
    ran = once(*resetting.arguments, "--verbose", "--json")
    assert len(ran.results) == 1
    assert ran.err.count("> ClientHello (") == 3


def test_a_chain_behind_which_tls_is_broken_is_shown(once: Once, tmp_path: Path) -> None:
    """OpenSSL's flight of TLS 1.2 with one bit of the signature turned: nobody is served, and what was presented is told all the same."""
    issued = Authority.root().issue(NAME)
    files = issued.write(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(files.certificate, files.key)

    def turn(flight: bytes) -> bytes:
        done = bytes.fromhex("16 03 03 00 04 0e 00 00 00")
        assert flight.endswith(done)
        head = flight.removesuffix(done)
        return head[:-1] + bytes([head[-1] ^ 1]) + done

    with scripted(read_hello(), send_flight(context, cut=turn), hold()) as peer:
        arguments = (peer.endpoint, "--server-name", NAME, "--tls", "1.2", "--depth", "finished", "--timeout", 20)
        [result] = once(*arguments, "--json").results
        rows = list(csv.DictReader(once(*arguments, "--format", "csv").out.splitlines()))
    assert (result["verdict"], result["faults"]) == ("tls_failing", ["tls_failing"])
    assert "breaks TLS behind its certificate, to every hello" in result["summary"]
    for hello in result["handshakes"]:
        assert (hello["outcome"], hello["stage"]) == ("protocol_error", "certificate")
        assert hello["detail"].startswith("ServerKeyExchange at offset ")
        assert [one["sha256"] for one in hello["certificates"]] == [issued.sha256]
        assert (hello["certificate_valid"], hello["certificate_problems"]) == (None, [])
    assert {row["certificate_sha256"] for row in rows} == {issued.sha256}
