"""An Alertmanager that is down for an hour, in an hour of Trio's clock: what it hears when it is back."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
import trio
import trio.testing

from prober.judge.alerting import Alert, Phase
from prober.notices import Alertmanager
from prober.outlets import alertmanager as outlet
from prober.outlets.alertmanager import ALONE, AlertmanagerSender
from prober.outlets.payload import alertmanager_alert
from tests.outlets.test_notifier import AT, FIRING, LINKS

HOUR = 3600.0


class Receiver(httpx.AsyncBaseTransport):
    """An Alertmanager without a network, whose waits would not be the clock's."""

    def __init__(self) -> None:
        self.up = True
        self.attempts = 0
        self.heard: list[tuple[float, str, bool]] = []
        """Trio's time, target, and whether the alert is over by then."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Take in, or refuse the connection."""
        await trio.lowlevel.checkpoint()
        self.attempts += 1
        if not self.up:
            raise httpx.ConnectError("refused")
        now = trio.current_time()
        alerts: list[dict[str, Any]] = json.loads(await request.aread())
        for alert in alerts:
            self.heard.append((now, alert["labels"]["target"], alert["endsAt"] <= _rfc3339(now)))
        return httpx.Response(200, stream=httpx.ByteStream(b"{}"))

    def since(self, moment: float) -> dict[str, bool]:
        """What was heard last of each target since then."""
        return {target: over for at, target, over in self.heard if at >= moment}


def _rfc3339(now: float) -> str:
    # The same text as an alert has that ends now.
    ended = FIRING._replace(phase=Phase.RESOLVED, ends_at=AT + now)
    return str(alertmanager_alert(ended, LINKS, AT + now, 0.0)["endsAt"])


class Fleet:
    """Alerts that fire and are resolved, as the service decides them."""

    def __init__(self) -> None:
        self.firing: dict[str, Alert] = {}

    def fire(self, target: str) -> list[Alert]:
        """From now on."""
        made = FIRING._replace(key=FIRING.key._replace(target=target), starts_at=AT + trio.current_time())
        self.firing[target] = made
        return [made]

    def resolve(self, target: str) -> list[Alert]:
        """Over."""
        return [self.firing.pop(target)._replace(phase=Phase.RESOLVED, ends_at=AT + trio.current_time())]


async def test_an_alertmanager_that_was_down_for_an_hour_hears_the_current_truth(
    autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All that fires, and what was resolved just now; nothing that came and went, and nothing that has ended by itself there."""
    receiver, fleet, results = Receiver(), Fleet(), []

    async def client(_access: object) -> httpx.AsyncClient:
        return httpx.AsyncClient(transport=receiver)

    monkeypatch.setattr(outlet, "client", client)
    sender = AlertmanagerSender(
        Alertmanager(name="a", url="http://alertmanager.example"),
        lambda: LINKS,
        lambda: fleet.firing.values(),
        lambda _name, result, _problem: results.append(result),
        clock=lambda: AT + trio.current_time(),
    )
    async with trio.open_nursery() as nursery:
        nursery.start_soon(sender.run)
        for target in ("stays", "ends-early", "ends-late"):
            sender.changed(fleet.fire(target))
        await trio.sleep(100)
        assert receiver.since(0) == {"stays": False, "ends-early": False, "ends-late": False}

        receiver.up, went = False, trio.current_time()
        attempts = receiver.attempts
        await trio.sleep(600)
        sender.changed(fleet.resolve("ends-early"))
        sender.changed(fleet.fire("came-and-went"))
        await trio.sleep(600)
        sender.changed(fleet.resolve("came-and-went"))
        sender.changed(fleet.fire("came"))
        await trio.sleep(HOUR - 1260)
        sender.changed(fleet.resolve("ends-late"))
        await trio.sleep(60)
        assert receiver.since(went) == {}
        assert HOUR / 35 < receiver.attempts - attempts < HOUR / 14  # every half minute at most, half of it by chance

        receiver.up, back = True, trio.current_time()
        await trio.sleep(31)
        truth = {"stays": False, "came": False, "ends-late": True}
        assert receiver.since(back) == truth
        assert sender.waiting == 0
        await trio.sleep(2 * ALONE.resend)
        assert receiver.since(back + 32) == {"stays": False, "came": False}
        nursery.cancel_scope.cancel()
    assert results[-1] == "delivered"
    assert "failed" in results
