"""What receivers are sent, and how it is delivered."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import trio

from prober.judge.alert_rules import AlertName, Evidence
from prober.judge.alerting import Alert, AlertChange, AlertKey, Phase
from prober.notices import Alertmanager, OutboxEntry, Receivers, Webhook, masked
from prober.outlets.delivery import Backoff
from prober.outlets.notifier import Notifier
from prober.outlets.payload import Links, alertmanager_alert, fingerprint, webhook_payload
from prober.outlets.webhook import WebhookSender, signature
from prober.snapshot import Statistics
from tests.servers.hooks import hook

AT = 1_790_000_000.0
LINKS = Links("https://prober.example.com", "https://prober.example.com/runbooks#")
FIRING = Alert(
    AlertKey(AlertName.NON_SNI_FAILING, "edge/1", "192.0.2.10:443"),
    {"team": "core", "app.kubernetes.io/name": "x"},
    Phase.FIRING,
    AT,
    AT + 15,
    None,
    Evidence("non_sni_reset", "reset", "It resets."),
)
RESOLVED = FIRING._replace(phase=Phase.RESOLVED, ends_at=AT + 60)


async def until(holds: Callable[[], bool]) -> None:
    """Return once it does."""
    with trio.fail_after(20):
        while not holds():  # noqa: ASYNC110 -- what is waited for happens in a server's thread
            await trio.sleep(0.01)


def change(sequence: int, target: str = "edge") -> AlertChange:
    """The nth change, of a target."""
    return AlertChange(sequence, AT + sequence, Phase.PENDING, FIRING._replace(key=FIRING.key._replace(target=target)))


def test_a_webhook_gets_alertmanagers_payload_of_version_4() -> None:
    """Key by key, so that what reads Alertmanager's notifications reads these."""
    labels = {
        "address": "192.0.2.10:443",
        "alertname": "NonSniHandshakesFailing",
        "app_kubernetes_io_name": "x",
        "severity": "critical",
        "target": "edge/1",
        "team": "core",
    }
    told = {
        "verdict": "non_sni_reset",
        "outcome": "reset",
        "since": "2026-09-21T14:13:20.000Z",
        "summary": "It resets.",
        "runbook_url": "https://prober.example.com/runbooks#nonsnihandshakesfailing",
    }
    payload = json.loads(webhook_payload(AlertChange(1, AT, Phase.PENDING, FIRING), "on-call", LINKS))
    group = payload.pop("groupKey")
    assert group.startswith('{}:{address="192.0.2.10:443", alertname="NonSniHandshakesFailing", ')
    assert payload == {
        "receiver": "on-call",
        "status": "firing",
        "alerts": [
            {
                "status": "firing",
                "labels": labels,
                "annotations": told,
                "startsAt": "2026-09-21T14:13:35.000Z",
                "endsAt": "0001-01-01T00:00:00Z",
                "generatorURL": "https://prober.example.com/targets/edge%2F1",
                "fingerprint": fingerprint(labels),
            }
        ],
        "groupLabels": labels,
        "commonLabels": labels,
        "commonAnnotations": told,
        "externalURL": "https://prober.example.com",
        "version": "4",
        "truncatedAlerts": 0,
    }


def test_alertmanager_is_told_when_a_firing_alert_ends_by_itself() -> None:
    """A resolved one has ended when it did."""
    assert alertmanager_alert(FIRING, LINKS, AT + 100, 240.0)["endsAt"] == "2026-09-21T14:19:00.000Z"
    assert alertmanager_alert(RESOLVED, LINKS, AT + 100, 240.0)["endsAt"] == "2026-09-21T14:14:20.000Z"


def test_flapping_is_named_in_the_annotations() -> None:
    """And in the sentence that people read first."""
    flapping = FIRING._replace(turns=tuple(AT + 60 * number for number in range(6)))
    told = alertmanager_alert(flapping, LINKS, AT, 240.0)["annotations"]
    assert told["flapping"] == "changed 6 times within 5 min"
    assert told["summary"] == "Flapping (changed 6 times within 5 min): It resets."


def test_a_signature_is_the_hmac_of_the_body() -> None:
    """RFC 4231, test case 2."""
    assert signature("Jefe", b"what do ya want for nothing?") == (
        "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    )


async def test_a_key_that_becomes_bytes_is_told_and_signs_nothing(tmp_path: Path) -> None:
    """Files are read at each attempt: one that is rotated badly delays the delivery until it is rotated well."""
    key = tmp_path / "key"
    key.write_bytes(b"\xff\xfe")
    problems: list[str | None] = []
    with hook() as receiver:
        sender = WebhookSender(
            Webhook(name="on-call", url=receiver.url, secret_file=str(key)),
            lambda _, __, problem: problems.append(problem),
            lambda _: None,
            Backoff(first=0.01),
            lambda: AT,
        )
        sender.add([OutboxEntry(1, "on-call", "edge", "key-1", b"{}", AT)])
        async with trio.open_nursery() as nursery:
            nursery.start_soon(sender.run)
            await until(lambda: bool(problems))
            assert problems[0] == f"{key} cannot be read: it is no UTF-8"
            assert not receiver.requests
            key.write_text("Jefe")
            await until(lambda: sender.queued == 0)
            nursery.cancel_scope.cancel()


def test_waiting_doubles_up_to_a_cap_and_is_never_the_same() -> None:
    """Half of it is chance; a receiver that names a time is heard, within the cap."""
    low, high = Backoff(1.0, 30.0, lambda: 0.0), Backoff(1.0, 30.0, lambda: 1.0)
    assert [low.seconds(failures) for failures in (1, 2, 3, 6, 5000)] == [0.5, 1.0, 2.0, 15.0, 15.0]
    assert [high.seconds(failures) for failures in (1, 2, 3, 6, 5000)] == [1.0, 2.0, 4.0, 30.0, 30.0]
    assert low.seconds(1, at_least=20.0) == 20.0
    assert low.seconds(1, at_least=999.0) == 30.0


def test_secrets_are_in_no_representation() -> None:
    """User information, paths that are tokens, and queries."""
    url = "https://user:hunter2@hooks.example.com:8443/x?token=hunter2"
    shown = repr(Receivers(alertmanagers=(Alertmanager(name="a", url=url),), webhooks=(Webhook(name="w", url=url),))) + masked(
        url
    )
    assert "hunter2" not in shown
    assert masked(url) == "https://***@hooks.example.com:8443/x?***"


async def test_one_target_waits_for_its_own_changes_and_for_no_other() -> None:
    """A change that is refused holds up those behind it, and nobody else's."""
    with hook() as receiver:
        told: list[OutboxEntry] = []
        sender = WebhookSender(Webhook(name="w", url=receiver.url), lambda *_: None, told.append, Backoff(0.01, 0.02), lambda: AT)
        receiver.mood = lambda _: 500 if len(receiver.refused) < 5 else 200
        entries = [
            OutboxEntry(n, "w", lane, f"k-{n}", json.dumps({"n": n, "lane": lane}).encode(), AT)
            for n, lane in enumerate("aabbab")
        ]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(sender.run)
            sender.add(entries)
            await until(lambda: len(told) == len(entries))
            nursery.cancel_scope.cancel()
        seen = [call.document for call in receiver.seen()]
    assert {lane: [one["n"] for one in seen if one["lane"] == lane] for lane in "ab"} == {"a": [0, 1, 4], "b": [2, 3, 5]}
    assert sender.queued == 0


async def test_what_was_left_undone_is_taken_up_and_what_has_no_receiver_is_dropped() -> None:
    """After a restart with one webhook less."""
    with hook() as receiver:
        dropped: list[OutboxEntry] = []
        statistics = Statistics(lambda: 0, AT)
        notifier = Notifier("i", statistics, list, dropped.extend, lambda: AT)
        hooks = (Webhook(name="here", url=receiver.url),)
        notifier.configure(Receivers(webhooks=(*hooks, Webhook(name="gone", url="http://127.0.0.1:1"))), LINKS)
        entries = notifier.entries(change(1)) + notifier.entries(change(2))
        assert re.fullmatch(r"i-1-\d+", entries[0].key)
        again = Notifier("i", statistics, list, dropped.extend, lambda: AT)
        again.configure(Receivers(webhooks=hooks), LINKS)
        again.resume(entries, [])
        assert [(one.receiver, one.sequence) for one in dropped] == [("gone", 1), ("gone", 2)]
        assert statistics.notification_queue == 2
        async with trio.open_nursery() as nursery:
            await nursery.start(again.run)
            await until(lambda: statistics.notification_queue == 0)
            nursery.cancel_scope.cancel()
        assert [call.key for call in receiver.seen()] == [entries[0].key, entries[2].key]
        assert statistics.notifications == {("here", "delivered"): 2}
