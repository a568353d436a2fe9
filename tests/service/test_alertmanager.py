"""A real Alertmanager hears what holds: fires, resolves, and after a downtime the truth and no replay."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from prober.outlets.payload import fingerprint
from prober.service.alerting import as_others_reach_it
from tests.servers.alertmanager import alertmanager
from tests.servers.hooks import hook
from tests.servers.ports import Ports
from tests.service.process import eventually, serving


class Ingress:
    """Accepts and hangs up (TLS fails), or refuses (unreachable), on one address."""

    def __init__(self) -> None:
        self.holder = socket.socket()
        self.holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.holder.bind(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self.holder.getsockname()[1]}"

    @contextmanager
    def accepting(self) -> Iterator[None]:
        """Up as long as the context lasts; every connection is closed at once."""
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(self.holder.getsockname())
        listener.listen(16)
        listener.settimeout(0.1)
        over = threading.Event()

        def serve() -> None:
            while not over.is_set():
                try:
                    connection, _ = listener.accept()
                except TimeoutError:
                    continue
                connection.close()

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
            listener.close()


@pytest.fixture
def ingress() -> Iterator[Ingress]:
    made = Ingress()
    yield made
    made.holder.close()


def document(ingress: Ingress, **alerting: Any) -> dict[str, Any]:
    target = {"name": "edge", "addresses": [ingress.address], "server_names": ["api.example.test"], "labels": {"team": "core"}}
    return {"interval": "300ms", "targets": [target], "alerting": alerting}


def names(alerts: list[dict[str, Any]]) -> set[str]:
    """But that the prober is late: that goes by the machine."""
    return {alert["labels"]["alertname"] for alert in alerts} - {"ProberLate"}


@pytest.mark.timeout(120)
def test_an_alert_reaches_alertmanager_and_is_resolved(tmp_path: Path, ingress: Ingress) -> None:
    """Labels are the identity, annotations say what to do, and links lead to the page and the runbook."""
    with alertmanager(tmp_path) as receiver:
        settings = document(ingress, alertmanagers=[receiver.url], external_url="https://prober.example.com/")
        with serving(tmp_path, settings) as service:
            (alert,) = receiver.alerts_until(lambda alerts: names(alerts) == {"IngressUnreachable"})
            assert alert["labels"] == {
                "alertname": "IngressUnreachable",
                "target": "edge",
                "address": ingress.address,
                "severity": "critical",
                "team": "core",
            }
            assert alert["fingerprint"] == fingerprint(alert["labels"])
            assert alert["generatorURL"] == "https://prober.example.com/targets/edge"
            told = alert["annotations"]
            assert (told["verdict"], told["outcome"]) == ("unreachable", "refused")
            assert told["runbook_url"] == "https://prober.example.com/runbooks#ingressunreachable"
            assert ingress.address in told["summary"]
            assert told["since"].startswith("20")
            eventually(lambda: service.value("prober_notification_queue_length") == 0, "nothing waits, since all is told")
            with ingress.accepting():
                receiver.alerts_until(lambda alerts: names(alerts) == {"IngressTlsDown"})
            name = f"alertmanager:{receiver.endpoint}"
            assert (service.value("prober_notifications_total", receiver=name, result="delivered") or 0) >= 2


@pytest.mark.parametrize(
    ("listening", "link"),
    [
        ("http://127.0.0.1:9859", "http://127.0.0.1:9859"),
        ("https://[::1]:9859", "https://[::1]:9859"),
        ("http://0.0.0.0:9859", f"http://{socket.gethostname()}:9859"),
        ("https://[::]:9859", f"https://{socket.gethostname()}:9859"),
    ],
)
def test_links_lead_to_this_host_where_it_listens_on_every_address(listening: str, link: str) -> None:
    """Nobody can follow one to 0.0.0.0."""
    assert as_others_reach_it(listening) == link


@pytest.mark.timeout(120)
def test_an_alertmanager_that_was_away_hears_what_holds_now(tmp_path: Path, ingress: Ingress) -> None:
    """Not the alert that came and went meanwhile."""
    with Ports() as ports:
        endpoint = ports.take()
        with serving(tmp_path, document(ingress, alertmanagers=[f"http://{endpoint}"], failures=1)) as service:
            with ingress.accepting():
                eventually(lambda: service.verdicts() == {f"edge {ingress.address}": "tls_failing"}, "TLS fails")
                eventually(lambda: "alert firing" in service.program.log(), "an alert fires")
            eventually(lambda: "alert=IngressUnreachable" in service.program.log(), "another alert fires")
            with alertmanager(tmp_path, endpoint) as receiver:
                receiver.alerts_until(lambda alerts: "IngressUnreachable" in names(alerts))
            assert 'problem="Connection refused"' in service.program.log()


@pytest.mark.timeout(120)
def test_a_receiver_that_hangs_delays_nobody_else(tmp_path: Path, ingress: Ingress) -> None:
    """Neither another receiver, nor probing, nor the end of the service."""
    with hook() as hanging, hook() as prompt:
        hanging.mood = lambda _: 0
        receivers = [{"url": hanging.url, "name": "hanging"}, {"url": prompt.url, "name": "prompt"}]
        with serving(tmp_path, document(ingress, webhooks=receivers, alertmanagers=[hanging.url])) as service:
            eventually(lambda: hanging.requests == 2, "both hang")
            eventually(lambda: prompt.seen(), "the other one is told")
            before = service.value("prober_schedule_lateness_seconds_count") or 0
            eventually(lambda: (service.value("prober_schedule_lateness_seconds_count") or 0) > before + 6, "probing goes on")
            began = time.monotonic()
            assert service.end()[0] == 0
            assert time.monotonic() - began < 8.0
        (call,) = prompt.seen()
        assert call.document["alerts"][0]["labels"]["alertname"] == "IngressUnreachable"


@pytest.mark.timeout(120)
def test_a_reload_takes_receivers_and_rows_into_use(tmp_path: Path, ingress: Ingress) -> None:
    """What fires goes on firing: a new receiver hears of changes alone, a new Alertmanager of what holds."""
    with hook() as first, hook() as second:
        settings = document(ingress, failures=1000, webhooks=[{"url": first.url, "name": "first"}])
        with serving(tmp_path, settings) as service:
            service.wait_ready()
            service.rewrite(
                {"listen": "127.0.0.1:0", **document(ingress, failures=1, webhooks=[{"url": second.url, "name": "second"}])}
            )
            assert service.get("/-/reload", "POST").status == 200
            eventually(lambda: second.seen(), "the new receiver is told by the new rule")
            assert first.requests == 0
            service.rewrite({"listen": "127.0.0.1:0", **document(ingress, failures=1, alertmanagers=[first.url])})
            assert service.get("/-/reload", "POST").status == 200
            eventually(lambda: first.accepted, "the new Alertmanager is told of what fires already")
            assert first.accepted[0].path == "/api/v2/alerts"
            assert names(first.accepted[0].document) == {"IngressUnreachable"}
