"""The Grafana dashboard asks for series that exist, in PromQL that Prometheus parses."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import yaml

from prober.outlets.metrics import METRICS, TARGET_LABELS, TARGET_METRICS
from tests.servers.requirements import require_program

DASHBOARD: dict[str, Any] = json.loads((Path(__file__).parents[2] / "deploy" / "grafana" / "prober.json").read_text())
PANELS: list[dict[str, Any]] = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
QUERIES = {f"{panel['title']} {target['refId']}": target["expr"] for panel in PANELS for target in panel["targets"]}

SERIES = {metric.name: metric for metric in METRICS if metric.kind != "histogram"} | {
    f"{metric.name}{suffix}": metric
    for metric in METRICS
    if metric.kind == "histogram"
    for suffix in ("_bucket", "_count", "_sum")
}


def series_of(expression: str) -> set[str]:
    """The metrics that an expression names."""
    return set(re.findall(r"\bprober?_[a-z_]+", expression))


def test_every_metric_of_a_panel_is_exported() -> None:
    """A misspelt metric would be an empty panel."""
    assert QUERIES
    for where, expression in QUERIES.items():
        assert series_of(expression), where
        assert series_of(expression) <= set(SERIES), where
    (variable,) = [each for each in DASHBOARD["templating"]["list"] if each["name"] == "target"]
    assert series_of(variable["query"]["query"]) <= set(SERIES)


def test_every_label_that_is_matched_or_shown_is_one_of_the_metric() -> None:
    """Matchers of each selector, and what the expression groups by."""
    of_scrapes = {"job", "instance"}
    for where, expression in QUERIES.items():
        for name, matchers in re.findall(r"\b(prober?_[a-z_]+)\{(.*?)\}", expression):
            own = {*SERIES[name].labels, *(TARGET_LABELS if SERIES[name] in TARGET_METRICS else ())}
            assert set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", matchers)) <= own, where
        known = of_scrapes | {"le"}
        for name in series_of(expression):
            known |= {*SERIES[name].labels, *(TARGET_LABELS if SERIES[name] in TARGET_METRICS else ())}
        for grouping in re.findall(r"\b(?:by|on|ignoring|without) \((.*?)\)", expression):
            assert set(grouping.split(", ")) <= known, where


def test_prometheus_parses_every_query(tmp_path: Path) -> None:
    """Each expression is a recording rule that promtool accepts, Grafana's variables filled in."""
    promtool = require_program("promtool", package="prometheus")
    filled = [expression.replace("$__rate_interval", "1m").replace("$target", ".+") for expression in QUERIES.values()]
    assert not [expression for expression in filled if "$" in expression]
    rules = [{"record": f"panel:{number}", "expr": expression} for number, expression in enumerate(filled)]
    file = tmp_path / "panels.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))

    done = subprocess.run([promtool, "check", "rules", str(file)], capture_output=True, text=True, timeout=60, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(rules)} rules found" in done.stdout


def test_panels_do_not_overlap_and_have_names_of_their_own() -> None:
    """24 columns; every cell belongs to at most one panel."""
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = {(x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])}
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < 24, panel["title"]
        taken |= cells
    assert len({panel["title"] for panel in PANELS}) == len(PANELS)
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
