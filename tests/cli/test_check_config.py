"""``prober check-config``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from prober.cli import main

EXAMPLES = sorted((Path(__file__).parent.parent.parent / "config").glob("*.yml"))


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.name)
def test_accepts_what_the_project_ships(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One line that says how much there is, nothing on standard error."""
    assert main(["check-config", str(file)]) == 0
    out, err = capsys.readouterr()
    assert out.startswith(f"{file}: ok: ")
    assert out.count("\n") == 1
    assert err == ""


def test_says_how_much_there_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Targets, addresses and modules, counted in words."""
    file = tmp_path / "prober.yml"
    file.write_text("targets: [{name: a, addresses: [a.example.com, b.example.com]}]\nmodules: {x: {}}\n")
    assert main(["check-config", str(file)]) == 0
    assert capsys.readouterr().out == f"{file}: ok: 1 target, 2 addresses, 2 modules\n"


def test_prints_every_error_and_exits_two(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """On standard error, in the order of the file; a good file beside it is still reported."""
    bad, good = tmp_path / "bad.yml", tmp_path / "good.yml"
    bad.write_text("interval: 5\ntargets: [{name: a}]\n")
    good.write_text("targets: []\n")
    assert main(["check-config", str(bad), str(good)]) == 2
    out, err = capsys.readouterr()
    assert out == f"{good}: ok: 0 targets, 0 addresses, 1 module\n"
    assert err.splitlines() == [
        f"{bad}:1: interval: 5 has no unit; write 5s if seconds are meant",
        f"{bad}:2: targets[0]: addresses is missing; write at least one NAME[:PORT] or IP[:PORT]",
    ]


@pytest.mark.parametrize(
    ("text", "doubt"),
    [
        (
            "targets:\n- {name: a, addresses: [203.0.113.1]}\n",
            (
                "2: targets[0]: 203.0.113.1:443 has no known name, so its verdict is always inconclusive; "
                "write server_names that it must serve (a warning)"
            ),
        ),
        (
            "modules: {blind: {sni: [none]}}\ntargets:\n- {name: a, addresses: [a.example.com], module: blind}\n",
            (
                "3: targets[0]: its module 'blind' sends no known name, so its verdict is always inconclusive; "
                "add known to the module's sni (a warning)"
            ),
        ),
        (
            (
                "modules: {polite: {sni: [known]}}\n"
                "targets:\n- {name: a, addresses: [a.example.com], module: polite, expect: {non_sni: rejected}}\n"
            ),
            (
                "3: targets[0]: its module 'polite' sends no hello without SNI, so expect is never judged; "
                "add none to the module's sni (a warning)"
            ),
        ),
    ],
)
def test_warns_of_what_can_never_be_judged(text: str, doubt: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It can be used, so the status is 0; but hardly is it what was meant."""
    file = tmp_path / "prober.yml"
    file.write_text(text)
    assert main(["check-config", str(file)]) == 0
    assert capsys.readouterr().err == f"{file}:{doubt}\n"


def test_warns_of_secrets_and_certificates_that_cannot_be_used(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The service runs and reads them for each request, so the status is 0; but nobody is asked or told until they are put right."""
    (tmp_path / "token").write_text("two\nlines\n")
    (tmp_path / "ca.pem").write_text("no certificate\n")
    file = tmp_path / "prober.yml"
    file.write_text(
        "discovery:\n"
        "- http: {url: https://sd.example.com, authorization: {credentials_file: token}}\n"
        "alerting:\n"
        "  alertmanagers:\n"
        "  - {url: https://am.example.com, tls_config: {ca_file: ca.pem}}\n"
    )
    assert main(["check-config", str(file)]) == 0
    token, authority = capsys.readouterr().err.splitlines()
    assert token.startswith(f"{file}:2: discovery[0].http: {tmp_path}/token: holds no secret on one line; ")
    assert authority.startswith(f"{file}:5: alerting.alertmanagers[0]: {tmp_path}/ca.pem: cannot be used: ")


def test_checks_the_files_of_targets_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What the service would leave out is told before it is deployed; what is not there yet, or is dropped by a rule, is not.

    The service runs with it, so the status is 0: who checks before each start shall not lose all targets by a mistake in some.
    """
    (tmp_path / "sd").mkdir()
    (tmp_path / "sd" / "own.yml").write_text("- name: a\n  addresses: [a.example.com]\n  expects: {non_sni: any}\n")
    groups = [{"targets": ["b.example.com:443"], "labels": {"__module": "defalt"}}, {"targets": ["dropped/here"]}]
    (tmp_path / "sd" / "prometheus.json").write_text(json.dumps(groups))
    file = tmp_path / "prober.yml"
    drop = "[{action: drop, source_labels: [__address__], regex: dropped.*}]"
    file.write_text(f"discovery: [{{files: [sd/*.yml, sd/*.json, none/*.yml, later.yml], relabel_configs: {drop}}}]\n")
    assert main(["check-config", str(file)]) == 0
    out, err = capsys.readouterr()
    assert out == f"{file}: ok: 0 targets, 0 addresses, 1 module\n"
    assert err.splitlines() == [
        f"{tmp_path}/sd/own.yml:3: [0].expects: unknown key; did you mean 'expect'? (a warning)",
        f"{tmp_path}/sd/prometheus.json: b.example.com:443: there is no module 'defalt'; did you mean 'default'? (a warning)",
    ]


def test_checks_the_web_configuration_file_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Alone or beside the others; where a configuration names one, its errors are printed with the configuration's."""
    good, web, bad = tmp_path / "good.yml", tmp_path / "web.yml", tmp_path / "bad.yml"
    good.write_text("targets: []\nweb_config_file: web.yml\n")
    web.write_text(f"basic_auth_users: {{alice: $2b$10${'a' * 53}}}\n")
    bad.write_text("rate_limit: {}\n")
    complaint = f"{bad}:1: rate_limit: interval is missing; write the time in which one more request may come, for example 1s, or 0 for no limit\n"
    assert main(["check-config", "--web.config.file", str(web)]) == 0
    assert main(["check-config", str(good), "--web.config.file", str(web)]) == 0
    said = f"{web}: ok: no TLS, 1 user\n"
    assert capsys.readouterr().out == f"{said}{said}{good}: ok: 0 targets, 0 addresses, 1 module\n"
    assert main(["check-config", str(good), "--web.config.file", str(bad)]) == 2
    assert capsys.readouterr().err == complaint
    good.write_text("targets: []\nweb_config_file: bad.yml\n")
    assert main(["check-config", str(good)]) == 2
    assert capsys.readouterr().err == complaint


def test_a_missing_argument_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    """Status 2, and the usage."""
    assert main(["check-config"]) == 2
    assert "FILE" in capsys.readouterr().err
