"""Kill -9 at fifty random moments, two hundred targets, a receiver that fails half of its calls: nothing is lost, told twice, or invented."""

from __future__ import annotations

import random
import signal
import sys
import threading
import time
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

from prober.changelog import VerdictChange
from prober.history import reading
from tests.e2e.rehearsal import Rehearsal, rehearsal
from tests.servers.hooks import Hook, hook
from tests.servers.processes import running
from tests.service.process import eventually, serving

TARGETS = 200
KILLS = 50
SEED = 20
VERDICTS = {"healthy": "ok", "envoy-reset": "non_sni_reset"}
SETTLED = 2.5
"""Seconds after which a service with rounds of one second must have seen what an ingress does."""


class Flip(NamedTuple):
    """One ingress changed its behaviour between two moments (Unix time)."""

    began: float
    ended: float
    verdict: str
    """What it deserves from then on."""


class Life(NamedTuple):
    """One process: Unix times. ``probing`` is None when it was killed before it had begun."""

    probing: float | None
    killed: float
    accepted: int
    """Calls that the receiver had taken in when it was over."""


class Flips:
    """Flips one target after the other, whether a service is there to see it or not."""

    def __init__(self, lab: Rehearsal, chance: random.Random) -> None:
        self._lab = lab
        self._chance = chance
        self._over = threading.Event()
        now = time.time()
        self.of: dict[str, list[Flip]] = {name: [Flip(now, now, "ok")] for name in lab.names}

    def run(self) -> None:
        """Until told to end."""
        while not self._over.wait(self._chance.uniform(0.05, 0.15)):
            name = self._chance.choice(self._lab.names)
            behaviour = "healthy" if self.of[name][-1].verdict != "ok" else "envoy-reset"
            began = time.time()
            self.of[name].append(Flip(began, self._lab.flip([name], behaviour), VERDICTS[behaviour]))

    @contextmanager
    def going_on(self) -> Iterator[None]:
        """In a thread of its own as long as the context lasts."""
        thread = threading.Thread(target=self.run)
        thread.start()
        try:
            yield
        finally:
            self._over.set()
            thread.join()


def kill_again_and_again(directory: Path, start: float, chance: random.Random, receiver: Hook) -> list[Life]:
    """Start the service, which takes so many seconds, and kill it at a random moment, also of its start.

    Every tenth time it may live for longer.
    """
    command = [sys.executable, "-m", "prober", "serve", "--config", directory / "prober.yml"]
    lives: list[Life] = []
    while len(lives) < KILLS:
        seconds = start + chance.uniform(3.0, 5.0) if len(lives) % 10 == 9 else chance.uniform(0.3 * start, start + 1.3)
        with running(command, directory=directory, name="prober-serve") as program:
            until, probing = time.time() + seconds, None
            while time.time() < until:
                time.sleep(0.02)
                if probing is None and "msg=started" in program.log():
                    probing = time.time()
            program.process.send_signal(signal.SIGKILL)
            assert program.process.wait(20) == -signal.SIGKILL, program.log()
        lives.append(Life(probing, time.time(), len(receiver.accepted)))
    return lives


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_service_that_is_killed_fifty_times_tells_every_change_once_and_in_order(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """What the receiver was told is what the history says, and the history is what the ingresses did."""
    chance = random.Random(SEED)
    print(f"\nseed {SEED}")
    with rehearsal(tmp_path, TARGETS) as lab, hook() as receiver:
        coin = random.Random(SEED + 1)
        receiver.mood = lambda _: 200 if coin.random() < 0.5 else 500
        document = {
            "listen": "127.0.0.1:0",
            "interval": "1s",
            "timeout": "900ms",
            "state": str(tmp_path / "state"),
            "modules": lab.modules,
            "targets": lab.targets,
            "alerting": {"failures": 1, "webhooks": [{"url": receiver.url}]},
        }
        (tmp_path / "prober.yml").write_text(yaml.safe_dump(document))
        began = time.monotonic()
        with serving(tmp_path, document) as service:
            start = time.monotonic() - began
            assert service.end()[0] == 0
        flips = Flips(lab, random.Random(SEED + 2))
        with flips.going_on():
            lives = kill_again_and_again(tmp_path, start, chance, receiver)
        receiver.mood = lambda _: 200  # else the last entries wait up to a minute for their next attempt
        with serving(tmp_path, document) as service:
            wanted = {f"{name} {lab.addresses[name]}": done[-1].verdict for name, done in flips.of.items()}
            eventually(lambda: service.verdicts() == wanted, "all verdicts are those of the last flips", 60.0)
            eventually(lambda: service.value("prober_notification_queue_length") == 0, "everything is delivered", 60.0)
            assert service.end()[0] == 0

    connection = reading.open_for_reading(tmp_path / "state")
    history = reading.changes(connection, None, 1_000_000)[::-1]
    notices = reading.notices(connection, None, 1_000_000)[::-1]
    (left,) = connection.execute("SELECT count(*) FROM outbox").fetchone()
    connection.close()
    assert left == 0

    again = told_again(receiver, lives)
    kept: dict[str, list[tuple[int, str, str]]] = defaultdict(list)
    for notice in notices:
        kept[notice.target].append((notice.sequence, notice.name, notice.phase))
    told: dict[str, list[tuple[int, str, str]]] = defaultdict(list)
    for call in receiver.seen():
        (alert,) = call.document["alerts"]
        told[alert["labels"].get("target", "")].append(
            (int(call.key.split("-")[1]), alert["labels"]["alertname"], alert["status"])
        )
    assert told == kept

    by_target: dict[str, list[VerdictChange]] = defaultdict(list)
    for change in history:
        by_target[change.target].append(change)
    assert set(by_target) == set(lab.names)
    seen = sum(is_what_happened(flips.of[name], changes, lives) for name, changes in by_target.items())
    alerted = 0
    for name, changes in by_target.items():
        if {change.verdict for change in changes} <= set(VERDICTS.values()):  # else the machine was too slow for a deadline
            fired = [(notice.at, notice.phase) for notice in notices if notice.target == name]
            assert fired == [
                (change.at, "firing" if change.verdict == "non_sni_reset" else "resolved")
                for change in changes
                if change.previous is not None or change.verdict != "ok"
            ]
            alerted += len(fired)

    probing = sum(life.probing is not None for life in lives)
    print(
        f"{KILLS} kills, {probing} of them after the start; {sum(map(len, flips.of.values())) - TARGETS} flips, {len(history)} changes"
    )
    print(
        f"{receiver.requests} calls: {len(receiver.refused)} failed, {len(receiver.seen())} changes told, {again} of them again with their key"
    )
    record_property("changes_told", len(receiver.seen()))
    assert probing > KILLS / 3
    # Enough was compared; on a busy machine deadlines pass, and targets with other verdicts are left out above.
    assert seen > TARGETS / 10
    assert alerted > TARGETS / 10


def told_again(receiver: Hook, lives: list[Life]) -> int:
    """How many changes the receiver was told again since their process was killed before it had heard the answer.

    They come with the same key and the same body, and never from the same process.
    """
    bodies: dict[str, bytes] = {}
    bounds = [life.accepted for life in lives]
    for begin, end in pairwise([0, *bounds, len(receiver.accepted)]):
        one_life = receiver.accepted[begin:end]
        assert not [key for key, count in Counter(call.key for call in one_life).items() if count > 1]
        for call in one_life:
            assert bodies.setdefault(call.key, call.body) == call.body
    again = len(receiver.accepted) - len(bodies)
    assert again <= 4 * KILLS  # so many calls may be under way to a receiver
    return again


def is_what_happened(flips: list[Flip], changes: list[VerdictChange], lives: list[Life]) -> int:
    """Check one target's history against what its ingress did; how many of its stretches a service had the time to see."""
    assert changes[0].previous is None
    for first, second in pairwise(changes):
        assert second.previous == first.verdict, f"a gap: {changes}"
        assert second.verdict != first.verdict
        assert second.at > first.at
    stretches = [(flip.began, after.ended, flip.verdict) for flip, after in pairwise([*flips, Flip(2e10, 2e10, "")])]
    for change in changes:
        if change.verdict in VERDICTS.values():
            # A round takes up to its deadline, and its hellos are spread over a quarter of a second.
            possible = {verdict for begin, end, verdict in stretches if begin < change.at and end > change.at - 1.5}
            assert change.verdict in possible, f"at {change.at} nothing did that: {flips} {changes}"
    moments = [change.at for change in changes]
    seen = 0
    for flip, after in pairwise(flips):
        for life in lives:
            if life.probing is not None and max(flip.ended, life.probing) + SETTLED < min(after.began, life.killed):
                seen += 1
                verdict = changes[bisect_right(moments, max(flip.ended, life.probing) + SETTLED) - 1].verdict
                assert verdict == flip.verdict or verdict not in VERDICTS.values()
    return seen
