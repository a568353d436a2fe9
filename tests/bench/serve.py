"""`prober serve` at a steady rate, half of its targets resetting and half showing a certificate: what it costs, and how late it is.

Its share of a processor is read from the kernel's scheduler statistics, lateness from the service's own histogram; a scrape of
everything, every five seconds, must change neither. blackbox_exporter is asked for the same probes at the same rate.
"""

from __future__ import annotations

import re
import statistics
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

from tests.bench.figures import ratio, spread
from tests.bench.handshakes import left_out
from tests.bench.machine import CPUS, Cpus, cpu_seconds
from tests.bench.peers.blackbox import Blackbox, blackbox
from tests.bench.servers import SERVER_NAME, Servers, Site, address
from tests.bench.sizes import Sizes
from tests.service.process import Service, serving

__all__ = ["document", "steady", "watch"]

_HELLOS = 3
_SCRAPE_EVERY = 5.0
_SETTLED = 3
"""Intervals after the first round."""
_COUNTERS = (
    "prober_schedule_lateness_seconds_bucket",
    "prober_schedule_lateness_seconds_count",
    "prober_probes_skipped_total",
    "probe_handshakes_total",
)
_LABEL = re.compile(r'(\w+)="([^"]*)"')


class Window(NamedTuple):
    """What a service did while it was watched."""

    share: float
    """Of one processor."""
    rate: float
    """Handshakes a second."""
    skipped: int
    late: float
    """Seconds that 99 % of the starts did not exceed: the bound of the histogram's bucket."""
    wrong: Counter[str]
    """Outcomes that are not the server's, as "outcome of port"."""
    scrapes: tuple[float, ...]
    """Seconds that each took, and the size of the last one in bytes as it was transferred."""
    size: int


def document(servers: Servers, site: Site, targets: int, interval: int, *, well: bool = False) -> dict[str, Any]:
    """A configuration: every second target resets, unless all are to be ``well``."""
    ports = (site.port if well else servers["resetting server"].port, site.port)
    return {
        "interval": f"{interval}s",
        "modules": {"default": {"ca_file": str(servers.authority)}},
        "targets": [
            {"name": f"target-{number}", "addresses": [f"{address(number)}:{ports[number % 2]}"], "server_names": [SERVER_NAME]}
            for number in range(targets)
        ],
    }


@contextmanager
def steady(servers: Servers, site: Site, rate: int, interval: int, workers: int = 1) -> Iterator[Service]:
    """A service that has settled; one process is pinned, more of them have the machine.

    Half of the fleet is new and at fault: its transcripts are taken for two and a half intervals, which costs as much as the
    handshakes, and after that no more.
    """
    wrapper = Cpus.pin([], CPUS.client)
    if workers > 1 and CPUS.client is not None:
        wrapper = ["taskset", "-c", f"{CPUS.client},{CPUS.server}"]
    options = ("--workers", str(workers)) if workers > 1 else ()
    configuration = document(servers, site, rate * interval // _HELLOS, interval)
    with serving(servers.directory, configuration, *options, wrapper=wrapper) as service:
        service.wait_ready()
        time.sleep(_SETTLED * interval)
        yield service


def watch(servers: Servers, sizes: Sizes, workers: int = 1, *, with_peer: bool = True) -> int:
    """Print a row for each rate and version; how many outcomes were wrong."""
    with ExitStack() as stack:
        exporter: Blackbox | None = None
        if with_peer:
            with left_out("blackbox_exporter"):
                exporter = stack.enter_context(blackbox(servers.directory, SERVER_NAME, servers.authority))
        return sum(
            _rate(servers, servers[tls], rate, sizes, workers, exporter if number == 0 else None)
            for number, rate in enumerate(sizes.rates)
            for tls in sizes.versions
        )


def _rate(servers: Servers, site: Site, rate: int, sizes: Sizes, workers: int, exporter: Blackbox | None) -> int:
    quiet: list[Window] = []
    scraped: list[Window] = []
    theirs: list[float] = []
    for _ in range(sizes.serve_rounds):
        with steady(servers, site, rate, sizes.interval, workers) as service:
            quiet.append(_window(service, servers, site, sizes.window, scraping=False))
            scraped.append(_window(service, servers, site, sizes.window, scraping=True))
        if exporter is not None:
            theirs.append(_their_share(exporter, servers, site, rate, sizes.window))
    people = f" {workers} workers," if workers > 1 else ""
    print(f"\nserve, {rate:,} handshakes a second, half resets, half {site.name},{people} every target each {sizes.interval} s")
    for name, windows in (("not scraped", quiet), (f"scraped every {_SCRAPE_EVERY:g} s", scraped)):
        shares = [100 * window.share for window in windows]
        late = max(window.late for window in windows)
        print(
            f"  {name:20} {spread(shares, 1):>18} % of one core, {statistics.median(window.rate for window in windows):,.0f}"
            f" a second, skipped {sum(window.skipped for window in windows)}, lateness p99 <= {late * 1e3:g} ms"
            + (f", / blackbox_exporter {ratio(shares, theirs)}" if theirs else "")
        )
    times = [seconds for window in scraped for seconds in window.scrapes]
    print(f"  a scrape (gzip)      {spread(times, 2):>18} s, {scraped[-1].size / 1e6:.2f} MB")
    if theirs:
        print(f"  blackbox_exporter    {spread(theirs, 1):>18} % of one core, asked for the same")
    wrong = sum((window.wrong for window in quiet + scraped), Counter())
    if wrong:
        print(f"!! prober serve: handshakes were WRONG: {dict(wrong)}", file=sys.stderr)
    return wrong.total()


def _window(service: Service, servers: Servers, site: Site, seconds: float, *, scraping: bool) -> Window:
    pid = service.program.process.pid
    before = _counters(service)
    cpu, began = cpu_seconds(pid), time.perf_counter()
    times: list[float] = []
    size = 0
    end = began + seconds
    while scraping and time.perf_counter() < end:
        due = time.perf_counter() + _SCRAPE_EVERY
        taken, size = scrape(service)
        times.append(taken)
        time.sleep(max(min(due, end) - time.perf_counter(), 0.0))
    time.sleep(max(end - time.perf_counter(), 0.0))
    share = (cpu_seconds(pid) - cpu) / (wall := time.perf_counter() - began)
    change = {name: value - before.get(name, 0.0) for name, value in _counters(service).items()}
    right = {servers["resetting server"].port: "reset", site.port: "certificate"}
    wrong: Counter[str] = Counter()
    for name, value in change.items():
        if value and name.startswith("probe_handshakes_total"):
            labels = dict(_LABEL.findall(name))
            port = int(labels["address"].rpartition(":")[2])
            if labels["outcome"] != right[port]:
                wrong[f"{labels['outcome']} in the place of {right[port]}"] += int(value)
    return Window(
        share,
        change["prober_schedule_lateness_seconds_count"] / wall,
        int(sum(value for name, value in change.items() if name.startswith("prober_probes_skipped_total"))),
        _p99(change),
        wrong,
        tuple(times),
        size,
    )


def _p99(change: dict[str, float]) -> float:
    buckets = {
        float(name.split('"')[1]): value
        for name, value in change.items()
        if name.startswith("prober_schedule_lateness_seconds_bucket")
    }
    return next(bound for bound, count in sorted(buckets.items()) if count >= 0.99 * max(buckets.values()))


def _counters(service: Service) -> dict[str, float]:
    lines = service.get("/metrics?" + "&".join(f"name[]={name}" for name in _COUNTERS)).text.splitlines()
    samples = (line.rsplit(" ", 1) for line in lines if line and not line.startswith("#"))
    return {name: float(value) for name, value in samples}


def scrape(service: Service) -> tuple[float, int]:
    """Everything, as Prometheus asks for it: seconds, and bytes as they were transferred."""
    headers = {"Accept": "application/openmetrics-text;version=1.0.0", "Accept-Encoding": "gzip"}
    began = time.perf_counter()
    with urllib.request.urlopen(urllib.request.Request(service.url + "/metrics", headers=headers), timeout=60) as answer:
        size = len(answer.read())
    return time.perf_counter() - began, size


def _their_share(exporter: Blackbox, servers: Servers, site: Site, rate: int, seconds: float) -> float:
    """Percent of a processor."""
    ports = {servers["resetting server"].port: 0, site.port: 1}
    targets = [f"{address(number)}:{port}={success}" for number in range(500) for port, success in ports.items()]
    before = cpu_seconds(exporter.pid)
    right, taken = exporter.drive(targets, concurrency=64, total=int(rate * seconds), rate=rate)
    if right < int(rate * seconds):
        print(f"!! blackbox_exporter: {int(rate * seconds) - right} of its probes were WRONG", file=sys.stderr)
    if taken > 1.1 * seconds:
        print(f"!! blackbox_exporter did only {right / taken:.0f} probes a second", file=sys.stderr)
    return 100 * (cpu_seconds(exporter.pid) - before) / taken
