"""Several vantage points, one alert: what a real Alertmanager makes of probers that send the same alert and end it at different times."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio

from prober.judge.alert_rules import AlertName, Evidence
from prober.judge.alerting import Alert, AlertKey, Phase
from prober.notices import Alertmanager as Receiver
from prober.outlets.alertmanager import ALONE, AMONG_OTHERS, AlertmanagerSender, Pace
from prober.outlets.payload import Links
from tests.servers.alertmanager import Alertmanager, alertmanager

QUICK = Pace(0.5, ends=False)
"""As `AMONG_OTHERS`, thirty times as fast."""


class Prober:
    """What one prober sees of one ingress, and its sender."""

    def __init__(self, vantage: str, receiver: Alertmanager, pace: Pace, target: str = "edge") -> None:
        self.alert = Alert(
            AlertKey(AlertName.UNREACHABLE, target, "192.0.2.10:443") if target else AlertKey(AlertName.PROBER_LOCAL_ERRORS),
            {"team": "core"} if target else {"vantage": vantage},
            Phase.FIRING,
            time.time(),
            time.time(),
            None,
            Evidence("unreachable", "refused", "It is down."),
        )
        self.delivered = 0
        links = Links("https://prober.example.com", "https://prober.example.com/runbooks#", vantage)
        told = Receiver(name="alertmanager", url=receiver.url)
        self.sender = AlertmanagerSender(told, lambda: links, self.standing, self.report, pace=lambda: pace)

    def standing(self) -> Iterable[Alert]:
        """What fires."""
        return [self.alert] if self.alert.phase is Phase.FIRING else []

    def report(self, _receiver: str, result: str, _problem: str | None) -> None:
        """Count what has arrived."""
        self.delivered += result == "delivered"

    def heal(self) -> None:
        """No fault is seen from here any more."""
        self.alert = self.alert._replace(phase=Phase.RESOLVED, ends_at=time.time())
        self.sender.changed([self.alert])


@asynccontextmanager
async def sending(*probers: Prober) -> AsyncIterator[None]:
    """All of them, as long as the context lasts."""
    async with trio.open_nursery() as nursery:
        for prober in probers:
            nursery.start_soon(prober.sender.run)
        yield
        nursery.cancel_scope.cancel()


async def until(receiver: Alertmanager, count: int) -> list[dict[str, Any]]:
    """The active alerts once they are so many."""
    return await trio.to_thread.run_sync(partial(receiver.alerts_until, lambda alerts: len(alerts) == count))


async def arrived(*probers: Prober) -> None:
    """All of them have been heard."""
    with trio.fail_after(20):
        while not all(prober.delivered for prober in probers):  # noqa: ASYNC110 -- it is a server that says so
            await trio.sleep(0.02)


async def active_for(receiver: Alertmanager, seconds: float) -> None:
    """Ask many times whether the one alert is there."""
    end = trio.current_time() + seconds
    while trio.current_time() < end:
        assert len(await trio.to_thread.run_sync(receiver.alerts)) == 1
        await trio.sleep(0.02)


@pytest.mark.timeout(120)
async def test_two_vantage_points_are_one_alert_that_ends_with_the_last(tmp_path: Path) -> None:
    """Both fire: one alert, with the place of the last to speak. One heals: it stays, without a gap. Both: it ends."""
    with alertmanager(tmp_path) as receiver:
        paris, tokyo = Prober("paris", receiver, QUICK), Prober("tokyo", receiver, QUICK)
        async with sending(paris, tokyo):
            (alert,) = await until(receiver, 1)
            assert "vantage" not in alert["labels"]
            await arrived(paris, tokyo)
            (alert,) = await until(receiver, 1)
            assert alert["annotations"]["vantage"] in {"paris", "tokyo"}
            tokyo.heal()
            await active_for(receiver, 2 * QUICK.validity)
            (alert,) = await until(receiver, 1)
            assert alert["annotations"]["vantage"] == "paris"
            paris.heal()
            await until(receiver, 0)


@pytest.mark.timeout(120)
async def test_an_end_that_is_sent_ends_it_for_all(tmp_path: Path) -> None:
    """Why probers at several vantage points do not send it: Alertmanager forgets what another one has said."""
    with alertmanager(tmp_path) as receiver:
        paris, tokyo = Prober("paris", receiver, ALONE), Prober("tokyo", receiver, ALONE)
        async with sending(paris, tokyo):
            await arrived(paris, tokyo)
            await until(receiver, 1)
            tokyo.heal()
            await until(receiver, 0)


@pytest.mark.timeout(120)
async def test_what_is_about_a_prober_is_its_own_and_ends_at_once(tmp_path: Path) -> None:
    """With its vantage point as a label: that Paris lacks descriptors is not that Tokyo does."""
    with alertmanager(tmp_path) as receiver:
        slow = Pace(60.0, ends=False)
        paris, tokyo = Prober("paris", receiver, slow, target=""), Prober("tokyo", receiver, slow, target="")
        async with sending(paris, tokyo):
            await until(receiver, 2)
            tokyo.heal()
            (alert,) = await until(receiver, 1)
            assert alert["labels"]["vantage"] == "paris"


def test_silence_ends_an_alert_within_a_minute() -> None:
    """What a prober among others promises, with room for three sends that get lost."""
    assert AMONG_OTHERS.validity == 60.0
    assert not AMONG_OTHERS.ends
    assert ALONE.ends
