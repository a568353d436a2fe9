"""The program as such: commands, help, mistakes, exit statuses."""

from __future__ import annotations

import argparse
import subprocess
import sys

import pytest

import prober.cli
from prober.cli import COMMANDS, main
from prober.version import __version__


def test_says_its_version(capsys: pytest.CaptureFixture[str]) -> None:
    """One line on standard output, exit status 0."""
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"prober {__version__}\n"


def test_the_version_costs_no_heavy_import() -> None:
    """Neither Trio nor cryptography nor anything of the probing path is imported to say it."""
    command = [sys.executable, "-X", "importtime", "-m", "prober", "--version"]
    told = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stderr
    imported = {line.rpartition("|")[2].strip() for line in told.splitlines()}
    assert "prober.cli" in imported
    assert not imported & {
        "trio",
        "cryptography",
        "yaml",
        "rich",
        "httpx",
        "ssl",
        "prober.model",
        "prober.cli.once",
        "dataclasses",
    }


def test_probing_once_costs_no_import_of_the_service(tmp_path: object) -> None:
    """The web server, YAML, the metrics library and the terminal library stay out of ``prober once``."""
    command = [sys.executable, "-X", "importtime", "-m", "prober", "once", "127.0.0.1:1", "--timeout", "1"]
    told = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False).stderr
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in told.splitlines()}
    assert "trio" in imported
    assert not imported & {"yaml", "rich", "httpx", "starlette", "hypercorn", "jinja2", "prometheus_client", "dns", "bcrypt"}


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    """All that are there, with a summary each, and examples, in 80 columns."""
    assert main(["--help"]) == 0
    out = capsys.readouterr().out
    for command in COMMANDS:
        assert command.summary in out
    assert "prober once api.example.com" in out
    assert max(map(len, out.splitlines())) < 80


@pytest.mark.parametrize("command", [command.name for command in COMMANDS])
def test_every_command_has_help_with_an_example(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """``prober COMMAND --help`` shows how it is used."""
    assert main([command, "--help"]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"usage: prober {command}")
    assert "examples:" in out


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        ([], "required: COMMAND"),
        (["onec", "a"], "'onec' is no command; did you mean once?"),
        (["once", "a", "--server-nam", "b"], "unknown option --server-nam; did you mean --server-name?"),
        (["once", "a", "--serve-name=b"], "unknown option --serve-name; did you mean --server-name?"),
        (["once", "a", "--tls", "1.4"], "did you mean 1."),
        (["once", "a", "--format", "jsnl"], "did you mean jsonl?"),
        (["completion", "bsh"], "did you mean bash?"),
        (["completion"], "required: shell"),
        (["--verson"], "prober: unknown option --verson; did you mean --version?"),
        (["serve", "--confg", "x"], "unknown option --confg; did you mean --config?"),
        (["serve"], "required: --config"),
        (
            ["diagnose", "probe", "a", "--serer-name", "b"],
            "diagnose probe: unknown option --serer-name; did you mean --server-name?",
        ),
        (["--json", "once", "a"], "--json stands before 'once'; write it behind"),
    ],
)
def test_a_usage_error_says_what_was_probably_meant(arguments: list[str], hint: str, capsys: pytest.CaptureFixture[str]) -> None:
    """One message on standard error with the near miss, exit status 2, nothing on standard output."""
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert hint in err
    assert "--help` shows how it is used" in err


def test_words_may_stand_between_options() -> None:
    """Argparse itself refuses a second word behind an option."""
    parsed = prober.cli.build_parser().parse(["once", "a", "--tls", "1.2", "b", "--json", "c"])
    assert parsed.targets == ["a", "b", "c"]
    assert (parsed.tls, parsed.format) == ("1.2", "json")


def test_a_bug_of_ours_is_no_fault_of_an_ingress(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """An exception ends in its traceback and exit status 70; 1 would say that an ingress is at fault."""

    def fail(args: argparse.Namespace) -> int:
        raise ZeroDivisionError

    monkeypatch.setattr("prober.cli.once.run", fail)
    assert main(["once", "a"]) == 70
    assert "ZeroDivisionError" in capsys.readouterr().err


@pytest.mark.parametrize(
    "interrupted",
    [KeyboardInterrupt(), BaseExceptionGroup("a nursery", [BaseExceptionGroup("another", [KeyboardInterrupt()])])],
    ids=["plain", "in nurseries"],
)
def test_an_interrupt_ends_quietly(
    interrupted: BaseException, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ctrl-C is 130, without a traceback, also while `prober diagnose` probes: 1 would say that something is wrong there."""

    def interrupt(args: argparse.Namespace) -> int:
        raise interrupted

    monkeypatch.setattr("prober.cli.once.run", interrupt)
    assert main(["once", "a"]) == 130
    assert capsys.readouterr().err == ""
