"""The pages in a real browser: nothing is refused by the policy, the script runs, the page keeps itself true."""

from __future__ import annotations

from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import trio

from prober.model import Outcome
from prober.outlets.web import create_app
from prober.outlets.web_server import bind, serve
from tests.outlets.fleet import FakeService, differential, ending, reset, target
from tests.outlets.test_status_page import Page, rows
from tests.servers.requirements import require_program

VIRTUAL_MS = 25_000
"""The page's time, which the browser makes pass as fast as it can: two refreshes."""


class Browser:
    """Chromium without a window; each look is a process of its own, so that nothing is left over."""

    def __init__(self, directory: Path) -> None:
        self._program = require_program("chromium")
        self._directory = directory

    async def look(self, url: str, *options: str) -> tuple[str, list[str]]:
        """The page's DOM after its scripts have run, and what the browser complained about."""
        command = [
            self._program,
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            f"--user-data-dir={self._directory / 'profile'}",
            "--enable-logging=stderr",
            *options,
            url,
        ]
        with trio.fail_after(50):
            ended = await trio.run_process(command, capture_stdout=True, capture_stderr=True)
        complaints = [line for line in ended.stderr.decode(errors="replace").splitlines() if "CONSOLE" in line]
        return ended.stdout.decode(), complaints


class Read:
    """The application as somebody has it who selects the headline, which the script does for the test."""

    def __init__(self, app: Seen) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """The real script and a line more; all else is passed on."""
        if scope["path"] != "/static/status.js":
            await self._app(scope, receive, send)
            return
        script = (files("prober.outlets") / "static" / "status.js").read_bytes()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/javascript")]})
        await send(
            {"type": "http.response.body", "body": script + b"getSelection().selectAllChildren(document.querySelector('h1'));"}
        )


class Gone:
    """The application of a service that dies once its page was fetched."""

    def __init__(self, app: Seen) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Passed on, but a page a second time is 503."""
        if scope["path"] not in self._app.paths or scope["path"].startswith("/static/"):
            await self._app(scope, receive, send)
            return
        await send({"type": "http.response.start", "status": 503, "headers": []})
        await send({"type": "http.response.body", "body": b""})


class Seen:
    """The application, which notices when its first page was fetched and whether its files were."""

    def __init__(self, service: FakeService) -> None:
        self._app = create_app(service, service.changes)
        self.paths: list[str] = []
        self.first = trio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Passed on, and noted."""
        await self._app(scope, receive, send)
        self.paths.append(scope["path"])
        if scope["path"] == "/":
            self.first.set()


@pytest.mark.timeout(120)
async def test_the_status_page_works_and_refreshes_itself_in_a_browser(tmp_path: Path) -> None:
    """A verdict that changes after the page was loaded is on it without a reload; style and script are let in by the policy."""
    service = FakeService()
    of = target("edge", "192.0.2.1", label="<img src=x onerror=document.title=1>")
    service.see(of, differential(of, none=ending(Outcome.NOT_TLS, detail="<script>document.title=2</script>")))
    seen = Seen(service)
    browser = Browser(tmp_path)
    listeners = bind("127.0.0.1:0")
    shutdown = trio.Event()
    async with trio.open_nursery() as nursery:
        [url] = await nursery.start(partial(serve, seen, listeners, shutdown=shutdown))

        async def then_reset() -> None:
            await seen.first.wait()
            service.see(of, differential(of, none=reset()))

        nursery.start_soon(then_reset)
        dom, complaints = await browser.look(f"{url}/", f"--virtual-time-budget={VIRTUAL_MS}", "--dump-dom")
        picture = tmp_path / "page.png"
        await browser.look(f"{url}/targets/edge", "--window-size=1280,900", f"--screenshot={picture}")
        shutdown.set()

    tree = Page(dom).root
    assert complaints == []
    assert "/static/style.css" in seen.paths
    assert "/static/status.js" in seen.paths
    assert tree.all("form")[0].has("class_", "live")
    assert seen.paths.count("/") >= 2
    assert [row.attributes["class"] for row in rows(tree)] == ["fault"]
    assert "non_sni_reset" in rows(tree)[0].text
    assert tree.all("title")[0].text == "1 at fault · prober"
    assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.timeout(120)
@pytest.mark.parametrize(("fate", "told"), [(Read, "paused"), (Gone, "stale")], ids=["selected", "dead"])
@pytest.mark.parametrize("path", ["/", "/targets/edge"])
async def test_a_page_that_does_not_keep_itself_true_says_so(
    path: str, fate: type[Read | Gone], told: str, tmp_path: Path
) -> None:
    """Behind how old it was: a red page that has turned calm would be believed as long as a calm one that has turned red."""
    service = FakeService()
    of = target("edge", "192.0.2.1")
    service.see(of, differential(of))
    seen = Seen(service)
    listeners = bind("127.0.0.1:0")
    shutdown = trio.Event()
    async with trio.open_nursery() as nursery:
        [url] = await nursery.start(partial(serve, fate(seen), listeners, shutdown=shutdown))
        dom, _ = await Browser(tmp_path).look(f"{url}{path}", f"--virtual-time-budget={VIRTUAL_MS}", "--dump-dom")
        shutdown.set()

    tree = Page(dom).root
    assert seen.paths.count(path) == 1
    assert tree.all("body")[0].has("class_", told)
    assert tree.all("p", class_="lede")[0].text.startswith("The last handshake was ")
