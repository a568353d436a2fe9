"""Kill -9 in the middle of a delivery. At fifty random moments: `tests.e2e.test_kills`."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.servers.hooks import hook
from tests.service.process import eventually, serving


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
