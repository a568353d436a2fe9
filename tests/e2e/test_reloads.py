"""A hundred reloads under five hundred handshakes a second: no probe is skipped or doubled, and nothing is left behind."""

from __future__ import annotations

import random
import signal
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from tests.servers.listeners import Fleet
from tests.servers.material import KNOWN, make_material
from tests.servers.nginx import nginx
from tests.servers.requirements import not_permitted
from tests.service.process import Service, eventually, serving

TARGETS = 167
"""With three hellos a second each: 501 handshakes a second."""
RELOADS = 100
SEED = 5
STARVED = 0.15
"""A prober that waits for a CPU for so much of its time is late, whatever it does."""
WARM = 20
"""Reloads after which memory must have found its size."""


class Footprint(NamedTuple):
    """What a process occupies."""

    rss: int
    """Bytes."""
    descriptors: int
    threads: int
    tasks: int
    """Of Trio."""


class Runs(NamedTuple):
    """How often a hello was sent, and when last (Unix time)."""

    handshakes: int
    last: float
    since: float
    """Since when the verdict of its target is what it is."""


@pytest.fixture
def ingress(tmp_path: Path) -> Iterator[Fleet]:
    """A real server, whose handshakes cost the machine less than the prober's do."""
    (tmp_path / "nginx").mkdir()
    with nginx(tmp_path / "nginx", make_material(tmp_path / "nginx")) as running:
        yield running


class Configurations:
    """What is reloaded: the same again, other labels, more or fewer targets, and what cannot be used."""

    def __init__(self, ingress: Fleet, state: Path) -> None:
        self._address = str(ingress.endpoints["default-covers"])
        self._generation = 0
        self._more = 0
        self._document: dict[str, Any] = {
            "listen": "127.0.0.1:0",
            "interval": "1s",
            "timeout": "700ms",
            "modules": {"default": {"ca_file": str(ingress.directory / "ca.pem")}},
            "state": str(state),
            "reload_on_change": True,
            # Nobody answers there: what is configured anew at each reload has something to give up.
            "alerting": {"alertmanagers": ["http://127.0.0.1:1"], "webhooks": [{"url": "http://127.0.0.1:1/"}]},
            "discovery": [{"files": ["found-*.yml"]}],
        }

    def document(self) -> dict[str, Any]:
        """As it is now."""
        names = [f"edge-{number:03d}" for number in range(TARGETS)] + [f"more-{number}" for number in range(self._more)]
        return {**self._document, "targets": [self.target(name) for name in names]}

    def target(self, name: str) -> dict[str, Any]:
        """One that is well."""
        labels = {"generation": str(self._generation)}
        return {"name": name, "addresses": [self._address], "server_names": [KNOWN], "labels": labels}

    def next(self, number: int) -> dict[str, Any] | str:
        """Of four: one is the same, one has other labels, one other targets, one is bad."""
        match number % 4:
            case 0:
                return self.document()
            case 1:
                self._generation += 1
                return self.document()
            case 2:
                self._more = (self._more + 2) % 5
                return self.document()
            case _:
                return {**self.document(), "tragets": []} if number % 8 == 3 else "targets: ["


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_hundred_reloads_skip_no_probe_and_leak_nothing(
    tmp_path: Path, ingress: Fleet, record_property: Callable[[str, object], None]
) -> None:
    """By signal, by request and by change of the file; what stays is probed at its own moments all the while."""
    configurations = Configurations(ingress, tmp_path / "state")
    (tmp_path / "found-1.yml").write_text(yaml.safe_dump([configurations.target("found")]))
    counted = [sys.executable, str(Path(__file__).parent / "counted.py"), str(tmp_path / "tasks")]
    with serving(tmp_path, configurations.document(), program=counted) as service:
        service.wait_ready()
        eventually(lambda: set(service.verdicts().values()) == {"ok"}, "all targets are well")
        time.sleep(2.0)  # each has been probed at its own moment, not only at the start
        before, began, waited = runs(service), time.time(), waited_for_cpu(service)
        skipped = service.samples("prober_probes_skipped_total")
        chance = random.Random(SEED)
        done: Counter[str] = Counter()
        footprints: list[Footprint] = []
        for number in range(RELOADS):
            how = ["signal", "request"][number % 2] if number % 7 else "file"
            done[f"{how}, {reload(service, configurations.next(number), how)}"] += 1
            time.sleep(chance.uniform(0.0, 0.4))
            footprints.append(footprint(service, tmp_path / "tasks"))
        service.rewrite(configurations.document())
        assert service.get("/-/reload", "POST").status == 200
        after, seconds = runs(service), time.time() - began
        starved = (waited_for_cpu(service) - waited) / seconds
        if starved > STARVED:
            not_permitted(f"this machine has no CPU to spare: the prober waited {starved:.0%} of the time for one")
        assert service.samples("prober_probes_skipped_total") == skipped
        late = lateness(service)
        assert service.end()[0] == 0

    stayed = {key: (before[key], after[key]) for key in before if key[0].startswith("edge-")}
    assert len(stayed) == 3 * TARGETS
    handshakes = sum(now.handshakes - then.handshakes for then, now in stayed.values())
    punctual = 0
    for key, (then, now) in stayed.items():
        assert now.since == then.since, f"the state of {key} was lost"
        assert abs(now.handshakes - then.handshakes - seconds) < 2.0, f"{key}: {then} {now} after {seconds} s"
        rounds = now.last - then.last
        if abs(rounds - round(rounds)) < 0.3:  # a round's hellos are spread over 0.25 s; else the machine was too busy to tell
            assert now.handshakes - then.handshakes == round(rounds), f"{key} was skipped or doubled: {then} {now}"
            punctual += 1
    assert punctual > 0.8 * len(stayed)

    settled = footprints[WARM:]
    slope = 1024 * statistics.linear_regression(range(len(settled)), [one.rss / 1024 for one in settled]).slope
    print(f"\n{RELOADS} reloads in {seconds:.0f} s ({', '.join(f'{count} {kind}' for kind, count in sorted(done.items()))})")
    print(
        f"{handshakes / seconds:.0f} handshakes/s, {late:.1%} later than 50 ms; none skipped, {punctual} of {len(stayed)} counted to the round"
    )
    for name, first, last in zip(Footprint._fields, *ends(settled), strict=True):
        print(f"{name}: {first} after {WARM} reloads, {last} at the end")
    print(f"rss: {slope / 1024:+.1f} KiB a reload")
    record_property("rss_bytes_a_reload", round(slope))
    first, last = ends(settled)
    # What a reload leaves behind would be there some eighty times; a request more or less may be under way.
    assert last.descriptors - first.descriptors < 4
    assert last.threads - first.threads < 4
    assert last.tasks - first.tasks < 4
    assert slope < 50 * 1024


def reload(service: Service, document: Mapping[str, Any] | str, how: str) -> str:
    """Write the file and have it read; whether it was taken or refused."""

    def log() -> int:
        text = service.program.log()
        return text.count("msg=reloaded") + text.count('msg="reload refused"')

    before = log()
    service.rewrite(document)
    if how == "signal":
        service.program.process.send_signal(signal.SIGHUP)
    elif how == "request":
        assert service.get("/-/reload", "POST").status in {200, 400}
    else:
        service.config.write_text(service.config.read_text() + "\n")  # also where it is the same as before
    bad = isinstance(document, str) or "tragets" in document
    # Not the whole page: that of so many targets costs as much as a reload.
    name = "prober_config_last_reload_successful"
    wanted = [(name, {}, float(not bad))]
    eventually(
        lambda: log() > before and list(service.scrape(name, path=f"/metrics?name[]={name}")) == wanted, f"a reload by {how}"
    )
    return "refused" if bad else "taken"


def runs(service: Service) -> dict[tuple[str, str], Runs]:
    """By target and kind of hello; all of one scrape."""
    count: Counter[tuple[str, str]] = Counter()
    last: dict[tuple[str, str], float] = {}
    since: dict[str, float] = {}
    handshakes, ran, changed = (
        "probe_handshakes_total",
        "probe_last_run_timestamp_seconds",
        "probe_verdict_since_timestamp_seconds",
    )
    for name, labels, value in service.scrape(handshakes, ran, changed):
        if name == handshakes:
            count[labels["target"], labels["sni"]] += int(value)
        elif name == ran:
            last[labels["target"], labels["sni"]] = value
        else:
            since[labels["target"]] = value
    return {key: Runs(count[key], at, since[key[0]]) for key, at in last.items()}


def footprint(service: Service, tasks: Path) -> Footprint:
    """Of the process, now."""
    process = Path(f"/proc/{service.program.process.pid}")
    rss = next(int(line.split()[1]) * 1024 for line in (process / "status").read_text().splitlines() if line.startswith("VmRSS"))
    return Footprint(rss, len(list((process / "fd").iterdir())), len(list((process / "task").iterdir())), int(tasks.read_text()))


def waited_for_cpu(service: Service) -> float:
    """Seconds for which the process could have run, and others did: Linux counts them."""
    return int(Path(f"/proc/{service.program.process.pid}/schedstat").read_text().split()[1]) / 1e9


def ends(footprints: list[Footprint]) -> tuple[Footprint, Footprint]:
    """The medians of the first and of the last twenty: requests come and go."""
    first, last = (
        Footprint(*(round(statistics.median(values)) for values in zip(*some, strict=True)))
        for some in (footprints[:20], footprints[-20:])
    )
    return first, last


def lateness(service: Service) -> float:
    """Which part of all handshakes began more than 50 ms late."""
    (within,) = service.samples("prober_schedule_lateness_seconds_bucket", le="0.05")
    (whole,) = service.samples("prober_schedule_lateness_seconds_count")
    return 1 - within[1] / whole[1]
