"""The README is held to the product: its metrics, commands, verdicts and configuration are those that exist."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from prober.config.document import load
from prober.model import Outcome, Verdict
from prober.outlets.metrics import METRICS, PROBE_METRICS

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def rows(heading: str) -> list[list[str]]:
    """The cells of the first table behind a heading, without its head."""
    section = README.split(f"\n{heading}\n", 1)[1]
    table = re.search(r"(?:^\|.*\n)+", section, re.MULTILINE)
    assert table is not None
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in table[0].splitlines()[2:]]


def test_the_tables_of_metrics_are_what_is_exported() -> None:
    """Name, type, labels and meaning of every metric stand in the README as the exporter has them."""
    written = [
        row
        for heading in ("### Metrics about targets", "### Metrics about the prober", "### What /probe answers")
        for row in rows(heading)
    ]
    exported = [
        [f"`{metric.name}`", metric.kind, ", ".join(f"`{label}`" for label in metric.labels) or "-", metric.help]
        for metric in (*METRICS, *PROBE_METRICS)
    ]

    assert exported == [[cell.strip("| ") for cell in row] for row in written]


def test_the_tables_of_outcomes_and_verdicts_are_complete_and_in_order() -> None:
    """Every outcome is explained, and the verdicts stand in the order of their precedence."""
    outcomes = {name for row in rows("### Outcomes: facts on the wire") for name in re.findall(r"`(\w+)`", row[0])}
    verdicts = [
        name
        for row in rows("### Verdicts: one for each address, from its three hellos")
        for name in re.findall(r"`(\w+)`", row[0])
    ]

    assert {each.value for each in Outcome} == outcomes
    assert [each.value for each in Verdict] == verdicts


def test_the_smallest_configuration_is_one(tmp_path: Path) -> None:
    """What the README shows as a configuration is accepted, and what it shows for Prometheus is YAML."""
    blocks = re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)
    smallest = next(block for block in blocks if block.startswith("targets:"))
    (tmp_path / "prober.yml").write_text(smallest)

    assert [target.name for target in load(tmp_path / "prober.yml").targets] == ["apigee-prod"]
    assert all(isinstance(yaml.safe_load(block), (dict, list)) for block in blocks)


def test_every_file_that_is_linked_is_there() -> None:
    """No link into the repository is dead, in the README or in what it leads to."""
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))):
        links = re.findall(r"\]\(([^)#:]+)[^):]*\)", page.read_text())

        assert links, page
        assert [] == [link for link in links if not (page.parent / link).exists()], page
