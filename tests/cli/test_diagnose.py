"""``prober diagnose`` as it is called: files told apart, sources that cannot be read, exit status, following a log."""

from __future__ import annotations

import argparse
import contextlib
import gzip
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest

from prober.cli import build_parser, main
from tests.diagnose.evidence_samples import GROUP, OVERRIDES, WILDCARD
from tests.diagnose.log_samples import typed
from tests.diagnose.packet_maker import frame, handshake, pcap
from tests.diagnose.test_capture import hello


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with one file of each kind, with names that do not tell."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a").write_text(typed(remote_address="10.0.0.7:1") + "\n")
    (tmp_path / "a.gz").write_bytes(gzip.compress((typed(remote_address="10.0.0.8:1") + "\n").encode()))
    (tmp_path / "b").write_text(GROUP.replace("  additionalGateways: [fallback-no-sni]\n", ""))
    (tmp_path / "c").write_text(OVERRIDES.replace('  additionalGateways: ["fallback-no-sni"]\n', ""))
    (tmp_path / "d").write_bytes(b"\xd4\xc3\xb2\xa1" + b"\x02\x00\x04\x00" + bytes(8) + b"\xff\xff\x00\x00\x01\x00\x00\x00")
    (tmp_path / "e").write_text("groceries: [milk]\n")
    return tmp_path


def run(capfd: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict[str, Any]]:
    status = main(["diagnose", *arguments, "--format", "json"])
    return status, json.loads(capfd.readouterr().out)


def test_bare_files_are_recognised_by_their_content(here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Log, packed log, route, overrides and capture, whatever they are called; and what is none of them is said to be none."""
    status, document = run(capfd, "all", "a", "a.gz", "b", "c", "d", "e", "missing")

    sources = {each["name"]: (each["kind"], each["ok"]) for each in document["sources"]}
    assert {
        "a": ("logs", True), "a.gz": ("logs", True), "b": ("routes", True), "c": ("overrides", True),
        "d": ("capture", True), "e": ("file", False), "missing": ("file", False),
    } == sources  # fmt: skip
    assert 2 == document["logs"]["entries"]
    assert {"no-wildcard"} <= {each["id"] for each in document["findings"]}
    assert status == 1


@pytest.mark.parametrize(
    "more",
    [
        "# the wildcard route is an apigee.cloud.google.com/v1alpha1 ApigeeRoute\n",
        'istiod:\n  accessLogFormat: |\n    {"status": "%RESPONSE_CODE%", "status_details": "%RESPONSE_CODE_DETAILS%", "sni_host": "%REQUESTED_SERVER_NAME%"}\n',
    ],
)
def test_overrides_that_speak_of_routes_or_of_the_log_are_overrides(
    here: Path, capfd: pytest.CaptureFixture[str], more: str
) -> None:
    """A comment that names the routes' API group makes no route, and the access log's format is no entry of it."""
    (here / "c").write_text(more + (here / "c").read_text())

    _, document = run(capfd, "all", "c")

    assert [("overrides", True)] == [(each["kind"], each["ok"]) for each in document["sources"]]


@pytest.mark.parametrize(
    ("route", "what"),
    [
        ("all", "a FILE or --probe or --kubernetes"),
        ("capture", "a FILE or --live"),
        ("routes", "a FILE or --kubernetes"),
    ],
)
def test_where_there_is_nothing_to_look_at_it_says_what_to_give(
    route: str, what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of this route, and where its examples are."""
    assert main(["diagnose", route]) == 2
    said = f"prober diagnose: nothing to look at: give {what}; `prober diagnose {route} --help` has examples\n"
    assert capsys.readouterr().err == said


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("b", "b: is YAML or JSON of another kind; give it with --routes"),
        ("c", "c: is YAML or JSON of another kind; give it with --overrides"),
        ("d", "d: is binary, so it is no access log; it is a capture: give it with --capture"),
    ],
)
def test_what_is_certainly_no_log_is_not_read_as_an_empty_one(
    name: str, said: str, here: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Else the finding is that the ingress writes no access log."""
    status, document = run(capfd, "logs", name)
    assert (status, document["sources"][0]["error"]) == (2, said)
    assert {each["id"] for each in document["findings"]} == {"inconclusive"}


@pytest.mark.parametrize(("text", "said"), [
    ("Name:         non-sni\nNamespace:    apigee\nKind:         ApigeeRoute\nSpec:\n  Hostnames:\n    *\n", "what kubectl describe prints"),
    ("NAME      STATE     AGE\nnon-sni   running   17s\n", "the table that kubectl get prints"),
    ("No resources found in apigee namespace.\n", "a message of kubectl's"),
    ('["*"]\n', "one field, as kubectl's jsonpath prints it"),
])  # fmt: skip
def test_what_kubectl_prints_for_people_is_told(text: str, said: str, here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """With the command that prints what can be judged; the playbook has people collect such texts."""
    (here / "text").write_text(text)
    for status, document in (run(capfd, "routes", "text"), run(capfd, "all", "text")):
        assert (
            f"; it is {said}: kubectl -n NAMESPACE get apigeeroutes -o yaml has what is needed" in document["sources"][0]["error"]
        )
        assert status == 2


def test_a_controllers_messages_stay_a_log(here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """They may speak of Apigee's objects."""
    (here / "controller").write_text("2026-01-01T00:00:00Z info reconciled apigeeroutes.apigee.cloud.google.com non-sni\n")
    _, document = run(capfd, "logs", "controller")
    assert document["sources"][0]["ok"]


def test_a_source_that_cannot_be_read_is_named_and_the_others_are_judged(here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A broken YAML with its line, a missing log, a cut gzip: each an error of its own."""
    (here / "broken").write_text("kind: ApigeeRoute\n\tspec: [\n")
    (here / "cut.gz").write_bytes((here / "a.gz").read_bytes()[:-12])
    status, document = run(capfd, "all", "--routes", "broken", "--logs", "missing", "--logs", "cut.gz", "--logs", "a")

    errors = {each["name"]: each["error"] for each in document["sources"]}
    assert "broken:" in errors["broken"]
    assert "No such file" in errors["missing"]
    assert "cut.gz" in errors["cut.gz"]
    assert errors["a"] is None
    assert status == 1


@pytest.mark.parametrize(
    ("kind", "text", "line"),
    [("overrides", "virtualhosts:\n- name: a\n  - b\n", 3), ("routes", "kind: ApigeeRoute\n spec: [\n", 2)],
)
def test_a_file_that_is_damaged_as_a_whole_is_a_finding_with_its_line(
    kind: str, text: str, line: int, here: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Named by its kind or recognised by its words: the source failed, and the mistake is told as every other lint is."""
    (here / "damaged").write_text(text)
    for arguments in ((kind, "damaged"), ("all", "damaged", "a")):
        _, document = run(capfd, *arguments)

        [mistake] = [each for each in document["findings"] if each["id"] == "yaml-error"]
        assert (kind, "damaged", line) == tuple(mistake["evidence"][0][key] for key in ("source", "file", "line"))
        [source] = [each for each in document["sources"] if not each["ok"]]
        assert source["kind"] == kind
        assert source["error"].startswith(f"damaged:{line}: ")


def test_what_is_no_yaml_in_every_line_is_told_of_its_first_lines(here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A text of another kind, given as a manifest: twenty mistakes say as much as ten thousand."""
    (here / "prose").write_text("".join(f"key{number}: [\n" for number in range(10_000)))
    _, document = run(capfd, "overrides", "prose")

    [mistake] = [each for each in document["findings"] if each["id"] == "yaml-error"]
    assert [*range(2, 22)] == [each["line"] for each in mistake["evidence"]]


def test_what_a_damaged_file_may_hold_is_not_said_to_be_missing(here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """The wildcard route may stand in the file that nobody could read."""
    (here / "damaged").write_text("kind: ApigeeRoute\n spec: [\n")

    assert "no-wildcard" in {each["id"] for each in run(capfd, "routes", "b")[1]["findings"]}
    assert "no-wildcard" not in {each["id"] for each in run(capfd, "routes", "b", "damaged")[1]["findings"]}


def test_nothing_that_can_be_read_is_a_usage_error(here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Exit status 2, and still a document that says why."""
    status, document = run(capfd, "logs", "missing")

    assert status == 2
    assert not document["sources"][0]["ok"]


def test_one_file_under_two_names_is_counted_once(here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A glob and a name, or a link: what it holds is not doubled, and that is said. As another kind it is read again."""
    (here / "link").symlink_to("a")
    status, document = run(capfd, "all", "a", "./a", "link", "--logs", "a")

    assert 1 == document["logs"]["entries"]
    assert 3 == sum("read once" in each["summary"] for each in document["sources"])
    assert 1 == status


def test_one_file_that_cannot_be_read_is_not_read_under_its_second_name(here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Exit status 2 as with one name, and nothing is said to have been read before it went wrong."""
    (here / "bad").write_bytes(b"no capture")
    (here / "link").symlink_to("bad")
    status, document = run(capfd, "capture", "bad", "link")

    assert 2 == status
    assert [(False, ""), (False, "")] == [(each["ok"], each["summary"]) for each in document["sources"]]
    assert 2 == main(["diagnose", "capture", "bad"])
    assert "read before that" not in " ".join(capfd.readouterr().out.split())


def test_what_stands_before_the_end_of_a_capture_that_was_cut_off_is_judged(
    here: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """A tcpdump that was killed leaves half a frame: the reset before it is told, with exit status 1, and how much was read."""
    whole = pcap([frame(each) for each in [*handshake(hello(), "rst"), *handshake(hello(), "rst", port=40001)]])
    (here / "killed").write_bytes(whole[:-1])
    (here / "nothing").write_bytes(whole[:30])

    assert 1 == main(["diagnose", "capture", "killed"])
    assert "cut off; read before that:" in " ".join(capfd.readouterr().out.split())
    assert 2 == main(["diagnose", "capture", "nothing"])


@pytest.mark.parametrize(
    ("arguments", "status"),
    [(("routes", "b"), 1), (("overrides", "good"), 3), (("logs", "a"), 1), (("logs", "served"), 0), (("all",), 2)],
)
def test_the_exit_status_is_as_promised(
    arguments: tuple[str, ...], status: int, here: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """1 wrong, 3 not enough to say, 0 positive evidence, 2 nothing asked."""
    (here / "good").write_text(OVERRIDES)
    (here / "served").write_text(typed(status_details="via_upstream", status=200, tls_protocol="TLSv1.3") + "\n")

    assert status == main(["diagnose", *arguments])


def test_the_same_findings_in_text(here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Evidence with its line, the cause, the fix with both tools' commands; no colour where there is no terminal."""
    main(["diagnose", "all", "a", "b", "c"])
    text = capfd.readouterr().out

    assert "\x1b" not in text
    for part in (
        "✗ no-wildcard",
        "b:5:",
        "cause",
        "fix",
        "enableNonSniClient: true",
        "helm upgrade prod-grp",
        "apigeectl apply",
        "+  additionalGateways",
    ):
        assert part in text


def test_lints_have_their_lines(here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """File and line in the evidence, for a program."""
    (here / "lint").write_text(OVERRIDES.replace("  sslKeyPath", "  minTLSProtocolVersion: 1.2\n  sslKeyPath", 1))
    _, document = run(capfd, "overrides", "lint")

    [finding] = [each for each in document["findings"] if each["id"] == "tls-version-not-string"]
    assert ("lint", 9) == (finding["evidence"][0]["file"], finding["evidence"][0]["line"])


def test_standard_input_is_read(here: Path) -> None:
    """``-`` for each route."""
    command = [sys.executable, "-m", "prober", "diagnose", "routes", "-", "--json"]
    done = subprocess.run(command, input=f"{GROUP}---\n{WILDCARD}", capture_output=True, text=True, timeout=50, check=False)

    assert done.returncode == 3
    assert ["inconclusive"] == [each["id"] for each in json.loads(done.stdout)["findings"]]


@pytest.mark.parametrize("arguments", [("-", "-"), ("--logs", "-", "--routes", "-"), ("--overrides", "-", "-")])
def test_standard_input_is_read_once(arguments: tuple[str, ...], here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Whichever options name it twice: the second would be empty, and that is said before anything is read."""
    assert 2 == main(["diagnose", "all", *arguments])
    assert "can be read once" in capfd.readouterr().err


def test_what_is_empty_binary_or_a_directory_is_said_to_be(here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Each by its name, whatever it was given as, and the log beside them is judged."""
    (here / "empty").write_bytes(b"")
    (here / "junk").write_bytes(bytes(range(256)) * 40)
    (here / "adir").mkdir()
    status, document = run(capfd, "all", "empty", "adir", "junk", "--logs", "junk", "--capture", "empty", "--routes", "junk", "a")
    errors = [(each["name"], each["error"]) for each in document["sources"] if not each["ok"]]

    assert status == 1
    for name, text in (
        ("empty", "is empty"),
        ("adir", "Is a directory"),
        ("junk", "is binary, so it is no access log"),
        ("junk", "is binary, so it is no YAML and no JSON"),
    ):
        assert any(name == found and text in error for found, error in errors), (name, text, errors)
    assert 1 == document["logs"]["entries"]


@pytest.mark.parametrize("environment", [{"NO_COLOR": "1"}, {}])
def test_a_terminal_sees_a_progress_bar_and_colour_unless_it_wants_none(environment: dict[str, str], here: Path) -> None:
    """The bar goes to standard error and away again; NO_COLOR is heeded."""
    (here / "long.log").write_text((typed(remote_address="10.0.0.7:1") + "\n") * 20_000)
    output, far = os.openpty()
    base = {"PATH": os.environ["PATH"], "TERM": "xterm-256color", "COLUMNS": "80", "LANG": "C.UTF-8"}
    command = [sys.executable, "-m", "prober", "diagnose", "logs", "long.log"]
    process = subprocess.Popen(command, stdout=far, stderr=far, env={**base, **environment})
    os.close(far)
    said = b""
    with contextlib.suppress(OSError):  # EIO: the other side was closed
        while block := os.read(output, 65536):
            said += block
    os.close(output)

    assert 1 == process.wait(20)
    assert b"long.log" in said
    assert "━".encode() in said
    assert (b"\x1b[1m" in said) is not ("NO_COLOR" in environment)


@pytest.mark.parametrize("agent", ["a\r\nX-Other: b", "\u00e9", " a"])
def test_an_agent_that_no_header_can_hold_is_a_usage_error(agent: str, capfd: pytest.CaptureFixture[str]) -> None:
    """Said before anything is sent, with what to write; never a traceback, nor a header of the operator's by accident."""
    assert 2 == main(["diagnose", "probe", "127.0.0.1", "--http", "--http-agent", agent])
    assert "cannot stand in a header" in capfd.readouterr().err


def test_http_swallows_no_target_and_calls_no_api_unless_told(capfd: pytest.CaptureFixture[str]) -> None:
    """The path that the ingress answers itself is meant, unless another is named; what is no path is refused."""
    parser = build_parser()

    assert ("/healthz/ingress", ["127.0.0.1"]) == _http(parser.parse(["diagnose", "probe", "--http", "127.0.0.1"]))
    assert ("/orders", ["127.0.0.1"]) == _http(parser.parse(["diagnose", "probe", "127.0.0.1", "--http-path", "/orders"]))
    assert (None, ["127.0.0.1"]) == _http(parser.parse(["diagnose", "probe", "127.0.0.1"]))
    assert 2 == main(["diagnose", "probe", "127.0.0.1", "--http-path", "orders"])
    assert "is no path" in capfd.readouterr().err


def _http(args: argparse.Namespace) -> tuple[str | None, list[str]]:
    return args.http, args.probes


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig"])
@pytest.mark.parametrize("name", ["a", "b", "c"])
def test_what_powershell_writes_is_read_alike(name: str, encoding: str, here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A log, a route and an overrides.yaml with a byte order mark, also in UTF-16: the same findings as without."""
    expected = [each["id"] for each in run(capfd, "all", name)[1]["findings"]]
    (here / name).write_text((here / name).read_text(), encoding=encoding)

    status, document = run(capfd, "all", name)

    assert (1, expected) == (status, [each["id"] for each in document["findings"]])


@pytest.mark.parametrize(("route", "name", "hint"), [("routes", "c", "--overrides"), ("overrides", "b", "--routes")])
def test_a_file_of_the_other_kind_is_said_to_be(
    route: str, name: str, hint: str, here: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Routes read as overrides would have no virtual host, and look healthy."""
    status, document = run(capfd, route, name)

    assert 2 == status
    assert hint in document["sources"][0]["error"]


@pytest.mark.parametrize("form", ["text", "json"])
def test_what_a_bundle_prints_has_no_secret_either_and_a_damaged_file_is_in_it(
    form: str, here: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The lines around a change may be the middle of a key; who asks for overrides.yaml wants it also where it is no YAML."""
    key = "-----BEGIN PRIVATE KEY-----\n    Tr0ub4dor\n    -----END PRIVATE KEY-----"
    (here / "secret").write_text(
        OVERRIDES.replace('  additionalGateways: ["fallback-no-sni"]\n- name: test', f"  tls: |\n    {key}\n- name: test")
    )
    (here / "damaged").write_text("virtualhosts:\n- name: a\n  - b\n")

    assert 1 == main(["diagnose", "bundle", "-o", "b.tar.gz", "secret", "damaged", "b", "--format", form])
    printed = capfd.readouterr().out

    assert "partial-vhosts" in printed
    assert "@@" in printed
    assert "Tr0ub4dor" not in printed
    with tarfile.open(here / "b.tar.gz") as archive:
        assert {"prober-bundle/overrides/1-secret", "prober-bundle/overrides/2-damaged"} <= set(archive.getnames())
