"""The page of one target: everything that is known about it."""

from __future__ import annotations

import sqlite3

import trio
import trio.testing

from prober.changelog import KeptFailure, RecentChanges
from tests.outlets.fleet import (
    NOW,
    FakeService,
    HangingChanges,
    certificate,
    differential,
    expired,
    issued,
    reset,
    target,
)
from tests.outlets.page import fleet, page


async def test_a_target_s_page_tells_everything_about_it() -> None:
    """Configuration, each address, each hello with its certificates and problems, changes newest first."""
    service = FakeService()
    of = target("edge/one", "ingress.example.com", environment="prod")
    service.see(of, differential(of), at=NOW - 500)
    service.see(of, differential(of, known=certificate(expired().ders), none=reset()))
    tree = await page(service, "/targets/edge%2Fone")
    main = tree.all("main")[0].text

    assert tree.all("h1")[0].text == "edge/one"
    for said in (
        "must get a certificate",
        "environment=prod",
        "certificate_invalid",
        "non_sni_reset",
        expired().sha256,
        "CN=Example Root",
        "expired on",
        "t13d1516h2_8daaf6152771_e5627efa2ab1",
    ):
        assert said in main
    changes = [item.text for item in tree.all("section", class_="history")[0].all("li")]
    assert "OK → Certificate invalid" in changes[0]
    assert "First judged: OK" in changes[1]


async def test_addresses_at_fault_come_first() -> None:
    """Of many, the one that one came for is not at the page's end, nor left out with those that are too many."""
    service = FakeService()
    of = target("edge", *(f"192.0.2.{number}" for number in range(1, 61)))
    for address in of.addresses:
        ends = reset() if address.host == "192.0.2.60" else None
        service.see(of, differential(of, address=address, none=ends))
    tree = await page(service, "/targets/edge")
    articles = tree.all("article", class_="endpoint")
    assert articles[0].all("h2")[0].text == "192.0.2.60:443"
    assert [article.has("class_", "fault") for article in articles] == [True] + [False] * 49


async def test_a_history_that_does_not_answer_hides_no_verdict(autojump_clock: trio.testing.MockClock) -> None:
    """A disk that hangs, or that is damaged: here, too."""

    class Damaged(RecentChanges):
        async def failures(self, target: str | None = None, *, limit: int = 1000) -> list[KeptFailure]:
            raise sqlite3.DatabaseError("database disk image is malformed")

    for history, at in ((HangingChanges(), "history"), (Damaged(), "failures")):
        service = fleet()
        service.changes = history
        tree = await page(service, "/targets/resets")
        assert len(tree.all("article", class_="endpoint")) == 1
        assert "cannot be read now" in tree.all("section", class_=at)[0].text


async def test_a_change_to_what_the_policy_asks_for_is_no_failure() -> None:
    """Clients without SNI are rejected, as they are meant to be."""
    service = FakeService()
    of = target("closed", policy="rejected")
    service.see(of, differential(of), at=NOW - 500)
    service.see(of, differential(of, none=reset()))
    tree = await page(service, "/targets/closed")
    lines = tree.all("section", class_="history")[0].all("li")
    assert [line.has("class_", "ok") for line in lines] == [True, False]


async def test_a_target_that_is_not_watched_is_404() -> None:
    """Said so, with a way to look for it; of one that was watched, when it was last heard of."""
    service = fleet()
    tree = await page(service, "/targets/gone%3Cb%3E", 404)
    assert tree.all("h1")[0].text == "There is no target gone<b>"
    assert tree.all("p")[0].all("a")[0].attributes["href"] == "/?q=gone%3Cb%3E"
    service.targets = ()
    assert "ago its verdict became non_sni_reset" in (await page(service, "/targets/resets", 404)).all("p")[0].text


async def test_the_certificate_on_the_page_is_the_one_that_was_presented() -> None:
    """Its fingerprint and serial number, by the certificate itself."""
    service = FakeService()
    of = target()
    service.see(of, differential(of))
    text = (await page(service, "/targets/apigee-prod")).text

    assert issued().sha256 in text
    assert f"{issued().certificate.serial_number:x}" in text
