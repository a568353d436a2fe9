"""The status page and the targets' pages: which request shows what."""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Mapping, Sequence
from contextlib import suppress
from time import time
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar
from urllib.parse import urlencode

import trio
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from prober.changelog import ChangeLog
from prober.operations import Operations
from prober.outlets.causes import cause_link, cause_view
from prober.outlets.failures import failure_views
from prober.outlets.listing import PAGE_ROWS, SHOW_ALL_UP_TO, Listing, Shown, list_endpoints
from prober.outlets.opinions import URGENCY, Tone, endpoint_tone
from prober.outlets.pages import REFRESH_SECONDS, change_lines, endpoint_row, target_facts, target_url
from prober.outlets.slices import Pause
from prober.outlets.wording import age

if TYPE_CHECKING:
    import jinja2

__all__ = ["StatusPages"]

_T = TypeVar("_T")

_SHOW: Mapping[str, frozenset[Tone]] = {
    "all": frozenset(("fault", "unsure", "ok")),
    "attention": frozenset(("fault", "unsure")),
    "fault": frozenset(("fault",)),
    "unsure": frozenset(("unsure",)),
    "ok": frozenset(("ok",)),
}
_TILES: tuple[tuple[Tone, str], ...] = (("fault", "at fault"), ("unsure", "inconclusive"), ("ok", "as expected"))

QUERY_LIMIT = 200
CHANGES_SHOWN = 30
LATEST_SHOWN = 10
"""Changes of all targets, on the status page."""
FAILURES_SHOWN = 6
ENDPOINTS_SHOWN = 50
HISTORY_SECONDS = 1.0
"""For which a page waits for the history: a disk that hangs must not hide the verdicts."""


class StatusPages:
    """``/`` and ``/targets/NAME``."""

    def __init__(self, operations: Operations, changes: ChangeLog, templates: jinja2.Environment) -> None:
        self._operations = operations
        self._changes = changes
        self._status = templates.get_template("status.html")
        self._target = templates.get_template("target.html")
        self._message = templates.get_template("message.html")

    async def status(self, request: Request) -> Response:
        """Every ingress address, those at fault first."""
        wish = _Wish.of(request.query_params, total=len(self._operations.store))
        states = self._operations.store.states()
        listing = await list_endpoints(states, self._operations.targets, Shown(_SHOW[wish.show], wish.query, wish.page))
        latest = await _remembered(self._changes.changes(limit=LATEST_SHOWN))
        now = time()
        return await _page(
            self._status,
            here="status",
            refresh_seconds=REFRESH_SECONDS,
            total=len(states),
            watched=len(self._operations.targets),
            headline=_headline(listing, len(states), now),
            notices=self._notices(),
            tiles=[
                {
                    "tone": tone,
                    "label": label,
                    "count": f"{listing.counts[tone]:,}",
                    "zero": not listing.counts[tone],
                    "selected": wish.show == tone,
                    "url": wish.url(show=tone),
                }
                for tone, label in _TILES
            ],
            query=wish.query,
            show=wish.show,
            listed=len(listing.states),
            rows=(endpoint_row(state, now) for state in listing.states),
            cause=lambda row: cause_link(self._operations.diagnosis(row.target), row.target),
            pages=_pages(listing, wish),
            hidden=_hidden(listing, wish),
            empty=_empty(wish),
            changes=None if latest is None else change_lines(latest, now),
        )

    async def target(self, request: Request) -> Response:
        """One target with everything that is known about it."""
        name = request.path_params["name"]
        target = next((each for each in self._operations.targets if each.name == name), None)
        if target is None:
            return await self._unknown(name)
        states = [state for state in self._operations.store.states() if state.key.target == name]
        states.sort(key=lambda state: URGENCY[endpoint_tone(state.judgement)])
        changes = await _remembered(self._changes.changes(name, limit=CHANGES_SHOWN))
        failures = await _remembered(self._changes.failures(name, limit=FAILURES_SHOWN))
        diagnosis = self._operations.diagnosis(name)
        now = time()
        more = len(states) - ENDPOINTS_SHOWN
        return await _page(
            self._target,
            refresh_seconds=REFRESH_SECONDS,
            target={"name": name, "facts": target_facts(target), "api": f"/api/v1{target_url(name)}"},
            lede=_freshness(max((max(state.last_run.values(), default=0.0) for state in states), default=0.0), now),
            rows=(endpoint_row(state, now, full=True) for state in states[:ENDPOINTS_SHOWN]),
            more=f"{more} more addresses are on the status page and in the API." if more > 0 else "",
            cause=None if diagnosis is None else cause_view(diagnosis, now),
            changes=None if changes is None else change_lines(changes, now),
            failures=None if failures is None else failure_views(failures, now),
            failures_url="/api/v1/failures?" + urlencode({"target": name}),
        )

    async def _unknown(self, name: str) -> Response:
        """No such target: perhaps it was renamed or removed, or the link is an old alert's."""
        gone = await _remembered(self._changes.changes(name, limit=1))
        text = "It is neither configured nor discovered now."
        if gone:
            text = f"It was watched once: {age(time() - gone[0].at)} ago its verdict became {gone[0].verdict}."
        link = ("Look for it in the list.", "/?" + urlencode({"q": name[:QUERY_LIMIT]}))
        return await _page(self._message, 404, title=f"There is no target {name}", text=text, link=link, paths=(), linked=())

    def _notices(self) -> list[str]:
        """What is wrong with the service itself, so that a calm page is not believed for the wrong reason."""
        notices = []
        if not self._operations.statistics.reload_successful:
            notices.append(
                "The last reload found errors in the configuration; the one before is still running. The log has them."
            )
        if not self._operations.statistics.web_file_usable:
            notices.append(
                "The web configuration file cannot be used as it is now; what it was before still counts. The log says why."
            )
        if self._operations.unanswered:
            silent = ", ".join(self._operations.unanswered)
            notices.append(f"Discovery has not answered yet, so what it would find is not watched: {silent}.")
        elif not self._operations.ready and len(self._operations.store):
            notices.append("The first round is under way: some addresses have not been judged yet.")
        return notices


async def _remembered(asked: Awaitable[Sequence[_T]]) -> Sequence[_T] | None:
    """None where the history cannot be read, or not in time."""
    with trio.move_on_after(HISTORY_SECONDS), suppress(sqlite3.Error):
        return await asked
    return None


class _Wish(NamedTuple):
    """What the address line asks for."""

    show: str
    query: str
    page: int

    @classmethod
    def of(cls, parameters: Mapping[str, str], *, total: int) -> _Wish:
        """Nonsense is read as the default."""
        query = parameters.get("q", "")[:QUERY_LIMIT].strip()
        show = parameters.get("show", "")
        if show not in _SHOW:
            show = "all" if query or total <= SHOW_ALL_UP_TO else "attention"
        page = parameters.get("page", "1")
        return cls(show, query, int(page[:6]) if page.isascii() and page.isdigit() else 1)

    def url(self, **changed: object) -> str:
        """The same wish with something changed, from its first page on."""
        parameters = {"q": self.query, "show": self.show, "page": 1, **changed}
        return "/?" + urlencode({name: value for name, value in parameters.items() if value not in {"", 1}})


def _freshness(last_run: float, now: float) -> str:
    """How old what is shown is; the script says behind it when the page itself grows old."""
    return f"The last handshake was {age(now - last_run)} ago." if last_run else ""


def _headline(listing: Listing, total: int, now: float) -> dict[str, Any]:
    fault, unsure = listing.counts["fault"], listing.counts["unsure"]
    addresses = "ingress address" if total == 1 else "ingress addresses"
    lede = _freshness(listing.last_run, now)
    if not total:
        return {"tone": "unsure", "text": "Nothing has been judged yet", "short": "Nothing judged", "lede": ""}
    if fault:
        return {
            "tone": "fault",
            "text": f"{fault:,} of {total:,} {addresses} {'is' if fault == 1 else 'are'} at fault",
            "short": f"{fault:,} at fault",
            "lede": lede,
        }
    if unsure:
        return {
            "tone": "unsure",
            "text": f"{unsure:,} of {total:,} {addresses} could not be judged",
            "short": f"{unsure:,} inconclusive",
            "lede": lede,
        }
    text = "The ingress address behaves as expected" if total == 1 else f"All {total:,} ingress addresses behave as expected"
    return {"tone": "ok", "text": text, "short": "All as expected", "lede": lede}


def _pages(listing: Listing, wish: _Wish) -> dict[str, Any]:
    count = max(1, -(-listing.matching // PAGE_ROWS))
    first = (listing.page - 1) * PAGE_ROWS
    return {
        "count": count,
        "matching": listing.matching,
        "first": first + 1,
        "last": first + len(listing.states),
        "previous": wish.url(page=listing.page - 1) if listing.page > 1 else "",
        "next": wish.url(page=listing.page + 1) if listing.page < count else "",
    }


def _hidden(listing: Listing, wish: _Wish) -> dict[str, str] | None:
    """What is not listed because it is well, where nobody asked for it to be left out."""
    well = listing.counts["ok"]
    if wish.show != "attention" or not well or not listing.states:
        return None
    return {"text": f"{well:,} addresses behave as expected and are not listed.", "link": "List all", "url": wish.url(show="all")}


def _empty(wish: _Wish) -> dict[str, str]:
    if wish.query:
        return {
            "title": "Nothing matches",
            "text": f"No address has “{wish.query}” in its target, address, server names, labels, verdict or outcomes.",
            "link": "Clear the filter",
            "url": "/",
        }
    return {
        "title": "Nothing to see to",
        "text": "No address is in this state now.",
        "link": "List all",
        "url": wish.url(show="all"),
    }


async def _page(template: jinja2.Template, status: int = 200, /, **context: object) -> Response:
    """Rendered piece by piece: a hundred rows take 50 ms, which must not hold up the probing loop."""
    pieces: list[str] = []
    pause = Pause()
    for piece in template.generate(**context):
        pieces.append(piece)
        await pause()
    return HTMLResponse("".join(pieces).encode("utf-8", "replace"), status)
