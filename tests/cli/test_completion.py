"""Completion scripts: bash runs ours, the others are read."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from prober.cli import COMMANDS, main
from tests.servers.requirements import require_program


@pytest.fixture
def bash_script(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """What ``prober completion bash`` prints."""
    assert main(["completion", "bash"]) == 0
    path = tmp_path / "prober.bash"
    path.write_text(capsys.readouterr().out)
    return path


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["on"], ["once"]),
        (["once", "--fo"], ["--format"]),
        (["once", "--format", "js"], ["json", "jsonl"]),
        (["once", "--format", "=", "js"], ["json", "jsonl"]),  # what bash makes of --format=js
        (["once", "--format", "="], ["table", "json", "jsonl", "csv"]),
        (["once", "--ca-file", "=", "with s"], ["with space.pem"]),
        (["once", "a.example", "--tls", "1."], ["1.0", "1.1", "1.2", "1.3"]),
        (["once", "--hello", "open"], ["openssl-3.0"]),
        (["once", "--server-name", ""], []),
        (["once", "--ca-file", "with s"], ["with space.pem"]),
        (["check-config", "with"], ["with space.pem"]),
        (["completion", ""], ["bash", "zsh", "fish"]),
        (["--ver"], ["--version"]),
        (["diagnose", ""], ["probe", "logs", "capture", "routes", "overrides", "all", "bundle"]),
        (["diagnose", "logs", "with"], ["with space.pem"]),
        (["diagnose", "logs", "--fo"], ["--format", "--follow"]),
        (["diagnose", "all", "a.log", "--format", ""], ["text", "json"]),
        (["diagnose", "bundle", "-o", "with"], ["with space.pem"]),
        (["once", "diagnose", "--dep"], ["--depth"]),
        (["lab", "flip", "healthy", "env"], ["envoy-reset"]),
    ],
)
def test_bash_completes(words: list[str], offered: list[str], bash_script: Path) -> None:
    """Commands, options, their values and file names, as the shell itself would ask for them."""
    bash = require_program("bash")
    (bash_script.parent / "with space.pem").touch()
    asking = (
        'source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _prober 2>/dev/null; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    command = [bash, "--norc", "-c", asking, "bash", str(bash_script), "prober", *words]
    told = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30, cwd=bash_script.parent).stdout
    assert told.split("\n")[:-1] == (offered or [""])


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_script_knows_every_command_and_option(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    """It is written from the parsers, so nothing can be missing."""
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    for command in COMMANDS:
        assert command.name in script
    for option in ("server-name", "expect-non-sni", "proxy-protocol", "log-format", "http-agent", "kubernetes"):
        assert option in script


def test_zsh_takes_values_behind_an_equals_sign_too(capsys: pytest.CaptureFixture[str]) -> None:
    """``--format=js``, but not a switch such as ``--json``."""
    assert main(["completion", "zsh"]) == 0
    script = capsys.readouterr().out
    assert "'--format=[" in script
    assert "'--json[" in script


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_quotes_in_help_texts_do_not_break_a_script(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    """TARGET's own host: the apostrophe is written as the shells read it."""
    assert main(["completion", shell]) == 0
    assert "TARGET'\\''s own host" in capsys.readouterr().out
