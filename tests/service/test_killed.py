"""Kill -9 at random moments: what was decided is told once, in order, and the history has it."""

from __future__ import annotations

import random
import re
import signal
import sys
import time
import urllib.request
from collections import defaultdict
from itertools import pairwise
from pathlib import Path

import pytest
import yaml

from prober.history import reading
from tests.servers.hooks import hook
from tests.servers.processes import running
from tests.service.process import eventually, serving

_CONTROL = re.compile(r"curl -X PUT --data envoy-reset (\S+)/")
LISTENERS = ("healthy", "envoy-reset", "alert-112")
KILLS = 20
KILLING_SECONDS = 25.0


@pytest.mark.timeout(180)
def test_a_service_that_is_killed_again_and_again_tells_every_change_once_and_in_order(tmp_path: Path) -> None:
    """A receiver that fails half of its calls ends with exactly what the history says, each once, in order for each target."""
    chance = random.Random(7)
    options = ["--port", "0", "--control-port", "0", "--directory", str(tmp_path / "lab")]
    with (
        hook() as receiver,
        running([sys.executable, "-u", "-m", "prober", "lab", *options], directory=tmp_path, name="prober-lab") as lab,
    ):
        receiver.mood = lambda _: 200 if chance.random() < 0.5 else 500
        eventually(lambda: _CONTROL.search(lab.log()), "the lab's announcement")
        control = _CONTROL.search(lab.log())
        assert control is not None
        document = yaml.safe_load((tmp_path / "lab" / "prober.yml").read_text())
        document["targets"] = [target for target in document["targets"] if target["name"] in LISTENERS]
        document |= {"interval": "250ms", "timeout": "200ms", "state": str(tmp_path / "state")}
        document["alerting"] = {"failures": 1, "webhooks": [{"url": receiver.url}]}

        def flip() -> None:
            behaviour = chance.choice(["healthy", "envoy-reset"])
            listener = chance.choice(LISTENERS)
            request = urllib.request.Request(f"http://{control[1]}/{listener}", data=behaviour.encode(), method="PUT")
            urllib.request.urlopen(request, timeout=20).close()

        deadline = time.monotonic() + KILLING_SECONDS
        kills = 0
        while kills < KILLS and time.monotonic() < deadline:
            with serving(tmp_path, document) as service:
                until = time.monotonic() + chance.uniform(0.0, 1.2)
                while time.monotonic() < until:
                    flip()
                    time.sleep(chance.uniform(0.05, 0.3))
                assert service.end(signal.SIGKILL)[0] == -signal.SIGKILL
                kills += 1
        with serving(tmp_path, document) as service:
            service.wait_ready()
            eventually(lambda: service.value("prober_notification_queue_length") == 0, "everything is delivered")
            changes = service.json("/api/v1/history")["changes"]
            assert service.end()[0] == 0

    assert kills >= 5
    connection = reading.open_for_reading(tmp_path / "state")
    notices = reading.notices(connection, None, 100_000)[::-1]
    (left,) = connection.execute("SELECT count(*) FROM outbox").fetchone()
    connection.close()
    assert left == 0
    told = defaultdict(list)
    for call in receiver.seen():
        (alert,) = call.document["alerts"]
        labels = alert["labels"]
        told[labels["target"]].append((int(call.key.split("-")[1]), labels["alertname"], alert["status"]))
    kept = defaultdict(list)
    for notice in notices:
        kept[notice.target].append((notice.sequence, notice.name, notice.phase))
    assert told == kept
    assert sum(map(len, told.values())) >= 3
    for target in told:
        states = [status for _, name, status in told[target] if name == "NonSniHandshakesFailing"]
        assert all(first != second for first, second in pairwise(states)), (
            f"{target} fired or was resolved twice in a row: {states}"
        )
    for target in LISTENERS:
        verdicts = [(change["from"], change["to"]) for change in reversed(changes) if change["target"] == target]
        assert verdicts[0][0] is None
        assert all(second[0] == first[1] for first, second in pairwise(verdicts)), f"a gap in the history of {target}: {verdicts}"


@pytest.mark.timeout(120)
def test_a_retry_of_a_change_is_the_same_request(tmp_path: Path) -> None:
    """The key, the body and the signature are those of the first attempt, also after a restart."""
    with hook() as receiver:
        receiver.mood = lambda _: 503
        (tmp_path / "url").write_text(f"{receiver.url}/secret-path\n")
        (tmp_path / "key").write_text("hunter2\n")
        document = {
            "interval": "300ms",
            "state": "state",
            "targets": [{"name": "nowhere", "addresses": ["127.0.0.1:1"], "server_names": ["api.example.test"]}],
            "alerting": {"webhooks": [{"url_file": "url", "secret_file": "key", "name": "on-call"}]},
        }
        with serving(tmp_path, document) as service:
            eventually(lambda: len(receiver.refused) > 1, "two attempts")
            assert "hunter2" not in service.get("/config").text + service.program.log()
            assert "secret-path" not in service.get("/config").text + service.program.log() + service.get("/metrics").text
            assert service.value("prober_notifications_total", receiver="on-call", result="failed") >= 2
            service.end(signal.SIGKILL)
        receiver.mood = lambda _: 200
        with serving(tmp_path, document) as service:
            eventually(lambda: receiver.seen(), "delivered after the restart")
            eventually(lambda: service.value("prober_notification_queue_length") == 0, "the queue is empty")
        attempts = {
            (call.key, call.body, call.headers["x-prober-signature-256"]) for call in receiver.refused + receiver.accepted
        }
        assert len(attempts) == 1
        state = b"".join(file.read_bytes() for file in (tmp_path / "state").iterdir())
        assert b"hunter2" not in state
        assert b"secret-path" not in state
