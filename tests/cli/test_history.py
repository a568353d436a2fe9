"""``prober history`` as people see it."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from time import time

import pytest

from prober.cli import main
from prober.history.database import FILE_NAME
from prober.history.history import History

TODAY = time()


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A service's state in which a failure came and went, a minute ago."""
    History.open(tmp_path / "state").close()
    connection = sqlite3.connect(tmp_path / "state" / FILE_NAME)
    changes = [
        ("apigee-prod", "203.0.113.10", 443, None, "ok", TODAY - 3 * 86400),
        ("apigee-prod", "203.0.113.10", 443, "ok", "non_sni_wrong_certificate", TODAY - 60),
        ("apigee-prod", "203.0.113.10", 443, "non_sni_wrong_certificate", "ok", TODAY - 30),
        ("other", "2001:db8::1", 443, None, "unreachable", TODAY - 20),
    ]
    connection.executemany(
        "INSERT INTO changes (target, address, port, previous, verdict, at) VALUES (?, ?, ?, ?, ?, ?)", changes
    )
    summary = "203.0.113.10:443 gives clients without SNI a certificate that covers no known name; add the wildcard route."
    notices = [
        (1, "NonSniHandshakesFailing", "critical", "apigee-prod", "203.0.113.10:443", "firing", TODAY - 45, summary),
        (2, "NonSniHandshakesFailing", "critical", "apigee-prod", "203.0.113.10:443", "resolved", TODAY - 15, summary),
    ]
    connection.executemany("INSERT INTO notices VALUES (?, ?, ?, ?, ?, ?, ?, ?)", notices)
    connection.commit()
    connection.close()
    return tmp_path / "state"


def test_the_timeline_fits_a_terminal(state: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Oldest first, verdicts and alerts together, no line longer than 80 columns."""
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["history", "--state", str(state)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    events = [line[10:].split("  ")[0] for line in lines if line[2:3] == ":"]
    assert events == [
        "✗ ok → non_sni_wrong_certificate",
        "▲ NonSniHandshakesFailing fires",
        "✓ non_sni_wrong_certificate → ok",
        "✗ unreachable",
        "▽ NonSniHandshakesFailing resolved",
    ]


def test_where_the_state_is_need_not_be_said(
    state: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Installed as `deploy/` does it, it is where the service keeps it."""
    monkeypatch.setattr("prober.cli.history.DEFAULT_STATE", state)
    assert main(["history", "--target", "other", "--since", "24h"]) == 0
    assert "unreachable" in capsys.readouterr().out
    monkeypatch.setattr("prober.cli.history.DEFAULT_STATE", tmp_path / "nowhere")
    assert main(["history"]) == 2
    assert f"there is no {tmp_path / 'nowhere' / FILE_NAME}" in capsys.readouterr().err


def test_target_and_time_narrow_it(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As JSON, for programs."""
    assert main(["history", "--state", str(state), "--target", "apigee-prod", "--since", "7d", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert [change["to"] for change in document["changes"]] == ["ok", "non_sni_wrong_certificate", "ok"]
    assert [alert["state"] for alert in document["alerts"]] == ["firing", "resolved"]


@pytest.mark.parametrize(("options", "coloured"), [((), True), (("--no-color",), False)])
def test_colour_can_be_refused(
    options: tuple[str, ...], coloured: bool, state: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the option that the other commands have, too."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert main(["history", "--state", str(state), *options]) == 0
    assert ("\x1b[" in capsys.readouterr().out) is coloured


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("apigee-prod", "Nothing changed in the last 1s for apigee-prod.\n"),
        ("apigee-prd", "Nothing changed in the last 1s for apigee-prd, of which nothing is remembered.\n"),
    ],
)
def test_silence_about_a_target_is_told_from_a_name_that_nobody_knows(
    state: Path, capsys: pytest.CaptureFixture[str], target: str, said: str
) -> None:
    """A misspelt name must not look like a calm night."""
    assert main(["history", "--state", str(state), "--target", target, "--since", "1s"]) == 0
    assert capsys.readouterr().out == said


def test_a_state_that_nobody_could_write_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A service whose disk was full from the start leaves an empty file: nothing is wrong with its permissions."""
    (tmp_path / FILE_NAME).touch()
    assert main(["history", "--state", str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith(f"prober history: {tmp_path / FILE_NAME} holds nothing yet; ")


@pytest.mark.parametrize("form", ["table", "json"])
def test_a_terminal_without_the_characters_of_a_name_gets_them_spelled_out(state: Path, form: str) -> None:
    """In a locale of 1990, or under cron."""
    with sqlite3.connect(state / FILE_NAME) as connection:
        connection.execute("UPDATE changes SET target = 'b\u00fccher' WHERE target = 'other'")
    connection.close()
    done = subprocess.run(
        [sys.executable, "-m", "prober", "history", "--state", str(state), "--format", form],
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    spelled = {"table": r"b\xfccher", "json": r'"target": "b\u00fccher"'}[form]
    assert spelled in done.stdout


def test_a_configuration_names_the_state(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The directory is relative to the configuration file."""
    file = state.parent / "prober.yml"
    file.write_text("targets: []\nstate: state\n")
    assert main(["history", "--config", str(file), "--since", "1s"]) == 0
    assert capsys.readouterr().out == "Nothing changed in the last 1s.\n"


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--state", "nowhere"], "prober history: there is no nowhere/state.db; name the directory"),
        (["--state", ".", "--since", "soon"], "prober history: --since: 'soon' is no duration"),
    ],
)
def test_what_cannot_be_read_is_a_usage_error(arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit status 2, one line."""
    assert main(["history", *arguments]) == 2
    assert capsys.readouterr().err.startswith(complaint)


def test_a_verdict_that_the_policy_asked_for_is_no_failure(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever rejects clients without SNI, and is meant to, is well."""
    with sqlite3.connect(state / FILE_NAME) as connection:
        connection.execute("UPDATE changes SET verdict = 'non_sni_rejected', expected = 1 WHERE target = 'other'")
    connection.close()
    assert main(["history", "--state", str(state), "--target", "other"]) == 0
    assert capsys.readouterr().out.splitlines()[1][10:] == "✓ non_sni_rejected  other [2001:db8::1]:443"


def test_damage_that_opening_does_not_show_is_a_usage_error(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A page that was never written: told in a line, as what cannot be opened is."""
    connection = sqlite3.connect(state / FILE_NAME)
    connection.execute("DROP TABLE notices")
    connection.commit()
    connection.close()

    assert main(["history", "--state", str(state)]) == 2
    assert f"what is in {state} is damaged: " in capsys.readouterr().err
