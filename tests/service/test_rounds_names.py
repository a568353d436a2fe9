"""Rounds of names: each of a name's addresses is an endpoint of its own."""

from __future__ import annotations

import logging

import pytest
import trio
from trio.testing import MockClock

from prober.config.alerting import DEFAULT_ALERTING
from prober.history.history import History
from prober.model import Endpoint, Outcome, Verdict
from prober.schedule import SLOT
from prober.service.alerting import Alerting
from prober.service.rounds import Rounds
from prober.snapshot import Change
from tests.outlets.fleet import certificate
from tests.service.watching import INTERVAL, Watching, target

# pytest-trio runs a test by the clock that is among the test's own arguments; a fixture's argument would not do.


async def test_every_address_of_a_name_is_an_endpoint_of_its_own(
    watching: Watching, autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    """A name is resolved in each round; what vanishes from DNS vanishes from the store."""
    watching.names.answers = {"ingress.example.com": ["203.0.113.1", "203.0.113.2"]}
    await watching.start(nursery, target("a", "ingress.example.com"))
    await trio.sleep(INTERVAL)
    assert watching.addresses() == ["203.0.113.1:443", "203.0.113.2:443"]
    watching.names.answers = {"ingress.example.com": ["203.0.113.2", "203.0.113.3"]}
    await trio.sleep(INTERVAL)
    assert watching.addresses() == ["203.0.113.2:443", "203.0.113.3:443"]
    assert watching.rounds.at(Endpoint("203.0.113.3", 443)) is not None
    assert watching.rounds.at(Endpoint("203.0.113.1", 443)) is None


async def test_a_name_without_address_is_unreachable_until_it_has_one(
    watching: Watching, autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    """The state is the name's own; it makes room for those of the addresses, and they for it."""
    await watching.start(nursery, target("a", "ingress.example.com"))
    await trio.sleep(INTERVAL)
    (state,) = watching.store
    assert (state.key.address, state.endpoint) == ("ingress.example.com:443", None)
    assert state.judgement.verdict is Verdict.UNREACHABLE
    assert state.differential.handshakes[0].observation.errno == "EAI_NONAME"
    watching.names.answers = {"ingress.example.com": ["203.0.113.1"]}
    await trio.sleep(INTERVAL)
    assert watching.addresses() == ["203.0.113.1:443"]
    watching.names.answers = {}
    await trio.sleep(INTERVAL)
    assert watching.addresses() == ["ingress.example.com:443"]


async def test_a_resolver_that_hangs_ends_at_the_deadline(
    watching: Watching, autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    """Resolution counts against the timeout; late is `resolve_failed`, and the next round is not skipped."""
    watching.names.delay = 1000.0
    await watching.start(nursery, target("a", "ingress.example.com"))
    await trio.sleep(2 * INTERVAL + INTERVAL / 2 + SLOT)
    (state,) = watching.store
    first = state.differential.handshakes[0].observation
    assert (first.outcome, first.errno) == (Outcome.RESOLVE_FAILED, "ETIMEDOUT")
    assert watching.statistics.skipped == {"in_flight": 0, "late": 0}


async def test_resolution_is_not_counted_as_lateness(
    watching: Watching, autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    """A slow DNS server is not a slow prober: lateness is from the tick to the start of the round."""
    watching.names.answers = {"ingress.example.com": ["203.0.113.1"]}
    await watching.start(nursery, target("a", "ingress.example.com"))
    await trio.sleep(INTERVAL)
    assert watching.statistics.lateness.count == 3
    assert watching.statistics.lateness.sum <= 0.5 + 1e-6


async def test_an_ip_that_a_name_resolves_to_as_well_is_probed_once(
    watching: Watching, autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    """One series has one writer: the literal's, whichever came first."""
    watching.names.answers = {"ingress.example.com": ["203.0.113.1", "203.0.113.2"]}
    await watching.start(nursery, target("a", "ingress.example.com"))
    await trio.sleep(INTERVAL)
    watching.watch(target("a", "ingress.example.com", "203.0.113.1"))
    assert sorted(watching.addresses()) == ["203.0.113.1:443", "203.0.113.2:443"]
    watching.runner.started.clear()
    await trio.sleep(2 * INTERVAL)
    assert sorted(endpoint.ip for _, _, endpoint in watching.runner.started) == ["203.0.113.1"] * 2 + ["203.0.113.2"] * 2
    watching.watch(target("a", "ingress.example.com"))
    await trio.sleep(INTERVAL)
    assert sorted(watching.addresses()) == ["203.0.113.1:443", "203.0.113.2:443"]


async def test_a_target_without_names_asks_for_its_address(
    watching: Watching, autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    """A name is its own known name, without the trailing dot; an IP address has none."""
    watching.names.answers = {"ingress.example.com.": ["203.0.113.1"]}
    await watching.start(nursery, target("a", "ingress.example.com.", "203.0.113.2", names=()))
    await trio.sleep(INTERVAL)
    asked = {endpoint.ip: one.server_names for _, one, endpoint in watching.runner.started}
    assert asked == {"203.0.113.1": ("ingress.example.com",), "203.0.113.2": ()}
    states = {state.key.address: state for state in watching.store}
    assert states["203.0.113.1:443"].target.server_names == ()
    assert states["203.0.113.2:443"].judgement.verdict is Verdict.INCONCLUSIVE


async def test_a_bug_with_one_address_of_a_name_is_no_end_of_the_name(
    watching: Watching, autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    """The round of the others ends after it, and the name is probed again at its next tick."""

    def broken(change: Change) -> None:
        if change.state.key.address == "203.0.113.1:443":
            raise ZeroDivisionError

    watching.names.answers = {"ingress.example.com": ["203.0.113.1", "203.0.113.2"]}
    watching.rounds = Rounds(watching.runner, watching.store, watching.statistics, broken, watching.clock)
    watching.runner.answers = None
    await watching.start(nursery, target("a", "ingress.example.com"))
    await trio.sleep(INTERVAL)
    for finish in watching.runner.pending:
        finish(lambda _: certificate())
    assert watching.statistics.local_errors == {"bug": 1}
    watching.runner.started.clear()
    await trio.sleep(INTERVAL + SLOT)
    assert {endpoint.ip for _, _, endpoint in watching.runner.started} == {"203.0.113.1", "203.0.113.2"}


def told(watching: Watching, history: History) -> Alerting:
    """Who decides about alerts, told of all rounds from now on."""
    alerting = Alerting(history, DEFAULT_ALERTING, watching.store, watching.statistics, watching.clock)
    watching.rounds = Rounds(
        watching.runner, watching.store, watching.statistics, watching.changes.append, watching.clock, witness=alerting
    )
    return alerting


async def test_a_name_that_fails_to_resolve_every_other_time_raises_no_alert(
    watching: Watching, autojump_clock: MockClock, nursery: trio.Nursery, caplog: pytest.LogCaptureFixture
) -> None:
    """Two failing rounds in a row are two in a row; a round in which its addresses are well lies between these."""
    caplog.set_level(logging.INFO, "prober.service")
    history = History.open(None)
    told(watching, history)
    await watching.start(nursery, target("a", "ingress.example.com"))
    for number in range(8):
        watching.names.answers = {"ingress.example.com": ["203.0.113.1"]} if number % 2 else {}
        await trio.sleep(INTERVAL)
    assert len(watching.changes) == 8
    assert "alert firing" not in caplog.text
    watching.names.answers = {}
    await trio.sleep(2 * INTERVAL)
    assert "alert firing" in caplog.text
    history.close()


async def test_the_end_of_an_alert_about_a_name_says_whether_it_is_watched_on(
    watching: Watching, autojump_clock: MockClock, nursery: trio.Nursery, caplog: pytest.LogCaptureFixture
) -> None:
    """One name resolves again, another is taken out of the configuration: the alerts about both end."""
    caplog.set_level(logging.INFO, "prober.service")
    history = History.open(None)
    alerting = told(watching, history)
    nursery.start_soon(alerting.run)
    back, removed = target("back", "back.example.com"), target("removed", "removed.example.com")
    await watching.start(nursery, back, removed)
    await trio.sleep(3 * INTERVAL)
    watching.names.answers = {"back.example.com": ["203.0.113.1"]}
    watching.watch(back)
    await trio.sleep(10 * INTERVAL)
    resolved = [record.fields for record in caplog.records if record.getMessage() == "alert resolved"]  # type: ignore[attr-defined]
    ends = {
        fields["target"]: fields["summary"].partition("(It ")[2] for fields in resolved if fields["alert"] == "IngressUnreachable"
    }
    assert ends == {"back": "resolves again.)", "removed": "is watched no more.)"}
    history.close()
