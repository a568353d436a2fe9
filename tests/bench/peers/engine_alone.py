"""prober's engine without what is around it: no judgement, no output. ``engine_alone PORT CONCURRENCY TOTAL NAME [each]``.

Prints {"outcomes": {...}, "seconds": S, "cpu": C}: the processor time between the first connect() and the last answer.
With ``each``, every handshake has an address of its own, and a line is printed for it, of the shape of `prober once`'s.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import time
from collections import Counter
from functools import partial

import trio

from prober.model import Endpoint, Observation, Sni
from prober.probing.attempt import Attempt
from prober.probing.descriptors import raise_descriptor_limit
from prober.probing.engine import Engine
from prober.tls.client_hello import HelloFactory
from prober.tls.profiles import PROFILES
from tests.bench.addresses import address


async def main(port: int, concurrency: int, total: int, name: str, *, each: bool) -> None:
    """Shake hands."""
    engine = Engine()
    factory = HelloFactory(PROFILES["modern"], entropy=os.urandom)
    endpoints = [Endpoint(address(number), port) for number in range(total if each else 200)]
    outcomes: Counter[str] = Counter()
    kept: list[tuple[str, Observation]] = []
    started = 0
    over = trio.Event()

    def start() -> None:
        nonlocal started
        endpoint = endpoints[started % len(endpoints)]
        started += 1
        attempt = Attempt(endpoint=endpoint, factory=factory, sni=Sni.KNOWN, server_name=name, timeout=60.0)
        engine.start(attempt, partial(keep, endpoint.ip) if each else ended)

    def keep(ip: str, observation: Observation) -> None:
        kept.append((ip, observation))
        ended(observation)

    def ended(observation: Observation) -> None:
        outcomes[observation.outcome] += 1
        if started < total:
            start()
        elif outcomes.total() == total:
            over.set()

    async with trio.open_nursery() as nursery:
        await nursery.start(engine.run)
        cpu, wall = time.process_time(), time.perf_counter()
        for _ in range(min(concurrency, total)):
            start()
        await over.wait()
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        nursery.cancel_scope.cancel()
    for ip, observation in kept:
        seconds = {"handshake": observation.seconds.handshake, "uncertainty": observation.seconds.uncertainty}
        print(json.dumps({"address": ip, "handshakes": [{"outcome": observation.outcome, "seconds": seconds}]}))
    if not each:
        print(json.dumps({"outcomes": outcomes, "seconds": wall, "cpu": cpu}))


if __name__ == "__main__":
    raise_descriptor_limit()
    gc.freeze()
    trio.run(partial(main, int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4], each=sys.argv[5:] == ["each"]))
