"""The status page: what a person sees, by a real HTML parser."""

from __future__ import annotations

import sqlite3

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from prober.changelog import RecentChanges, VerdictChange
from prober.model import Outcome, Verdict
from prober.outlets.listing import PAGE_ROWS, SHOW_ALL_UP_TO
from prober.outlets.pages import HELLOS_IN_FULL, HELLOS_LISTED
from prober.outlets.wording import OUTCOME_WORDS, VERDICT_TITLES
from tests.outlets.client import client
from tests.outlets.fleet import (
    NOW,
    FakeService,
    HangingChanges,
    certificate,
    default_certificate,
    differential,
    ending,
    expired,
    issued,
    reset,
    target,
)
from tests.outlets.page import Page, fleet, page, rows


async def test_faults_come_first_and_the_headline_counts_them() -> None:
    """What needs a person is on top, in the configuration's order; then what could not be judged; then the rest."""
    tree = await page(fleet())

    assert tree.all("h1")[0].text == "2 of 5 ingress addresses are at fault"
    assert tree.all("title")[0].text == "2 at fault · prober"
    assert [row.all("th")[0].all("a")[0].text for row in rows(tree)] == ["resets", "fake", "unsure", "fine", "strict"]
    assert [row.attributes["class"] for row in rows(tree)] == ["fault", "fault", "unsure", "ok", "ok"]
    assert [tile.text for tile in tree.all("a", class_="tile")] == ["2at fault", "1inconclusive", "2as expected"]


async def test_a_row_says_verdict_since_and_the_three_hellos() -> None:
    """In words and signs, not by colour alone; the sentence of the judge below."""
    tree = await page(fleet())
    [row] = [each for each in rows(tree) if "resets" in each.all("th")[0].text]

    assert VERDICT_TITLES[Verdict.NON_SNI_RESET] in row.text
    assert "non_sni_reset for" in row.text
    assert row.all("time")[0].attributes["datetime"] == "2026-09-21T14:13:20Z"
    known, none, unknown = row.all("td", class_="hellos")
    assert [cell.attributes["data-label"] for cell in (known, none, unknown)] == ["Right SNI", "No SNI", "Unknown SNI"]
    assert known.all("span", class_="chip")[0].has("class_", "good")
    assert none.all("span", class_="chip")[0].has("class_", "bad")
    assert none.all("use")[0].attributes["href"] == "#i-fault"
    assert none.all("span", class_="word")[0].text == OUTCOME_WORDS[Outcome.RESET]
    assert unknown.all("span", class_="chip")[0].has("class_", "neutral")
    assert "resets clients without SNI" in row.all("tr", class_="why")[0].text


async def test_a_chip_tells_details_to_whom_points_at_it_or_tabs_to_it() -> None:
    """Outcome, errno, TLS version, cipher, certificate, expiry and durations, described for screen readers."""
    tree = await page(fleet())
    for chip in tree.all("span", class_="chip"):
        assert chip.attributes["tabindex"] == "0"
        [tip] = chip.all("span", role="tooltip")
        assert tip.attributes["id"] == chip.attributes["aria-describedby"]
    ids = [tip.attributes["id"] for tip in tree.all("span", role="tooltip")]
    assert len(set(ids)) == len(ids)
    [row] = [each for each in rows(tree) if "resets" in each.all("th")[0].text]
    known, none, _ = row.all("td", class_="hellos")
    for said in ("TLSv1.3, TLS_AES_128_GCM_SHA256, x25519", "CN=api.example.com", "2027-01-01T00:00:00Z", "connect 0.4 ms"):
        assert said in known.text
    for said in ("reset, at client_hello", "ECONNRESET", "rst"):
        assert said in none.text


async def test_of_many_names_those_that_fail_are_listed_and_the_others_counted() -> None:
    """A target of a thousand names is a row like others, and says what is wrong at once."""
    service = FakeService()
    of = target("shared", names=tuple(f"{number}.many.example" for number in range(1000)))
    run = differential(of, known=certificate(issued("*.many.example").ders))
    hellos = list(run.handshakes)
    hellos[700:710] = (each._replace(observation=reset()) for each in hellos[700:710])
    service.see(of, run._replace(handshakes=tuple(hellos)))
    tree = await page(service)
    cell = rows(tree)[0].all("td", class_="hellos")[0]

    chips = cell.all("span", class_="chip")
    assert [chip.all("span", class_="word")[0].text for chip in chips] == ["reset"] * HELLOS_LISTED
    assert "700.many.example" in cell.text
    [rest] = cell.all("div", class_="rest")
    assert rest.text == "994 more: 990 certificate, 4 reset"
    assert rest.all("a")[0].attributes["href"] == "/targets/shared"

    tree = await page(service, "/targets/shared")
    assert len(tree.all("section", class_="card")) == HELLOS_IN_FULL + 2
    assert "and 940 more" in tree.all("dl", class_="facts")[0].text
    [rest] = tree.all("p", class_="more")[:1]
    assert rest.text.startswith(f"Right SNI: {1000 - HELLOS_IN_FULL} more: certificate.")
    assert rest.all("a")[0].attributes["href"] == "/api/v1/targets/shared"


async def test_an_expected_rejection_is_calm() -> None:
    """The policy asks for it: no red."""
    tree = await page(fleet())
    [row] = [each for each in rows(tree) if "strict" in each.all("th")[0].text]

    assert row.attributes["class"] == "ok"
    assert VERDICT_TITLES[Verdict.NON_SNI_REJECTED] in row.text
    assert not row.all("span", class_="bad")


async def test_a_wrong_certificate_is_named() -> None:
    """Whose it is, and what is wrong with it, at a glance."""
    service = FakeService()
    of = target()
    service.see(of, differential(of, known=certificate(expired().ders), none=certificate(default_certificate().ders)))
    tree = await page(service)
    known, none, _ = rows(tree)[0].all("td", class_="hellos")

    assert known.all("span", class_="word")[0].text == "expired"
    assert none.all("span", class_="word")[0].text == "wrong name"
    assert "Kubernetes Ingress Controller Fake Certificate" in none.text


HOSTILE = "<script>alert('x')</script>\"&'"


async def test_what_peers_and_configurations_say_is_escaped_everywhere() -> None:
    """Details, certificate names, labels, target names, the filter: nothing becomes markup."""
    service = FakeService()
    evil = target(HOSTILE, "192.0.2.9", label=HOSTILE)
    observed = ending(Outcome.NOT_TLS, detail=HOSTILE)
    service.see(evil, differential(evil, none=observed))
    async with client(service) as http:
        for path in ("/", f"/?q={HOSTILE}", "/targets/" + HOSTILE.replace("/", "%2F").replace("<", "%3C").replace("&", "%26")):
            answer = await http.get(path)
            assert answer.status_code == 200
            assert "<script>alert" not in answer.text
            tree = Page(answer.text).root
            assert [script.attributes.get("src", "").split("?")[0] for script in tree.all("script")] == ["/static/status.js"]
            assert HOSTILE in tree.all("main")[0].text or path.startswith("/?")
            assert not [
                name for element in tree.all("") for name in element.attributes if name.startswith("on") or name == "style"
            ]


@given(st.text(max_size=40))
def test_any_text_is_shown_as_itself(text: str) -> None:
    """The environment escapes: no template marks anything as safe."""
    from prober.outlets.pages import environment

    shown = Page(environment().get_template("message.html").render(title=text, text="", link=None, paths=(), linked=()))

    assert shown.root.all("h1")[0].text == " ".join(text.replace("\r", "\n").split())


async def test_the_filter_finds_what_people_look_for() -> None:
    """Target, address, label, verdict, outcome, alert name, the page's own words; all must be there; without JavaScript it is a form."""
    service = fleet()
    old = target("old", "192.0.2.77")
    service.see(old, differential(old, known=certificate(expired().ders), none=reset()))

    async def found(query: str) -> list[str]:
        return [row.all("th")[0].all("a")[0].text for row in rows(await page(service, f"/?q={query}"))]

    assert await found("resets") == ["resets"]
    assert await found("192.0.2.5") == ["fake"]
    assert await found("unrecognized_name") == ["strict"]
    assert await found("local_error") == ["unsure"]
    assert await found("prod NON_SNI") == ["resets", "fake", "strict"]
    assert await found("expired") == ["old"]  # as its chip says
    assert await found("rejects clients") == ["strict"]  # as its verdict is called
    assert await found("non_sni_reset") == ["resets", "old"]  # also behind another verdict
    assert await found("nowhere") == []
    tree = await page(service, "/?q=nowhere")
    assert "Nothing matches" in tree.all("h2")[0].text
    [form] = tree.all("form")
    assert (form.attributes["method"], form.attributes["action"]) == ("get", "/")
    assert form.all("input", name="q")[0].attributes["value"] == "nowhere"


async def test_tiles_show_one_state_alone() -> None:
    """Each tile is a link, and the chosen one says so."""
    tree = await page(fleet(), "/?show=ok")

    assert [row.all("th")[0].all("a")[0].text for row in rows(tree)] == ["fine", "strict"]
    assert [tile.text for tile in tree.all("a", class_="tile") if tile.attributes.get("aria-current")] == ["2as expected"]


async def test_thousands_of_addresses_show_what_needs_attention_and_pages_of_the_rest() -> None:
    """The page is bounded, whatever is watched."""
    service = FakeService()
    for number in range(SHOW_ALL_UP_TO + 30):
        of = target(f"t{number:04}", f"10.0.{number // 250}.{number % 250}")
        service.see(of, differential(of, none=reset() if number == 7 else None))
    attention = await page(service)
    everything = await page(service, "/?show=all")
    last = await page(service, "/?show=all&page=99999")

    assert len(rows(attention)) == 1
    assert f"{SHOW_ALL_UP_TO + 29} addresses behave as expected and are not listed" in attention.text
    assert len(rows(everything)) == PAGE_ROWS
    assert everything.all("a", rel="next")[0].attributes["href"] == "/?show=all&page=2"
    assert len(rows(last)) == (SHOW_ALL_UP_TO + 30) % PAGE_ROWS or PAGE_ROWS
    assert not last.all("a", rel="next")


@pytest.mark.parametrize(
    "path", ["/?show=nonsense", "/?page=-1", "/?page=x", "/?page=999999999999999999999", "/?q=" + "x" * 5000]
)
async def test_nonsense_in_the_address_line_is_read_as_the_default(path: str) -> None:
    """No error page for a mistyped parameter."""
    await page(fleet(), path)


async def test_an_empty_service_says_what_to_do() -> None:
    """With a configuration to start from; with targets but no verdict yet, it says that it is at it."""
    empty = await page(FakeService())
    waiting = await page(FakeService(targets=(target(),), ready=False))

    assert empty.all("h2")[0].text == "No target yet"
    assert "targets:" in empty.all("pre")[0].text
    assert waiting.all("h2")[0].text == "The first round is under way"


async def test_sources_that_have_not_answered_are_named() -> None:
    """Where all addresses are judged but for those that nobody has named yet, the round is not what is waited for."""
    service = fleet()
    service.ready, service.unanswered = False, ("kubernetes",)

    [notice] = (await page(service)).all("p", class_="notice")

    assert notice.text == "Discovery has not answered yet, so what it would find is not watched: kubernetes."


async def test_a_failed_reload_is_said_on_the_page() -> None:
    """A calm page must not be believed for the wrong reason."""
    service = fleet()
    service.statistics.reload_successful = False

    assert "last reload found errors" in (await page(service)).all("p", class_="notice")[0].text
    service.statistics.reload_successful = True
    service.statistics.web_file_read(usable=False)
    assert "web configuration file cannot be used" in (await page(service)).all("p", class_="notice")[0].text


async def test_the_latest_changes_are_below_the_list() -> None:
    """Of all targets, newest first, each with a link to its page."""
    service = FakeService()
    for name in ("one", "two/three"):
        service.see(target(name), differential(target(name)), at=NOW - 500)
    service.see(target("two/three"), differential(target("two/three"), none=reset()))
    history = (await page(service)).all("section", class_="history")[0]
    lines = history.all("li")
    assert [line.all("a")[0].attributes["href"] for line in lines] == [
        "/targets/two%2Fthree",
        "/targets/two%2Fthree",
        "/targets/one",
    ]
    assert "two/three: OK → Resets clients without SNI" in lines[0].text
    assert "two/three: First judged: OK" in lines[1].text


async def test_a_history_that_does_not_answer_hides_no_verdict(autojump_clock: trio.testing.MockClock) -> None:
    """A disk that hangs, or that is damaged."""

    class Damaged(RecentChanges):
        async def changes(self, target: str | None = None, *, limit: int = 1000) -> list[VerdictChange]:
            raise sqlite3.DatabaseError("database disk image is malformed")

    for history in (HangingChanges(), Damaged()):
        service = fleet()
        service.changes = history
        tree = await page(service)
        assert len(rows(tree)) == 5
        assert "cannot be read now" in tree.all("section", class_="history")[0].text


async def test_pages_are_built_for_everybody() -> None:
    """Language, landmarks, one first heading, table headers with scope, labelled fields, a way past the navigation."""
    tree = await page(fleet())

    assert tree.all("html")[0].attributes["lang"] == "en"
    assert len(tree.all("h1")) == 1
    assert tree.all("main")[0].attributes["id"] == tree.all("a", class_="skip")[0].attributes["href"].removeprefix("#")
    assert tree.all("caption")
    assert all(header.attributes.get("scope") in {"row", "col"} for header in tree.all("th"))
    assert {label.attributes["for"] for label in tree.all("label")} == {"q"}
    assert tree.all("noscript")[0].all("meta")[0].attributes["http-equiv"] == "refresh"
