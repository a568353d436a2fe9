"""What the tests of outcomes share: how a handshake ended, and hellos with a hook."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from prober.model import Close, Observation, Outcome, Stage
from prober.tls.client_hello import HelloFactory, Offer

IPS = pytest.mark.parametrize("ip", ["127.0.0.1", "::1"])

ALERT_112 = bytes.fromhex("15 03 03 00 02 02 70")
WARNING_112 = bytes.fromhex("15 03 03 00 02 01 70")


def ending(observation: Observation) -> tuple[Outcome, Stage, str | None, Close]:
    """What the contract says about how a handshake ended."""
    return observation.outcome, observation.stage, observation.errno, observation.close


class HookedFactory:
    """A HelloFactory that calls ``hook`` when a hello is wanted: between the connection's standing and the first send."""

    def __init__(self, factory: HelloFactory, hook: Callable[[], None], more: bytes = b"") -> None:
        self._factory = factory
        self._hook = hook
        self._more = more

    def __getattr__(self, name: str) -> Any:
        return getattr(self._factory, name)

    def offer(self, server_name: str | None) -> Offer:
        """The factory's, with ``more`` bytes behind it."""
        self._hook()
        offer = self._factory.offer(server_name)
        offer.wire += self._more
        return offer
