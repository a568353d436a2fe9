"""Probers at two vantage points, a lab's ingress and a real Alertmanager: each says where it looks from, and there is one alert."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.servers.alertmanager import alertmanager
from tests.servers.processes import running
from tests.service.process import eventually, serving

_CONTROL = re.compile(r"curl -X PUT --data envoy-reset (\S+)/")


def about_targets(alerts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Without those about the probers: on a busy machine one of them may be late."""
    return [alert for alert in alerts if "target" in alert["labels"]]


def told_from(alerts: list[dict[str, Any]]) -> set[str]:
    """The vantage points that were the last to speak of the targets."""
    return {alert["annotations"]["vantage"] for alert in about_targets(alerts)}


@pytest.mark.timeout(180)
def test_what_two_probers_see_is_one_alert_as_long_as_one_of_them_sees_it(tmp_path: Path) -> None:
    """Tokyo comes to expect what Paris minds, as if it saw another ingress: Paris keeps the alert alone."""
    options = ["--port", "0", "--control-port", "0", "--directory", str(tmp_path / "lab")]
    command = [sys.executable, "-u", "-m", "prober", "lab", *options]
    with alertmanager(tmp_path) as receiver, running(command, directory=tmp_path, name="prober-lab") as lab:
        eventually(lambda: _CONTROL.search(lab.log()), "the lab's announcement")
        of_lab = yaml.safe_load((tmp_path / "lab" / "prober.yml").read_text())
        (target,) = (target for target in of_lab["targets"] if target["name"] == "envoy-reset")

        def document(expected: str) -> dict[str, Any]:
            alerting = {"failures": 1, "resolve_after": 1, "alertmanagers": [receiver.url]}
            watched = {**target, "expect": {"non_sni": expected}}
            return {**of_lab, "interval": "500ms", "timeout": "400ms", "targets": [watched], "alerting": alerting}

        places = [tmp_path / name for name in ("paris", "tokyo")]
        for place in places:
            place.mkdir()
        with serving(places[0], {**document("certificate"), "vantage": "paris"}) as paris:
            (alert,) = about_targets(receiver.alerts_until(about_targets))
            assert alert["annotations"]["vantage"] == "paris"
            labels = alert["labels"]
            assert labels["alertname"] == "NonSniHandshakesFailing"
            assert "vantage" not in labels
            with serving(places[1], document("certificate"), "--vantage", "tokyo") as tokyo:
                assert tokyo.samples("prober_vantage_info") == [({"vantage": "tokyo"}, 1.0)]
                assert "vantage: tokyo" in tokyo.get("/config").text
                (alert,) = about_targets(receiver.alerts_until(lambda alerts: told_from(alerts) == {"tokyo"}))
                assert alert["labels"] == labels
                tokyo.rewrite({"listen": "127.0.0.1:0", **document("any")})
                assert tokyo.get("/-/reload", "POST").status == 200
                eventually(lambda: 'msg="alert resolved"' in tokyo.program.log(), "Tokyo sees no fault any more")
                until = time.monotonic() + 3.0
                while time.monotonic() < until:
                    assert [one["labels"] for one in about_targets(receiver.alerts())] == [labels]
                    time.sleep(0.05)
            assert paris.value("prober_vantage_info", vantage="paris") == 1.0


@pytest.mark.parametrize("name", ["", "a, b", "x" * 65])
def test_a_vantage_point_has_a_name_that_a_list_can_hold(tmp_path: Path, name: str) -> None:
    """On the command line as in the configuration."""
    command = [sys.executable, "-m", "prober", "serve", "--config", str(tmp_path / "prober.yml"), "--vantage", name]

    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert done.returncode == 2
    assert done.stderr.startswith(f"prober serve: --vantage: {name!r} is no name of a vantage point; write up to 64 letters")
