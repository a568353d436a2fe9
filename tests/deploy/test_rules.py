"""The rules for Prometheus are the service's own alerts, and promtool has seen each of them fire and be silent."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from prober.judge.alert_rules import RULES
from prober.outlets.metrics import METRICS
from prober.outlets.runbooks import OF_PROMETHEUS
from prober.service.self_watch import LATE_PART, LATE_SECONDS
from tests.servers.requirements import require_program

DIRECTORY = Path(__file__).parents[2] / "deploy" / "prometheus"
RULE_FILE = DIRECTORY / "prober.rules.yml"
GROUPS: list[dict[str, Any]] = yaml.safe_load(RULE_FILE.read_text())["groups"]
ALERTS: dict[str, dict[str, Any]] = {rule["alert"]: rule for group in GROUPS for rule in group["rules"] if "alert" in rule}
TESTS: list[dict[str, Any]] = [
    test for group in yaml.safe_load((DIRECTORY / "prober.test.yml").read_text())["tests"] for test in group["alert_rule_test"]
]


def promtool(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run promtool beside the rules."""
    program = require_program("promtool", package="prometheus")
    return subprocess.run([program, *arguments], cwd=DIRECTORY, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("arguments", [("check", "rules", RULE_FILE.name), ("test", "rules", "prober.test.yml")])
def test_promtool_accepts_the_rules(arguments: tuple[str, ...]) -> None:
    """Their syntax, and what they do with the series of their unit tests."""
    done = promtool(*arguments)

    assert done.returncode == 0, done.stdout + done.stderr


def test_promtool_notices_a_rule_that_is_wrong(tmp_path: Path) -> None:
    """The unit tests can fail: they do when an alert looks at another fault."""
    text = RULE_FILE.read_text()
    assert 'fault="unreachable"' in text
    (tmp_path / RULE_FILE.name).write_text(text.replace('fault="unreachable"', 'fault="sni_failing"'))
    (tmp_path / "prober.test.yml").write_text((DIRECTORY / "prober.test.yml").read_text())

    done = promtool("test", "rules", str(tmp_path / "prober.test.yml"))

    assert done.returncode == 1
    assert "IngressUnreachable" in done.stdout + done.stderr


def test_the_alerts_are_the_service_s_own() -> None:
    """Names and severities are the same, so that Alertmanager takes the same alert from both for one; what no prober sees is added."""
    own = {name.value: rule.severity for name, rule in RULES.items()}
    added = {name: severity for name, (severity, _) in OF_PROMETHEUS.items()}
    assert {name: rule["labels"]["severity"] for name, rule in ALERTS.items()} == {**own, **added}


def test_each_fault_has_the_alert_that_the_service_has_for_it() -> None:
    """The matchers of the alerts select the faults of the service's table, and no other."""
    faults = {fault.value for rule in RULES.values() for fault in rule.faults}
    for name, rule in RULES.items():
        if not rule.faults:
            continue
        (matchers,) = re.findall(r"probe_fault_info\{(.*?)\}", ALERTS[name]["expr"])
        selected = faults
        for operator, value in re.findall(r'fault(=~|!=|=)"(.*?)"', matchers):
            selected = {fault for fault in selected if bool(re.fullmatch(value, fault)) is (operator != "!=")}
        assert selected == {fault.value for fault in rule.faults}, name


def test_the_prober_is_late_when_the_service_says_so() -> None:
    """Bucket and part are those of the service."""
    assert f'le="{LATE_SECONDS:g}"' in ALERTS["ProberLate"]["expr"]
    assert f"> {LATE_PART:g}" in ALERTS["ProberLate"]["expr"]


@pytest.mark.parametrize("name", sorted(ALERTS))
def test_each_alert_is_tested_firing_and_silent(name: str) -> None:
    """The unit tests have a case of both."""
    assert {bool(test["exp_alerts"]) for test in TESTS if test["alertname"] == name} == {True, False}


@pytest.mark.parametrize("name", sorted(ALERTS))
def test_each_alert_says_what_to_do(name: str) -> None:
    """A summary, and a link that ends in the alert's section of the runbooks; what is about an ingress tells its state besides."""
    annotations = ALERTS[name]["annotations"]

    assert annotations["runbook_url"].endswith(f"/runbooks#{name.lower()}")
    about_prober = name.startswith("Prober")
    assert {"summary", "runbook_url"} | (set() if about_prober else {"verdict", "since", "vantage"}) <= set(annotations)
    if any(each.value == name and rule.faults for each, rule in RULES.items()):
        assert {"outcome", "fault"} <= set(annotations)


def test_what_one_vantage_point_sees_is_an_alert_of_no_vantage_point() -> None:
    """An alert about an ingress has no label that tells probers apart, or two that see the same fault would be two alerts."""
    for name, rule in ALERTS.items():
        if not name.startswith("Prober"):
            assert re.search(r"^(max|min) without \(job, instance, vantage[,)]", rule["expr"].strip()), name


def test_only_metrics_that_exist_are_asked_for() -> None:
    """A misspelt metric would be an alert that never fires."""
    exported = {metric.name for metric in METRICS}
    exported |= {
        f"{metric.name}{suffix}" for metric in METRICS if metric.kind == "histogram" for suffix in ("_bucket", "_count", "_sum")
    }
    recorded = {rule["record"] for group in GROUPS for rule in group["rules"] if "record" in rule}
    text = RULE_FILE.read_text()
    used = set(re.findall(r"\bprober?_[a-z_]+", re.sub("|".join(recorded), "", text)))

    assert used
    assert used <= exported
