"""Twenty of two hundred ingresses begin to reset: who watches Alertmanager hears of these twenty, twice over, and of nothing else."""

from __future__ import annotations

import random
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.deploy.test_rules import RULE_FILE
from tests.e2e.rehearsal import all_well, rehearsal
from tests.e2e.starving import Starving
from tests.servers.alertmanager import Alertmanager, alertmanager
from tests.servers.prometheus import prometheus
from tests.service.process import Service, eventually, serving

TARGETS = 200
FLIPPED = 20
SECONDS = 5.0
"""Within which an alert is in Alertmanager, from the second failing round on."""
SEED = 3

_PROMETHEUS = """\
global: {{scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}}
rule_files: [{rules}]
alerting:
  alertmanagers:
  - static_configs: [{{targets: ["{alone}"]}}]
  - static_configs: [{{targets: ["{shared}"]}}]
scrape_configs:
- job_name: prober
  static_configs: [{{targets: ["{service}"]}}]
"""


@dataclass
class Watching:
    """What one Alertmanager was seen to have."""

    of: Alertmanager
    active: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Alerts about targets that are active now, by target."""
    arrived: dict[str, float] = field(default_factory=dict)
    """Unix time at which a target's alert was first seen."""
    strangers: set[tuple[str, str, str]] = field(default_factory=set)
    """Alert, target and outcome of all that was ever seen and is not ours to see."""
    ours: frozenset[str] = frozenset()

    def look(self) -> None:
        """Ask it once."""
        now = time.time()
        self.active = {}
        for alert in self.of.alerts():
            labels = alert["labels"]
            if "target" not in labels:
                continue  # what the prober says about itself depends on the machine that it runs on
            if labels["alertname"] != "NonSniHandshakesFailing" or labels["target"] not in self.ours:
                self.strangers.add((labels["alertname"], labels["target"], alert["annotations"].get("outcome", "")))
                continue
            assert labels["target"] not in self.active, f"one target has two alerts: {alert} {self.active[labels['target']]}"
            self.active[labels["target"]] = alert
            self.arrived.setdefault(labels["target"], now)


def watch_until(watched: Mapping[str, Watching], holds: Callable[[], bool], what: str, patience: float = 60.0) -> None:
    """Ask all of them again and again until something holds."""

    def looked() -> bool:
        for one in watched.values():
            one.look()
        return holds()

    eventually(looked, what, patience)


def unix(text: str) -> float:
    """Of an RFC 3339 time."""
    return datetime.fromisoformat(text).timestamp()


@pytest.fixture
def receivers(tmp_path: Path) -> Iterator[dict[str, Alertmanager]]:
    """One that hears of the service alone, one of Prometheus alone, and one of both."""
    with (
        alertmanager(_made(tmp_path / "a")) as service,
        alertmanager(_made(tmp_path / "b")) as rules,
        alertmanager(_made(tmp_path / "c")) as both,
    ):
        yield {"service": service, "rules": rules, "both": both}


def _made(directory: Path) -> Path:
    directory.mkdir()
    return directory


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_twenty_of_two_hundred_flip_and_exactly_these_are_in_alertmanager(
    tmp_path: Path, receivers: dict[str, Alertmanager], record_property: Callable[[str, object], None]
) -> None:
    """Within five seconds of the second failing round, from the service and from the rules, merged where both are heard."""
    with rehearsal(tmp_path, TARGETS) as lab:
        flipped = sorted(random.Random(SEED).sample(lab.names, FLIPPED))
        document = {
            "interval": "1s",
            "timeout": "900ms",
            "modules": lab.modules,
            "targets": lab.targets,
            "alerting": {"alertmanagers": [receivers["service"].url, receivers["both"].url]},
        }
        with serving(tmp_path, document) as service, Starving(lab.pid, service.program.process.pid) as starving:
            service.wait_ready()
            eventually(lambda: all_well(service, TARGETS), "all targets are well")
            settings = _PROMETHEUS.format(
                rules=shutil.copy(RULE_FILE, tmp_path),
                alone=receivers["rules"].endpoint,
                shared=receivers["both"].endpoint,
                service=service.url.removeprefix("http://").rstrip("/"),
            )
            with prometheus(tmp_path, settings) as server:
                server.query_until("count(probe_verdict_expected == 1)", lambda got: bool(got) and got[0][1] == TARGETS)
                watched = {name: Watching(one, ours=frozenset(flipped)) for name, one in receivers.items()}

                flipped_at = lab.flip(flipped, "envoy-reset")
                watch_until(watched, lambda: all(len(one.active) == FLIPPED for one in watched.values()), "all have the twenty")
                second_round = {name: unix(alert["startsAt"]) for name, alert in watched["service"].active.items()}
                first_round = first_failures(service)
                for one in watched.values():
                    assert set(one.active) == set(flipped)

                back_at = lab.flip(flipped, "healthy")
                watch_until(watched, lambda: not any(one.active for one in watched.values()), "all are resolved", 90.0)
                resolved_at = time.time()
                well: set[str] = set()
                # Each of them, though not at one moment: where CPU is short, one or another is in timeout at any time.
                eventually(lambda: well.update(well_now(service)) or len(well) == TARGETS, "each target was well again")
                for one in watched.values():
                    one.look()

    late = {
        name: max(watched[name].arrived[target] - second_round[target] for target in flipped)
        for name in ("service", "rules", "both")
    }
    print(f"\nafter the second failing round, the last of {FLIPPED} alerts came from the service after {late['service']:.2f} s,")
    print(f"from the rules after {late['rules']:.2f} s; all were resolved {resolved_at - back_at:.1f} s after the flip back")
    print(f"the lab or the service {starving}")
    for name, seconds in late.items():
        record_property(f"seconds_{name}", round(seconds, 3))
    strangers = set().union(*(one.strangers for one in watched.values()))
    # An ingress that gets no CPU does not answer in time, and to say so is right; nothing else may be said of it.
    assert not strangers or (starving.excuses and {outcome for *_, outcome in strangers} <= {"timeout", "connect_timeout"}), (
        strangers
    )
    for target in flipped:
        # The round that the alert began with is the second one: an interval after the first.
        assert 0.5 < second_round[target] - first_round[target]
        assert second_round[target] > flipped_at - 1.0
    assert max(late.values()) < SECONDS or starving.excuses


def well_now(service: Service) -> set[str]:
    """The endpoints whose verdict is ``ok``."""
    return {name for name, verdict in service.verdicts().items() if verdict == "ok"}


def first_failures(service: Service) -> dict[str, float]:
    """Unix time of the first failing round by target, as the history has it."""
    changes = service.json("/api/v1/history")["changes"]
    return {change["target"]: unix(change["at"]) for change in changes if change["to"] == "non_sni_reset"}
