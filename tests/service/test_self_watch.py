"""What the prober says about itself: of the last window, not of all its life."""

from __future__ import annotations

from prober.judge.alert_rules import AlertName, Condition
from prober.service.self_watch import SelfWatch
from prober.snapshot import Statistics


def seen(watch: SelfWatch) -> dict[AlertName, tuple[Condition, str]]:
    """What one look says."""
    return {name: (condition, why.summary) for name, condition, why in watch.look()}


def test_the_errno_that_is_named_is_the_one_of_now() -> None:
    """A shortage of descriptors last week is no reason to raise their limit when ports have run out."""
    statistics = Statistics(lambda: 0, 0.0)
    watch = SelfWatch(statistics)
    statistics.local_errors = {"EMFILE": 1000}
    assert "(most often EMFILE)" in seen(watch)[AlertName.PROBER_LOCAL_ERRORS][1]
    statistics.local_errors = {"EMFILE": 1001, "EADDRNOTAVAIL": 5}
    condition, summary = seen(watch)[AlertName.PROBER_LOCAL_ERRORS]
    assert condition is Condition.FAILING
    assert summary.startswith("6 handshakes failed on the prober's own host in the last 10 s (most often EADDRNOTAVAIL)")
    assert seen(watch)[AlertName.PROBER_LOCAL_ERRORS][0] is Condition.HEALTHY


def test_the_file_that_cannot_be_used_is_named() -> None:
    """Whoever is sent to the configuration for a new certificate beside the old key looks for long."""
    statistics = Statistics(lambda: 0, 0.0)
    watch = SelfWatch(statistics)
    statistics.web_file_read(usable=False)
    condition, summary = seen(watch)[AlertName.PROBER_RELOAD_FAILED]
    assert condition is Condition.FAILING
    assert summary.startswith("The web configuration file")
    statistics.reload_successful = False
    assert seen(watch)[AlertName.PROBER_RELOAD_FAILED][1].startswith("The last reload found errors in the configuration")
