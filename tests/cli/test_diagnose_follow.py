"""``prober diagnose logs --follow``: one log or several while they grow, and through their rotation."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from prober.cli import main
from tests.diagnose.log_samples import typed


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with a log of one client."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a").write_text(typed(remote_address="10.0.0.7:1") + "\n")
    return tmp_path


def test_a_growing_log_is_followed(here: Path) -> None:
    """Each client is told when its line comes, and Ctrl-C prints the result."""
    command = [sys.executable, "-m", "prober", "diagnose", "logs", "--follow", "a", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert process.stdout is not None
        first = process.stderr.readline()
        with (here / "a").open("a") as log:
            log.write(typed(remote_address="10.0.0.9:1") + "\n")
        second = process.stderr.readline()
        time.sleep(0.1)
        os.kill(process.pid, signal.SIGINT)
        document = json.loads(process.stdout.read())

    assert "10.0.0.7" in first
    assert "10.0.0.9" in second
    assert 2 == document["logs"]["entries"]


@pytest.mark.parametrize("how", ["renamed", "cut off"])
def test_a_log_is_followed_through_its_rotation(how: str, here: Path) -> None:
    """The file gets another name and a new one takes its place, or it is cut off: the lines of both are counted, once."""
    command = [sys.executable, "-m", "prober", "diagnose", "logs", "--follow", "a", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert process.stdout is not None
        first = process.stderr.readline()
        if how == "renamed":
            (here / "a").rename(here / "a.1")
            (here / "a").write_text(typed(remote_address="10.0.0.9:1") + "\n")
        else:
            (here / "a").write_text("short\n")
            time.sleep(1.0)
            with (here / "a").open("a") as log:
                log.write(typed(remote_address="10.0.0.9:1") + "\n")
        second = process.stderr.readline()
        os.kill(process.pid, signal.SIGINT)
        document = json.loads(process.stdout.read())

    assert "10.0.0.7" in first
    assert "10.0.0.9" in second
    assert 2 == document["logs"]["entries"]


def test_several_logs_are_followed_side_by_side(here: Path) -> None:
    """As a pattern of file names gives them: who comes to the last one is told while the first stays as it is; one Ctrl-C ends all."""
    (here / "b").write_text(typed(remote_address="10.0.0.8:1") + "\n")
    command = [sys.executable, "-m", "prober", "diagnose", "logs", "--follow", "a", "missing", "b", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert process.stdout is not None
        told = [process.stderr.readline(), process.stderr.readline()]
        for name, client in (("b", "10.0.0.9"), ("a", "10.0.0.10")):
            with (here / name).open("a") as log:
                log.write(typed(remote_address=f"{client}:1") + "\n")
            told.append(process.stderr.readline())
        time.sleep(0.1)
        os.kill(process.pid, signal.SIGINT)
        document = json.loads(process.stdout.read())

    assert ["10.0.0.7", "10.0.0.8", "10.0.0.9", "10.0.0.10"] == [line.split()[1] for line in told]
    assert 4 == document["logs"]["entries"]
    assert {"missing": "", "a": "2 lines, 2 of the access log", "b": "2 lines, 2 of the access log"} == {
        each["name"]: each["summary"] for each in document["sources"]
    }


def test_nothing_in_a_log_moves_the_cursor(here: Path) -> None:
    """Who writes a log is not who reads it: control sequences in an address or a time are shown, not obeyed."""
    line = typed(remote_address="10.0.0.7\x1b[2J\r:1", start_time="\x1b]0;pwned\x07\x1b\x9b7\x1b")
    command = [sys.executable, "-m", "prober", "diagnose", "logs", "--follow", "-"]
    done = subprocess.run(command, input=f"{line}\n", capture_output=True, text=True, check=False)

    assert "10.0.0.7\\x1b[2J\\r" in done.stderr
    for text in (done.stdout, done.stderr):
        assert text.replace("\n", "").isprintable()


def test_standard_input_is_followed_alone(here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """While it is waited for, nobody looks at the others."""
    assert 2 == main(["diagnose", "logs", "--follow", "a", "-"])
    assert "followed alone" in capfd.readouterr().err


def test_each_log_has_its_own_first_damaged_line(here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Two logs counted together: the line is that of the file that it is said of."""
    damaged = '{"anything": "x\n'
    (here / "b").write_text(f"{damaged}{typed()}\n")
    (here / "c").write_text(f"{typed()}\n{typed()}\n{damaged}{typed()}\n")
    main(["diagnose", "logs", "b", "c", "--json"])
    summaries = [each["summary"] for each in json.loads(capfd.readouterr().out)["sources"]]

    first, second = (int(text.partition("first in line ")[2].rstrip(")")) for text in summaries)
    assert 2 >= first
    assert 3 <= second <= 4


@pytest.mark.parametrize("how", ["renamed", "cut off"])
def test_half_a_line_that_was_rotated_away_is_not_continued_by_the_next_file(how: str, here: Path) -> None:
    """Envoy writes blocks, not lines: the client of the new file's first line is told all the same."""
    command = [sys.executable, "-m", "prober", "diagnose", "logs", "--follow", "a", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert process.stdout is not None
        process.stderr.readline()
        with (here / "a").open("a") as log:
            log.write(typed(remote_address="10.0.0.8:1")[:60])
        time.sleep(1.2)  # half a line is read, and nothing tells of it; neither does what is cut off below
        if how == "renamed":
            (here / "a").rename(here / "a.1")
        else:
            os.truncate(here / "a", 0)
            time.sleep(1.2)
        with (here / "a").open("a") as log:
            log.write(typed(remote_address="10.0.0.9:1") + "\n")
        assert "10.0.0.9" in process.stderr.readline()
        os.kill(process.pid, signal.SIGINT)
        document = json.loads(process.stdout.read())

    assert {"10.0.0.7", "10.0.0.9"} <= {each["source"] for each in document["logs"]["rejected_without_sni"]}


def test_a_pipe_that_nobody_writes_to_does_not_hide_a_file(here: Path) -> None:
    """It is opened at once; what is written to it later counts, too, from one writer and the next. SIGTERM prints the result."""
    os.mkfifo(here / "pipe")
    command = [sys.executable, "-m", "prober", "diagnose", "logs", "--follow", "pipe", "a", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert process.stdout is not None
        told = [process.stderr.readline()]
        for client in ("10.0.0.8", "10.0.0.9"):
            (here / "pipe").write_text(typed(remote_address=f"{client}:1") + "\n")
            told.append(process.stderr.readline())
        os.kill(process.pid, signal.SIGTERM)
        document = json.loads(process.stdout.read())

    assert ["10.0.0.7", "10.0.0.8", "10.0.0.9"] == [each.split()[1] for each in told]
    assert 3 == document["logs"]["entries"]
    assert 1 == process.returncode
