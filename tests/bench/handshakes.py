"""The table: what a handshake costs, who does how many a second, prober beside its peers on the same servers.

Contenders run one after the other, in every round all of them: ratios are of the same round.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from tests.bench.contenders import CONTENDERS, Contender, Cost, Job, prober_once, prober_start
from tests.bench.figures import ratio, spread
from tests.bench.peers.blackbox import Blackbox, blackbox
from tests.bench.peers.native import build, build_go
from tests.bench.servers import SERVER_NAME, Servers, Site
from tests.bench.sizes import Sizes

__all__ = ["compare", "left_out"]

_LESS_START = "  less its start"
_YARDSTICKS = ("C, epoll", "Go, stops", "blackbox_exporter")

Costs = dict[str, list[Cost]]


@contextmanager
def left_out(what: str) -> Iterator[None]:
    """Say so, where a program is missing that a part needs; where ``CI=true`` that is a failure."""
    try:
        yield
    except pytest.skip.Exception as reason:
        print(f"!! {what} left out: {reason}", flush=True)


def compare(servers: Servers, sizes: Sizes, only: frozenset[str] | None = None) -> int:
    """Print the table; how many handshakes were wrong. ``only``: these contenders."""
    with ExitStack() as stack:
        field = [each for each in CONTENDERS if only is None or each.name in only]
        exporter: Blackbox | None = None
        missing = {each.name for each in field}
        with left_out("C"):
            build("cli")
            missing.discard("C, epoll")
        with left_out("Go, and what asks blackbox_exporter"):
            build_go("goclient")
            missing -= {"Go, stops", "Go, complete"}
            with left_out("blackbox_exporter"):
                if "blackbox_exporter" in missing:
                    exporter = stack.enter_context(blackbox(servers.directory, SERVER_NAME, servers.authority))
                    missing.discard("blackbox_exporter")
        missing &= {*_YARDSTICKS, "Go, complete"}
        field = [each for each in field if each.name not in missing]
        return sum(
            _block(servers, exporter, site, concurrency, field, sizes)
            for site in servers.sites
            for concurrency in sizes.concurrencies
        )


def _block(
    servers: Servers, exporter: Blackbox | None, site: Site, concurrency: int, field: list[Contender], sizes: Sizes
) -> int:
    """One server at one concurrency."""
    field = [each for each in field if concurrency <= each.most and not (each.finishes and site.replayed)]
    costs: Costs = {}
    for number in range(sizes.rounds):
        # Who goes first changes from round to round.
        for each in [*field[number % len(field) :], *field[: number % len(field)]]:
            job = Job(site, concurrency, _total(each, concurrency, sizes), servers, exporter)
            costs.setdefault(each.name, []).append(cost := each.shake_hands(job))
            if each.shake_hands is prober_once:
                start = prober_start(job)
                costs.setdefault(_LESS_START, []).append(_less(cost, start))
    return _print(site, concurrency, [*(each.name for each in field), _LESS_START], costs, sizes.rounds)


def _total(contender: Contender, concurrency: int, sizes: Sizes) -> int:
    """How many handshakes one round has. At concurrency 1 each takes twice the processor time, and ten times as long."""
    slow = 3 if concurrency == 1 else 1
    if not contender.typical:
        return max(sizes.bulk // slow, 3)
    return max(int(sizes.seconds * 1e6 / contender.typical) // slow, 2 * concurrency if concurrency > 1 else 3)


def _less(whole: Cost, start: Cost) -> Cost:
    handshakes = whole.handshakes - start.handshakes
    if handshakes <= 0:
        return whole
    return Cost(handshakes, max(whole.cpu - start.cpu, 1e-9), max(whole.wall - start.wall, 1e-9), start.wrong)


def _print(site: Site, concurrency: int, names: list[str], costs: Costs, rounds: int) -> int:
    print(f"\n{site.name}, concurrency {concurrency}; median [range] of {rounds} rounds")
    heads = [f"/ {name}" for name in _YARDSTICKS]
    print(f"  {'':18} {'µs of CPU a handshake':>24} {'handshakes a second':>28}  " + "  ".join(f"{head:>20}" for head in heads))
    wrong = 0
    for name in names:
        if name not in costs:
            continue
        own = costs[name]
        micros = [cost.microseconds for cost in own]
        ratios = [
            ratio(micros, [cost.microseconds for cost in costs[other]]) if other in costs and other != name else ""
            for other in _YARDSTICKS
        ]
        row = f"  {name:18} {spread(micros):>24} {spread([cost.rate for cost in own]):>28}  "
        print(row + "  ".join(f"{text:>20}" for text in ratios), flush=True)
        mistaken = sum(cost.wrong for cost in own)
        if mistaken:
            print(f"!! {name}: {mistaken} of {sum(cost.handshakes for cost in own)} handshakes were WRONG", file=sys.stderr)
        wrong += mistaken
    return wrong
