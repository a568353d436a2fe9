"""A hundred reloads under five hundred handshakes a second: no probe is skipped or doubled, and nothing is left behind."""

from __future__ import annotations

import random
import signal
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from math import floor, inf
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from prober.schedule import phase
from tests.e2e.starving import Starving
from tests.servers.listeners import Fleet
from tests.servers.material import KNOWN, make_material
from tests.servers.nginx import nginx
from tests.service.process import Service, eventually, serving

INTERVAL = 1.0
"""Seconds."""
TARGETS = 167
"""With three hellos in each interval: 501 handshakes a second."""
RELOADS = 100
SEED = 5
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

    def round(self, key: tuple[str, str]) -> int:
        """The number of the last round: a target's address is probed at a moment of its own in each interval, if not a little later."""
        return floor((self.last - phase(key, INTERVAL)) / INTERVAL)


@pytest.fixture
def ingress(tmp_path: Path) -> Iterator[Fleet]:
    """A real server, whose handshakes cost the machine less than the prober's do."""
    (tmp_path / "nginx").mkdir()
    with nginx(tmp_path / "nginx", make_material(tmp_path / "nginx")) as running:
        yield running


class Configurations:
    """What is reloaded: the same again, other labels, more or fewer targets, and what cannot be used."""

    def __init__(self, ingress: Fleet, state: Path) -> None:
        self.address = str(ingress.endpoints["default-covers"])
        self._generation = 0
        self._more = 0
        self._document: dict[str, Any] = {
            "listen": "127.0.0.1:0",
            "interval": f"{INTERVAL:g}s",
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
        return {"name": name, "addresses": [self.address], "server_names": [KNOWN], "labels": labels}

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
        # What is counted is asked for before and after what is looked at: it is as much, or more.
        skipped, overdue = rounds_skipped(service), late(service, INTERVAL)
        before, began = runs(service), time.time()
        chance = random.Random(SEED)
        done: Counter[str] = Counter()
        footprints: list[Footprint] = []
        with Starving(service.program.process.pid) as starving:
            for number in range(RELOADS):
                how = ["signal", "request"][number % 2] if number % 7 else "file"
                done[f"{how}, {reload(service, configurations.next(number), how)}"] += 1
                time.sleep(chance.uniform(0.0, 0.4))
                footprints.append(footprint(service, tmp_path / "tasks"))
            service.rewrite(configurations.document())
            assert service.get("/-/reload", "POST").status == 200
        after, seconds = runs(service), time.time() - began
        skipped, overdue = rounds_skipped(service) - skipped, late(service, INTERVAL) - overdue
        queued = service.value("prober_notification_queue_length")
        assert queued is not None
        changes = service.json("/api/v1/history?limit=1000")["changes"]
        unpunctual = late(service, 0.05) / late(service, 0.0)
        assert service.end()[0] == 0

    forgotten = {change["target"] for change in changes if change["from"] is None and moment(change["at"]) > began}
    assert not forgotten & {f"edge-{number:03d}" for number in range(TARGETS)}, "their states were lost"
    stayed = {key: (before[key], after[key]) for key in before if key[0].startswith("edge-")}
    assert len(stayed) == 3 * TARGETS
    handshakes = sum(now.handshakes - then.handshakes for then, now in stayed.values())
    missed: Counter[str] = Counter()
    for (name, hello), (then, now) in stayed.items():
        key = (name, configurations.address)
        probed, rounds = now.handshakes - then.handshakes, now.round(key) - then.round(key)
        # A hello that is sent a whole interval late cannot be told from one of the next round.
        assert probed <= rounds + (overdue > 0), f"{name} was probed {probed} times in {rounds} rounds ({hello}): {then} {now}"
        missed[name] = max(missed[name], rounds - probed - (overdue > 0))
    assert missed.total() <= skipped, f"{missed.total()} rounds are missing, {skipped} were said to be skipped"
    # Where it can run, it skips nothing; elsewhere, what it skips is counted.
    assert not skipped or starving.excuses, f"{skipped} were skipped; the service {starving}"

    settled = footprints[WARM:]
    slope = 1024 * statistics.linear_regression(range(len(settled)), [one.rss / 1024 for one in settled]).slope
    print(f"\n{RELOADS} reloads in {seconds:.0f} s ({', '.join(f'{count} {kind}' for kind, count in sorted(done.items()))})")
    print(
        f"{handshakes / seconds:.0f} handshakes/s, {unpunctual:.1%} later than 50 ms, {overdue} later than an interval; "
        f"{skipped} rounds skipped, {missed.total()} of them seen to be missing; {starving}"
    )
    for name, first, last in zip(Footprint._fields, *ends(settled), strict=True):
        print(f"{name}: {first} after {WARM} reloads, {last} at the end")
    print(f"rss: {slope / 1024:+.1f} KiB a reload")
    record_property("rss_bytes_a_reload", round(slope))
    first, last = ends(settled)
    # What a reload leaves behind would be there some eighty times.
    assert last.descriptors - first.descriptors < 4
    assert last.threads - first.threads < 4
    # A target that a busy machine has made fail is a delivery that waits: nobody hears of it here.
    assert last.tasks - first.tasks < 4 + queued
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
    handshakes, ran = "probe_handshakes_total", "probe_last_run_timestamp_seconds"
    for name, labels, value in service.scrape(handshakes, ran):
        if name == handshakes:
            count[labels["target"], labels["sni"]] += int(value)
        else:
            last[labels["target"], labels["sni"]] = value
    return {key: Runs(count[key], at) for key, at in last.items()}


def rounds_skipped(service: Service) -> int:
    """For whatever reason."""
    return round(sum(value for _, value in service.samples("prober_probes_skipped_total")))


def late(service: Service, seconds: float) -> int:
    """How many handshakes began later than that."""
    by_bound = {float(labels["le"]): value for labels, value in service.samples("prober_schedule_lateness_seconds_bucket")}
    return round(by_bound[inf] - by_bound.get(seconds, 0.0))


def moment(text: str) -> float:
    """Unix time."""
    return datetime.fromisoformat(text).timestamp()


def footprint(service: Service, tasks: Path) -> Footprint:
    """Of the process, now."""
    process = Path(f"/proc/{service.program.process.pid}")
    rss = next(int(line.split()[1]) * 1024 for line in (process / "status").read_text().splitlines() if line.startswith("VmRSS"))
    return Footprint(rss, len(list((process / "fd").iterdir())), len(list((process / "task").iterdir())), int(tasks.read_text()))


def ends(footprints: list[Footprint]) -> tuple[Footprint, Footprint]:
    """The least of the first and of the last twenty: handshakes and requests under way come and go, what leaks is always there."""
    first, last = (
        Footprint(*(min(values) for values in zip(*some, strict=True))) for some in (footprints[:20], footprints[-20:])
    )
    return first, last
