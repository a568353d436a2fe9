"""The page of one target: everything that is known about it."""

from __future__ import annotations

from tests.outlets.fleet import (
    NOW,
    FakeService,
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
