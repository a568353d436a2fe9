"""`prober serve` as operators see it: a process that is started, asked, told and stopped."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.pki import Authority
from tests.servers.scripted import hold, read_hello, reset, scripted
from tests.service.process import PATIENCE, eventually, serving

NAME = "api.example.test"
ROUND = {"interval": "1s", "timeout": "800ms"}


def target(name: str, *addresses: object, **more: Any) -> dict[str, Any]:
    return {"name": name, "addresses": [str(address) for address in addresses], "server_names": [NAME], **more}


@pytest.fixture
def resetting() -> Iterator[str]:
    with scripted(read_hello(), reset()) as peer:
        yield str(peer.endpoint)


def test_it_says_what_it_sees(tmp_path: Path, resetting: str) -> None:
    """Ready after the first round, with the target's labels on its series, the outcome counted, and the verdict logged once."""
    with serving(tmp_path, {**ROUND, "targets": [target("edge", resetting, labels={"team": "blue"})]}) as service:
        service.wait_ready()
        assert service.verdicts() == {f"edge {resetting}": "tls_failing"}
        of_none = {"target": "edge", "address": resetting, "team": "blue", "sni": "none"}
        eventually(lambda: (service.value("probe_handshakes_total", outcome="reset", **of_none) or 0) >= 2, "two rounds")
        assert service.value("probe_success", **of_none) == 0
        assert service.value("prober_targets", source="config") == 1
        assert [value for _, value in service.samples("prober_probes_skipped_total")] == [0, 0]
        lines = [line for line in service.program.log().splitlines() if "msg=verdict" in line]
        assert len(lines) == 1
        assert "level=warning" in lines[0]
        assert f"target=edge address={resetting} to=tls_failing" in lines[0]
        (shown,) = service.json("/api/v1/targets")["targets"]
        assert shown["addresses"][0]["verdict"] == "tls_failing"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_at_once_with_handshakes_and_requests_under_way(number: signal.Signals, tmp_path: Path) -> None:
    """Status 0 within five seconds, though peers are silent for a minute and a client holds a connection open."""
    with (
        scripted(read_hello(), hold()) as silent,
        serving(
            tmp_path, {"interval": "1m", "timeout": "50s", "targets": [target("silent", silent.endpoint, interval="51s")]}
        ) as service,
        ExitStack() as open_sockets,
    ):
        host, _, port = service.url.removeprefix("http://").rpartition(":")
        for request in (b"", b"GET /metr", b"GET /probe?target=%b HTTP/1.1\r\nHost: x\r\n\r\n" % str(silent.endpoint).encode()):
            client = open_sockets.enter_context(socket.create_connection((host, int(port)), timeout=PATIENCE))
            client.sendall(request)
        eventually(lambda: (service.value("prober_handshakes_in_flight") or 0) >= 3, "handshakes in flight")
        status, seconds = service.end(number)
        assert status == 0
        assert seconds < 5
        assert "msg=stopped" in service.program.log()
        assert "level=error" not in service.program.log()
        assert "msg=verdict" not in service.program.log()


def test_a_reload_adds_and_removes_and_keeps(tmp_path: Path, resetting: str) -> None:
    """By request and by signal: series of removed targets vanish, those of kept ones go on counting."""
    with serving(tmp_path, {**ROUND, "targets": [target("kept", resetting), target("removed", resetting)]}) as service:
        service.wait_ready()
        before = service.value("probe_handshakes_total", target="kept", sni="none", outcome="reset") or 0
        document = yaml.safe_load(service.config.read_text())
        service.rewrite({**document, "targets": [target("kept", resetting), target("added", resetting)]})
        assert service.get("/-/reload", "POST").status == 200
        assert service.samples("probe_success", target="removed") == []
        assert (service.value("probe_handshakes_total", target="kept", sni="none", outcome="reset") or 0) >= before
        eventually(lambda: f"added {resetting}" in service.verdicts(), "the added target's verdict")
        service.rewrite({**document, "targets": [target("kept", resetting)]})
        service.program.process.send_signal(signal.SIGHUP)
        eventually(lambda: service.verdicts().keys() == {f"kept {resetting}"}, "only the kept target")
        assert service.value("prober_config_last_reload_successful") == 1
        assert service.program.process.poll() is None


def test_a_bad_reload_changes_nothing_and_says_so(tmp_path: Path, resetting: str) -> None:
    """In the answer, in the log and in a metric; the next good one heals it."""
    with serving(tmp_path, {**ROUND, "targets": [target("edge", resetting)]}) as service:
        good = service.config.read_text()
        shown = service.get("/config").text
        service.rewrite("targts: []\ninterval: 5\n")
        refused = service.get("/-/reload", "POST")
        assert refused.status == 400
        assert refused.text.splitlines() == [
            f"{service.config}:1: targts: unknown key; did you mean 'targets'?",
            f"{service.config}:2: interval: 5 has no unit; write 5s if seconds are meant",
        ]
        assert service.get("/config").text == shown
        assert service.value("prober_config_last_reload_successful") == 0
        assert service.program.log().count("reload refused") == 2
        service.rewrite(good)
        assert service.get("/-/reload", "POST").status == 200
        assert service.value("prober_config_last_reload_successful") == 1
        assert service.get("/-/reload").status == 405


def test_a_configuration_that_cannot_be_read_to_its_end_does_not_hold_the_service(tmp_path: Path) -> None:
    """As on a share that hangs: what runs goes on, and a signal ends it."""
    writing: list[int] = []

    def is_read() -> bool:
        # Without waiting the other end can be opened only once the service has opened its own.
        with suppress(OSError):
            writing.append(os.open(service.config, os.O_WRONLY | os.O_NONBLOCK))
        return bool(writing)

    with serving(tmp_path, {"targets": []}) as service:
        service.config.unlink()
        os.mkfifo(service.config)
        service.program.process.send_signal(signal.SIGHUP)
        eventually(is_read, "the service reads")
        assert service.get("/-/healthy").status == 200
        status, seconds = service.end()
    os.close(*writing)
    assert (status, seconds < 5.0) == (0, True)


def test_secrets_and_authorities_that_cannot_be_read_to_their_end_do_not_hold_the_service(tmp_path: Path, resetting: str) -> None:
    """Those of receivers and of http_sd, which are read each time that they are used."""
    nobody, pem = "http://127.0.0.1:1", Authority.root().issue(NAME).write(tmp_path).certificate.read_text()
    files = {tmp_path / name: text for name, text in {"hook": nobody, "alertmanager": "x", "sd": "x", "ca": pem}.items()}
    hook, alertmanager, sd, ca = map(str, files)
    receivers = [
        {"url": f"{nobody}/1", "basic_auth": {"username": "me", "password_file": alertmanager}},
        {"url": f"{nobody}/2", "tls_config": {"ca_file": ca}},
    ]
    document = {
        **ROUND,
        "targets": [target("edge", resetting)],
        "discovery": [{"http": {"url": nobody, "basic_auth": {"username": "me", "password_file": sd}}}],
        "alerting": {"failures": 1, "alertmanagers": receivers, "webhooks": [{"url_file": hook}]},
    }
    writing: dict[Path, int] = {}

    def are_read() -> bool:
        for file in files.keys() - writing.keys():
            with suppress(OSError):
                writing[file] = os.open(file, os.O_WRONLY | os.O_NONBLOCK)
        return len(writing) == len(files)

    for file, text in files.items():
        file.write_text(text)
    with serving(tmp_path, document) as service:
        for file in files:
            file.unlink()
            os.mkfifo(file)
        eventually(are_read, "the service reads them")
        status, seconds = service.end()
    for descriptor in writing.values():
        os.close(descriptor)
    assert (status, seconds < 5.0) == (0, True)


def test_what_needs_a_restart_is_refused_with_its_place(tmp_path: Path) -> None:
    """It is refused, not silently ignored, all of it together; what was written before and is not any more has no line."""
    with serving(tmp_path, {"targets": [], "state": str(tmp_path / "state")}) as service:
        service.rewrite("targets: []\nlisten: 127.0.0.1:1\n")
        refused = service.get("/-/reload", "POST")
        assert refused.status == 400
        remedy = "which needs a restart; restart, or change it back"
        assert refused.text.splitlines() == [
            f"{service.config}:2: listen: changed from 127.0.0.1:0 to 127.0.0.1:1, {remedy}",
            f"{service.config}: state: changed from {tmp_path}/state to memory, {remedy}",
        ]


def test_without_targets_it_is_ready_and_says_so(tmp_path: Path) -> None:
    """A prober that waits for its targets is no failure."""
    with serving(tmp_path, {"targets": []}) as service:
        service.wait_ready()
        assert "there is no target to watch" in service.program.log()


def test_metrics_answer_though_no_descriptor_is_left(tmp_path: Path) -> None:
    """More silent peers than descriptors: handshakes fail as local errors, verdicts are inconclusive, people still see it."""
    with (
        scripted(read_hello(), hold()) as silent,
        serving(
            tmp_path,
            {"interval": "2s", "timeout": "1500ms", "targets": [target(f"t{number}", silent.endpoint) for number in range(60)]},
            wrapper=["prlimit", "--nofile=80:80"],
        ) as service,
    ):
        service.wait_ready()
        eventually(lambda: (service.value("prober_local_errors_total", errno="EMFILE") or 0) > 0, "EMFILE")
        assert "inconclusive" in service.verdicts().values()
        assert set(service.verdicts().values()) <= {"inconclusive", "tls_failing"}
        assert service.end()[0] == 0


def test_a_certificate_that_holds_is_ok_and_changes_are_told(tmp_path: Path) -> None:
    """A real TLS server with a certificate of our own authority is `ok`; when it stops, one line says that it is unreachable."""
    authority = Authority.root()
    files = authority.issue(NAME).write(tmp_path)
    anchors = authority.write(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        port = reserved.getsockname()[1]
    server = [sys.executable, "-c", _TLS_SERVER, str(port), str(files.certificate), str(files.key)]
    modules = {"default": {"ca_file": str(anchors)}}
    with (
        subprocess.Popen(server) as process,
        serving(
            tmp_path, {**ROUND, "modules": modules, "targets": [target("edge", f"127.0.0.1:{port}")]}, "--log-format", "logfmt"
        ) as service,
    ):
        try:
            eventually(lambda: set(service.verdicts().values()) == {"ok"}, "ok")
            assert service.value("probe_certificate_valid", sni="known") == 1
            assert service.value("probe_non_sni_supported") == 1
        finally:
            process.kill()
        eventually(lambda: set(service.verdicts().values()) == {"unreachable"}, "unreachable")
        changes = service.json("/api/v1/history")["changes"]
        assert (changes[0]["from"], changes[0]["to"]) == ("ok", "unreachable")
        assert "from=ok to=unreachable" in service.program.log()


def test_json_logs_are_json(tmp_path: Path) -> None:
    """Every line, from the first to the last."""
    config = tmp_path / "prober.yml"
    config.write_text("listen: 127.0.0.1:0\ntargets: []\n")
    process = subprocess.Popen(
        [sys.executable, "-m", "prober", "serve", "--config", str(config), "--log-format", "json"],
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    first = process.stderr.readline()
    process.terminate()
    rest = process.communicate(timeout=PATIENCE)[1]
    assert process.returncode == 0
    messages = [json.loads(line)["msg"] for line in [first, *rest.splitlines()]]
    assert messages[-1] == "stopped"
    assert "started" in messages


def wait_until_it_waits(process: subprocess.Popen[str]) -> None:
    """Return once it sleeps in the kernel. Python hears a signal between two of its steps, or in a system call, but not on its way into one."""
    stat = Path(f"/proc/{process.pid}/stat")
    if not stat.exists():
        time.sleep(0.5)
        return
    eventually(lambda: stat.read_text().rpartition(")")[2].split()[0] == "S", "it waits for the pipe")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_while_the_configuration_is_read_is_status_zero_too(number: signal.Signals, tmp_path: Path) -> None:
    """An orchestrator that changes its mind early sees no failure. The file is a pipe: opened, and not written yet."""
    config = tmp_path / "prober.yml"
    os.mkfifo(config)
    process = subprocess.Popen(
        [sys.executable, "-m", "prober", "serve", "--config", str(config)], stderr=subprocess.PIPE, text=True
    )
    with config.open("wb"):  # returns when the service has opened its end
        wait_until_it_waits(process)
        process.send_signal(number)
        assert process.communicate(timeout=PATIENCE)[1] == ""
    assert process.returncode == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("module", ["argparse", "yaml"])
def test_a_stop_while_modules_are_imported_is_status_zero_too(module: str, number: signal.Signals, tmp_path: Path) -> None:
    """That is most of the start. The module, one of the first or a late one, stands in front of the real one and waits for a pipe."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / f"{module}.py").write_text(f"try: open({str(tmp_path / 'pipe')!r}).read()\nexcept BaseException: pass\n")
    process = subprocess.Popen(
        [sys.executable, "-m", "prober", "serve", "--config", "nowhere.yml"],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        stderr=subprocess.PIPE,
        text=True,
    )
    with (tmp_path / "pipe").open("wb"):  # returns when the module is being imported
        wait_until_it_waits(process)
        process.send_signal(number)
        assert process.communicate(timeout=PATIENCE)[1] == ""
    assert process.returncode == 0


def serve(config: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "prober", "serve", "--config", str(config)],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def test_a_bad_configuration_is_exit_status_two(tmp_path: Path) -> None:
    """With every error on standard error, and nothing else: no traceback, no log."""
    config = tmp_path / "prober.yml"
    config.write_text("interval: 5\ntargets: [{name: a}]\n")
    ended = serve(config)
    assert ended.returncode == 2
    assert ended.stderr.splitlines() == [
        f"{config}:1: interval: 5 has no unit; write 5s if seconds are meant",
        f"{config}:2: targets[0]: addresses is missing; write at least one NAME[:PORT] or IP[:PORT]",
    ]


def test_a_port_that_is_taken_is_exit_status_two(tmp_path: Path) -> None:
    """And the message names the address and the way out."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        config = tmp_path / "prober.yml"
        port = taken.getsockname()[1]
        config.write_text(f"listen: 127.0.0.1:{port}\ntargets: []\n")
        ended = serve(config)
    assert ended.returncode == 2
    assert ended.stderr.startswith(f"prober: cannot listen on '127.0.0.1:{port}': Address already in use")
    assert "Traceback" not in ended.stderr


_TLS_SERVER = """
import socket, ssl, sys
port, certificate, key = sys.argv[1:]
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(certificate, key)
with socket.create_server(("127.0.0.1", int(port)), backlog=64) as door:
    while True:
        connection, _ = door.accept()
        try:
            context.wrap_socket(connection, server_side=True).close()
        except OSError:
            connection.close()
"""
