"""What a scrape of many targets costs, and how long it holds up the loop: ``python -m tests.bench.scrape [TARGETS]``.

The states are real judgements; no handshake runs. ``step`` is CPU time between two checkpoints of one task, which is how long a
handshake's event may wait; CPU time, since on a shared machine the wall clock measures the neighbours.
"""

from __future__ import annotations

import resource
import sys
import time
from functools import partial

import httpx
import trio

from prober.outlets.web import create_app
from prober.outlets.web_server import bind, serve
from tests.outlets.fleet import FakeService, differential, judged, reset, target


class Steps(trio.abc.Instrument):
    """CPU time of each step of each task, in seconds."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self._began = 0.0

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        """Begin."""
        self._began = time.thread_time()

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        """End."""
        self.seconds.append(time.thread_time() - self._began)


def fleet(size: int) -> FakeService:
    """Every hundredth target resets clients without a name."""
    service = FakeService()
    targets = [
        target(f"target-{number:05}", f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", environment="prod")
        for number in range(size)
    ]
    service.targets = tuple(targets)
    for number, of in enumerate(targets):
        run = differential(of, none=reset() if number % 100 == 0 else None)
        service.store.record(of, run, judged(of, run).judgement, 0.0)
    return service


async def main(size: int) -> None:
    """Print one line for each kind of request."""
    service = fleet(size)
    print(f"{size} targets, {memory():.0f} MB")
    listeners = bind("127.0.0.1:0")
    shutdown = trio.Event()
    async with trio.open_nursery() as nursery:
        [url] = await nursery.start(partial(serve, create_app(service), listeners, shutdown=shutdown))
        for path, encoding in (
            ("/metrics", "gzip"),
            ("/metrics", "gzip"),
            ("/metrics", "identity"),
            ("/", "identity"),
            ("/api/v1/targets", "gzip"),
        ):
            steps = Steps()
            trio.lowlevel.add_instrument(steps)
            cpu, wall = time.thread_time(), time.perf_counter()
            received = 0
            async with (
                httpx.AsyncClient(trust_env=False, timeout=60) as http,
                http.stream("GET", url + path, headers={"Accept-Encoding": encoding}) as answer,
            ):
                async for piece in answer.aiter_raw():
                    received += len(piece)
            cpu, wall = time.thread_time() - cpu, time.perf_counter() - wall
            trio.lowlevel.remove_instrument(steps)
            taken = sorted(steps.seconds[2:])
            p50, p99 = taken[len(taken) // 2], taken[int(len(taken) * 0.99)]
            print(
                f"{path:<16} {encoding:<8} {received / 1e6:7.2f} MB  {wall:5.2f} s  loop's CPU {cpu:5.2f} s"
                f"  step p50 {p50 * 1e3:4.2f}  p99 {p99 * 1e3:4.2f}  max {taken[-1] * 1e3:5.2f} ms"
            )
        shutdown.set()
    print(f"at most {memory():.0f} MB")


def memory() -> float:
    """The most that was resident so far, in megabytes."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / (1 << 20 if sys.platform == "darwin" else 1 << 10)


if __name__ == "__main__":
    trio.run(main, int(sys.argv[1]) if len(sys.argv) > 1 else 10_000)
